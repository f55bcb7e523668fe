//! The objects that a deployment is made of, from [`Settings`].
//!
//! Kubernetes' own kinds are the typed objects of `k8s-openapi`; kinds that clusters have only when
//! somebody installed them are small types of our own. Both end as an [`Object`]: JSON with a kind.

mod autoscaler;
mod deployment;
mod disruption;
mod ingress;
mod monitor;
pub(crate) mod pod;
mod route;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::Serialize;
use serde_json::Value;

use crate::names::Name;
use crate::settings::{Exposure, Settings};

pub(crate) use pod::{CONTAINER, MODEL_FOLDER, PORT_NAME};

/// Who made an object, as its label and as the field manager of its fields.
pub const MANAGER: &str = "mlrs";
/// The label with [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label with the name of the deployment.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label with the name of the program.
pub(crate) const APPLICATION: &str = "app.kubernetes.io/name";

/// The port of the Service.
pub(crate) const SERVICE_PORT: i32 = 80;

/// An object could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be written as JSON")]
pub struct ObjectError {
    kind: &'static str,
    #[source]
    source: serde_json::Error,
}

impl ObjectError {
    /// What makes one of an object of a kind.
    pub(crate) fn of(kind: Kind) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self {
            kind: kind.kind,
            source,
        }
    }
}

/// A kind of object, and where the API server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version in the group.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Whether objects of it are in namespaces.
    pub is_namespaced: bool,
    /// Whether a cluster has it only when somebody installed it.
    pub is_custom: bool,
}

impl Kind {
    /// The kind of a typed object in a namespace.
    pub(crate) const fn of<T: Resource<Scope = NamespaceResourceScope>>() -> Self {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural: T::URL_PATH_SEGMENT,
            is_namespaced: true,
            is_custom: false,
        }
    }

    /// Its plural name with its group, as rules of access are about it: `deployments.apps`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Group and version, as manifests have them.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// An object, as the API server takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// All of it, with `apiVersion` and `kind`.
    pub body: Value,
}

impl Object {
    fn of<T>(object: &T, settings: &Settings) -> Result<Self, ObjectError>
    where
        T: Resource<Scope = NamespaceResourceScope> + Serialize,
    {
        Self::new(Kind::of::<T>(), settings.name.as_ref(), object)
    }

    pub(crate) fn new(
        kind: Kind,
        name: &str,
        object: &impl Serialize,
    ) -> Result<Self, ObjectError> {
        Ok(Self {
            kind,
            name: name.to_owned(),
            body: serde_json::to_value(object).map_err(ObjectError::of(kind))?,
        })
    }
}

/// An object of a kind that is not Kubernetes' own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Custom<S> {
    api_version: String,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: S,
}

impl<S: Serialize> Custom<S> {
    pub(crate) fn object(kind: Kind, metadata: ObjectMeta, spec: S) -> Result<Object, ObjectError> {
        let name = metadata.name.clone().unwrap_or_default();
        let api_version = kind.api_version();
        let custom = Self {
            api_version,
            kind: kind.kind,
            metadata,
            spec,
        };
        Object::new(kind, &name, &custom)
    }
}

/// All objects of a deployment, in the order to create them in.
///
/// # Errors
/// When one cannot be written as JSON.
pub fn all(settings: &Settings) -> Result<Vec<Object>, ObjectError> {
    let mut objects = vec![
        Object::of(&service::service(settings), settings)?,
        Object::of(&deployment::deployment(settings), settings)?,
    ];
    if let Some(autoscaler) = autoscaler::autoscaler(settings) {
        objects.push(Object::of(&autoscaler, settings)?);
    }
    if let Some(budget) = disruption::budget(settings) {
        objects.push(Object::of(&budget, settings)?);
    }
    match &settings.exposure {
        Exposure::Cluster => {}
        Exposure::Ingress {
            host,
            class,
            certificate,
        } => {
            let (class, certificate) = (class.as_ref(), certificate.as_ref());
            let ingress = ingress::ingress(settings, host, class, certificate);
            objects.push(Object::of(&ingress, settings)?);
        }
        Exposure::HttpRoute { host, gateway } => {
            objects.push(route::route(settings, host, gateway)?);
        }
    }
    if let Some(labels) = &settings.service_monitor {
        objects.push(monitor::monitor(settings, labels)?);
    }
    Ok(objects)
}

/// Every kind that a deployment may have made: what `delete` looks for.
pub(crate) fn kinds() -> [Kind; 9] {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::networking::v1::Ingress;
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    [
        crate::kserve::INFERENCE_SERVICE,
        crate::kserve::SERVING_RUNTIME,
        monitor::SERVICE_MONITOR,
        route::HTTP_ROUTE,
        Kind::of::<Ingress>(),
        Kind::of::<PodDisruptionBudget>(),
        Kind::of::<HorizontalPodAutoscaler>(),
        Kind::of::<Service>(),
        Kind::of::<Deployment>(),
    ]
}

/// The labels that every object has.
pub(crate) fn labels(name: &Name) -> BTreeMap<String, String> {
    let mut labels = selection(name);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// The labels that pods are found by; they can never change.
fn selection(name: &Name) -> BTreeMap<String, String> {
    [(APPLICATION, MANAGER), (INSTANCE, name.as_ref())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn selector(settings: &Settings) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selection(&settings.name)),
        ..LabelSelector::default()
    }
}

/// The metadata that every object has.
pub(crate) fn metadata(settings: &Settings) -> ObjectMeta {
    ObjectMeta {
        name: Some(settings.name.to_string()),
        namespace: settings.namespace.as_ref().map(ToString::to_string),
        labels: Some(labels(&settings.name)),
        ..ObjectMeta::default()
    }
}
