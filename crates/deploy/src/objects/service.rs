//! The Service: one address for all pods that are ready.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::PORT_NAME;
use super::{SERVICE_PORT, metadata, selection};
use crate::settings::Settings;

pub(super) fn service(settings: &Settings) -> Service {
    let port = ServicePort {
        name: Some(PORT_NAME.to_owned()),
        port: SERVICE_PORT,
        target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
        // Said, so that two ways of leaving it out are no difference.
        protocol: Some("TCP".to_owned()),
        app_protocol: Some("http".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(settings),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ports: Some(vec![port]),
            selector: Some(selection(&settings.name)),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
