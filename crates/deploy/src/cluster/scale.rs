//! Changing how many pods there are, without touching anything else.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Cluster, ClusterError};
use crate::names::Name;
use crate::objects::MANAGER;
use crate::settings::Scale;

/// Why the number of pods was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// The cluster did not do it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An autoscaler would set it back.
    #[error("the autoscaler of `{0}` decides how many pods there are")]
    Autoscaled(String),
    /// There is no autoscaler to change.
    #[error("`{0}` has no autoscaler")]
    NotAutoscaled(String),
}

impl ScaleError {
    /// What to do instead.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Cluster(error) => return error.hint(),
            Self::Autoscaled(_) => {
                "change its range with --autoscale, or deploy again with --replicas, which deletes it"
                    .to_owned()
            }
            Self::NotAutoscaled(_) => "deploy again with --autoscale, which makes one".to_owned(),
        })
    }
}

impl Cluster {
    /// Sets the number of pods, or the range that an autoscaler may use.
    ///
    /// # Errors
    /// When there is no such deployment, or its number is decided in the other way.
    pub async fn scale(&self, name: &Name, scale: Scale) -> Result<(), ScaleError> {
        self.deployment(name).await?;
        let autoscalers = self.typed::<HorizontalPodAutoscaler>();
        let named = |kind| self.named(kind, name.as_ref());
        let found = autoscalers.get_opt(name.as_ref()).await;
        let found = found
            .map_err(|error| ClusterError::of("read", named("HorizontalPodAutoscaler"), error))?;
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match (scale, found.is_some()) {
            (Scale::Replicas(_), true) => Err(ScaleError::Autoscaled(name.to_string())),
            (Scale::Autoscale { .. }, false) => Err(ScaleError::NotAutoscaled(name.to_string())),
            (Scale::Replicas(replicas), false) => {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                let deployments = self.typed::<Deployment>();
                let scaled = deployments
                    .patch_scale(name.as_ref(), &parameters, &patch)
                    .await;
                scaled.map_err(|error| ClusterError::of("scale", named("Deployment"), error))?;
                Ok(())
            }
            (Scale::Autoscale { min, max, target }, true) => {
                let metric = json!({"type": "Resource", "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": target},
                }});
                let patch = Patch::Merge(json!({
                    "spec": {"minReplicas": min, "maxReplicas": max, "metrics": [metric]},
                }));
                let changed = autoscalers.patch(name.as_ref(), &parameters, &patch).await;
                changed.map_err(|error| {
                    ClusterError::of("change", named("HorizontalPodAutoscaler"), error)
                })?;
                Ok(())
            }
        }
    }
}
