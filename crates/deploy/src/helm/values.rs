//! `values.yaml`: what people change, filled in as it was asked for.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::settings::{Exposure, Gateway, Model, Scale, Settings};
use crate::yaml::Node;

/// Pods and target of an autoscaler that is off, for whoever turns it on.
const AUTOSCALE: (u32, u32, u32) = (2, 10, 70);

/// The file, with a comment above each value.
pub(super) fn values(settings: &Settings) -> String {
    let mut text = String::new();
    let mut put = |comment: &str, key: &str, value: Value| {
        // A `String` takes any text.
        let _ = write!(
            text,
            "# {comment}\n{}",
            Node::from(&json!({key: value})).document()
        );
    };
    match &settings.model {
        Model::Image(image) => put(
            "The image, which holds the model.",
            "image",
            json!(image.as_ref()),
        ),
        Model::Fetched(fetched) => {
            put(
                "An image of mlrs, which fetches the model and serves it.",
                "image",
                json!(fetched.runtime_image.as_ref()),
            );
            put(
                "The model, the server to ask for it, and a Secret with the variables to fetch it with.",
                "model",
                json!({
                    "uri": fetched.uri,
                    "trackingUri": fetched.tracking_uri.as_deref().unwrap_or_default(),
                    "credentialsSecret": or_empty(fetched.credentials_secret.as_ref()),
                }),
            );
        }
    }
    let (replicas, (min, max, target), is_autoscaled) = match settings.scale {
        Scale::Replicas(count) => (count, AUTOSCALE, false),
        Scale::Autoscale { min, max, target } => (min, (min, max, target), true),
    };
    put(
        "Pods, unless there is an autoscaler.",
        "replicas",
        json!(replicas),
    );
    put(
        "Between min and max pods, at target percent of the processor time that they ask for.",
        "autoscale",
        json!({"enabled": is_autoscaled, "min": min, "max": max, "target": target}),
    );
    put(
        "What a pod asks for, and what it may take.",
        "resources",
        json!(settings.resources.requirements()),
    );
    put(
        "Variables of the server, as a container has them: items with name and value.",
        "env",
        settings
            .environment
            .iter()
            .map(|variable| json!({"name": variable.name, "value": variable.value.replace("$(", "$$(")}))
            .collect(),
    );
    put(
        "Secrets whose entries are variables of the server: items with secretRef.",
        "envFrom",
        settings
            .environment_secrets
            .iter()
            .map(|secret| json!({"secretRef": {"name": secret.as_ref()}}))
            .collect(),
    );
    put(
        "Seconds that requests in flight may take to finish when a pod ends.",
        "drainSeconds",
        json!(settings.drain_seconds),
    );
    put(
        "Secrets to pull images with: items with name.",
        "imagePullSecrets",
        settings
            .image_pull_secrets
            .iter()
            .map(|secret| json!({"name": secret.as_ref()}))
            .collect(),
    );
    put(
        "The service account of the pods, if not the namespace's.",
        "serviceAccount",
        json!(or_empty(settings.service_account.as_ref())),
    );
    let (ingress, route) = exposure(&settings.exposure);
    put("A host of an ingress controller.", "ingress", ingress);
    put("A host of a gateway (Gateway API).", "httpRoute", route);
    put(
        "Whether Prometheus' operator scrapes the metrics; the cluster must have it.",
        "serviceMonitor",
        json!({"enabled": settings.service_monitor}),
    );
    text
}

fn or_empty(name: Option<&impl AsRef<str>>) -> &str {
    name.map(AsRef::as_ref).unwrap_or_default()
}

fn exposure(exposure: &Exposure) -> (Value, Value) {
    let no_ingress = json!({"enabled": false, "host": "", "class": "", "tlsSecret": ""});
    let no_route = json!({"enabled": false, "host": "", "gateway": {"name": "", "namespace": ""}});
    match exposure {
        Exposure::Cluster => (no_ingress, no_route),
        Exposure::Ingress {
            host,
            class,
            certificate,
        } => {
            let ingress = json!({
                "enabled": true,
                "host": host.as_ref(),
                "class": or_empty(class.as_ref()),
                "tlsSecret": or_empty(certificate.as_ref()),
            });
            (ingress, no_route)
        }
        Exposure::HttpRoute {
            host,
            gateway: Gateway { namespace, name },
        } => {
            let gateway = json!({"name": name.as_ref(), "namespace": or_empty(namespace.as_ref())});
            let route = json!({"enabled": true, "host": host.as_ref(), "gateway": gateway});
            (no_ingress, route)
        }
    }
}
