//! Clients of S3, Google Cloud Storage and Azure from the settings that their users know.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::{ClientOptions, Error, ObjectStore, RetryConfig};
use url::Url;

use crate::presigned::{Protocol, Signing};
use crate::settings::{CloudSettings, STORAGE_EMULATOR_HOST};

/// The store behind an `s3:`, `gs:`, `abfss:` or `wasbs:` URI, and what signs addresses in it.
pub(crate) fn open(
    uri: &Url,
    settings: &CloudSettings,
) -> Result<(Arc<dyn ObjectStore>, Option<Signing>), Error> {
    match uri.scheme() {
        "s3" | "s3a" => {
            let store = Arc::new(s3(uri, settings)?);
            let signing = (!is_unsigned(settings))
                .then(|| Signing::new(Protocol::S3, store.clone(), store.clone()));
            Ok((store, signing))
        }
        "gs" => {
            let store = Arc::new(google(uri, settings)?);
            // A store that stands in for Google's takes requests without credentials.
            let signing = settings
                .get(STORAGE_EMULATOR_HOST)
                .is_none()
                .then(|| Signing::new(Protocol::Google, store.clone(), store.clone()));
            Ok((store, signing))
        }
        scheme => {
            let store = Arc::new(azure(uri, settings)?);
            // As MLflow: its store for `abfss:` has no uploads in parts. A signature is no key to
            // make others with.
            let signing = (scheme == "wasbs" && !has_only_a_signature(settings))
                .then(|| Signing::new(Protocol::Azure, store.clone(), store.clone()));
            Ok((store, signing))
        }
    }
}

/// Few retries: an object store that does not answer is more often a wrong setting than busy.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_mins(1),
        ..RetryConfig::default()
    }
}

/// No limit on a whole download, one on silence.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_mins(1))
}

fn s3(uri: &Url, settings: &CloudSettings) -> Result<AmazonS3, Error> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in settings.with_prefix("AWS_") {
        builder = builder.with_config(AmazonS3ConfigKey::from_str(&name.to_lowercase())?, value);
    }
    // boto3 reads AWS_DEFAULT_REGION; the SDKs of other languages read AWS_REGION.
    let region = settings
        .get("AWS_DEFAULT_REGION")
        .or_else(|| settings.get("AWS_REGION"));
    builder = builder.with_region(region.unwrap_or("us-east-1"));
    let endpoint = settings
        .s3
        .endpoint
        .as_deref()
        .or_else(|| settings.get("AWS_ENDPOINT_URL_S3"))
        .or_else(|| settings.get("AWS_ENDPOINT_URL"));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    // As boto3: `auto` puts the bucket into the path for any store but AWS itself.
    let style = settings.s3.addressing_style.as_deref().unwrap_or("auto");
    let virtual_hosted = style == "virtual" || (style == "auto" && endpoint.is_none());
    builder
        .with_bucket_name(uri.host_str().unwrap_or_default())
        .with_virtual_hosted_style_request(virtual_hosted)
        .with_client_options(client().with_allow_invalid_certificates(settings.s3.ignore_tls))
        .with_allow_http(endpoint.is_some_and(|address| address.starts_with("http:")))
        .with_skip_signature(is_unsigned(settings))
        .with_retry(retries())
        .build()
}

fn is_unsigned(settings: &CloudSettings) -> bool {
    settings.s3.unsigned || settings.get("AWS_SKIP_SIGNATURE") == Some("true")
}

fn google(uri: &Url, settings: &CloudSettings) -> Result<GoogleCloudStorage, Error> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(uri.host_str().unwrap_or_default())
        .with_client_options(client())
        .with_retry(retries());
    if let Some(address) = settings.get(STORAGE_EMULATOR_HOST) {
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        // Writes do not heed the library's setting for no credentials; an empty token is none.
        builder = builder
            .with_base_url(address.trim_end_matches('/'))
            .with_bearer_token("")
            .with_client_options(client().with_allow_http(true));
    } else if let Some(file) = settings.get("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(file);
    }
    builder.build()
}

fn azure(uri: &Url, settings: &CloudSettings) -> Result<MicrosoftAzure, Error> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client())
        .with_retry(retries());
    for (name, value) in settings.with_prefix("AZURE_") {
        if name != "AZURE_STORAGE_CONNECTION_STRING" {
            builder = builder.with_config(AzureConfigKey::from_str(&name.to_lowercase())?, value);
        }
    }
    let host = uri.host_str().unwrap_or_default();
    builder = builder
        .with_container_name(uri.username())
        .with_account(host.split('.').next().unwrap_or_default());
    for (name, value) in connection_string(settings) {
        match name {
            "AccountName" => builder = builder.with_account(value),
            "AccountKey" => builder = builder.with_access_key(value),
            "BlobEndpoint" => {
                builder = builder
                    .with_allow_http(value.starts_with("http:"))
                    .with_endpoint(value.trim_end_matches('/').to_owned());
            }
            "SharedAccessSignature" => {
                builder = builder.with_config(AzureConfigKey::SasKey, value);
            }
            _ => {}
        }
    }
    builder.build()
}

fn has_only_a_signature(settings: &CloudSettings) -> bool {
    settings.get("AZURE_STORAGE_SAS_TOKEN").is_some()
        || connection_string(settings).any(|(name, _)| name == "SharedAccessSignature")
}

/// The parts `Name=value` of a connection string.
fn connection_string(settings: &CloudSettings) -> impl Iterator<Item = (&str, &str)> {
    settings
        .get("AZURE_STORAGE_CONNECTION_STRING")
        .unwrap_or_default()
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> CloudSettings {
        CloudSettings::from_variables(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn built(uri: &str, pairs: &[(&str, &str)]) -> String {
        let uri = Url::parse(uri).unwrap();
        let (store, _) = open(&uri, &settings(pairs)).unwrap();
        format!("{store:?}")
    }

    #[test]
    fn the_bucket_is_in_the_host_on_aws_and_in_the_path_elsewhere() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let shown = built("s3://box/x", &keys);
        assert!(shown.contains("box.s3.us-east-1.amazonaws.com"), "{shown}");
        let local = [
            keys[0],
            keys[1],
            ("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9/"),
        ];
        let shown = built("s3://box/x", &local);
        assert!(shown.contains("http://127.0.0.1:9/box"), "{shown}");
        let region = [keys[0], keys[1], ("AWS_DEFAULT_REGION", "eu-central-1")];
        assert!(built("s3://box/x", &region).contains("eu-central-1"));
    }

    #[tokio::test]
    async fn a_stand_in_for_google_is_asked_without_credentials() {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).insert_header("ETag", "\"1\"");
        Mock::given(method("PUT"))
            .and(path("/box/a%20b"))
            .respond_with(answer)
            .expect(2)
            .mount(&server)
            .await;
        let uri = Url::parse("gs://box").unwrap();
        for address in [server.uri(), server.address().to_string()] {
            let settings = settings(&[(STORAGE_EMULATOR_HOST, &address)]);
            let (store, signing) = open(&uri, &settings).unwrap();
            store.put(&"a b".into(), "content".into()).await.unwrap();
            assert!(signing.is_none());
        }
        for request in server.received_requests().await.unwrap() {
            assert_eq!(request.headers["authorization"], "Bearer", "no token");
            assert_eq!(request.body, b"content");
        }
        let (_, signing) = open(&uri, &settings(&[])).unwrap();
        assert!(signing.is_some());
    }

    #[test]
    fn container_and_account_come_from_the_uri_and_the_key_from_the_variables() {
        let shown = built(
            "abfss://box@konto.dfs.core.windows.net/x",
            &[("AZURE_STORAGE_ACCESS_KEY", "Zm9v")],
        );
        assert!(shown.contains("konto") && shown.contains("box"), "{shown}");
        let text = "DefaultEndpointsProtocol=https;AccountName=andere;AccountKey=Zm9v";
        let shown = built(
            "wasbs://box@konto.blob.core.windows.net/x",
            &[("AZURE_STORAGE_CONNECTION_STRING", text)],
        );
        assert!(shown.contains("andere"), "{shown}");
    }
}
