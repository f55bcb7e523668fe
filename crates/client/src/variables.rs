//! Names of the environment variables that this client understands; MLflow's own.
//!
//! Those of the object stores are in `mlrs_artifacts::CloudSettings`.

/// Address of the tracking server, such as `http://host:5000`.
pub const MLFLOW_TRACKING_URI: &str = "MLFLOW_TRACKING_URI";
/// Address of the model registry; the tracking server when not set.
pub const MLFLOW_REGISTRY_URI: &str = "MLFLOW_REGISTRY_URI";
/// User name for HTTP Basic.
pub const MLFLOW_TRACKING_USERNAME: &str = "MLFLOW_TRACKING_USERNAME";
/// Password for HTTP Basic.
pub const MLFLOW_TRACKING_PASSWORD: &str = "MLFLOW_TRACKING_PASSWORD";
/// Bearer token; used when there is no user name and password.
pub const MLFLOW_TRACKING_TOKEN: &str = "MLFLOW_TRACKING_TOKEN";
/// Name of an authentication plugin; not supported, so setting it is an error.
pub const MLFLOW_TRACKING_AUTH: &str = "MLFLOW_TRACKING_AUTH";
/// Whether requests are signed for AWS; not supported, so `true` is an error.
pub const MLFLOW_TRACKING_AWS_SIGV4: &str = "MLFLOW_TRACKING_AWS_SIGV4";
/// `true` accepts any certificate.
pub const MLFLOW_TRACKING_INSECURE_TLS: &str = "MLFLOW_TRACKING_INSECURE_TLS";
/// PEM file or folder of the certificates to trust.
pub const MLFLOW_TRACKING_SERVER_CERT_PATH: &str = "MLFLOW_TRACKING_SERVER_CERT_PATH";
/// PEM file with client certificate and key.
pub const MLFLOW_TRACKING_CLIENT_CERT_PATH: &str = "MLFLOW_TRACKING_CLIENT_CERT_PATH";
/// Seconds to wait for a server; 120.
pub const MLFLOW_HTTP_REQUEST_TIMEOUT: &str = "MLFLOW_HTTP_REQUEST_TIMEOUT";
/// Retries after the first attempt; 7, at most 10.
pub const MLFLOW_HTTP_REQUEST_MAX_RETRIES: &str = "MLFLOW_HTTP_REQUEST_MAX_RETRIES";
/// Seconds that pauses between retries are multiples of; 2, at most 120.
pub const MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR: &str = "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR";
/// Seconds added to pauses at random; 1.
pub const MLFLOW_HTTP_REQUEST_BACKOFF_JITTER: &str = "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER";
/// Whether a server's `Retry-After` decides the pause; true.
pub const MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER: &str = "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER";
/// Whether redirects are followed; true.
pub const MLFLOW_ALLOW_HTTP_REDIRECTS: &str = "MLFLOW_ALLOW_HTTP_REDIRECTS";
/// Workspace to name in requests.
pub const MLFLOW_WORKSPACE: &str = "MLFLOW_WORKSPACE";
/// Home folder; `.mlflow/credentials` in it is read as MLflow does.
pub const HOME: &str = "HOME";
