//! Which server a call goes to, and its address there.

use mlrs_api::endpoints::Endpoint;
use url::Url;

use crate::connection::ServerUri;
use crate::variables::{MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI};

/// The two servers that MLflow knows; often one and the same.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// Experiments, runs, logged models, artifacts.
    pub(crate) tracking: ServerUri,
    /// Registered models and their versions.
    pub(crate) registry: ServerUri,
}

/// Which of the two a call goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Tracking,
    Registry,
}

/// There is no server to ask.
pub(crate) struct NoServer {
    /// What stands where the address of a server is expected.
    pub(crate) found: ServerUri,
    /// The variable that should name a server.
    pub(crate) variable: &'static str,
}

impl NoServer {
    /// What is wrong, as part of a sentence.
    pub(crate) fn reason(found: &ServerUri) -> String {
        match found {
            ServerUri::Other(uri) => format!("`{uri}` is not the address of a tracking server"),
            _ => "no tracking server is set".to_owned(),
        }
    }

    /// What to do.
    pub(crate) fn hint(found: &ServerUri, variable: &str) -> String {
        let serve = match found {
            ServerUri::Other(_) => {
                "; a local database or folder needs `mlflow server` in front of it"
            }
            _ => "",
        };
        format!("set {variable} to the address of a server, such as http://host:5000{serve}")
    }
}

impl Servers {
    /// The address of an endpoint.
    pub(crate) fn address(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
    ) -> Result<Url, NoServer> {
        let mut address = self.base(side)?.clone();
        let prefix = address.path().trim_end_matches('/').to_owned();
        address.set_path(&format!("{prefix}{}", endpoint.path(parts)));
        Ok(address)
    }

    /// The address that paths are appended to.
    pub(crate) fn base(&self, side: Side) -> Result<&Url, NoServer> {
        let (server, variable) = match side {
            Side::Tracking => (&self.tracking, MLFLOW_TRACKING_URI),
            Side::Registry if self.registry == self.tracking => {
                (&self.tracking, MLFLOW_TRACKING_URI)
            }
            Side::Registry => (&self.registry, MLFLOW_REGISTRY_URI),
        };
        server.address().ok_or_else(|| NoServer {
            found: server.clone(),
            variable,
        })
    }
}
