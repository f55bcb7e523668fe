//! A Helm chart: the manifest with holes in it, and a `values.yaml` that fills them as asked.
//!
//! The templates are not written twice: the objects are made of settings whose values are place
//! markers, and each marker becomes a template's expression. `helm template NAME DIR` then gives what
//! `--output yaml` gives, but for one label: Helm's own objects say that Helm manages them, so that
//! `mlrs deploy delete` leaves them alone.

mod values;

use std::collections::BTreeMap;

use crate::names::NameError;
use crate::objects::{self, ObjectError};
use crate::settings::{
    Exposure, FetchedModel, Gateway, Label, Model, SLEEP_SECONDS, SPARE_SECONDS, Scale, Settings,
    SettingsError,
};
use crate::yaml::{Entry, Item, Node};

/// A chart could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Something was asked for that a chart cannot say.
    #[error("the chart of `{name}` cannot be written")]
    Settings {
        /// The deployment.
        name: String,
        /// What it is.
        #[source]
        source: SettingsError,
    },
    /// An object could not be written.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A marker is no name that Kubernetes takes.
    #[error("a marker of the chart's templates is unusable")]
    Marker(#[from] NameError),
}

/// Names that stand for what a template fills in.
const MARKERS: [(&str, &str); 12] = [
    ("release-marker", ".Release.Name | quote"),
    ("image-marker", ".Values.image | quote"),
    ("models:/uri-marker", ".Values.model.uri | quote"),
    ("tracking-marker", ".Values.model.trackingUri | quote"),
    (
        "credentials-marker",
        ".Values.model.credentialsSecret | quote",
    ),
    ("account-marker", ".Values.serviceAccount | quote"),
    ("host-marker", ".Values.ingress.host | quote"),
    ("class-marker", ".Values.ingress.class | quote"),
    ("certificate-marker", ".Values.ingress.tlsSecret | quote"),
    ("route-marker", ".Values.httpRoute.host | quote"),
    ("gateway-marker", ".Values.httpRoute.gateway.name | quote"),
    (
        "space-marker",
        ".Values.httpRoute.gateway.namespace | quote",
    ),
];

/// The key of a label that stands for those of `values.yaml`.
const LABEL: &str = "label-marker";

/// The files of a chart, by their paths in its folder.
///
/// # Errors
/// When there is a namespace, which Helm names when it installs, or an object cannot be written.
pub fn chart(settings: &Settings) -> Result<BTreeMap<String, String>, ChartError> {
    if let Some(namespace) = &settings.namespace {
        return Err(ChartError::Settings {
            name: settings.name.to_string(),
            source: SettingsError::ChartNamespace(namespace.to_string()),
        });
    }
    let mut files = BTreeMap::new();
    files.insert("Chart.yaml".to_owned(), about(settings));
    files.insert("values.yaml".to_owned(), values::values(settings));
    let behind_ingress = marked(settings, ingress()?)?;
    let behind_gateway = marked(settings, gateway()?)?;
    let objects = objects::all(&behind_ingress)?.into_iter();
    let routed = objects::all(&behind_gateway)?.into_iter();
    for object in objects.chain(routed) {
        let (file, condition) = template(object.kind.kind);
        let mut node = Node::from(&object.body);
        fill(&mut node, "");
        let document = node.document();
        let text = match condition {
            Some(condition) => format!("{{{{- if {condition} }}}}\n{document}{{{{- end }}}}\n"),
            None => document,
        };
        files.insert(format!("templates/{file}"), text);
    }
    Ok(files)
}

fn about(settings: &Settings) -> String {
    let text = |key: &str, text: &str| Entry::of(key, Node::Text(text.to_owned()));
    let name = settings.name.as_ref();
    Node::Map(vec![
        text("apiVersion", "v2"),
        text("name", name),
        text("description", &format!("The model {name}, served by mlrs")),
        text("type", "application"),
        text("version", "0.1.0"),
        text("appVersion", env!("CARGO_PKG_VERSION")),
        // What it needs of a cluster: a pod's sleep before its end.
        text("kubeVersion", ">=1.30.0-0"),
    ])
    .document()
}

/// The file of a kind, and what must hold for the object to be there.
fn template(kind: &str) -> (&'static str, Option<&'static str>) {
    match kind {
        "Deployment" => ("deployment.yaml", None),
        "HorizontalPodAutoscaler" => ("autoscaler.yaml", Some(".Values.autoscale.enabled")),
        "PodDisruptionBudget" => (
            "disruption-budget.yaml",
            Some(
                "gt (int (ternary .Values.autoscale.min .Values.replicas .Values.autoscale.enabled)) 1",
            ),
        ),
        "Ingress" => ("ingress.yaml", Some(".Values.ingress.enabled")),
        "HTTPRoute" => ("http-route.yaml", Some(".Values.httpRoute.enabled")),
        "ServiceMonitor" => (
            "service-monitor.yaml",
            Some(".Values.serviceMonitor.enabled"),
        ),
        _ => ("service.yaml", None),
    }
}

fn ingress() -> Result<Exposure, NameError> {
    Ok(Exposure::Ingress {
        host: "host-marker".parse()?,
        class: Some("class-marker".parse()?),
        certificate: Some("certificate-marker".parse()?),
    })
}

fn gateway() -> Result<Exposure, NameError> {
    Ok(Exposure::HttpRoute {
        host: "route-marker".parse()?,
        gateway: Gateway {
            namespace: Some("space-marker".parse()?),
            name: "gateway-marker".parse()?,
        },
    })
}

/// Settings with a marker wherever a value goes, so that every object and every field is there.
fn marked(settings: &Settings, exposure: Exposure) -> Result<Settings, NameError> {
    let model = match &settings.model {
        Model::Image(_) => Model::Image("image-marker".parse()?),
        Model::Fetched(_) => Model::Fetched(FetchedModel {
            uri: "models:/uri-marker".to_owned(),
            runtime_image: "image-marker".parse()?,
            tracking_uri: Some("tracking-marker".to_owned()),
            credentials_secret: Some("credentials-marker".parse()?),
        }),
    };
    Ok(Settings {
        // Two pods at least, for the budget. The number itself is filled in by its key.
        scale: Scale::Autoscale {
            min: 2,
            max: 2,
            target: 1,
        },
        exposure,
        environment_secrets: vec!["environment-marker".parse()?],
        image_pull_secrets: vec!["pull-marker".parse()?],
        service_account: Some("account-marker".parse()?),
        // Helm installs into the namespace that it is told.
        namespace: None,
        service_monitor: Some(vec![Label {
            key: LABEL.to_owned(),
            value: String::new(),
        }]),
        ..Settings::new("release-marker".parse()?, model)
    })
}

/// Replaces markers, and what depends on its key, below `key`.
fn fill(node: &mut Node, key: &str) {
    match node {
        Node::Text(text) => {
            let marker = MARKERS.iter().find(|(marker, _)| marker == text);
            if let Some((_, expression)) = marker {
                *node = Node::Expression((*expression).to_owned());
            } else if key == objects::MANAGED_BY {
                *node = Node::Expression(".Release.Service | quote".to_owned());
            }
        }
        Node::Map(entries) => {
            let is_drain = entries
                .iter()
                .any(|entry| entry.node == Node::Text("MLRS_DRAIN".to_owned()));
            for entry in entries.iter_mut() {
                if is_drain && entry.key == "value" {
                    entry.node = Node::Expression(".Values.drainSeconds | quote".to_owned());
                } else {
                    fill_entry(entry);
                }
            }
            if key == "spec" && entries.iter().any(|entry| entry.key == "template") {
                entries.insert(0, replicas());
            }
        }
        Node::List(items) => {
            for item in items.iter_mut() {
                fill(&mut item.node, key);
            }
            if key == "env" && items.iter().any(|item| has_name(&item.node, "MLRS_DRAIN")) {
                items.push(Item {
                    node: Node::Block("toYaml .".to_owned()),
                    condition: Some("with .Values.env".to_owned()),
                });
            }
        }
        Node::Plain(_) | Node::Expression(_) | Node::Block(_) => {}
    }
}

/// Replaces an entry whose key says what belongs there, or what is below it.
fn fill_entry(entry: &mut Entry) {
    let expression = |expression: &str| Node::Expression(expression.to_owned());
    let block = |block: &str| Node::Block(block.to_owned());
    let condition = |condition: &str| Some(condition.to_owned());
    match entry.key.as_str() {
        "resources" => entry.node = block("toYaml .Values.resources"),
        "minReplicas" => entry.node = expression(".Values.autoscale.min"),
        "maxReplicas" => entry.node = expression(".Values.autoscale.max"),
        "averageUtilization" => entry.node = expression(".Values.autoscale.target"),
        "terminationGracePeriodSeconds" => {
            let more = SLEEP_SECONDS + SPARE_SECONDS;
            entry.node = expression(&format!("add .Values.drainSeconds {more}"));
        }
        LABEL => {
            *entry = Entry::lines("toYaml .");
            entry.condition = condition("with .Values.serviceMonitor.labels");
        }
        "imagePullSecrets" => {
            entry.node = block("toYaml .");
            entry.condition = condition("with .Values.imagePullSecrets");
        }
        "envFrom" if is_of_server(&entry.node) => {
            entry.node = block("toYaml .");
            entry.condition = condition("with .Values.envFrom");
        }
        key => {
            entry.condition = match key {
                "envFrom" => condition("if .Values.model.credentialsSecret"),
                // Only the container that fetches the model has no other variable.
                "env" if has_item(&entry.node, "MLFLOW_TRACKING_URI") => {
                    condition("if .Values.model.trackingUri")
                }
                "serviceAccountName" => condition("if .Values.serviceAccount"),
                "ingressClassName" => condition("if .Values.ingress.class"),
                "tls" => condition("if .Values.ingress.tlsSecret"),
                "namespace" => condition("if .Values.httpRoute.gateway.namespace"),
                _ => None,
            };
            let key = entry.key.clone();
            fill(&mut entry.node, &key);
        }
    }
}

fn replicas() -> Entry {
    Entry {
        key: "replicas".to_owned(),
        node: Node::Expression(".Values.replicas".to_owned()),
        condition: Some("if not .Values.autoscale.enabled".to_owned()),
    }
}

/// Whether a list of sources of variables is that of the server.
fn is_of_server(node: &Node) -> bool {
    holds(node, "environment-marker")
}

fn holds(node: &Node, text: &str) -> bool {
    match node {
        Node::Text(found) => found == text,
        Node::Map(entries) => entries.iter().any(|entry| holds(&entry.node, text)),
        Node::List(items) => items.iter().any(|item| holds(&item.node, text)),
        Node::Plain(_) | Node::Expression(_) | Node::Block(_) => false,
    }
}

fn has_item(node: &Node, name: &str) -> bool {
    matches!(node, Node::List(items) if items.iter().any(|item| has_name(&item.node, name)))
}

fn has_name(node: &Node, name: &str) -> bool {
    let is_named = |entry: &Entry| entry.key == "name" && entry.node == Node::Text(name.to_owned());
    matches!(node, Node::Map(entries) if entries.iter().any(is_named))
}
