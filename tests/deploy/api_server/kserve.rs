//! KServe's controller, in the mode in which it makes Deployments: from an InferenceService to what it
//! makes of it, and to what it says of that.
//!
//! Its labels and annotations go to the Deployment and to its pods. `Ready` follows the conditions of the
//! Deployment, so that it stays while old pods answer; `observedGeneration` is the Deployment's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::controller::{begin, end, owner};
use super::state::{Cluster, Key};

/// What KServe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KServe {
    /// What it is for.
    Works,
    /// Nothing: its controller does not run.
    Away,
    /// It refuses the runtime.
    Refuses,
    /// It cannot lead requests in.
    HasNoGateway,
}

const MOMENT: Duration = Duration::from_millis(150);

/// Follows a change of an InferenceService, a step after the other.
pub async fn serve(cluster: Arc<Mutex<Cluster>>, key: Key) {
    let (kserve, delay) = {
        let behaviour = &cluster.lock().unwrap().behaviour;
        (behaviour.kserve, behaviour.kserve_delay)
    };
    tokio::time::sleep(delay).await;
    match kserve {
        KServe::Away => return,
        KServe::Refuses => {
            let status = json!({
                "conditions": [condition("Ready", "Unknown", "", "")],
                "modelStatus": {
                    "transitionStatus": "InvalidSpec",
                    "states": {"activeModelState": "", "targetModelState": "FailedToLoad"},
                    "lastFailureInfo": {"reason": "RuntimeDisabled", "message": "Specified runtime is disabled"},
                },
            });
            cluster
                .lock()
                .unwrap()
                .change(&key, |service| service["status"] = status);
            return;
        }
        KServe::Works | KServe::HasNoGateway => {}
    }
    let Some(predictor) = make(&mut cluster.lock().unwrap(), &key) else {
        return;
    };
    tokio::time::sleep(MOMENT).await;
    let set = {
        let mut cluster = cluster.lock().unwrap();
        let set = begin(&mut cluster, &predictor);
        propagate(&mut cluster, &key, &predictor);
        set
    };
    tokio::time::sleep(MOMENT).await;
    if let Some(set) = set {
        let mut cluster = cluster.lock().unwrap();
        end(&mut cluster, &predictor, &set);
        propagate(&mut cluster, &key, &predictor);
    }
}

/// Makes the objects of a service; gives the Deployment among them.
fn make(cluster: &mut Cluster, key: &Key) -> Option<Key> {
    let service = cluster.objects.get(key)?.body.clone();
    let asked = &service["spec"]["predictor"];
    let name = format!("{}-predictor", key.2);
    let metadata = json!({
        "name": name, "labels": service["metadata"]["labels"],
        "annotations": service["metadata"]["annotations"], "ownerReferences": [owner(&service)],
    });
    let predictor = (key.0.clone(), "deployments".to_owned(), name.clone());
    let before = cluster.objects.get(&predictor).map(|it| it.body.clone());
    let mut deployment = before.unwrap_or_else(|| json!({"spec": {"replicas": 1}}));
    let (min, max) = (&asked["minReplicas"], &asked["maxReplicas"]);
    let replicas = deployment["spec"]["replicas"].as_u64().unwrap();
    let replicas = replicas.clamp(min.as_u64().unwrap(), max.as_u64().unwrap());
    let containers = if asked["model"].is_null() {
        asked["containers"].clone()
    } else {
        let runtime = cluster.find(
            &key.0,
            "servingruntimes",
            asked["model"]["runtime"].as_str()?,
        );
        runtime?.body["spec"]["containers"].clone()
    };
    deployment["apiVersion"] = json!("apps/v1");
    deployment["kind"] = json!("Deployment");
    for (field, value) in metadata.as_object().unwrap() {
        deployment["metadata"][field] = value.clone();
    }
    deployment["spec"] = json!({
        "replicas": replicas,
        "selector": {"matchLabels": {"app": format!("isvc.{name}")}},
        "template": {
            "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]},
            "spec": {"containers": containers},
        },
    });
    cluster.put(&key.0, "deployments", deployment);
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata,
        "spec": {"minReplicas": min, "maxReplicas": max},
    });
    cluster.put(&key.0, "horizontalpodautoscalers", autoscaler);
    for name in [&name, &key.2] {
        let mut metadata = metadata.clone();
        metadata["name"] = json!(name);
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}});
        cluster.put(&key.0, "services", service);
    }
    Some(predictor)
}

fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

/// Says of a service what its Deployment says of its pods.
fn propagate(cluster: &mut Cluster, key: &Key, predictor: &Key) {
    let Some(deployment) = cluster.objects.get(predictor).map(|it| it.body.clone()) else {
        return;
    };
    let said = |name: &str| {
        let conditions = deployment["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let found = conditions.find(|condition| condition["type"] == name);
        let text = |field: &str| {
            let value = found.map(|found| &found[field]);
            let value = value.and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        (text("status"), text("reason"), text("message"))
    };
    let failure = said("ReplicaFailure");
    let (status, reason, message) = if failure.0 == "True" {
        ("False".to_owned(), failure.1, failure.2)
    } else {
        said("Available")
    };
    let is_ready = status == "True";
    let ingress = if !is_ready {
        condition("IngressReady", "False", "Predictor ingress not created", "")
    } else if cluster.behaviour.kserve == KServe::HasNoGateway {
        condition(
            "IngressReady",
            "False",
            "HttpRouteNotReady",
            "predictor is not attached to the gateway kserve/ingress",
        )
    } else {
        condition("IngressReady", "True", "", "")
    };
    let all = match (ingress["status"].as_str(), is_ready) {
        (Some("True"), true) => condition("Ready", "True", "", ""),
        _ => condition("Ready", "False", "NotAll", ""),
    };
    let url = (all["status"] == "True").then_some("http://iris-models.example.com");
    let said = json!({
        "conditions": [
            ingress, condition("PredictorReady", &status, &reason, &message), all,
            condition("Stopped", "False", "", ""),
        ],
        "observedGeneration": deployment["status"]["observedGeneration"],
        "deploymentMode": "RawDeployment",
        "address": {"url": format!("http://{}.{}.svc.cluster.local", predictor.2, key.0)},
        "modelStatus": {"transitionStatus": if is_ready { "UpToDate" } else { "InProgress" }},
    });
    cluster.change(key, |service| {
        let before = service["status"]["url"].clone();
        service["status"] = said;
        // It stays when a service is no longer ready.
        match url {
            Some(url) => service["status"]["url"] = json!(url),
            None if before.is_string() => service["status"]["url"] = before,
            None => {}
        }
    });
}
