//! What KServe says of an `InferenceService`: its status, and what in it is not so.

use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    conditions: Vec<StatusCondition>,
    pub url: Option<String>,
    pub address: Option<Address>,
    #[serde(rename = "modelStatus")]
    model: Option<ModelStatus>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Address {
    pub url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct StatusCondition {
    #[serde(rename = "type")]
    name: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct ModelStatus {
    transition_status: String,
    last_failure_info: Option<Failure>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Failure {
    reason: Option<String>,
    message: Option<String>,
}

/// Something that KServe says is not so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Which: `PredictorReady`, `IngressReady`; or what became of the model, such as `InvalidSpec`.
    pub name: String,
    /// KServe's word for why.
    pub reason: Option<String>,
    /// What else it says.
    pub message: Option<String>,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.name)?;
        let said = [self.reason.as_deref(), self.message.as_deref()];
        let mut said = said.into_iter().flatten().map(str::trim);
        said.try_for_each(|text| match text {
            "" => Ok(()),
            text => write!(formatter, ": {text}"),
        })
    }
}

/// The condition that is about all others.
const READY: &str = "Ready";
/// The condition that is about the way to the pods, which waits for them.
const INGRESS: &str = "IngressReady";
/// What KServe says when it was told to stop a service; it is false when all is well.
const STOPPED: &str = "Stopped";
/// What KServe says of a model that it will not serve as it is asked to.
const INVALID: &str = "InvalidSpec";
/// What KServe says of a model whose pods fail.
const BLOCKED: &str = "BlockedByFailedLoad";
/// What is said for KServe, when it says nothing.
const NOT_SEEN: &str = "KServe has said nothing of it yet";

impl Condition {
    fn of(condition: &StatusCondition) -> Self {
        Self {
            name: condition.name.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        }
    }

    fn not_seen() -> Self {
        Self {
            name: READY.to_owned(),
            reason: None,
            message: Some(NOT_SEEN.to_owned()),
        }
    }
}

/// What is wrong: the pod, which says most, and then what KServe says.
pub(super) fn wrong(trouble: Option<&Trouble>, conditions: &[Condition]) -> Vec<String> {
    let trouble = trouble.map(ToString::to_string);
    let conditions = conditions.iter().map(ToString::to_string);
    trouble.into_iter().chain(conditions).collect()
}

/// What to do about what is wrong with a deployment.
pub(super) fn remedy(
    trouble: Option<&Trouble>,
    conditions: &[Condition],
    name: &str,
    namespace: &str,
) -> Option<String> {
    let of_pod = trouble.and_then(Trouble::hint);
    of_pod.or_else(|| hint_of(conditions, name, namespace))
}

/// What to do about what KServe says of a deployment.
fn hint_of(conditions: &[Condition], name: &str, namespace: &str) -> Option<String> {
    let first = conditions.first()?;
    if first.message.as_deref() == Some(NOT_SEEN) {
        let hint = "check that KServe runs: `kubectl get pods --all-namespaces \
                    --selector control-plane=kserve-controller-manager`";
        return Some(hint.to_owned());
    }
    if first.name == INVALID {
        return Some(format!(
            "see what KServe says: `kubectl describe inferenceservice {name} \
             --namespace {namespace}`"
        ));
    }
    let is_ingress = |condition: &Condition| condition.name == INGRESS;
    conditions.iter().all(is_ingress).then(|| {
        "look at how KServe is told to lead requests in: `kubectl get configmap \
         inferenceservice-config --namespace kserve --output yaml`"
            .to_owned()
    })
}

impl Status {
    pub(super) fn is_ready(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| condition.name == READY && condition.status == "True")
    }

    /// Whether KServe refuses what it is asked for.
    pub(super) fn is_invalid(&self) -> bool {
        let model = self.model.as_ref();
        model.is_some_and(|model| model.transition_status == INVALID)
    }

    /// What is not so yet, as KServe says: of the model, of its pods, and of the way to them.
    pub(super) fn unmet(&self) -> Vec<Condition> {
        let unmet = |condition: &&StatusCondition| {
            condition.status != "True" && ![READY, STOPPED].contains(&condition.name.as_str())
        };
        let parts = self.conditions.iter().filter(unmet).map(Condition::of);
        let mut all: Vec<Condition> = self.failure().into_iter().chain(parts).collect();
        all.sort_by_key(|condition| condition.name == INGRESS);
        if all.is_empty() && !self.is_ready() {
            let whole = self.conditions.iter().find(|it| it.name == READY);
            all.push(whole.map_or_else(Condition::not_seen, Condition::of));
        }
        all
    }

    /// Why the model is not served.
    fn failure(&self) -> Option<Condition> {
        let model = self.model.as_ref()?;
        if ![INVALID, BLOCKED].contains(&model.transition_status.as_str()) {
            return None;
        }
        let failure = model.last_failure_info.clone().unwrap_or_default();
        Some(Condition {
            name: model.transition_status.clone(),
            reason: failure.reason,
            message: failure.message,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(status: Value) -> Vec<String> {
        let status: Status = serde_json::from_value(status).unwrap();
        status.unmet().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_so_is_said_and_what_is_well_is_not() {
        let condition = |name: &str, status: &str, reason: &str, message: &str| json!({"type": name, "status": status, "reason": reason, "message": message, "severity": ""});
        let well = json!({"conditions": [
            condition("PredictorReady", "True", "", ""), condition("Ready", "True", "", ""),
            condition("Stopped", "False", "", ""),
        ]});
        assert!(said(well).is_empty());
        let ill = json!({"conditions": [
            condition("IngressReady", "False", "Predictor ingress not created", ""),
            condition("PredictorReady", "Unknown", "ReplicaSetUpdated", "a set is progressing"),
            condition("Ready", "False", "Predictor ingress not created", ""),
            condition("Stopped", "False", "", ""),
        ]});
        assert_eq!(
            said(ill),
            [
                "PredictorReady: ReplicaSetUpdated: a set is progressing",
                "IngressReady: Predictor ingress not created",
            ]
        );
        let refused = json!({"modelStatus": {
            "transitionStatus": "InvalidSpec",
            "lastFailureInfo": {"reason": "NoSupportingRuntime", "message": "no runtime"},
        }});
        assert_eq!(
            said(refused),
            ["InvalidSpec: NoSupportingRuntime: no runtime"]
        );
        assert_eq!(
            said(json!({})),
            ["Ready: KServe has said nothing of it yet"]
        );
    }
}
