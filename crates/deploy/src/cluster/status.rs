//! How deployments are: what they run, how many pods, what is wrong.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde::Serialize;

use super::condition::{Condition, remedy, wrong};
use super::inference::{InferenceService, ServiceLook, predictor_of};
use super::pods::Notes;
use super::rollout::{PodCounts, counts, is_done, least};
use super::trouble::{Trouble, is_ready};
use super::{Cluster, ClusterError, Found, Workload, is_ours, ours};
use crate::kserve::INFERENCE_SERVICE;
use crate::names::Name;
use crate::objects::{CONTAINER, Kind, MODEL_FOLDER, SERVICE_PORT};

/// How a deployment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What it is to Kubernetes.
    pub kind: Workload,
    /// Whether all pods are of the newest kind and get requests, and KServe says so too where it made them.
    pub ready: bool,
    /// How many pods there are; none where KServe made them and they may not be counted.
    #[serde(flatten)]
    pub counts: Option<PodCounts>,
    /// The image of the server; empty where KServe made it and it may not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The URI of the model, if pods fetch it.
    pub model: Option<String>,
    /// The range and the target of its autoscaler: `MIN:MAX:TARGET`.
    pub autoscale: Option<String>,
    /// Notes of whoever made it.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
    /// The variables of its server that stand in the Deployment, those of Secrets left out.
    #[serde(skip)]
    pub environment: Environment,
    /// Its address inside of the cluster.
    pub address: String,
    /// Where KServe has it answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its pods; in a list of deployments they are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodStatus>,
    /// What KServe says is not so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What keeps a pod from being ready.
    pub trouble: Option<Trouble>,
    /// What may not be read and is therefore left out, such as `pods` or `replicasets.apps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl DeploymentStatus {
    /// What is wrong, each in a text of its own.
    pub fn wrong(&self) -> Vec<String> {
        wrong(self.trouble.as_ref(), &self.conditions)
    }

    /// What to do about what is wrong.
    pub fn hint(&self) -> Option<String> {
        remedy(
            self.trouble.as_ref(),
            &self.conditions,
            &self.name,
            &self.namespace,
        )
    }
}

/// Variables of a server. Their values are for its pods: they are not written out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those of the container with the server that have a value of their own.
    fn of(pod: &PodSpec) -> Self {
        let mut containers = pod.containers.iter();
        let server = containers.find(|container| container.name == CONTAINER);
        let variables = server.and_then(|server| server.env.as_ref());
        let plain = variables
            .into_iter()
            .flatten()
            .filter(|variable| variable.value_from.is_none());
        // An empty value is none in the cluster.
        let pairs = plain.map(|it| (it.name.clone(), it.value.clone().unwrap_or_default()));
        Self(pairs.collect())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// All deployments of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Those that are seen, by name.
    pub deployments: Vec<DeploymentStatus>,
    /// What may not be listed and is therefore left out, such as `deployments.apps`.
    pub unread: Vec<String>,
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
    /// All deployments that mlrs made in the namespace, by name. Kinds that may not be listed are left
    /// out, and named.
    ///
    /// # Errors
    /// When nothing can be listed.
    pub async fn deployments(&self) -> Result<Listed, ClusterError> {
        let mut notes = Notes::default();
        let listed = self.typed::<Deployment>().list(&ours()).await;
        let kind = Kind::of::<Deployment>();
        let listed = listed.map_err(|error| ClusterError::of("list", self.all_of(&kind), error));
        let services = self.list_services().await;
        let (deployments, services) = match (listed, services) {
            (Err(error), Ok(services)) if error.code() == Some(403) && !services.is_empty() => {
                notes.unread(&kind);
                (Vec::new(), services)
            }
            (Ok(listed), Err(error)) if error.code() == Some(403) => {
                notes.unread(&INFERENCE_SERVICE);
                (listed.items, Vec::new())
            }
            (listed, services) => (listed?.items, services?),
        };
        let autoscalers: Vec<HorizontalPodAutoscaler> = self.readable(&ours(), &mut notes).await?;
        let own = deployments
            .iter()
            .filter(|deployment| is_ours(&deployment.metadata))
            .map(|deployment| {
                let autoscaler = autoscalers
                    .iter()
                    .find(|autoscaler| autoscaler.metadata.name == deployment.metadata.name);
                self.summary(deployment, autoscaler)
            });
        let served = services
            .iter()
            .filter(|service| is_ours(&service.metadata))
            .map(|service| {
                let predictor = deployments.iter().find(|it| predictor_of(service, it));
                self.summary_of_service(service, &ServiceLook::of(service, predictor.cloned()))
            });
        let mut found: Vec<DeploymentStatus> = own.chain(served).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let unread = notes.all_unread();
        for status in &mut found {
            status.unread.clone_from(&unread);
        }
        Ok(Listed {
            deployments: found,
            unread,
        })
    }

    /// A deployment with its pods. What may not be looked at is left out, and named.
    ///
    /// # Errors
    /// When there is none, or the cluster cannot be asked.
    pub async fn status(&self, name: &Name) -> Result<DeploymentStatus, ClusterError> {
        let mut notes = Notes::default();
        let mut status = match self.found(name).await? {
            Found::Deployment(deployment) => {
                let autoscaler = self.autoscaler(name, &mut notes).await?;
                let mut status = self.summary(&deployment, autoscaler.as_ref());
                if !status.ready {
                    status.trouble = self.trouble(name, &deployment, &mut notes).await?;
                }
                status
            }
            Found::Service(service) => {
                let look = self.of_service(name, &service, &mut notes).await?;
                let mut status = self.summary_of_service(&service, &look);
                if !status.ready {
                    status.trouble = self.trouble_of_service(name, &look, &mut notes).await?;
                }
                status
            }
        };
        let pods = self.pods(name, &mut notes).await?;
        status.pods = pods.iter().map(pod_status).collect();
        status.pods.sort_by(|one, other| one.name.cmp(&other.name));
        status.unread = notes.all_unread();
        Ok(status)
    }

    fn summary(
        &self,
        deployment: &Deployment,
        autoscaler: Option<&HorizontalPodAutoscaler>,
    ) -> DeploymentStatus {
        let name = deployment.metadata.name.clone().unwrap_or_default();
        let counted = counts(deployment, least(autoscaler));
        let pod = pod_of(deployment);
        DeploymentStatus {
            kind: Workload::Deployment,
            ready: is_done(deployment, &counted),
            counts: Some(counted),
            image: pod.and_then(image).unwrap_or_default(),
            model: pod.and_then(model),
            autoscale: autoscaler.and_then(range),
            annotations: deployment.metadata.annotations.clone().unwrap_or_default(),
            environment: pod.map(Environment::of).unwrap_or_default(),
            address: format!("http://{name}.{}.svc:{SERVICE_PORT}", self.namespace),
            url: None,
            name,
            namespace: self.namespace.clone(),
            pods: Vec::new(),
            conditions: Vec::new(),
            trouble: None,
            unread: Vec::new(),
        }
    }

    fn summary_of_service(
        &self,
        service: &InferenceService,
        look: &ServiceLook,
    ) -> DeploymentStatus {
        let name = service.metadata.name.clone().unwrap_or_default();
        let predictor = &service.spec.predictor;
        let said = service.status.clone().unwrap_or_default();
        let pod = look.predictor.as_ref().and_then(pod_of);
        let own_image = predictor.containers.first().and_then(|it| it.image.clone());
        let address = said.address.and_then(|address| address.url);
        DeploymentStatus {
            kind: Workload::InferenceService,
            ready: look.is_ready,
            counts: look.pods,
            image: own_image.or_else(|| image(pod?)).unwrap_or_default(),
            model: predictor
                .model
                .as_ref()
                .and_then(|it| it.storage_uri.clone()),
            autoscale: predictor.range(),
            annotations: service.metadata.annotations.clone().unwrap_or_default(),
            environment: Environment::default(),
            address: address.unwrap_or_else(|| {
                format!(
                    "http://{name}-predictor.{}.svc:{SERVICE_PORT}",
                    self.namespace
                )
            }),
            url: said.url,
            name,
            namespace: self.namespace.clone(),
            pods: Vec::new(),
            conditions: look.conditions.clone(),
            trouble: None,
            unread: Vec::new(),
        }
    }
}

fn pod_of(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_stand_in_a_deployment_are_known_and_not_written_out() {
        let pod = serde_json::from_value(json!({"containers": [
            {"name": "proxy", "env": [{"name": "C", "value": "other"}]},
            {"name": "model", "env": [
                {"name": "A", "value": "hush"}, {"name": "EMPTY"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ]},
        ]}))
        .unwrap();
        let environment = Environment::of(&pod);
        let values = ["A", "B", "C", "EMPTY"].map(|name| environment.get(name));
        assert_eq!(values, [Some("hush"), None, None, Some("")]);
        assert_eq!(format!("{environment:?}"), r#"{"A", "EMPTY"}"#);
    }
}
