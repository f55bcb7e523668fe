//! Changing how many pods there are, without touching anything else.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::inference::InferenceService;
use super::{Cluster, ClusterError, Found, Workload};
use crate::kserve::INFERENCE_SERVICE;
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
    /// KServe runs at least one pod.
    #[error("KServe runs at least one pod of `{0}`")]
    NeverNone(String),
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
            Self::NeverNone(name) => {
                format!("ask for --replicas 1, or delete it: `mlrs deploy delete {name}`")
            }
        })
    }
}

impl Cluster {
    /// Sets the number of pods, or the range that an autoscaler may use; says what it was set of.
    ///
    /// # Errors
    /// When there is no such deployment, or its number is decided in the other way.
    pub async fn scale(&self, name: &Name, scale: Scale) -> Result<Workload, ScaleError> {
        match self.found(name).await? {
            Found::Deployment(_) => {
                self.scale_deployment(name, scale).await?;
                Ok(Workload::Deployment)
            }
            Found::Service(service) => {
                self.scale_service(name, &service, scale).await?;
                Ok(Workload::InferenceService)
            }
        }
    }

    async fn scale_deployment(&self, name: &Name, scale: Scale) -> Result<(), ScaleError> {
        let autoscalers = self.typed::<HorizontalPodAutoscaler>();
        let named = |kind| self.named(kind, name.as_ref());
        let found = match (autoscalers.get_opt(name.as_ref()).await, scale) {
            // Who may not even look at one has made none.
            (Err(kube::Error::Api(status)), Scale::Replicas(_)) if status.code == 403 => None,
            (found, _) => found.map_err(|error| {
                ClusterError::of("read", named("HorizontalPodAutoscaler"), error)
            })?,
        };
        let parameters = parameters();
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

    /// KServe takes the numbers to its autoscaler.
    async fn scale_service(
        &self,
        name: &Name,
        service: &InferenceService,
        scale: Scale,
    ) -> Result<(), ScaleError> {
        let predictor = &service.spec.predictor;
        let is_autoscaled = predictor.is_autoscaled();
        let has_target = predictor.scale_target.is_some();
        let predictor = match scale {
            Scale::Replicas(0) => return Err(ScaleError::NeverNone(name.to_string())),
            Scale::Replicas(_) if is_autoscaled => {
                return Err(ScaleError::Autoscaled(name.to_string()));
            }
            Scale::Autoscale { .. } if !has_target => {
                return Err(ScaleError::NotAutoscaled(name.to_string()));
            }
            Scale::Replicas(replicas) => {
                json!({"minReplicas": replicas, "maxReplicas": replicas})
            }
            Scale::Autoscale { min, max, target } => {
                json!({"minReplicas": min, "maxReplicas": max, "scaleTarget": target})
            }
        };
        let patch = Patch::Merge(json!({"spec": {"predictor": predictor}}));
        let services = self.of_kind(&INFERENCE_SERVICE);
        let changed = services.patch(name.as_ref(), &parameters(), &patch).await;
        changed.map(drop).map_err(|error| {
            let what = self.named(INFERENCE_SERVICE.kind, name.as_ref());
            ClusterError::of("scale", what, error).into()
        })
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
