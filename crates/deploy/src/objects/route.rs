//! The HTTPRoute: a host of a gateway, as the Gateway API has it (`gateway.networking.k8s.io/v1`).

use serde::Serialize;

use super::{Custom, Kind, Object, ObjectError, SERVICE_PORT, metadata};
use crate::names::HostName;
use crate::settings::{Gateway, Settings};

/// The kind.
pub(super) const HTTP_ROUTE: Kind = Kind {
    group: "gateway.networking.k8s.io",
    version: "v1",
    kind: "HTTPRoute",
    plural: "httproutes",
    is_namespaced: true,
    is_custom: true,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    parent_refs: Vec<Parent>,
    hostnames: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
struct Parent {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    backend_refs: Vec<Backend>,
}

#[derive(Debug, Serialize)]
struct Backend {
    name: String,
    port: i32,
}

pub(super) fn route(
    settings: &Settings,
    host: &HostName,
    gateway: &Gateway,
) -> Result<Object, ObjectError> {
    let parent = Parent {
        name: gateway.name.to_string(),
        namespace: gateway.namespace.as_ref().map(ToString::to_string),
    };
    let backend = Backend {
        name: settings.name.to_string(),
        port: SERVICE_PORT,
    };
    let spec = Spec {
        parent_refs: vec![parent],
        hostnames: vec![host.to_string()],
        rules: vec![Rule {
            backend_refs: vec![backend],
        }],
    };
    Custom::object(HTTP_ROUTE, metadata(settings), spec)
}
