//! The Ingress: a host of an ingress controller.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::metadata;
use super::pod::PORT_NAME;
use crate::names::{HostName, ObjectName};
use crate::settings::Settings;

pub(super) fn ingress(
    settings: &Settings,
    host: &HostName,
    class: Option<&ObjectName>,
    certificate: Option<&ObjectName>,
) -> Ingress {
    let backend = IngressServiceBackend {
        name: settings.name.to_string(),
        port: Some(ServiceBackendPort {
            name: Some(PORT_NAME.to_owned()),
            ..ServiceBackendPort::default()
        }),
    };
    let path = HTTPIngressPath {
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(backend),
            ..IngressBackend::default()
        },
    };
    let certificate = certificate.map(|secret| {
        vec![IngressTLS {
            hosts: Some(vec![host.to_string()]),
            secret_name: Some(secret.to_string()),
        }]
    });
    Ingress {
        metadata: metadata(settings),
        spec: Some(IngressSpec {
            ingress_class_name: class.map(ToString::to_string),
            rules: Some(vec![IngressRule {
                host: Some(host.to_string()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: certificate,
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    }
}
