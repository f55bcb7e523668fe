//! KServe: an InferenceService, the runtime that serves models of the format `mlflow`, and the
//! container that fetches them by URIs that KServe does not know.
//!
//! KServe calls a storage container with two arguments, the URI and a folder that exists, which is what
//! `mlrs pull` takes. The runtime and the storage container are shared: every deployment of a namespace
//! writes the same runtime, and every one of a cluster the same storage container, and deleting a
//! deployment leaves them.

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, LocalObjectReference, PodSecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::objects::pod::{
    MLRS, SCRATCH, container_security, empty_folder, entries_of, pod_security, server, some,
    variable,
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
const SERVING_RUNTIME: Kind = Kind {
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

/// Name of the runtime and of the storage container.
const SHARED_NAME: &str = "mlrs";
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
        Model::Image(_) => vec![inference_service(settings, Predictor::of_image(settings))?],
        Model::Fetched(fetched) => vec![
            storage_container(fetched)?,
            runtime(settings)?,
            inference_service(settings, Predictor::of_model(settings, fetched))?,
        ],
    })
}

#[derive(Debug, Serialize)]
struct ServiceSpec {
    predictor: Predictor,
}

#[derive(Debug, Default, Serialize)]
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelSpec {
    model_format: Format,
    runtime: &'static str,
    storage_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<EnvVar>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env_from: Option<Vec<EnvFromSource>>,
    resources: k8s_openapi::api::core::v1::ResourceRequirements,
}

#[derive(Debug, Serialize)]
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
                runtime: SHARED_NAME,
                storage_uri: fetched.uri.clone(),
                env: Some(environment),
                env_from: some(
                    settings
                        .environment_secrets
                        .iter()
                        .map(entries_of)
                        .collect(),
                ),
                resources: settings.resources.requirements(),
            }),
            ..Self::common(settings)
        }
    }
}

fn inference_service(settings: &Settings, predictor: Predictor) -> Result<Object, ObjectError> {
    Custom::object(
        INFERENCE_SERVICE,
        metadata(settings),
        ServiceSpec { predictor },
    )
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

/// The runtime. It is the same for every deployment: what differs stands in the InferenceService.
fn runtime(settings: &Settings) -> Result<Object, ObjectError> {
    let plain = Settings::new(settings.name.clone(), settings.model.clone());
    let container = server(&plain, KSERVE_CONTAINER, KSERVE_FOLDER);
    let spec = RuntimeSpec {
        supported_model_formats: vec![SupportedFormat {
            name: "mlflow",
            version: "1",
            // InferenceServices of others stay with what serves them.
            auto_select: false,
        }],
        containers: vec![container],
        volumes: vec![empty_folder(SCRATCH)],
    };
    let metadata = ObjectMeta {
        namespace: settings.namespace.as_ref().map(ToString::to_string),
        ..shared_metadata()
    };
    Custom::object(SERVING_RUNTIME, metadata, spec)
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
    let container = Container {
        name: STORAGE_INITIALIZER.to_owned(),
        image: Some(fetched.runtime_image.to_string()),
        // KServe adds the URI and the folder.
        command: Some(command.map(str::to_owned).into()),
        env: some(environment.collect()),
        env_from: some(fetched.credentials_secret.iter().map(entries_of).collect()),
        resources: Some(crate::Resources::default().requirements()),
        security_context: Some(container_security()),
        ..Container::default()
    };
    let prefixes = ["models:/", "runs:/", "mlflow-artifacts:/"];
    let spec = StorageSpec {
        container,
        supported_uri_formats: prefixes.map(|prefix| UriFormat { prefix }).into(),
    };
    Custom::object(STORAGE_CONTAINER, shared_metadata(), spec)
}

fn shared_metadata() -> ObjectMeta {
    ObjectMeta {
        name: Some(SHARED_NAME.to_owned()),
        labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
        ..ObjectMeta::default()
    }
}
