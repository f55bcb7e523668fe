//! The HorizontalPodAutoscaler: as many pods as their processors are busy.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::metadata;
use crate::settings::{Scale, Settings};

/// The autoscaler, if there is to be one.
pub(super) fn autoscaler(settings: &Settings) -> Option<HorizontalPodAutoscaler> {
    let Scale::Autoscale { min, max, target } = settings.scale else {
        return None;
    };
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let use_of_processors = MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(number(target)),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    Some(HorizontalPodAutoscaler {
        metadata: metadata(settings),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: settings.name.to_string(),
            },
            min_replicas: Some(number(min)),
            max_replicas: number(max),
            metrics: Some(vec![use_of_processors]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    })
}
