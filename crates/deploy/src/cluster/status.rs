//! How deployments are: what they run, how many pods, what is wrong.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::ListParams;
use serde::Serialize;

use super::rollout::{Warnings, counts, is_done};
use super::trouble::{Trouble, is_ready};
use super::{Cluster, ClusterError, is_ours, ours};
use crate::names::Name;
use crate::objects::{INSTANCE, MODEL_FOLDER, SERVICE_PORT};

/// How a deployment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether all pods are of the newest kind and get requests.
    pub ready: bool,
    /// Pods that there should be.
    pub wanted: u32,
    /// Pods of the newest kind.
    pub updated: u32,
    /// Pods of the newest kind that get requests.
    pub available: u32,
    /// The image of the server.
    pub image: String,
    /// The URI of the model, if pods fetch it.
    pub model: Option<String>,
    /// The range and the target of its autoscaler: `MIN:MAX:TARGET`.
    pub autoscale: Option<String>,
    /// Notes of whoever made it.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
    /// Its address inside of the cluster.
    pub address: String,
    /// Its pods; in a list of deployments they are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodStatus>,
    /// What keeps a pod from being ready.
    pub trouble: Option<Trouble>,
}

/// How a pod is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// Its phase, such as `Running`; `Terminating` when it is on its way out.
    pub phase: String,
    /// Whether it gets requests.
    pub ready: bool,
    /// How often its server was begun again.
    pub restarts: u32,
    /// Its node.
    pub node: Option<String>,
}

impl Cluster {
    /// All deployments that mlrs made in the namespace, by name.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn deployments(&self) -> Result<Vec<DeploymentStatus>, ClusterError> {
        let what = |plural: &str| format!("{plural} of the namespace `{}`", self.namespace);
        let listed = self.typed::<Deployment>().list(&ours(None)).await;
        let listed =
            listed.map_err(|error| ClusterError::of("list", what("deployments"), error))?;
        let autoscalers: Vec<HorizontalPodAutoscaler> =
            self.readable("autoscalers", &ours(None)).await?;
        let mut found: Vec<DeploymentStatus> = listed
            .items
            .iter()
            .filter(|deployment| is_ours(&deployment.metadata))
            .map(|deployment| {
                let autoscaler = autoscalers
                    .iter()
                    .find(|autoscaler| autoscaler.metadata.name == deployment.metadata.name);
                self.summary(deployment, autoscaler)
            })
            .collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// A deployment with its pods. Pods and autoscalers that may not be looked at are left out.
    ///
    /// # Errors
    /// When there is none, or the cluster cannot be asked.
    pub async fn status(&self, name: &Name) -> Result<DeploymentStatus, ClusterError> {
        let deployment = self.deployment(name).await?;
        let autoscaler = self.autoscaler(name).await?;
        let mut status = self.summary(&deployment, autoscaler.as_ref());
        let of_instance = ListParams::default().labels(&format!("{INSTANCE}={name}"));
        let pods: Vec<Pod> = self.readable("pods", &of_instance).await?;
        status.pods = pods.iter().map(pod_status).collect();
        status.pods.sort_by(|one, other| one.name.cmp(&other.name));
        if !status.ready {
            status.trouble = self
                .trouble(name, &deployment, &mut Warnings::default())
                .await?;
        }
        Ok(status)
    }

    fn summary(
        &self,
        deployment: &Deployment,
        autoscaler: Option<&HorizontalPodAutoscaler>,
    ) -> DeploymentStatus {
        let name = deployment.metadata.name.clone().unwrap_or_default();
        let counted = counts(deployment, autoscaler);
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        DeploymentStatus {
            ready: is_done(deployment, &counted),
            wanted: counted.wanted,
            updated: counted.updated,
            available: counted.available,
            image: pod.and_then(image).unwrap_or_default(),
            model: pod.and_then(model),
            autoscale: autoscaler.and_then(range),
            annotations: deployment.metadata.annotations.clone().unwrap_or_default(),
            address: format!("http://{name}.{}.svc:{SERVICE_PORT}", self.namespace),
            name,
            namespace: self.namespace.clone(),
            pods: Vec::new(),
            trouble: None,
        }
    }
}

fn image(pod: &PodSpec) -> Option<String> {
    pod.containers.first()?.image.clone()
}

/// What the container that fetches the model was told to fetch.
fn model(pod: &PodSpec) -> Option<String> {
    let fetcher = pod.init_containers.iter().flatten().next()?;
    match fetcher.args.as_deref()? {
        [pull, uri, folder, ..] if pull == "pull" && folder == MODEL_FOLDER => Some(uri.clone()),
        _ => None,
    }
}

fn range(autoscaler: &HorizontalPodAutoscaler) -> Option<String> {
    let spec = autoscaler.spec.as_ref()?;
    let mut metrics = spec.metrics.iter().flatten();
    let target = metrics.find_map(|metric| metric.resource.as_ref()?.target.average_utilization)?;
    let min = spec.min_replicas.unwrap_or(1);
    Some(format!("{min}:{}:{target}", spec.max_replicas))
}

fn pod_status(pod: &Pod) -> PodStatus {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.iter().flatten();
    let restarts: i32 = containers.map(|container| container.restart_count).sum();
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    PodStatus {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: if is_leaving {
            "Terminating".to_owned()
        } else {
            status.phase.unwrap_or_else(|| "Unknown".to_owned())
        },
        ready: is_ready(pod),
        restarts: u32::try_from(restarts).unwrap_or(0),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    }
}
