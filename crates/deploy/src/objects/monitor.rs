//! The ServiceMonitor: what Prometheus' operator scrapes (`monitoring.coreos.com/v1`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;

use super::pod::PORT_NAME;
use super::{Custom, Kind, Object, ObjectError, metadata, selector};
use crate::settings::{Label, Settings};

/// The kind.
pub(super) const SERVICE_MONITOR: Kind = Kind {
    group: "monitoring.coreos.com",
    version: "v1",
    kind: "ServiceMonitor",
    plural: "servicemonitors",
    is_namespaced: true,
    is_custom: true,
};

#[derive(Debug, Serialize)]
struct Spec {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Serialize)]
struct Endpoint {
    port: &'static str,
    path: &'static str,
    interval: &'static str,
}

pub(super) fn monitor(settings: &Settings, labels: &[Label]) -> Result<Object, ObjectError> {
    let mut metadata = metadata(settings);
    let more = labels.iter();
    let more = more.map(|label| (label.key.clone(), label.value.clone()));
    metadata.labels.get_or_insert_default().extend(more);
    let endpoint = Endpoint {
        port: PORT_NAME,
        path: "/metrics",
        interval: "30s",
    };
    let spec = Spec {
        selector: selector(settings),
        endpoints: vec![endpoint],
    };
    Custom::object(SERVICE_MONITOR, metadata, spec)
}
