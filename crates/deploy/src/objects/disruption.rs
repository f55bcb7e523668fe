//! The PodDisruptionBudget: nodes are emptied one pod at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata, selector};
use crate::settings::Settings;

/// The budget; none for a single pod, whose node could never be emptied.
pub(super) fn budget(settings: &Settings) -> Option<PodDisruptionBudget> {
    (settings.scale.least() > 1).then(|| PodDisruptionBudget {
        metadata: metadata(settings),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(settings)),
            // A pod that does not work holds up nobody.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
