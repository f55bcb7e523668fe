//! Waiting until a deployment runs as it was asked to, or saying why it does not.
//!
//! The Deployment is watched; its pods are looked at whenever it changes, and every other second. A
//! pod in trouble that nothing in the cluster is going to change ends the wait early.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, WatchEvent, WatchParams};
use tokio::time::{Instant, sleep, timeout_at};

use super::trouble::{Trouble, is_ready, of_pod};
use super::{Cluster, ClusterError};
use crate::names::Name;
use crate::objects::INSTANCE;

/// The annotation with the number of a revision.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// How often pods are looked at when nothing else happens.
const LOOK: Duration = Duration::from_secs(2);

/// A look that takes longer than this is one that is not answered.
const SHORT: Duration = Duration::from_secs(1);

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct RolloutSettings {
    /// In all.
    pub timeout: Duration,
    /// For a trouble that nothing is going to change, to be sure of it.
    pub patience: Duration,
}

impl Default for RolloutSettings {
    /// Ten minutes in all, and ten seconds of trouble.
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(10),
            patience: Duration::from_secs(10),
        }
    }
}

/// Where a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Pods that there should be.
    pub wanted: u32,
    /// Pods of the new kind.
    pub updated: u32,
    /// Pods of the new kind that get requests.
    pub available: u32,
    /// Pods of the old kind that are still there.
    pub old: u32,
    /// What keeps a pod from being ready.
    pub trouble: Option<Trouble>,
}

/// What one look at a deployment showed.
struct Look {
    is_done: bool,
    /// The version of the Deployment.
    version: String,
    rollout: Rollout,
}

/// What events say of a pod, and when they were asked for.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    asked: Option<Instant>,
    said: Option<Trouble>,
}

/// Why a rollout did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A pod does not start.
    #[error("`{name}` does not start: {trouble}")]
    Trouble {
        /// The deployment.
        name: String,
        /// Why not.
        trouble: Box<Trouble>,
    },
    /// It took too long.
    #[error("`{name}` is not ready after {} s: {available} of {wanted} pods are{}", waited.as_secs(), because(trouble.as_deref()))]
    Timeout {
        /// The deployment.
        name: String,
        /// How long.
        waited: Duration,
        /// Pods that get requests.
        available: u32,
        /// Pods that there should be.
        wanted: u32,
        /// What was last seen to be wrong.
        trouble: Option<Box<Trouble>>,
        /// Why the last look saw nothing.
        #[source]
        source: Option<Box<ClusterError>>,
    },
    /// The Deployment was deleted meanwhile.
    #[error("`{0}` was deleted while it was waited for")]
    Deleted(String),
}

fn because(trouble: Option<&Trouble>) -> String {
    trouble
        .map(|trouble| format!("; {trouble}"))
        .unwrap_or_default()
}

impl RolloutError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Trouble { trouble, .. }
            | Self::Timeout {
                trouble: Some(trouble),
                ..
            } => trouble.hint(),
            Self::Timeout {
                source: Some(error),
                ..
            } => error.hint(),
            Self::Timeout { name, .. } => {
                Some(format!("look again with `mlrs deploy status {name}`"))
            }
            Self::Deleted(_) => None,
        }
    }
}

impl Cluster {
    /// Waits until all pods of a deployment are of the newest kind and get requests.
    ///
    /// What Kubernetes says of rollouts that took too long does not count: it is about the last one
    /// until the next one moves. A cluster that is away for a while is asked again.
    ///
    /// # Errors
    /// When a pod cannot start, the time is over, or the cluster cannot be asked.
    pub async fn wait(
        &self,
        name: &Name,
        settings: RolloutSettings,
        progress: &mut dyn FnMut(&Rollout),
    ) -> Result<(), RolloutError> {
        let deadline = Instant::now() + settings.timeout;
        let mut last: Option<Rollout> = None;
        let mut version = String::new();
        let mut in_trouble_since = None;
        let mut warnings = Warnings::default();
        loop {
            let asked = Instant::now();
            let unreachable = match timeout_at(deadline, self.look(name, &mut warnings)).await {
                Ok(Ok(Look {
                    is_done,
                    version: seen,
                    rollout,
                })) => {
                    progress(&rollout);
                    if is_done {
                        return Ok(());
                    }
                    let is_lasting = rollout.trouble.as_ref().is_some_and(|it| it.is_lasting);
                    in_trouble_since = is_lasting.then(|| in_trouble_since.unwrap_or(asked));
                    version = seen;
                    last = Some(rollout);
                    None
                }
                Ok(Err(RolloutError::Cluster(error))) if error.is_passing() => Some(error),
                Ok(Err(error)) => return Err(error),
                // The time is over, which says nothing of a look that had just begun.
                Err(_) if asked.elapsed() < SHORT && last.is_some() => None,
                Err(_) => Some(ClusterError::Silent {
                    action: "read",
                    object: self.named("Deployment", name.as_ref()),
                }),
            };
            let is_hopeless =
                in_trouble_since.is_some_and(|since: Instant| since.elapsed() >= settings.patience);
            if let Some(trouble) = last
                .as_mut()
                .and_then(|last| last.trouble.take_if(|_| is_hopeless))
            {
                return Err(RolloutError::Trouble {
                    name: name.to_string(),
                    trouble: Box::new(trouble),
                });
            }
            if Instant::now() >= deadline {
                return Err(late(name, settings.timeout, last, unreachable));
            }
            self.changed(name, &version, deadline.min(Instant::now() + LOOK))
                .await;
        }
    }

    /// How it is now.
    async fn look(&self, name: &Name, warnings: &mut Warnings) -> Result<Look, RolloutError> {
        let deployment = self.present(name).await?;
        let autoscaler = self.autoscaler(name).await?;
        let mut rollout = counts(&deployment, autoscaler.as_ref());
        let is_done = is_done(&deployment, &rollout);
        if !is_done {
            rollout.trouble = self.trouble(name, &deployment, warnings).await?;
        }
        Ok(Look {
            is_done,
            version: deployment.metadata.resource_version.unwrap_or_default(),
            rollout,
        })
    }

    async fn present(&self, name: &Name) -> Result<Deployment, RolloutError> {
        let what = || self.named("Deployment", name.as_ref());
        let found = self.typed::<Deployment>().get_opt(name.as_ref()).await;
        found
            .map_err(|error| ClusterError::of("read", what(), error))?
            .ok_or_else(|| RolloutError::Deleted(name.to_string()))
    }

    /// Waits until the Deployment is another one, or for some time. A watch that fails only costs
    /// the news: the next look asks for everything.
    async fn changed(&self, name: &Name, version: &str, until: Instant) {
        let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
        let deployments = self.typed::<Deployment>();
        let news = async {
            // Without a version there is nothing that news could be about.
            if !version.is_empty()
                && let Ok(events) = deployments.watch(&parameters, version).await
            {
                let mut events = events.boxed();
                while let Ok(Some(event)) = events.try_next().await {
                    if matches!(event, WatchEvent::Modified(_) | WatchEvent::Deleted(_)) {
                        // What changes once changes again soon.
                        return sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            sleep(LOOK).await;
        };
        // Both ways to end mean the same: look again.
        let _ = timeout_at(until, news).await;
    }

    /// The autoscaler of a deployment; none when it may not be read.
    pub(super) async fn autoscaler(
        &self,
        name: &Name,
    ) -> Result<Option<HorizontalPodAutoscaler>, ClusterError> {
        let autoscalers = self.typed::<HorizontalPodAutoscaler>();
        match autoscalers.get_opt(name.as_ref()).await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            found => found.map_err(|error| {
                let what = self.named("HorizontalPodAutoscaler", name.as_ref());
                ClusterError::of("read", what, error)
            }),
        }
    }

    /// What keeps a pod of the newest kind from being ready.
    pub(super) async fn trouble(
        &self,
        name: &Name,
        deployment: &Deployment,
        warnings: &mut Warnings,
    ) -> Result<Option<Trouble>, ClusterError> {
        let pods = self.newest_pods(name, deployment).await?;
        let troubles = pods.iter().filter_map(|pod| of_pod(pod, &[]));
        let mut worst = troubles.max_by_key(|trouble| trouble.is_lasting);
        if worst.is_none()
            && let Some(pod) = pods.iter().find(|pod| !is_ready(pod))
        {
            worst = self.warning(pod, warnings).await?;
        }
        Ok(worst.or_else(|| refused_pods(deployment)))
    }

    /// What the last warning about a pod says. Events are many: only those of one pod are asked for,
    /// and not at every change.
    async fn warning(
        &self,
        pod: &Pod,
        warnings: &mut Warnings,
    ) -> Result<Option<Trouble>, ClusterError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let is_recent = warnings.asked.is_some_and(|at| at.elapsed() < SHORT);
        if !is_recent {
            let parameters = ListParams::default()
                .fields(&format!("involvedObject.name={name},type=Warning"))
                .limit(50);
            let events: Vec<Event> = self.readable("events", &parameters).await?;
            warnings.asked = Some(Instant::now());
            warnings.said = of_pod(pod, &events);
        }
        Ok(warnings.said.clone().filter(|said| said.pod == name))
    }

    /// The pods that the newest template made; those of older ones are on their way out.
    async fn newest_pods(
        &self,
        name: &Name,
        deployment: &Deployment,
    ) -> Result<Vec<Pod>, ClusterError> {
        let of_instance = ListParams::default().labels(&format!("{INSTANCE}={name}"));
        let newest = revision(&deployment.metadata);
        let sets: Vec<ReplicaSet> = self.readable("replica sets", &of_instance).await?;
        let newest = sets
            .into_iter()
            .find(|set| newest.is_some() && revision(&set.metadata) == newest)
            .and_then(|set| set.metadata.uid);
        let Some(newest) = newest else {
            return Ok(Vec::new());
        };
        let is_of_it = |pod: &Pod| {
            let owners = pod.metadata.owner_references.iter().flatten();
            owners.into_iter().any(|owner| owner.uid == newest)
                && pod.metadata.deletion_timestamp.is_none()
        };
        let mut pods: Vec<Pod> = self.readable("pods", &of_instance).await?;
        pods.retain(is_of_it);
        Ok(pods)
    }

    /// Objects that only say more of what the Deployment says itself: none when they may not be read.
    pub(super) async fn readable<T>(
        &self,
        what: &str,
        which: &ListParams,
    ) -> Result<Vec<T>, ClusterError>
    where
        T: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        T: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
        T::DynamicType: Default,
    {
        match self.typed::<T>().list(which).await {
            Ok(list) => Ok(list.items),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Vec::new()),
            Err(error) => {
                let what = format!("{what} of the namespace `{}`", self.namespace);
                Err(ClusterError::of("list", what, error))
            }
        }
    }
}

/// The number of the template that an object is of.
fn revision(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(REVISION)
}

/// Pods that could not even be made: a quota, a policy, a service account that is not there.
fn refused_pods(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.iter().flatten();
    let failure = conditions
        .into_iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    Some(Trouble {
        pod: format!(
            "{}-…",
            deployment.metadata.name.as_deref().unwrap_or_default()
        ),
        container: None,
        reason: failure
            .reason
            .clone()
            .unwrap_or_else(|| "FailedCreate".to_owned()),
        message: failure.message.clone(),
        is_lasting: true,
    })
}

/// Pods, as the Deployment counts them. An autoscaler that has not looked yet is going to want its
/// lowest number; a Deployment without pods it leaves alone.
pub(super) fn counts(
    deployment: &Deployment,
    autoscaler: Option<&HorizontalPodAutoscaler>,
) -> Rollout {
    let number = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let status = deployment.status.clone().unwrap_or_default();
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let replicas = number(replicas.or(Some(1)));
    let least = autoscaler
        .and_then(|autoscaler| autoscaler.spec.as_ref())
        .map_or(0, |spec| number(spec.min_replicas.or(Some(1))));
    let updated = number(status.updated_replicas);
    let old = number(status.replicas).saturating_sub(updated);
    Rollout {
        wanted: if replicas == 0 {
            0
        } else {
            replicas.max(least)
        },
        updated,
        // Those of the old kind count as available as well.
        available: number(status.available_replicas).saturating_sub(old),
        old,
        trouble: None,
    }
}

/// Whether what the Deployment counts is about its newest specification, and all are there and no
/// more.
pub(super) fn is_done(deployment: &Deployment, rollout: &Rollout) -> bool {
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation);
    seen >= deployment.metadata.generation
        && rollout.updated == rollout.wanted
        && rollout.old == 0
        && rollout.available >= rollout.wanted
}

/// Why a rollout was not waited for any longer.
fn late(
    name: &Name,
    waited: Duration,
    last: Option<Rollout>,
    unreachable: Option<ClusterError>,
) -> RolloutError {
    match (last, unreachable) {
        (None, Some(error)) => error.into(),
        (last, unreachable) => {
            let last = last.unwrap_or_default();
            RolloutError::Timeout {
                name: name.to_string(),
                waited,
                available: last.available,
                wanted: last.wanted,
                trouble: last.trouble.map(Box::new),
                source: unreachable.map(Box::new),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether a Deployment is done with so many pods wanted, of the newest kind, and available.
    fn is_complete(replicas: u32, updated: u32, available: u32, least: Option<u32>) -> bool {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {
                "observedGeneration": 2, "replicas": updated, "updatedReplicas": updated,
                "availableReplicas": available,
            },
        }))
        .unwrap();
        let autoscaler = least.map(|least| {
            let spec = json!({"minReplicas": least, "maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": "iris"}});
            serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()
        });
        is_done(&deployment, &counts(&deployment, autoscaler.as_ref()))
    }

    #[test]
    fn all_pods_are_there_and_no_more() {
        assert!(is_complete(2, 2, 2, None));
        assert!(!is_complete(2, 2, 1, None), "one does not get requests");
        assert!(!is_complete(2, 4, 4, None), "two are to go");
        assert!(
            !is_complete(1, 1, 1, Some(2)),
            "the autoscaler is to add one"
        );
        assert!(is_complete(2, 2, 2, Some(2)));
        assert!(is_complete(5, 5, 5, Some(2)));
        assert!(
            is_complete(0, 0, 0, Some(2)),
            "the autoscaler is switched off"
        );
    }
}
