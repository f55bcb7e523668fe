//! Waiting until a deployment runs as it was asked to, or saying why it does not.
//!
//! The Deployment, or the InferenceService, is watched; pods are looked at whenever it changes, and every
//! other second. A pod in trouble that nothing in the cluster is going to change ends the wait early.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{WatchEvent, WatchParams};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::condition::{Condition, remedy, wrong};
use super::pods::Notes;
use super::trouble::Trouble;
use super::{Cluster, ClusterError, Workload};
use crate::names::Name;

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
    /// Its pods, where they can be counted.
    pub pods: Option<PodCounts>,
    /// What KServe says is not so yet; of a Deployment there is nothing.
    pub conditions: Vec<Condition>,
    /// What keeps a pod from being ready.
    pub trouble: Option<Trouble>,
    /// Where KServe has it answer.
    pub url: Option<String>,
}

impl Rollout {
    /// What is wrong, each in a text of its own.
    pub fn wrong(&self) -> Vec<String> {
        wrong(self.trouble.as_ref(), &self.conditions)
    }
}

/// The pods of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodCounts {
    /// Pods that there should be.
    pub wanted: u32,
    /// Pods of the new kind.
    pub updated: u32,
    /// Pods of the new kind that get requests.
    pub available: u32,
    /// Pods of the old kind that are still there.
    pub old: u32,
}

/// What one look at a deployment showed.
pub(super) struct Look {
    pub is_done: bool,
    /// Whether nothing in the cluster is going to change what is wrong.
    pub is_lasting: bool,
    /// The version of what is watched.
    pub version: String,
    pub rollout: Rollout,
}

/// Why a rollout did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It does not start: a pod that cannot, or something that KServe refuses.
    #[error("`{name}` does not start: {}", last.wrong().join("; "))]
    Trouble {
        /// The deployment.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Where it is.
        last: Box<Rollout>,
    },
    /// It took too long.
    #[error("`{name}` is not ready after {} s: {}", waited.as_secs(), so_far(last, unread))]
    Timeout {
        /// The deployment.
        name: String,
        /// Its namespace.
        namespace: String,
        /// How long.
        waited: Duration,
        /// Where it was last seen.
        last: Box<Rollout>,
        /// What may not be read, and could have said why.
        unread: Vec<String>,
        /// Why the last look saw nothing.
        #[source]
        source: Option<Box<ClusterError>>,
    },
    /// What is waited for was deleted meanwhile.
    #[error("`{0}` was deleted while it was waited for")]
    Deleted(String),
}

/// How far it came, and what is wrong, or why that cannot be told.
fn so_far(rollout: &Rollout, unread: &[String]) -> String {
    let counted = rollout
        .pods
        .map(|pods| format!("{} of {} pods are", pods.available, pods.wanted));
    let is_blind = rollout.trouble.is_none() && !unread.is_empty();
    let blind = is_blind.then(|| format!("you may not read {}", unread.join(", ")));
    let parts = counted.into_iter().chain(rollout.wrong()).chain(blind);
    let all: Vec<String> = parts.collect();
    if all.is_empty() {
        return "nothing is known of its pods".to_owned();
    }
    all.join("; ")
}

impl RolloutError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Trouble {
                last,
                name,
                namespace,
            }
            | Self::Timeout {
                last,
                name,
                namespace,
                ..
            } => remedy(last.trouble.as_ref(), &last.conditions, name, namespace)
                .or_else(|| self.last_resort()),
            Self::Deleted(_) => None,
        }
    }

    /// What to do when nothing is known to be wrong.
    fn last_resort(&self) -> Option<String> {
        match self {
            Self::Timeout {
                source: Some(error),
                ..
            } => error.hint(),
            Self::Timeout {
                name,
                namespace,
                last,
                ..
            } if last.trouble.is_none() => Some(format!(
                "look again with `mlrs deploy status {name} --namespace {namespace}`"
            )),
            _ => None,
        }
    }
}

impl Cluster {
    /// Waits until all pods of a deployment are of the newest kind and get requests, and until KServe
    /// says so too where it made them.
    ///
    /// What Kubernetes says of rollouts that took too long does not count: it is about the last one
    /// until the next one moves. A cluster that is away for a while is asked again.
    ///
    /// # Errors
    /// When a pod cannot start, the time is over, or the cluster cannot be asked.
    pub async fn wait(
        &self,
        name: &Name,
        workload: Workload,
        settings: RolloutSettings,
        progress: &mut dyn FnMut(&Rollout),
    ) -> Result<(), RolloutError> {
        let begun = Instant::now();
        let deadline = begun + settings.timeout;
        let mut last: Option<Rollout> = None;
        let mut version = String::new();
        let mut in_trouble_since = None;
        let mut notes = Notes::default();
        loop {
            let asked = Instant::now();
            let look = async {
                match workload {
                    Workload::Deployment => self.look(name, &mut notes).await,
                    Workload::InferenceService => {
                        self.look_at_service(name, begun, &mut notes).await
                    }
                }
            };
            let unreachable = match timeout_at(deadline, look).await {
                Ok(Ok(look)) => {
                    progress(&look.rollout);
                    if look.is_done {
                        return Ok(());
                    }
                    in_trouble_since = look.is_lasting.then(|| in_trouble_since.unwrap_or(asked));
                    version = look.version;
                    last = Some(look.rollout);
                    None
                }
                Ok(Err(RolloutError::Cluster(error))) if error.is_passing() => Some(error),
                Ok(Err(error)) => return Err(error),
                // The time is over, which says nothing of a look that had just begun.
                Err(_) if asked.elapsed() < SHORT && last.is_some() => None,
                Err(_) => Some(ClusterError::Silent {
                    action: "read",
                    object: self.named(workload.kind().kind, name.as_ref()),
                }),
            };
            let is_hopeless =
                in_trouble_since.is_some_and(|since: Instant| since.elapsed() >= settings.patience);
            if let Some(last) = last.take_if(|_| is_hopeless) {
                return Err(RolloutError::Trouble {
                    name: name.to_string(),
                    namespace: self.namespace.clone(),
                    last: Box::new(last),
                });
            }
            if Instant::now() >= deadline {
                return Err(self.late(name, settings.timeout, last, notes, unreachable));
            }
            let until = deadline.min(Instant::now() + LOOK);
            self.changed(name, workload, &version, until).await;
        }
    }

    /// Why a rollout is not waited for any longer.
    fn late(
        &self,
        name: &Name,
        waited: Duration,
        last: Option<Rollout>,
        notes: Notes,
        unreachable: Option<ClusterError>,
    ) -> RolloutError {
        match (last, unreachable) {
            (None, Some(error)) => error.into(),
            (last, unreachable) => RolloutError::Timeout {
                name: name.to_string(),
                namespace: self.namespace.clone(),
                waited,
                last: Box::new(last.unwrap_or_default()),
                unread: notes.all_unread(),
                source: unreachable.map(Box::new),
            },
        }
    }

    /// How a Deployment is now.
    async fn look(&self, name: &Name, notes: &mut Notes) -> Result<Look, RolloutError> {
        let deployment = self.present(name).await?;
        let autoscaler = self.autoscaler(name, notes).await?;
        let pods = counts(&deployment, least(autoscaler.as_ref()));
        let is_done = is_done(&deployment, &pods);
        let trouble = if is_done {
            None
        } else {
            self.trouble(name, &deployment, notes).await?
        };
        Ok(Look {
            is_done,
            is_lasting: trouble.as_ref().is_some_and(|it| it.is_lasting),
            version: deployment.metadata.resource_version.unwrap_or_default(),
            rollout: Rollout {
                pods: Some(pods),
                trouble,
                ..Rollout::default()
            },
        })
    }

    async fn present(&self, name: &Name) -> Result<Deployment, RolloutError> {
        let what = || self.named("Deployment", name.as_ref());
        let found = self.typed::<Deployment>().get_opt(name.as_ref()).await;
        found
            .map_err(|error| ClusterError::of("read", what(), error))?
            .ok_or_else(|| RolloutError::Deleted(name.to_string()))
    }

    /// Waits until what is watched is another one, or for some time. A watch that fails only costs
    /// the news: the next look asks for everything.
    async fn changed(&self, name: &Name, workload: Workload, version: &str, until: Instant) {
        let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
        let watched = self.of_kind(&workload.kind());
        let news = async {
            // Without a version there is nothing that news could be about.
            if !version.is_empty()
                && let Ok(events) = watched.watch(&parameters, version).await
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
}

/// The least number of pods that an autoscaler leaves.
pub(super) fn least(autoscaler: Option<&HorizontalPodAutoscaler>) -> u32 {
    let spec = autoscaler.and_then(|autoscaler| autoscaler.spec.as_ref());
    spec.map_or(0, |spec| number(spec.min_replicas.or(Some(1))))
}

pub(super) fn number(number: Option<i32>) -> u32 {
    u32::try_from(number.unwrap_or(0)).unwrap_or(0)
}

/// Pods, as the Deployment counts them. An autoscaler that has not looked yet is going to want its
/// lowest number; a Deployment without pods it leaves alone.
pub(super) fn counts(deployment: &Deployment, least: u32) -> PodCounts {
    let status = deployment.status.clone().unwrap_or_default();
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let replicas = number(replicas.or(Some(1)));
    let updated = number(status.updated_replicas);
    let old = number(status.replicas).saturating_sub(updated);
    PodCounts {
        wanted: if replicas == 0 {
            0
        } else {
            replicas.max(least)
        },
        updated,
        // Those of the old kind count as available as well.
        available: number(status.available_replicas).saturating_sub(old),
        old,
    }
}

/// Whether what the Deployment counts is about its newest specification, and all are there and no
/// more.
pub(super) fn is_done(deployment: &Deployment, pods: &PodCounts) -> bool {
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation);
    seen >= deployment.metadata.generation
        && pods.updated == pods.wanted
        && pods.old == 0
        && pods.available >= pods.wanted
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
        let pods = counts(&deployment, super::least(autoscaler.as_ref()));
        is_done(&deployment, &pods)
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
