//! Who reaches a deployment from outside of the cluster.

use std::fmt;
use std::str::FromStr;

use super::SettingsError;
use crate::names::{HostName, Namespace, ObjectName};

/// Who reaches a deployment from outside of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Nobody.
    Cluster,
    /// Who asks an ingress controller for a host.
    Ingress {
        /// The host.
        host: HostName,
        /// The class, if not the cluster's default one.
        class: Option<ObjectName>,
        /// A Secret with the certificate of the host.
        certificate: Option<ObjectName>,
    },
    /// Who asks a gateway (Gateway API) for a host.
    HttpRoute {
        /// The host.
        host: HostName,
        /// The gateway.
        gateway: Gateway,
    },
}

/// A gateway: `[NAMESPACE/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its namespace, if not the one of the deployment.
    pub namespace: Option<Namespace>,
    /// Its name.
    pub name: ObjectName,
}

impl FromStr for Gateway {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let error = |_| SettingsError::Gateway(text.to_owned());
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace.parse().map_err(error)?), name),
            None => (None, text),
        };
        let name = name.parse().map_err(error)?;
        Ok(Self { namespace, name })
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{namespace}/{}", self.name),
            None => self.name.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_may_be_elsewhere() {
        for text in ["public", "infra/public"] {
            assert_eq!(text.parse::<Gateway>().unwrap().to_string(), text);
        }
        for bad in ["", "a/b/c", "/a", "A"] {
            assert!(bad.parse::<Gateway>().is_err(), "{bad}");
        }
    }
}
