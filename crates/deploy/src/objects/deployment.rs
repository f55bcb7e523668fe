//! The Deployment: so many pods, replaced one by one without ever having fewer.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{labels, metadata, pod, selector};
use crate::settings::{Scale, Settings};

/// Seconds without a new pod being ready after which a rollout has failed.
const PROGRESS_SECONDS: i32 = 600;

pub(super) fn deployment(settings: &Settings) -> Deployment {
    let rolling = RollingUpdateDeployment {
        max_surge: Some(IntOrString::Int(1)),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    Deployment {
        metadata: ObjectMeta {
            annotations: (!settings.annotations.is_empty()).then(|| settings.annotations.clone()),
            ..metadata(settings)
        },
        spec: Some(DeploymentSpec {
            // An autoscaler owns the number; a manifest that said it would set it back.
            replicas: match settings.scale {
                Scale::Replicas(count) => i32::try_from(count).ok(),
                Scale::Autoscale { .. } => None,
            },
            selector: selector(settings),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(rolling),
            }),
            progress_deadline_seconds: Some(PROGRESS_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(&settings.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::pod(settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
