//! HTTP to a tracking server: credentials, TLS, time limits, retries, bounded bodies.
//!
//! [`Transport`] sends [`HttpRequest`]s and turns every answer that is not a success into a
//! [`TransportError`] that names the server and what it said. Credentials go only to the hosts they
//! were given for, never into an error or a log. It knows no endpoint.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use mlrs_api::{ErrorBody, Method};
use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, RANGE, RETRY_AFTER};
use serde::de::DeserializeOwned;
use url::Url;

use crate::retry::RetrySettings;
use crate::source::Source;
use crate::transport_error::TransportError;

/// Largest JSON answer that is read, in bytes.
const MAX_JSON_BYTES: usize = 64 << 20;
/// Largest error answer that is read, in bytes; the rest is not needed for a message.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Longest time to connect. Where nobody answers at all, as behind a firewall, waiting for as long
/// as for an answer helps nobody; three seconds are enough for a lost packet to be sent again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Header that names the workspace on servers that have them.
const WORKSPACE_HEADER: &str = "x-mlflow-workspace";

/// A user name and password, or a token. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// HTTP Basic.
    Basic {
        /// The user.
        username: String,
        /// The secret.
        password: String,
    },
    /// `Authorization: Bearer …`
    Bearer {
        /// The secret.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer { .. } => "Bearer(…)",
        })
    }
}

/// Credentials and the host they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCredentials {
    /// Host name in lower case, without a port.
    pub host: String,
    /// Whether they may only travel inside TLS.
    pub only_encrypted: bool,
    /// What to send.
    pub credentials: Credentials,
}

/// Everything that decides how requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportSettings {
    /// Whom to send which credentials to.
    pub credentials: Vec<HostCredentials>,
    /// Accept any certificate.
    pub insecure_tls: bool,
    /// Certificates to trust instead of the system's; a PEM file or a folder of them.
    pub server_certificates: Option<PathBuf>,
    /// Client certificate and its key, in one PEM file.
    pub client_certificate: Option<PathBuf>,
    /// Longest silence while an answer is awaited and read; and longest time to connect, where that
    /// is less than five seconds.
    pub timeout: Duration,
    /// How persistent to be.
    pub retry: RetrySettings,
    /// Workspace to name in each request.
    pub workspace: Option<String>,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            credentials: Vec::new(),
            insecure_tls: false,
            server_certificates: None,
            client_certificate: None,
            timeout: Duration::from_mins(2),
            retry: RetrySettings::default(),
            workspace: None,
            follow_redirects: true,
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    method: Method,
    url: Url,
    body: Option<Bytes>,
    offset: u64,
    entity_tag: Option<String>,
}

impl HttpRequest {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            body: None,
            offset: 0,
            entity_tag: None,
        }
    }

    /// A POST with a JSON body.
    pub fn post(url: Url, json: impl Into<Bytes>) -> Self {
        Self::with_json(Method::Post, url, json)
    }

    /// A request of this method with a JSON body.
    pub fn with_json(method: Method, url: Url, json: impl Into<Bytes>) -> Self {
        Self {
            method,
            body: Some(json.into()),
            ..Self::get(url)
        }
    }

    /// A DELETE without a body.
    pub fn delete(url: Url) -> Self {
        Self {
            method: Method::Delete,
            ..Self::get(url)
        }
    }

    /// Asks for the content from this byte on, if it is still the one with this entity tag.
    #[must_use]
    pub fn from_byte(mut self, offset: u64, entity_tag: Option<String>) -> Self {
        self.offset = offset;
        self.entity_tag = entity_tag;
        self
    }
}

/// A client for tracking servers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport {
    client: reqwest::Client,
    /// Without a limit on silence, which a request body on its way is; made when it is needed.
    uploads: Arc<OnceLock<reqwest::Client>>,
    settings: Arc<TransportSettings>,
}

impl Transport {
    /// Sets the client up and reads the certificates.
    ///
    /// # Errors
    /// When a certificate cannot be read or the TLS library refuses it.
    pub fn new(settings: TransportSettings) -> Result<Self, TransportError> {
        let client = build_client(&settings, Some(settings.timeout))?;
        Ok(Self {
            client,
            uploads: Arc::default(),
            settings: Arc::new(settings),
        })
    }

    /// A client with the same settings and connections of its own. Connections belong to the runtime
    /// that opened them: another runtime must not wait on one of them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn separate(&self) -> Result<Self, TransportError> {
        Self::new((*self.settings).clone())
    }

    /// The same client and its connections, but nothing that fails is sent again.
    #[must_use]
    pub fn without_retries(&self) -> Self {
        let mut settings = (*self.settings).clone();
        settings.retry.max_retries = 0;
        Self {
            settings: Arc::new(settings),
            ..self.clone()
        }
    }

    /// Sends a request and reads its answer as JSON. An empty answer is read as `{}`, as in MLflow.
    ///
    /// # Errors
    /// When there is no answer, it is an error, or it is not the JSON expected.
    pub async fn json<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
    ) -> Result<T, TransportError> {
        let body = self
            .repeat(request, || self.exchange_whole(request))
            .await?;
        let text = body.trim_ascii();
        let text = if text.is_empty() { b"{}" } else { text };
        serde_json::from_slice(text).map_err(|source| TransportError::NotJson {
            server: server_of(&request.url),
            excerpt: excerpt(text),
            source,
        })
    }

    /// Sends a request and reads its answer as text; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// When there is no answer, or it is an error or too large.
    pub async fn text(&self, request: &HttpRequest) -> Result<String, TransportError> {
        let body = self
            .repeat(request, || self.exchange_whole(request))
            .await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends a request and leaves the body of the answer to the caller.
    ///
    /// # Errors
    /// When there is no answer or it is an error.
    pub async fn open(&self, request: &HttpRequest) -> Result<reqwest::Response, TransportError> {
        self.repeat(request, || self.exchange(request)).await
    }

    /// Sends content of any length as the body of a PUT. The limit on silence counts from the last
    /// piece that went out.
    ///
    /// # Errors
    /// When the content cannot be read, nothing moves for too long, there is no answer, or it is an
    /// error.
    pub async fn upload(&self, url: Url, content: &Source) -> Result<u64, TransportError> {
        let request = HttpRequest {
            method: Method::Put,
            ..HttpRequest::get(url)
        };
        self.repeat(&request, || self.upload_once(&request, content))
            .await
    }

    async fn upload_once(
        &self,
        request: &HttpRequest,
        content: &Source,
    ) -> Result<u64, TransportError> {
        let unreadable = |source| TransportError::Content { source };
        let (length, stream) = content.open().await.map_err(unreadable)?;
        let pieces = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&pieces);
        let stream = stream.inspect(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let builder = self.uploads()?.put(request.url.clone());
        let sent = self
            .with_headers(builder, &request.url)
            .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
            // MLflow's server reads a body without a length as an empty one.
            .header(reqwest::header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(stream))
            .send();
        let mut sent = std::pin::pin!(sent);
        let mut before = None;
        let answer = loop {
            match tokio::time::timeout(self.settings.timeout, &mut sent).await {
                Ok(answer) => break answer.map_err(|error| self.map(request, error))?,
                Err(_) if before != Some(pieces.load(Ordering::Relaxed)) => {
                    before = Some(pieces.load(Ordering::Relaxed));
                }
                Err(_) => {
                    return Err(TransportError::TimedOut {
                        server: server_of(&request.url),
                        seconds: self.settings.timeout.as_secs(),
                    });
                }
            }
        };
        check(request, answer).await.map(|_| length)
    }

    fn uploads(&self) -> Result<reqwest::Client, TransportError> {
        if let Some(client) = self.uploads.get() {
            return Ok(client.clone());
        }
        let client = build_client(&self.settings, None)?;
        Ok(self.uploads.get_or_init(|| client).clone())
    }

    async fn repeat<T, F: Future<Output = Result<T, TransportError>> + Send>(
        &self,
        request: &HttpRequest,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T, TransportError> {
        let mut retry = 0;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            retry += 1;
            let Some(pause) = self.settings.retry.pause(retry, error.failure()) else {
                return Err(error);
            };
            tracing::warn!(
                server = server_of(&request.url), path = request.url.path(), retry, %error,
                pause_seconds = pause.as_secs_f64(), "request failed, will be sent again"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn exchange_whole(&self, request: &HttpRequest) -> Result<Vec<u8>, TransportError> {
        let answer = self.exchange(request).await?;
        let (body, complete) = read_bounded(answer, MAX_JSON_BYTES)
            .await
            .map_err(|error| self.map(request, error))?;
        if complete {
            Ok(body)
        } else {
            let server = server_of(&request.url);
            Err(TransportError::TooLarge {
                server,
                limit: MAX_JSON_BYTES,
            })
        }
    }

    async fn exchange(&self, request: &HttpRequest) -> Result<reqwest::Response, TransportError> {
        let answer = self
            .build(request)
            .send()
            .await
            .map_err(|error| self.map(request, error))?;
        check(request, answer).await
    }

    fn build(&self, request: &HttpRequest) -> reqwest::RequestBuilder {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
            Method::Put => reqwest::Method::PUT,
        };
        let mut builder = self.client.request(method, request.url.clone());
        if let Some(body) = &request.body {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        if request.offset > 0 {
            builder = builder.header(RANGE, format!("bytes={}-", request.offset));
            if let Some(tag) = &request.entity_tag {
                builder = builder.header(IF_RANGE, tag);
            }
        }
        self.with_headers(builder, &request.url)
    }

    /// What every request says: no compression, the workspace, who asks.
    fn with_headers(&self, builder: reqwest::RequestBuilder, url: &Url) -> reqwest::RequestBuilder {
        let mut builder = builder.header(ACCEPT_ENCODING, "identity");
        if let Some(workspace) = &self.settings.workspace {
            builder = builder.header(WORKSPACE_HEADER, workspace);
        }
        match self.credentials_for(url) {
            Some(Credentials::Basic { username, password }) => {
                builder.basic_auth(username, Some(password))
            }
            Some(Credentials::Bearer { token }) => builder.bearer_auth(token),
            None => builder,
        }
    }

    fn credentials_for(&self, url: &Url) -> Option<&Credentials> {
        let host = url.host_str()?;
        self.settings
            .credentials
            .iter()
            .find(|known| known.host == host && (!known.only_encrypted || url.scheme() == "https"))
            .map(|known| &known.credentials)
    }

    fn map(&self, request: &HttpRequest, error: reqwest::Error) -> TransportError {
        let server = server_of(&request.url);
        if error.is_timeout() && !error.is_connect() {
            return TransportError::TimedOut {
                server,
                seconds: self.settings.timeout.as_secs(),
            };
        }
        let interrupted = error.is_body() || error.is_decode();
        let source = error.without_url();
        if interrupted {
            TransportError::Interrupted { server, source }
        } else {
            TransportError::Unreachable { server, source }
        }
    }

    /// The error for a body that broke off while it was streamed.
    pub(crate) fn interrupted(&self, url: &Url, error: reqwest::Error) -> TransportError {
        self.map(&HttpRequest::get(url.clone()), error)
    }
}

/// The HTTP client; `silence` is how long it waits for the next byte of an answer.
fn build_client(
    settings: &TransportSettings,
    silence: Option<Duration>,
) -> Result<reqwest::Client, TransportError> {
    let redirects = if settings.follow_redirects {
        reqwest::redirect::Policy::limited(10)
    } else {
        reqwest::redirect::Policy::none()
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("mlrs/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.timeout.min(CONNECT_TIMEOUT))
        .tcp_keepalive(Duration::from_mins(1))
        // The pauses here are MLflow's; and a decompressed answer has no known size.
        .retry(reqwest::retry::never())
        .no_gzip()
        .redirect(redirects)
        .tls_danger_accept_invalid_certs(settings.insecure_tls);
    if let Some(path) = &settings.server_certificates {
        builder = builder.tls_certs_only(certificates::read_authorities(path)?);
    }
    if let Some(path) = &settings.client_certificate {
        builder = builder.identity(certificates::read_identity(path)?);
    }
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    builder.build().map_err(TransportError::Setup)
}

/// The answer, if it is a good one.
async fn check(
    request: &HttpRequest,
    answer: reqwest::Response,
) -> Result<reqwest::Response, TransportError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    let body = read_bounded(answer, MAX_ERROR_BYTES)
        .await
        .map(|(body, _)| body);
    let body = body.unwrap_or_default();
    let (code, message) = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) => (Some(error.error_code), excerpt(error.message.as_bytes())),
        Err(_) => (None, excerpt(&body)),
    };
    let server = server_of(&request.url);
    Err(TransportError::Answer {
        server,
        status,
        code,
        message,
        retry_after,
    })
}

/// Reads a body up to `limit` bytes; the flag says whether that was all of it.
async fn read_bounded(
    answer: reqwest::Response,
    limit: usize,
) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if body.len() + piece.len() > limit {
            body.extend_from_slice(&piece[..limit - body.len()]);
            return Ok((body, false));
        }
        body.extend_from_slice(&piece);
    }
    Ok((body, true))
}

/// Scheme, host and port of an address, for messages.
fn server_of(url: &Url) -> String {
    let mut server = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        server.push(':');
        server.push_str(&port.to_string());
    }
    server
}

/// A URI without user name, password, query and fragment, for messages and keys.
pub fn without_secrets(uri: &str) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let uri = &uri[..end];
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    // What stands before the `@` of an Azure URI is its container, no secret.
    if matches!(scheme, "abfss" | "abfs" | "wasbs") {
        return uri.to_owned();
    }
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => uri.to_owned(),
    }
}

/// The beginning of a text from a server: one line, nothing that could drive a terminal.
fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 600;
    let text = String::from_utf8_lossy(body);
    let mut shown = String::new();
    for word in text.split_whitespace() {
        if shown.len() + word.len() > LONGEST {
            let rest = word.chars().filter(|letter| !letter.is_control());
            shown.extend(rest.take(LONGEST.saturating_sub(shown.len())));
            shown.push('…');
            break;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.extend(word.chars().filter(|letter| !letter.is_control()));
    }
    if shown.is_empty() {
        "(nothing)".to_owned()
    } else {
        shown
    }
}

/// Reading certificates for TLS.
mod certificates {
    use std::path::Path;

    use super::TransportError;

    /// The certificates of a PEM file, or of all files in a folder.
    pub fn read_authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, TransportError> {
        let fail = |source| TransportError::Certificate {
            path: path.to_path_buf(),
            source,
        };
        let mut files = vec![path.to_path_buf()];
        if path.is_dir() {
            let folder = std::fs::read_dir(path).map_err(|error| fail(error.into()))?;
            files = folder
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .collect();
            files.retain(|file| file.is_file());
        }
        let mut certificates = Vec::new();
        for file in files {
            let pem = std::fs::read(&file).map_err(|error| fail(error.into()))?;
            let bundle =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fail(error.into()))?;
            certificates.extend(bundle);
        }
        if certificates.is_empty() {
            return Err(fail("there is no certificate in PEM form in it".into()));
        }
        Ok(certificates)
    }

    /// A certificate and its key.
    pub fn read_identity(path: &Path) -> Result<reqwest::Identity, TransportError> {
        let fail = |source| TransportError::Certificate {
            path: path.to_path_buf(),
            source,
        };
        let pem = std::fs::read(path).map_err(|error| fail(error.into()))?;
        reqwest::Identity::from_pem(&pem).map_err(|error| fail(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_a_uri() {
        for (uri, shown) in [
            (
                "http://user:pass@host:5000/p?token=1#x",
                "http://host:5000/p",
            ),
            ("postgresql://u:p@db/mlflow", "postgresql://db/mlflow"),
            ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
            (
                "abfss://box@account.dfs.core.windows.net/x",
                "abfss://box@account.dfs.core.windows.net/x",
            ),
            ("./mlruns", "./mlruns"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings = TransportSettings {
            credentials: vec![HostCredentials {
                host: "h".into(),
                only_encrypted: false,
                credentials: Credentials::Basic {
                    username: "anna".into(),
                    password: "geheim".into(),
                },
            }],
            ..TransportSettings::default()
        };
        let shown = format!(
            "{settings:?}{:?}",
            Credentials::Bearer {
                token: "geheim".into()
            }
        );
        assert!(
            !shown.contains("geheim") && !shown.contains("anna"),
            "{shown}"
        );
    }

    #[test]
    fn credentials_go_to_their_host_only() {
        let transport = Transport::new(TransportSettings {
            credentials: vec![HostCredentials {
                host: "mlflow.example".into(),
                only_encrypted: true,
                credentials: Credentials::Bearer { token: "t".into() },
            }],
            ..TransportSettings::default()
        })
        .unwrap();
        for (url, sent) in [
            ("https://mlflow.example/x", true),
            ("https://MLFLOW.example:8443/x", true),
            ("http://mlflow.example/x", false),
            ("https://mlflow.example.evil/x", false),
        ] {
            let found = transport.credentials_for(&Url::parse(url).unwrap());
            assert_eq!(found.is_some(), sent, "{url}");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_plain() {
        assert_eq!(excerpt(b"a\n\x1b[31mb  c"), "a [31mb c");
        assert_eq!(excerpt(b"  "), "(nothing)");
        assert!(excerpt("wort ".repeat(1000).as_bytes()).len() < 700);
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let error = Transport::new(TransportSettings {
            server_certificates: Some("/nowhere/ca.pem".into()),
            ..TransportSettings::default()
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot use the certificate `/nowhere/ca.pem`"
        );
    }
}
