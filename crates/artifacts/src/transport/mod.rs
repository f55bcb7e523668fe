//! HTTP to a tracking server: credentials, TLS, time limits, retries, bounded bodies.
//!
//! [`Transport`] sends [`HttpRequest`]s and turns every answer that is not a success into a
//! [`TransportError`] that names the server and what it said. Credentials go only to the hosts they
//! were given for, never into an error or a log. It knows no endpoint.

mod answer;
mod client;
mod request;
mod settings;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt as _;
use mlrs_api::Method;
use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, RANGE};
use serde::de::DeserializeOwned;
use url::Url;

use crate::source::Source;
use crate::transport_error::TransportError;
use answer::{check, excerpt, read_bounded, server_of};
use client::build_client;

pub use answer::without_secrets;
pub use request::HttpRequest;
pub use settings::{Credentials, HostCredentials, TransportSettings};

/// Largest JSON answer that is read, in bytes.
const MAX_JSON_BYTES: usize = 64 << 20;
/// Header that names the workspace on servers that have them.
const WORKSPACE_HEADER: &str = "x-mlflow-workspace";

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
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        self.settings
            .credentials
            .iter()
            .find(|known| {
                let is_allowed = !known.only_encrypted || url.scheme() == "https";
                known.host == host && known.port == port && is_allowed
            })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_their_host_and_port_only() {
        let transport = Transport::new(TransportSettings {
            credentials: vec![HostCredentials {
                host: "mlflow.example".into(),
                port: 443,
                only_encrypted: true,
                credentials: Credentials::Bearer { token: "t".into() },
            }],
            ..TransportSettings::default()
        })
        .unwrap();
        for (url, sent) in [
            ("https://mlflow.example/x", true),
            ("https://MLFLOW.example:443/x", true),
            ("https://mlflow.example:8443/x", false),
            ("http://mlflow.example/x", false),
            ("https://mlflow.example.evil/x", false),
        ] {
            let found = transport.credentials_for(&Url::parse(url).unwrap());
            assert_eq!(found.is_some(), sent, "{url}");
        }
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
