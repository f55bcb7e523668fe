//! `values.yaml`: what people change, filled in as it was asked for.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::settings::{Exposure, Gateway, Model, Scale, Settings};
use crate::yaml::Node;

/// Pods and target of an autoscaler that is off, for whoever turns it on.
const AUTOSCALE: (u32, u32, u32) = (2, 10, 70);

/// The file, with a comment above each value.
pub(super) fn values(settings: &Settings) -> String {
    let mut text = String::new();
    let parts = [model(&settings.model), scale(settings), server(settings)];
    for (comment, key, value) in parts.into_iter().flatten().chain(reached(settings)) {
        // A `String` takes any text.
        let _ = write!(
            text,
            "# {comment}\n{}",
            Node::from(&json!({key: value})).document()
        );
    }
    text
}

/// A comment, a key and its value.
type Part = (&'static str, &'static str, Value);

fn model(model: &Model) -> Vec<Part> {
    let fetched = match model {
        Model::Image(image) => {
            let comment = "The image, which holds the model.";
            return vec![(comment, "image", json!(image.as_ref()))];
        }
        Model::Fetched(fetched) => fetched,
    };
    vec![
        (
            "An image of mlrs, which fetches the model and serves it.",
            "image",
            json!(fetched.runtime_image.as_ref()),
        ),
        (
            "The model, the server to ask for it, and a Secret with the variables to fetch it with.",
            "model",
            json!({
                "uri": fetched.uri,
                "trackingUri": fetched.tracking_uri.as_deref().unwrap_or_default(),
                "credentialsSecret": or_empty(fetched.credentials_secret.as_ref()),
            }),
        ),
    ]
}

fn scale(settings: &Settings) -> Vec<Part> {
    let (replicas, (min, max, target), is_autoscaled) = match settings.scale {
        Scale::Replicas(count) => (count, AUTOSCALE, false),
        Scale::Autoscale { min, max, target } => (min, (min, max, target), true),
    };
    vec![
        (
            "Pods, unless there is an autoscaler.",
            "replicas",
            json!(replicas),
        ),
        (
            "Between min and max pods, at target percent of the processor time that they ask for.",
            "autoscale",
            json!({"enabled": is_autoscaled, "min": min, "max": max, "target": target}),
        ),
        (
            "What a pod asks for, and what it may take.",
            "resources",
            json!(settings.resources.requirements()),
        ),
    ]
}

fn server(settings: &Settings) -> Vec<Part> {
    let environment = settings.environment.iter();
    let environment = environment.map(
        |variable| json!({"name": variable.name, "value": variable.value.replace("$(", "$$(")}),
    );
    let secrets = settings.environment_secrets.iter();
    let secrets = secrets.map(|secret| json!({"secretRef": {"name": secret.as_ref()}}));
    let pull_secrets = settings.image_pull_secrets.iter();
    let pull_secrets = pull_secrets.map(|secret| json!({"name": secret.as_ref()}));
    vec![
        (
            "Variables of the server, as a container has them: items with name and value.",
            "env",
            environment.collect(),
        ),
        (
            "Secrets whose entries are variables of the server: items with secretRef.",
            "envFrom",
            secrets.collect(),
        ),
        (
            "Seconds that requests in flight may take to finish when a pod ends.",
            "drainSeconds",
            json!(settings.drain_seconds),
        ),
        (
            "Secrets to pull images with: items with name.",
            "imagePullSecrets",
            pull_secrets.collect(),
        ),
        (
            "The service account of the pods, if not the namespace's.",
            "serviceAccount",
            json!(or_empty(settings.service_account.as_ref())),
        ),
    ]
}

fn reached(settings: &Settings) -> Vec<Part> {
    let (ingress, route) = exposure(&settings.exposure);
    let labels = settings.service_monitor.as_deref().unwrap_or_default();
    let labels = labels.iter();
    let labels: Map<String, Value> = labels
        .map(|label| (label.key.clone(), json!(label.value)))
        .collect();
    vec![
        ("A host of an ingress controller.", "ingress", ingress),
        ("A host of a gateway (Gateway API).", "httpRoute", route),
        (
            "Whether Prometheus' operator scrapes the metrics, and labels that it chooses by; the cluster must have it.",
            "serviceMonitor",
            json!({"enabled": settings.service_monitor.is_some(), "labels": labels}),
        ),
    ]
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
