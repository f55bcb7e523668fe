//! Server-side apply: objects as they should be, under the field manager `mlrs`.
//!
//! What mlrs made for the deployment earlier and is no longer asked for stays, but for an autoscaler that
//! would set another number of pods: deleting is [`Cluster::prune`].

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::error::conflicts;
use super::{Cluster, ClusterError, is_ours};
use crate::objects::{Kind, MANAGER, Object};

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplySettings {
    /// The API server checks, and changes nothing.
    pub dry_run: bool,
    /// Fields that other programs manage are taken over.
    pub force_conflicts: bool,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What happened.
    pub outcome: Outcome,
}

impl Applied {
    pub(super) fn of(kind: &Kind, name: &str, outcome: Outcome) -> Self {
        Self {
            kind: kind.kind,
            name: name.to_owned(),
            outcome,
        }
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now, as asked.
    Applied,
    /// It was there, is no longer asked for, and is gone.
    Deleted,
}

impl Cluster {
    /// Makes the objects of a deployment what they should be.
    ///
    /// # Errors
    /// When the cluster lacks a kind, of which nothing is applied then, or refuses one. What was applied
    /// before that stays: applying again goes on.
    pub async fn apply(
        &self,
        objects: &[Object],
        settings: ApplySettings,
    ) -> Result<Vec<Applied>, ClusterError> {
        self.check_kinds(objects).await?;
        self.check_owners(objects).await?;
        let mut applied = Vec::with_capacity(objects.len());
        for object in objects {
            self.keep_replicas(object, settings).await?;
            let is_released = self.has_stale_autoscaler(object, objects).await?;
            self.apply_one(object, is_released, settings).await?;
            applied.push(Applied::of(&object.kind, &object.name, Outcome::Applied));
            if is_released && !settings.dry_run {
                applied.extend(self.delete_autoscaler(object, settings).await?);
            }
        }
        Ok(applied)
    }

    /// What somebody else made is not changed into something of ours, which `delete` would delete.
    async fn check_owners(&self, objects: &[Object]) -> Result<(), ClusterError> {
        for Object { kind, name, .. } in objects {
            let found = self.of_kind(kind).get_metadata_opt(name).await;
            let what = || self.named(kind.kind, name);
            let found = found.map_err(|error| ClusterError::of("read", what(), error))?;
            if found.is_some_and(|found| !is_ours(&found.metadata)) {
                return Err(ClusterError::NotOurs { object: what() });
            }
        }
        Ok(())
    }

    /// Kinds that the cluster does not know are an error before anything is changed: each was asked for.
    async fn check_kinds(&self, objects: &[Object]) -> Result<(), ClusterError> {
        for Object { kind, .. } in objects {
            if !self.knows(kind).await? {
                return Err(ClusterError::UnknownKind {
                    kind: kind.kind,
                    api_version: kind.api_version(),
                });
            }
        }
        Ok(())
    }

    /// Whether a Deployment says how many pods there are, and has an autoscaler from before, which
    /// would set another number.
    async fn has_stale_autoscaler(
        &self,
        object: &Object,
        objects: &[Object],
    ) -> Result<bool, ClusterError> {
        let kind = Kind::of::<HorizontalPodAutoscaler>();
        let is_fixed = object.kind.kind == "Deployment" && replicas_of(object).is_some();
        if !is_fixed || objects.iter().any(|other| other.kind == kind) {
            return Ok(false);
        }
        match self.of_kind(&kind).get_metadata_opt(&object.name).await {
            Ok(found) => Ok(found.is_some_and(|found| is_ours(&found.metadata))),
            // Who may not even look at one has made none.
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(false),
            Err(error) => {
                let what = self.named(kind.kind, &object.name);
                Err(ClusterError::of("read", what, error))
            }
        }
    }

    /// Deletes the autoscaler of a Deployment that says itself how many pods there are.
    ///
    /// Only after the Deployment: as long as the autoscaler is there, it is known whose number stands in
    /// the Deployment, and whoever is interrupted applies again without a conflict.
    async fn delete_autoscaler(
        &self,
        object: &Object,
        settings: ApplySettings,
    ) -> Result<Option<Applied>, ClusterError> {
        let kind = Kind::of::<HorizontalPodAutoscaler>();
        let is_deleted = self.delete_one(&kind, &object.name).await?;
        // It may have had the time to set its own number again.
        if self.replicas(&object.name).await? != replicas_of(object) {
            self.apply_one(object, true, settings).await?;
        }
        Ok(is_deleted.then(|| Applied::of(&kind, &object.name, Outcome::Deleted)))
    }

    /// How many pods a Deployment asks for, if it is there.
    async fn replicas(&self, name: &str) -> Result<Option<i64>, ClusterError> {
        let found = self.typed::<Deployment>().get_opt(name).await;
        let found = found
            .map_err(|error| ClusterError::of("read", self.named("Deployment", name), error))?;
        let spec = found.and_then(|found| found.spec);
        Ok(spec.and_then(|spec| spec.replicas).map(i64::from))
    }

    /// Applies an object. With `is_released`, the number of pods is that of an autoscaler of ours that
    /// is to go, and nobody else's.
    async fn apply_one(
        &self,
        object: &Object,
        is_released: bool,
        settings: ApplySettings,
    ) -> Result<(), ClusterError> {
        let result = self.patch(object, MANAGER, &object.body, settings).await;
        let forced = ApplySettings {
            force_conflicts: true,
            ..settings
        };
        let result = match result {
            // `mlrs deploy scale` owns what it has set; that is nobody else.
            Err(kube::Error::Api(status)) if is_conflict_with_nobody(&status, is_released) => {
                self.patch(object, MANAGER, &object.body, forced).await
            }
            other => other,
        };
        let what = || self.named(object.kind.kind, &object.name);
        result
            .map(drop)
            .map_err(|error| ClusterError::of("apply", what(), error))
    }

    async fn patch(
        &self,
        object: &Object,
        manager: &str,
        body: &Value,
        settings: ApplySettings,
    ) -> kube::Result<DynamicObject> {
        let parameters = PatchParams {
            dry_run: settings.dry_run,
            force: settings.force_conflicts,
            ..PatchParams::apply(manager).validation_strict()
        };
        let api = self.of_kind(&object.kind);
        api.patch(&object.name, &parameters, &Patch::Apply(body))
            .await
    }

    /// Leaves the number of pods as it is when an autoscaler takes over: a manager that no longer
    /// says a field deletes it, and the default is one pod.
    async fn keep_replicas(
        &self,
        object: &Object,
        settings: ApplySettings,
    ) -> Result<(), ClusterError> {
        let is_fixed = replicas_of(object).is_some();
        if object.kind.kind != "Deployment" || is_fixed || settings.dry_run {
            return Ok(());
        }
        let Some(replicas) = self.replicas(&object.name).await? else {
            return Ok(());
        };
        let what = || self.named("Deployment", &object.name);
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": object.name},
            "spec": {"replicas": replicas},
        });
        let forced = ApplySettings {
            force_conflicts: true,
            ..settings
        };
        let kept = self.patch(object, "mlrs-autoscale", &body, forced).await;
        kept.map(drop)
            .map_err(|error| ClusterError::of("apply", what(), error))
    }
}

/// How many pods an object asks for.
fn replicas_of(object: &Object) -> Option<i64> {
    object.body["spec"]["replicas"].as_i64()
}

/// Whether all that stands in the way was set by mlrs in another way, or by an autoscaler that is to go.
fn is_conflict_with_nobody(status: &kube::core::Status, is_released: bool) -> bool {
    let conflicts = conflicts(status);
    !conflicts.is_empty()
        && conflicts.iter().all(|(field, message)| {
            message.starts_with("conflict with \"mlrs")
                || (is_released && *field == ".spec.replicas")
        })
}
