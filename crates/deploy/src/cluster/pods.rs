//! What is seen of a deployment beside its own counts: its autoscaler, its pods, and what is wrong with
//! them.
//!
//! All of it only says more of what the deployment says itself. Who may not read it does without, and
//! what that was is noted in [`Notes`].

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use tokio::time::Instant;

use super::inference::ServiceLook;
use super::trouble::{Trouble, is_ready, of_pod};
use super::{Cluster, ClusterError};
use crate::names::Name;
use crate::objects::{INSTANCE, Kind};

/// The annotation with the number of a revision.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// How long events are taken for new.
const RECENT: Duration = Duration::from_secs(1);

/// What looks leave behind: what events say of a pod, and when they were asked for.
#[derive(Debug, Default)]
pub(super) struct Notes {
    asked: Option<Instant>,
    said: Option<Trouble>,
    unread: BTreeSet<String>,
}

impl Notes {
    /// Notes that objects of a kind may not be read.
    pub(super) fn unread(&mut self, kind: &Kind) {
        self.unread.insert(kind.resource());
    }

    /// What was found of a kind; nothing, and a note of it, when it may not be read.
    pub(super) fn readable<T: Default>(
        &mut self,
        kind: &Kind,
        found: kube::Result<T>,
    ) -> kube::Result<T> {
        match found {
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.unread(kind);
                Ok(T::default())
            }
            found => found,
        }
    }

    /// The kinds that may not be read, by their plural names and groups.
    pub(super) fn all_unread(self) -> Vec<String> {
        self.unread.into_iter().collect()
    }
}

impl Cluster {
    /// The autoscaler of a deployment; none when it may not be read.
    pub(super) async fn autoscaler(
        &self,
        name: &Name,
        notes: &mut Notes,
    ) -> Result<Option<HorizontalPodAutoscaler>, ClusterError> {
        let autoscalers = self.typed::<HorizontalPodAutoscaler>();
        let kind = Kind::of::<HorizontalPodAutoscaler>();
        let found = autoscalers.get_opt(name.as_ref()).await;
        notes
            .readable(&kind, found)
            .map_err(|error| ClusterError::of("read", self.named(kind.kind, name.as_ref()), error))
    }

    /// What keeps a pod of the newest kind from being ready.
    pub(super) async fn trouble(
        &self,
        name: &Name,
        deployment: &Deployment,
        notes: &mut Notes,
    ) -> Result<Option<Trouble>, ClusterError> {
        let pods = self.newest_pods(name, deployment, notes).await?;
        let worst = self.worst(&pods, notes).await?;
        Ok(worst.or_else(|| refused_pods(deployment)))
    }

    /// What keeps a pod of an InferenceService from being ready. Those of an older template say nothing
    /// of the new one.
    pub(super) async fn trouble_of_service(
        &self,
        name: &Name,
        look: &ServiceLook,
        notes: &mut Notes,
    ) -> Result<Option<Trouble>, ClusterError> {
        if look.is_current == Some(false) {
            return Ok(None);
        }
        if let Some(deployment) = &look.predictor {
            return self.trouble(name, deployment, notes).await;
        }
        let mut pods = self.pods(name, notes).await?;
        pods.retain(|pod| look.is_new(pod));
        self.worst(&pods, notes).await
    }

    /// What is worst of what keeps pods from being ready.
    async fn worst(
        &self,
        pods: &[Pod],
        notes: &mut Notes,
    ) -> Result<Option<Trouble>, ClusterError> {
        let troubles = pods.iter().filter_map(|pod| of_pod(pod, &[]));
        let worst = troubles.max_by_key(|trouble| trouble.is_lasting);
        match pods.iter().find(|pod| !is_ready(pod)) {
            Some(pod) if worst.is_none() => self.warning(pod, notes).await,
            _ => Ok(worst),
        }
    }

    /// What the last warning about a pod says. Events are many: only those of one pod are asked for,
    /// and not at every change.
    async fn warning(&self, pod: &Pod, notes: &mut Notes) -> Result<Option<Trouble>, ClusterError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let is_recent = notes.asked.is_some_and(|at| at.elapsed() < RECENT);
        if !is_recent {
            let parameters = ListParams::default()
                .fields(&format!("involvedObject.name={name},type=Warning"))
                .limit(50);
            let events: Vec<Event> = self.readable(&parameters, notes).await?;
            notes.asked = Some(Instant::now());
            notes.said = of_pod(pod, &events);
        }
        Ok(notes.said.clone().filter(|said| said.pod == name))
    }

    /// The pods that the newest template made; those of older ones are on their way out.
    async fn newest_pods(
        &self,
        name: &Name,
        deployment: &Deployment,
        notes: &mut Notes,
    ) -> Result<Vec<Pod>, ClusterError> {
        let of_instance = ListParams::default().labels(&format!("{INSTANCE}={name}"));
        let newest = revision(&deployment.metadata);
        let sets: Vec<ReplicaSet> = self.readable(&of_instance, notes).await?;
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
        let mut pods = self.pods(name, notes).await?;
        pods.retain(is_of_it);
        Ok(pods)
    }

    /// The pods of a deployment; none when they may not be listed.
    pub(super) async fn pods(
        &self,
        name: &Name,
        notes: &mut Notes,
    ) -> Result<Vec<Pod>, ClusterError> {
        let of_instance = ListParams::default().labels(&format!("{INSTANCE}={name}"));
        self.readable(&of_instance, notes).await
    }

    /// Objects that only say more of what the Deployment says itself: none when they may not be listed.
    pub(super) async fn readable<T>(
        &self,
        which: &ListParams,
        notes: &mut Notes,
    ) -> Result<Vec<T>, ClusterError>
    where
        T: k8s_openapi::Resource<Scope = NamespaceResourceScope>,
        T: k8s_openapi::Metadata<Ty = ObjectMeta>,
        T: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let kind = Kind::of::<T>();
        let listed = self.typed::<T>().list(which).await;
        notes
            .readable(&kind, listed.map(|listed| listed.items))
            .map_err(|error| ClusterError::of("list", self.all_of(&kind), error))
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
        namespace: deployment.metadata.namespace.clone().unwrap_or_default(),
        container: None,
        reason: failure
            .reason
            .clone()
            .unwrap_or_else(|| "FailedCreate".to_owned()),
        message: failure.message.clone(),
        is_lasting: true,
    })
}
