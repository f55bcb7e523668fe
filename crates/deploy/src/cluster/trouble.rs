//! Why a pod does not start, in words and with a remedy: from its state and its events.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::objects::CONTAINER;

/// Bytes of a message that are shown; logs come at their end.
const MESSAGE_LENGTH: usize = 2000;

/// What keeps a pod from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The pod.
    pub pod: String,
    /// Its namespace.
    #[serde(skip)]
    pub namespace: String,
    /// The container, if it is about one.
    pub container: Option<String>,
    /// Kubernetes' word for it, such as `ImagePullBackOff`.
    pub reason: String,
    /// What else is known, such as the last words of a container that ended.
    pub message: Option<String>,
    /// Whether nothing in the cluster is going to change it by itself.
    #[serde(skip)]
    pub is_lasting: bool,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "pod `{}`", self.pod)?;
        if let Some(container) = self.container.as_deref().filter(|name| *name != CONTAINER) {
            write!(formatter, ", container `{container}`")?;
        }
        write!(formatter, ": {}", self.reason)?;
        match &self.message {
            Some(message) => write!(formatter, ": {message}"),
            None => Ok(()),
        }
    }
}

impl Trouble {
    fn of(
        pod: &ObjectMeta,
        container: Option<&str>,
        reason: &str,
        message: Option<&str>,
        is_lasting: bool,
    ) -> Self {
        Self {
            pod: pod.name.clone().unwrap_or_default(),
            namespace: pod.namespace.clone().unwrap_or_default(),
            container: container.map(str::to_owned),
            reason: reason.to_owned(),
            message: message.map(shown),
            is_lasting,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self { pod, namespace, .. } = self;
        Some(match self.reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                "check that the image is there, and that nodes may pull it (--image-pull-secret)"
                    .to_owned()
            }
            "OOMKilled" => "give it more memory: --resources cpu=…,memory=…".to_owned(),
            "CrashLoopBackOff" | "Error" | "ContainerCannotRun" => {
                let container = self.container.as_deref().unwrap_or(CONTAINER);
                format!(
                    "see what it wrote: `kubectl logs {pod} -c {container} --previous --namespace {namespace}`"
                )
            }
            "Unschedulable" => {
                "ask for less with --resources, or give the cluster another node".to_owned()
            }
            "CreateContainerConfigError" => {
                "make the Secret that it names, in the same namespace".to_owned()
            }
            "Unhealthy" => {
                let container = self.container.as_deref().unwrap_or(CONTAINER);
                format!(
                    "see what it wrote: `kubectl logs {pod} -c {container} --namespace {namespace}`"
                )
            }
            "FailedCreate" => {
                "look at the quotas and policies of the namespace, and at the service account"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

/// What keeps a pod from being ready; nothing when it is ready, or on its way.
pub(super) fn of_pod(pod: &Pod, events: &[Event]) -> Option<Trouble> {
    let about = &pod.metadata;
    let status = pod.status.as_ref()?;
    if is_ready(pod) {
        return None;
    }
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .find(|condition| condition.reason.as_deref() == Some("Unschedulable"));
    if let Some(condition) = unscheduled {
        // A node may be on its way.
        let message = condition.message.as_deref();
        return Some(Trouble::of(about, None, "Unschedulable", message, false));
    }
    let first = status.init_container_statuses.iter().flatten();
    let then = status.container_statuses.iter().flatten();
    let mut containers = first.chain(then);
    containers
        .find_map(|container| of_container(about, container))
        .or_else(|| of_events(about, events))
}

fn of_container(pod: &ObjectMeta, status: &ContainerStatus) -> Option<Trouble> {
    let trouble = |reason: &str, message: Option<&str>, is_lasting| {
        Trouble::of(pod, Some(&status.name), reason, message, is_lasting)
    };
    let state = status.state.as_ref()?;
    if let Some(ended) = state
        .terminated
        .as_ref()
        .filter(|ended| ended.exit_code != 0)
    {
        return Some(trouble(reason_of(ended), Some(&last_words(ended)), false));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    match reason {
        "CrashLoopBackOff" => {
            let ended = status
                .last_state
                .as_ref()
                .and_then(|state| state.terminated.as_ref());
            let Some(ended) = ended else {
                return Some(trouble(reason, waiting.message.as_deref(), true));
            };
            let reason = match reason_of(ended) {
                "OOMKilled" => "OOMKilled",
                _ => reason,
            };
            Some(trouble(reason, Some(&last_words(ended)), true))
        }
        "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError" => Some(trouble(reason, waiting.message.as_deref(), true)),
        // The first try; the second one is called otherwise.
        "ErrImagePull" => Some(trouble(reason, waiting.message.as_deref(), false)),
        _ => None,
    }
}

fn reason_of(ended: &ContainerStateTerminated) -> &str {
    ended.reason.as_deref().unwrap_or("Error")
}

/// How a container ended, and the end of what it wrote.
fn last_words(ended: &ContainerStateTerminated) -> String {
    let how = match ended.signal {
        Some(signal) => format!("ended by signal {signal}"),
        None => format!("exit code {}", ended.exit_code),
    };
    let words = ended.message.as_deref().map(str::trim).unwrap_or_default();
    if words.is_empty() {
        how
    } else {
        format!("{how}: {words}")
    }
}

/// The last warning about a pod.
fn of_events(pod: &ObjectMeta, events: &[Event]) -> Option<Trouble> {
    let about = events.iter().filter(|event| {
        event.involved_object.name == pod.name && event.type_.as_deref() == Some("Warning")
    });
    let last = about.max_by_key(|event| {
        let time = event
            .last_timestamp
            .as_ref()
            .or(event.first_timestamp.as_ref());
        let micro = event.event_time.as_ref().map(|time| time.0);
        micro.max(time.map(|time| time.0))
    })?;
    // `spec.containers{model}` or `spec.initContainers{pull}`
    let path = last.involved_object.field_path.as_deref();
    let named = path.and_then(|path| path.split_once('{'));
    let container = named.and_then(|(_, name)| name.strip_suffix('}'));
    let reason = last.reason.as_deref().unwrap_or("Warning");
    let message = last.message.as_deref();
    Some(Trouble::of(pod, container, reason, message, false))
}

/// Whether a pod gets requests.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .flatten();
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A message without surrounding space, cut at its beginning if it is too long.
fn shown(message: &str) -> String {
    let message = message.trim();
    let begin = message.len().saturating_sub(MESSAGE_LENGTH);
    let begin = (begin..=message.len())
        .find(|at| message.is_char_boundary(*at))
        .unwrap_or(message.len());
    if begin == 0 {
        message.to_owned()
    } else {
        format!("… {}", &message[begin..])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "iris-1"}, "status": status})).unwrap()
    }

    fn said(status: &Value) -> String {
        of_pod(&pod(status), &[]).map_or_else(
            || "nothing".to_owned(),
            |trouble| {
                let lasting = if trouble.is_lasting { " (lasting)" } else { "" };
                format!("{trouble}{lasting}")
            },
        )
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!([{"name": "model", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
                "state": state, "lastState": last}])
    }

    #[test]
    fn a_pod_that_starts_has_no_trouble() {
        assert_eq!(said(&json!({"phase": "Pending"})), "nothing");
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(
            said(&json!({"containerStatuses": container(&creating, &json!({}))})),
            "nothing"
        );
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(said(&ready), "nothing");
    }

    #[test]
    fn what_a_container_waits_for_is_named() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}});
        assert_eq!(
            said(&json!({"containerStatuses": container(&waiting, &json!({}))})),
            "pod `iris-1`: ImagePullBackOff: Back-off pulling image \"x\" (lasting)"
        );
        let waiting = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"s\" not found"}});
        assert_eq!(
            said(
                &json!({"initContainerStatuses": [{"name": "pull", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": waiting}]})
            ),
            "pod `iris-1`, container `pull`: CreateContainerConfigError: secret \"s\" not found (lasting)"
        );
    }

    #[test]
    fn a_crash_has_last_words() {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "error: there is no model\n"}});
        assert_eq!(
            said(&json!({"containerStatuses": container(&waiting, &ended)})),
            "pod `iris-1`: CrashLoopBackOff: exit code 1: error: there is no model (lasting)"
        );
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        assert_eq!(
            said(&json!({"containerStatuses": container(&waiting, &killed)})),
            "pod `iris-1`: OOMKilled: exit code 137 (lasting)"
        );
        let long = format!("{}end", "ü".repeat(5000));
        let ended = json!({"terminated": {"exitCode": 1, "message": long}});
        let trouble = of_pod(
            &pod(&json!({"containerStatuses": container(&waiting, &ended)})),
            &[],
        );
        let message = trouble.unwrap().message.unwrap();
        assert!(
            message.len() < 2100 && message.ends_with("end"),
            "{message}"
        );
    }

    #[test]
    fn a_pod_without_a_node_and_a_pod_that_is_not_ready() {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"});
        assert_eq!(
            said(&json!({"conditions": [condition]})),
            "pod `iris-1`: Unschedulable: 0/3 nodes are available"
        );
        let event = |at: &str, message: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "type": "Warning", "reason": "Unhealthy", "message": message, "lastTimestamp": at,
                "involvedObject": {"name": "iris-1", "fieldPath": "spec.containers{kserve-container}"},
            }))
            .unwrap()
        };
        let events = [
            event("2026-01-01T00:00:09Z", "Startup probe failed: 503"),
            event("2026-01-01T00:00:01Z", "an older one"),
        ];
        let running =
            pod(&json!({"containerStatuses": container(&json!({"running": {}}), &json!({}))}));
        let trouble = of_pod(&running, &events).unwrap();
        assert_eq!(
            trouble.to_string(),
            "pod `iris-1`, container `kserve-container`: Unhealthy: Startup probe failed: 503"
        );
        let hint = trouble.hint().unwrap();
        assert!(hint.contains("kubectl logs iris-1 -c kserve-container"));
    }
}
