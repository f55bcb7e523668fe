//! Requests to a deployment through the API server, which needs no port and no ingress.

use std::time::Duration;

use http::{Method, Request};
use kube::Client;
use kube::client::{Body, ClientBuilder};

use super::{Cluster, ClusterError, Found};
use crate::names::Name;
use crate::objects::{PORT_NAME, SERVICE_PORT};

/// How long a model may take; long, as nobody knows what it does.
const PREDICTING: Duration = Duration::from_mins(5);

/// What a deployment answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    kind: String,
    api_version: String,
    #[serde(flatten)]
    status: kube::core::Status,
}

impl Cluster {
    /// A client that sends what it is given once. A server that refuses, because it has too much to do
    /// or its model failed, has answered: it is not for us to ask it again.
    fn direct(&self) -> Result<Client, ClusterError> {
        let mut config = self.config.clone();
        config.read_timeout = Some(PREDICTING);
        let builder = ClientBuilder::try_from(config).map_err(ClusterError::setting_up)?;
        Ok(builder.build())
    }

    /// Sends a request to a deployment's Service.
    ///
    /// # Errors
    /// When there is no such deployment, or the API server cannot be asked. An answer that is no
    /// success is an answer.
    pub async fn ask(
        &self,
        name: &Name,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<ProxyAnswer, ClusterError> {
        // KServe names what it makes, and its ports, in its own way.
        let (service, port) = match self.found(name).await? {
            Found::Deployment(_) => (name.to_string(), PORT_NAME.to_owned()),
            Found::Service(_) => (format!("{name}-predictor"), SERVICE_PORT.to_string()),
        };
        let what = || self.named("Service", &service);
        let error = |error| ClusterError::of("reach", what(), error);
        let namespace = &self.namespace;
        let uri = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/{path}");
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .map_err(|source| error(kube::Error::HttpError(source)))?;
        let answer = self.direct()?.send(request).await.map_err(error)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect_bytes().await.map_err(error)?;
        // Nobody answered but the API server itself.
        if let Ok(refusal) = serde_json::from_slice::<Refusal>(&body)
            && refusal.kind == "Status"
            && refusal.api_version == "v1"
        {
            // The words that it has for a Service without a pod to send a request to.
            if refusal.status.code == 503 && refusal.status.message.starts_with("no endpoints") {
                return Err(ClusterError::NoPods {
                    name: name.to_string(),
                    namespace: namespace.clone(),
                });
            }
            return Err(error(kube::Error::Api(Box::new(refusal.status))));
        }
        Ok(ProxyAnswer {
            status,
            body: body.to_vec(),
        })
    }
}
