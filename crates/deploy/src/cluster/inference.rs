//! What KServe says of an `InferenceService`, and the Deployment that it makes of it.
//!
//! `Ready` alone does not say that what was applied is what runs. KServe keeps it while old pods answer,
//! and until it has looked at a change; and its `observedGeneration` is that of its Deployment, where it
//! writes one. Therefore its Deployment is looked at as well: it has the annotation [`PODS`] of the
//! InferenceService that it was made of.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::core::Object;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::condition::{Condition, Status};
use super::pods::Notes;
use super::rollout::{Look, PodCounts, Rollout, RolloutError, counts, is_done, number};
use super::trouble::is_ready;
use super::{Cluster, ClusterError, ours, resource_of};
use crate::kserve::{INFERENCE_SERVICE, PODS};
use crate::names::Name;
use crate::objects::Kind;

/// How long KServe may take to look at a change. Only where its Deployment does not tell.
const SETTLING: Duration = Duration::from_secs(3);

/// An InferenceService, as far as it is read.
pub(super) type InferenceService = Object<Spec, Status>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Spec {
    pub predictor: Predictor,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Predictor {
    pub min_replicas: Option<i32>,
    pub max_replicas: Option<i32>,
    pub scale_target: Option<i32>,
    pub model: Option<PredictorModel>,
    pub containers: Vec<PredictorContainer>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PredictorModel {
    pub storage_uri: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct PredictorContainer {
    pub image: Option<String>,
}

impl Predictor {
    /// Whether an autoscaler has a range to choose from. A target alone may be left of an earlier one.
    pub(super) fn is_autoscaled(&self) -> bool {
        self.scale_target.is_some() && self.least() < number(self.max_replicas)
    }

    /// What an autoscaler was asked for: `MIN:MAX:TARGET`.
    pub(super) fn range(&self) -> Option<String> {
        let target = self.scale_target.filter(|_| self.is_autoscaled())?;
        let most = number(self.max_replicas);
        Some(format!("{}:{most}:{target}", self.least()))
    }

    fn least(&self) -> u32 {
        number(self.min_replicas.or(Some(1)))
    }

    /// Pods of its Deployment, of which there are to be as many as the InferenceService says, even if
    /// KServe has not told anybody yet.
    fn counts(&self, deployment: &Deployment) -> PodCounts {
        let pods = counts(deployment, self.least());
        let most = number(self.max_replicas);
        PodCounts {
            wanted: if most == 0 {
                pods.wanted
            } else {
                pods.wanted.min(most)
            },
            ..pods
        }
    }
}

/// How an InferenceService is.
pub(super) struct ServiceLook {
    /// The Deployment that KServe made of it, if it is there and may be read.
    pub predictor: Option<Deployment>,
    pub pods: Option<PodCounts>,
    /// Whether the Deployment is of what the InferenceService asks for now; none if that cannot be said.
    pub is_current: Option<bool>,
    /// Whether KServe says that it is ready, and its Deployment does not say otherwise.
    pub is_ready: bool,
    pub conditions: Vec<Condition>,
    /// What tells the pods that it asks for now from others.
    digest: Option<String>,
}

impl ServiceLook {
    pub(super) fn of(service: &InferenceService, predictor: Option<Deployment>) -> Self {
        let status = service.status.clone().unwrap_or_default();
        let counted = predictor.as_ref();
        let pods = counted.map(|deployment| service.spec.predictor.counts(deployment));
        let is_current = predictor
            .as_ref()
            .and_then(|deployment| is_current(service, deployment));
        let is_rolled_out = match (&predictor, &pods) {
            (Some(deployment), Some(pods)) => is_done(deployment, pods),
            _ => true,
        };
        Self {
            predictor,
            pods,
            is_current,
            is_ready: status.is_ready() && is_rolled_out && is_current != Some(false),
            conditions: status.unmet(),
            digest: digest_of(&service.metadata).cloned(),
        }
    }

    /// Takes the word of the pods, where their Deployment may not be read. Without any there is nothing
    /// to go by.
    fn seen(self, pods: &[Pod], least: u32) -> Self {
        let here = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        let (new, old): (Vec<&Pod>, Vec<&Pod>) =
            pods.iter().filter(here).partition(|pod| self.is_new(pod));
        if self.digest.is_none() || (new.is_empty() && old.is_empty()) {
            return self;
        }
        let available = new.iter().filter(|pod| is_ready(pod));
        let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let pods = PodCounts {
            wanted: counted(new.len()).max(least),
            updated: counted(new.len()),
            available: counted(available.count()),
            old: counted(old.len()),
        };
        let is_rolled_out = pods.old == 0 && pods.available == pods.wanted;
        Self {
            pods: Some(pods),
            is_current: is_rolled_out.then_some(true),
            is_ready: self.is_ready && is_rolled_out,
            ..self
        }
    }

    /// Whether a pod is one of those that are asked for now, as far as that can be told.
    pub(super) fn is_new(&self, pod: &Pod) -> bool {
        let is_alike = self.digest.is_none() || digest_of(&pod.metadata) == self.digest.as_ref();
        is_alike && pod.metadata.deletion_timestamp.is_none()
    }
}

fn digest_of(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(PODS)
}

/// Whether KServe made a Deployment of an InferenceService.
pub(super) fn predictor_of(service: &InferenceService, deployment: &Deployment) -> bool {
    let mut owners = deployment.metadata.owner_references.iter().flatten();
    owners.any(|owner| Some(&owner.uid) == service.metadata.uid.as_ref())
}

/// Whether a Deployment was made of an InferenceService as it is now; none if one of them does not say.
fn is_current(service: &InferenceService, deployment: &Deployment) -> Option<bool> {
    let asked = digest_of(&service.metadata)?;
    let template = &deployment.spec.as_ref()?.template;
    let made = digest_of(template.metadata.as_ref()?)?;
    Some(asked == made)
}

impl Cluster {
    fn services(&self) -> Api<InferenceService> {
        let resource = resource_of(&INFERENCE_SERVICE);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// An InferenceService, whoever made it; none when the cluster has no KServe.
    pub(super) async fn service(
        &self,
        name: &str,
    ) -> Result<Option<InferenceService>, ClusterError> {
        let what = || self.named(INFERENCE_SERVICE.kind, name);
        let found = self.services().get(name).await.map(Some);
        self.or_none(&INFERENCE_SERVICE, found)
            .await
            .map_err(|error| ClusterError::of("read", what(), error))
    }

    /// All services of KServe with the labels of mlrs; none when the cluster has no KServe.
    pub(super) async fn list_services(&self) -> Result<Vec<InferenceService>, ClusterError> {
        let listed = self.services().list(&ours()).await;
        let listed = listed.map(|listed| Some(listed.items));
        let listed = self.or_none(&INFERENCE_SERVICE, listed).await;
        let listed = listed
            .map_err(|error| ClusterError::of("list", self.all_of(&INFERENCE_SERVICE), error))?;
        Ok(listed.unwrap_or_default())
    }

    /// How an InferenceService is now, in a wait that has begun then.
    pub(super) async fn look_at_service(
        &self,
        name: &Name,
        begun: Instant,
        notes: &mut Notes,
    ) -> Result<Look, RolloutError> {
        let service = self.service(name.as_ref()).await?;
        let service = service.ok_or_else(|| RolloutError::Deleted(name.to_string()))?;
        let look = self.of_service(name, &service, notes).await?;
        // Where the Deployment does not tell, KServe may speak of what was there before.
        let is_settled = look.is_current.is_some() || begun.elapsed() >= SETTLING;
        let is_done = look.is_ready && is_settled;
        let trouble = if is_done {
            None
        } else {
            self.trouble_of_service(name, &look, notes).await?
        };
        let status = service.status.unwrap_or_default();
        let is_lasting = trouble.as_ref().is_some_and(|it| it.is_lasting) || status.is_invalid();
        Ok(Look {
            is_done,
            is_lasting,
            version: service.metadata.resource_version.unwrap_or_default(),
            rollout: Rollout {
                pods: look.pods,
                conditions: look.conditions,
                trouble,
                url: status.url,
            },
        })
    }

    /// How an InferenceService is, with what KServe made of it.
    pub(super) async fn of_service(
        &self,
        name: &Name,
        service: &InferenceService,
        notes: &mut Notes,
    ) -> Result<ServiceLook, ClusterError> {
        let predictor = self.predictor(name.as_ref(), notes).await?;
        let predictor = predictor.filter(|deployment| predictor_of(service, deployment));
        let look = ServiceLook::of(service, predictor);
        if look.predictor.is_some() {
            return Ok(look);
        }
        let pods = self.pods(name, notes).await?;
        Ok(look.seen(&pods, service.spec.predictor.least()))
    }

    /// The Deployment that KServe makes of an InferenceService; none when it may not be read.
    async fn predictor(
        &self,
        name: &str,
        notes: &mut Notes,
    ) -> Result<Option<Deployment>, ClusterError> {
        let predictor = format!("{name}-predictor");
        let found = self.typed::<Deployment>().get_opt(&predictor).await;
        notes
            .readable(&Kind::of::<Deployment>(), found)
            .map_err(|error| ClusterError::of("read", self.named("Deployment", &predictor), error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether a service is ready with a Deployment of so many pods, of which all are available.
    fn is_ready(range: (u32, u32), replicas: u32, digests: (&str, &str)) -> bool {
        let service: InferenceService = serde_json::from_value(json!({
            "metadata": {"annotations": {PODS: digests.0}},
            "spec": {"predictor": {"minReplicas": range.0, "maxReplicas": range.1}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        let deployment = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {
                "replicas": replicas, "selector": {},
                "template": {"metadata": {"annotations": {PODS: digests.1}}},
            },
            "status": {
                "observedGeneration": 3, "replicas": replicas, "updatedReplicas": replicas,
                "availableReplicas": replicas,
            },
        }))
        .unwrap();
        ServiceLook::of(&service, Some(deployment)).is_ready
    }

    #[test]
    fn ready_is_believed_of_pods_that_were_asked_for() {
        assert!(is_ready((2, 2), 2, ("a", "a")));
        assert!(!is_ready((2, 2), 2, ("b", "a")), "of an older one");
        assert!(!is_ready((3, 3), 2, ("a", "a")), "one is to come");
        assert!(!is_ready((1, 1), 2, ("a", "a")), "one is to go");
        assert!(is_ready((1, 5), 4, ("a", "a")));
    }
}
