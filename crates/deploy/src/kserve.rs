//! KServe: an InferenceService, the runtime that serves models of the format `mlflow`, and the
//! container that fetches them by URIs that KServe does not know.
//!
//! KServe calls a storage container with two arguments, the URI and a folder that exists, which is what
//! `mlrs pull` takes. The runtime is the deployment's own. The storage container is not: there is one
//! for a cluster, because KServe chooses it by the URI alone. It holds the tracking server, the image
//! and the name of the Secret of whoever applied it last; a second server is reached by leaving
//! `MLFLOW_TRACKING_URI` to the Secret, which each namespace has its own of. Deleting a deployment leaves
//! the storage container.
//!
//! Services are made of Deployments (KServe's `RawDeployment`, in newer versions `Standard`): Knative,
//! which KServe uses unless told otherwise, takes neither the fields of the pod nor the scale that
//! stand here.

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, LocalObjectReference, PodSecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::names::ObjectName;
use crate::objects::pod::{
    MLRS, SCRATCH, container_security, empty_folder, entries_of, pod_security, secrets_of, server,
    some, variable,
};
use crate::objects::{Custom, Kind, MANAGED_BY, MANAGER, Object, ObjectError, metadata};
use crate::settings::{FetchedModel, Model, Scale, Settings};

const GROUP: &str = "serving.kserve.io";

/// The kind of what KServe serves.
pub(crate) const INFERENCE_SERVICE: Kind = Kind {
    group: GROUP,
    version: "v1beta1",
    kind: "InferenceService",
    plural: "inferenceservices",
    is_namespaced: true,
    is_custom: true,
};
/// The kind of what says how a format of models is served.
pub(crate) const SERVING_RUNTIME: Kind = Kind {
    group: GROUP,
    version: "v1alpha1",
    kind: "ServingRuntime",
    plural: "servingruntimes",
    is_namespaced: true,
    is_custom: true,
};
const STORAGE_CONTAINER: Kind = Kind {
    group: GROUP,
    version: "v1alpha1",
    kind: "ClusterStorageContainer",
    plural: "clusterstoragecontainers",
    is_namespaced: false,
    is_custom: true,
};

/// Name of the storage container.
const SHARED_NAME: &str = "mlrs";
/// The schemes that KServe does not know: what the storage container is for.
const PREFIXES: [&str; 3] = ["models:/", "runs:/", "mlflow-artifacts:/"];
/// What KServe makes of a service.
const MODE: (&str, &str) = ("serving.kserve.io/deploymentMode", "RawDeployment");
/// The annotation that tells pods apart that are not alike. KServe copies it to the pods that it makes of a
/// service, by which it is seen whether it has followed a change.
pub(crate) const PODS: &str = "mlrs/pods";
/// How KServe calls the container with the server.
const KSERVE_CONTAINER: &str = "kserve-container";
/// How KServe calls the container that fetches the model.
const STORAGE_INITIALIZER: &str = "storage-initializer";
/// Where KServe has the model put.
const KSERVE_FOLDER: &str = "/mnt/models";

/// All objects of a deployment that KServe looks after, in the order to create them in.
///
/// The autoscaler is KServe's: so are Services, routes and budgets.
///
/// # Errors
/// When one cannot be written as JSON.
pub fn all(settings: &Settings) -> Result<Vec<Object>, ObjectError> {
    Ok(match &settings.model {
        Model::Image(_) => {
            let predictor = Predictor::of_image(settings);
            vec![inference_service(settings, predictor, &[])?]
        }
        Model::Fetched(fetched) => {
            let runtime = runtime(settings);
            let predictor = Predictor::of_model(settings, fetched);
            let runtime = Custom::object(SERVING_RUNTIME, metadata(settings), runtime)?;
            let is_ours = |prefix: &&str| fetched.uri.starts_with(*prefix);
            let mut objects = Vec::new();
            if PREFIXES.iter().any(is_ours) {
                objects.push(storage_container(fetched)?);
            }
            objects.push(runtime);
            objects.push(inference_service(settings, predictor, &objects)?);
            objects
        }
    })
}

#[derive(Debug, Serialize)]
struct ServiceSpec {
    predictor: Predictor,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predictor {
    min_replicas: u32,
    max_replicas: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale_metric: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale_target: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Vec<Container>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Vec<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_pull_secrets: Option<Vec<LocalObjectReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_name: Option<String>,
    automount_service_account_token: bool,
    enable_service_links: bool,
    security_context: PodSecurityContext,
    termination_grace_period_seconds: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelSpec {
    model_format: Format,
    runtime: String,
    storage_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<EnvVar>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env_from: Option<Vec<EnvFromSource>>,
    resources: k8s_openapi::api::core::v1::ResourceRequirements,
}

#[derive(Clone, Debug, Serialize)]
struct Format {
    name: &'static str,
}

impl Predictor {
    /// What all predictors have.
    fn common(settings: &Settings) -> Self {
        let (min, max, target) = match settings.scale {
            Scale::Replicas(count) => (count, count, None),
            Scale::Autoscale { min, max, target } => (min, max, Some(target)),
        };
        let pull_secrets = settings.image_pull_secrets.iter();
        let pull_secrets = pull_secrets.map(|name| LocalObjectReference {
            name: name.to_string(),
        });
        Self {
            min_replicas: min,
            max_replicas: max,
            scale_metric: target.map(|_| "cpu"),
            scale_target: target,
            image_pull_secrets: some(pull_secrets.collect()),
            service_account_name: settings.service_account.as_ref().map(ToString::to_string),
            security_context: pod_security(),
            termination_grace_period_seconds: settings.grace_seconds(),
            ..Self::default()
        }
    }

    fn of_image(settings: &Settings) -> Self {
        let folder = crate::objects::MODEL_FOLDER;
        Self {
            containers: Some(vec![server(settings, KSERVE_CONTAINER, folder)]),
            volumes: Some(vec![empty_folder(SCRATCH)]),
            ..Self::common(settings)
        }
    }

    fn of_model(settings: &Settings, fetched: &FetchedModel) -> Self {
        let said = settings.environment.iter();
        let drain = variable("MLRS_DRAIN", &settings.drain_seconds.to_string());
        let environment = std::iter::once(drain)
            .chain(said.map(|said| variable(&said.name, &said.value)))
            .collect();
        Self {
            model: Some(ModelSpec {
                model_format: Format { name: "mlflow" },
                runtime: settings.name.to_string(),
                storage_uri: fetched.uri.clone(),
                env: Some(environment),
                env_from: secrets_of(settings),
                resources: settings.resources.requirements(),
            }),
            ..Self::common(settings)
        }
    }
}

fn inference_service(
    settings: &Settings,
    predictor: Predictor,
    others: &[Object],
) -> Result<Object, ObjectError> {
    let pods = digest(&predictor, others).map_err(ObjectError::of(INFERENCE_SERVICE))?;
    let annotations = [(MODE.0, MODE.1.to_owned()), (PODS, pods)];
    let metadata = ObjectMeta {
        annotations: Some(
            annotations
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        ),
        ..metadata(settings)
    };
    Custom::object(INFERENCE_SERVICE, metadata, ServiceSpec { predictor })
}

/// What tells pods apart that are not alike: of everything but their number. The other objects are those
/// that KServe makes pods of, too: it does not look at them again when they change.
fn digest(predictor: &Predictor, others: &[Object]) -> Result<String, serde_json::Error> {
    let pods = Predictor {
        min_replicas: 0,
        max_replicas: 0,
        scale_metric: None,
        scale_target: None,
        ..predictor.clone()
    };
    let bodies: Vec<_> = others.iter().map(|object| &object.body["spec"]).collect();
    let digest = Sha256::digest(serde_json::to_vec(&(pods, bodies))?);
    Ok(hex::encode(&digest[..8]))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeSpec {
    supported_model_formats: Vec<SupportedFormat>,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SupportedFormat {
    name: &'static str,
    version: &'static str,
    auto_select: bool,
}

/// The runtime: the image and how it is called. What is asked of it stands in the InferenceService,
/// whose changes KServe rolls out.
fn runtime(settings: &Settings) -> RuntimeSpec {
    let plain = Settings::new(settings.name.clone(), settings.model.clone());
    let container = Container {
        resources: None,
        ..server(&plain, KSERVE_CONTAINER, KSERVE_FOLDER)
    };
    RuntimeSpec {
        supported_model_formats: vec![SupportedFormat {
            name: "mlflow",
            version: "1",
            // InferenceServices of others stay with what serves them.
            auto_select: false,
        }],
        containers: vec![container],
        volumes: vec![empty_folder(SCRATCH)],
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageSpec {
    container: Container,
    supported_uri_formats: Vec<UriFormat>,
}

#[derive(Debug, Serialize)]
struct UriFormat {
    prefix: &'static str,
}

/// The container that fetches what KServe cannot.
fn storage_container(fetched: &FetchedModel) -> Result<Object, ObjectError> {
    let command = [MLRS, "pull", "--replace", "--no-cache"];
    let tracking_uri = fetched.tracking_uri.iter();
    let environment = tracking_uri.map(|uri| variable("MLFLOW_TRACKING_URI", uri));
    let secrets = fetched.credentials_secret.iter();
    let container = Container {
        name: STORAGE_INITIALIZER.to_owned(),
        image: Some(fetched.runtime_image.to_string()),
        // KServe adds the URI and the folder.
        command: Some(command.map(str::to_owned).into()),
        env: some(environment.collect()),
        env_from: some(secrets.map(optional_entries_of).collect()),
        resources: Some(crate::Resources::default().requirements()),
        security_context: Some(container_security()),
        ..Container::default()
    };
    let spec = StorageSpec {
        container,
        supported_uri_formats: PREFIXES.map(|prefix| UriFormat { prefix }).into(),
    };
    let metadata = ObjectMeta {
        name: Some(SHARED_NAME.to_owned()),
        labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
        ..ObjectMeta::default()
    };
    Custom::object(STORAGE_CONTAINER, metadata, spec)
}

/// The entries of a Secret that not every namespace of the cluster has.
fn optional_entries_of(secret: &ObjectName) -> EnvFromSource {
    let mut entries = entries_of(secret);
    if let Some(secret) = &mut entries.secret_ref {
        secret.optional = Some(true);
    }
    entries
}
