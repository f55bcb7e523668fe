//! A cluster, through its API server: [`Cluster`].
//!
//! What is done there is in a module each; all of it goes through the few calls here, so that every
//! answer that is no success becomes a [`ClusterError`] with the object it is about.

mod apply;
mod condition;
mod delete;
mod error;
mod inference;
mod pods;
mod proxy;
mod rollout;
mod scale;
mod status;
mod trouble;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Serialize;
use tower::ServiceBuilder;
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

use crate::kserve::INFERENCE_SERVICE;
use crate::names::{Name, Namespace};
use crate::objects::{INSTANCE, Kind, MANAGED_BY, MANAGER};

pub use apply::{Applied, ApplySettings, Outcome};
pub use condition::Condition;
pub use delete::{Deleted, Denial};
pub use error::ClusterError;
use inference::InferenceService;
pub use proxy::ProxyAnswer;
pub use rollout::{PodCounts, Rollout, RolloutError, RolloutSettings};
pub use scale::ScaleError;
pub use status::{DeploymentStatus, Environment, Listed, PodStatus};
pub use trouble::Trouble;

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long the API server may say nothing.
const ANSWERING: Duration = Duration::from_secs(15);

/// Which cluster, as whom, and where in it.
#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// The context of the kubeconfig; none for its current one, or the cluster around this process.
    pub context: Option<String>,
    /// The namespace; none for that of the context.
    pub namespace: Option<Namespace>,
}

/// What a deployment is to Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Workload {
    /// A Deployment of ours.
    Deployment,
    /// An InferenceService, of which KServe makes a Deployment.
    InferenceService,
}

impl Workload {
    fn kind(self) -> Kind {
        match self {
            Self::Deployment => Kind::of::<Deployment>(),
            Self::InferenceService => INFERENCE_SERVICE,
        }
    }
}

/// A namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    config: Config,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster that the kubeconfig names (`KUBECONFIG`, else `~/.kube/config`), or the one that
    /// this process runs in. Nothing is asked yet.
    ///
    /// # Errors
    /// When there is no such context, or its credentials cannot be read.
    pub async fn connect(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        let mut config = configuration(settings.context.as_deref()).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECTING);
        config.read_timeout = Some(ANSWERING);
        config.write_timeout = Some(ANSWERING);
        config.reset_reader_on_write = true;
        let namespace = match &settings.namespace {
            Some(namespace) => namespace.to_string(),
            None => config.default_namespace.clone(),
        };
        let client = client(config.clone()).map_err(ClusterError::setting_up)?;
        Ok(Self {
            client,
            config,
            namespace,
        })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn typed<T>(&self) -> Api<T>
    where
        T: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        T::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn of_kind(&self, kind: &Kind) -> Api<DynamicObject> {
        let resource = resource_of(kind);
        if kind.is_namespaced {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    /// How errors name all objects of a kind.
    fn all_of(&self, kind: &Kind) -> String {
        format!("{} of the namespace `{}`", kind.plural, self.namespace)
    }

    /// How errors name an object.
    fn named(&self, kind: &str, name: &str) -> String {
        format!("{kind} `{}/{name}`", self.namespace)
    }

    /// A deployment that mlrs made.
    async fn found(&self, name: &Name) -> Result<Found, ClusterError> {
        let what = || self.named("Deployment", name.as_ref());
        let found = self.typed::<Deployment>().get_opt(name.as_ref()).await;
        let refused = match found {
            Ok(Some(found)) if is_ours(&found.metadata) => {
                return Ok(Found::Deployment(Box::new(found)));
            }
            Ok(_) => None,
            Err(error) => Some(ClusterError::of("read", what(), error)),
        };
        if let Some(error) = refused {
            // Who may not read Deployments may be here for InferenceServices alone.
            let service = match error.code() {
                Some(403) => self.service(name.as_ref()).await.ok().flatten(),
                _ => None,
            };
            return service
                .filter(|service| is_ours(&service.metadata))
                .map(|service| Found::Service(Box::new(service)))
                .ok_or(error);
        }
        let service = self.service(name.as_ref()).await?;
        service
            .filter(|service| is_ours(&service.metadata))
            .map(|service| Found::Service(Box::new(service)))
            .ok_or_else(|| ClusterError::NotDeployed {
                name: name.to_string(),
                namespace: self.namespace.clone(),
            })
    }

    /// What was found; none when it is not there, or the cluster does not know the kind at all. To
    /// somebody without rights it refuses kinds that it does not know, too.
    async fn or_none<T>(
        &self,
        kind: &Kind,
        found: kube::Result<Option<T>>,
    ) -> kube::Result<Option<T>> {
        match found {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 403 && kind.is_custom => {
                match self.knows(kind).await {
                    Ok(false) => Ok(None),
                    _ => Err(kube::Error::Api(status)),
                }
            }
            other => other,
        }
    }

    /// Whether the cluster has a kind; Kubernetes' own are always there.
    async fn knows(&self, kind: &Kind) -> Result<bool, ClusterError> {
        if !kind.is_custom {
            return Ok(true);
        }
        let api_version = kind.api_version();
        match self.client.list_api_group_resources(&api_version).await {
            Ok(list) => Ok(list
                .resources
                .iter()
                .any(|resource| resource.kind == kind.kind)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(ClusterError::of(
                "look for",
                format!("kinds of {api_version}"),
                error,
            )),
        }
    }
}

/// A kind, as `kube` takes it.
fn resource_of(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// A deployment that mlrs made, as it is in the cluster.
enum Found {
    Deployment(Box<Deployment>),
    Service(Box<InferenceService>),
}

/// Whether mlrs made an object. A controller may copy the labels of what it follows to what it makes,
/// as KServe does; that has an owner.
fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    let is_labelled = labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|manager| manager == MANAGER);
    let mut owners = metadata.owner_references.iter().flatten();
    is_labelled && !owners.any(|owner| owner.controller == Some(true))
}

/// Whether mlrs made an object for a deployment.
fn is_made_for(metadata: &ObjectMeta, name: &Name) -> bool {
    let labels = metadata.labels.as_ref();
    let instance = labels.and_then(|labels| labels.get(INSTANCE));
    is_ours(metadata) && instance.is_some_and(|instance| instance == name.as_ref())
}

/// What finds everything that mlrs made.
fn ours() -> ListParams {
    ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"))
}

/// A client that tries again for some seconds when the API server is busy. What `kube` does by itself
/// goes on for an hour, which is right for a controller and not for a person who waits.
fn client(config: Config) -> kube::Result<Client> {
    let patient = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(BufferLayer::new(16));
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&patient)
        .build())
}

async fn configuration(context: Option<&str>) -> Result<Config, ClusterError> {
    let Some(context) = context else {
        return Config::infer()
            .await
            .map_err(|source| ClusterError::NoCluster { source });
    };
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    Config::from_kubeconfig(&options).await.map_err(|source| {
        let contexts = Kubeconfig::read()
            .map(|config| config.contexts)
            .unwrap_or_default();
        ClusterError::Context {
            context: context.to_owned(),
            contexts: contexts.into_iter().map(|context| context.name).collect(),
            source,
        }
    })
}
