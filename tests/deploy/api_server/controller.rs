//! The controllers: from a Deployment to a set of pods, and what becomes of those.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::state::{Cluster, Key};

/// What becomes of new pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are ready after a moment.
    Ready,
    /// Their image cannot be pulled.
    NoImage,
    /// Their server ends at once.
    Crash,
    /// Their server is killed for memory.
    OutOfMemory,
    /// No node has room.
    NoRoom,
    /// A Secret is not there.
    NoSecret,
    /// They are not even made: a quota.
    Quota,
    /// They run, and never get ready, for which Kubernetes has stopped waiting.
    Unready,
    /// The container that fetches the model fails.
    NoModel,
}

const MOMENT: Duration = Duration::from_millis(150);

/// Follows a change of a Deployment, a step after the other.
pub async fn follow(cluster: Arc<Mutex<Cluster>>, key: Key) {
    tokio::time::sleep(MOMENT).await;
    let sets = begin(&mut cluster.lock().unwrap(), &key);
    tokio::time::sleep(MOMENT).await;
    if let Some(set) = sets {
        end(&mut cluster.lock().unwrap(), &key, &set);
    }
}

/// Brings the number of pods into the range of an autoscaler, as the controller of Kubernetes does:
/// through the scale subresource, whose field it is from then on.
pub async fn autoscale(cluster: Arc<Mutex<Cluster>>, key: Key) {
    tokio::time::sleep(MOMENT).await;
    let is_changed = fit(&mut cluster.lock().unwrap(), &key.0, &key.2);
    if is_changed {
        let deployment = (key.0.clone(), "deployments".to_owned(), key.2);
        follow(cluster, deployment).await;
    }
}

/// Brings the number of pods of a Deployment into the range of its autoscaler, if it has one. Whether it
/// was another one.
pub fn fit(cluster: &mut Cluster, namespace: &str, name: &str) -> bool {
    let Some(range) = cluster.find(namespace, "horizontalpodautoscalers", name) else {
        return false;
    };
    let number = |value: &Value| value.as_u64().unwrap_or(1);
    let (min, max) = (
        number(&range.body["spec"]["minReplicas"]),
        number(&range.body["spec"]["maxReplicas"]),
    );
    let Some(mut object) = cluster.find(namespace, "deployments", name).cloned() else {
        return false;
    };
    let replicas = number(&object.body["spec"]["replicas"]);
    let wanted = replicas.clamp(min, max);
    if wanted == replicas {
        return false;
    }
    object.body["spec"]["replicas"] = json!(wanted);
    let path = "/spec/replicas".to_owned();
    for owned in object.managers.values_mut() {
        owned.remove(&path);
    }
    let manager = "kube-controller-manager:scale".to_owned();
    object.managers.insert(manager, [path].into());
    cluster.store(namespace, "deployments", object);
    true
}

/// Makes the set of a template and its pods.
pub fn begin(cluster: &mut Cluster, key: &Key) -> Option<String> {
    let deployment = cluster.objects.get(key)?.body.clone();
    let template = &deployment["spec"]["template"];
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let sets = of(
        cluster,
        &key.0,
        "replicasets",
        &deployment["metadata"]["uid"],
    );
    let found = sets.iter().find(|set| set["spec"]["template"] == *template);
    let set = if let Some(set) = found {
        set.clone()
    } else {
        let revision = (sets.len() + 1).to_string();
        let name = format!("{}-{revision}", key.2);
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "labels": template["metadata"]["labels"],
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [owner(&deployment)],
            },
            "spec": {"template": template, "selector": deployment["spec"]["selector"]},
        });
        cluster.put(&key.0, "replicasets", set)
    };
    let revision = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
    cluster.change(key, |deployment| {
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision;
    });
    let name = set["metadata"]["name"].as_str()?.to_owned();
    let fate = cluster.behaviour.fate;
    let mut pods = of(cluster, &key.0, "pods", &set["metadata"]["uid"]);
    while pods.len() as u64 > wanted {
        let pod = pods.pop()?;
        let pod = pod["metadata"]["name"].as_str()?.to_owned();
        cluster.remove(&(key.0.clone(), "pods".to_owned(), pod));
    }
    for index in pods.len() as u64..wanted {
        if fate == Fate::Quota {
            break;
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("{name}-{index}"),
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [owner(&set)],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        });
        cluster.put(&key.0, "pods", pod);
    }
    count(cluster, key, &name);
    Some(name)
}

/// Lets the pods of a set meet their fate, and removes those of others when they are ready.
pub fn end(cluster: &mut Cluster, key: &Key, set: &str) {
    let fate = cluster.behaviour.fate;
    let Some(set_body) = cluster
        .find(&key.0, "replicasets", set)
        .map(|set| set.body.clone())
    else {
        return;
    };
    for pod in of(cluster, &key.0, "pods", &set_body["metadata"]["uid"]) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let pod_key = (key.0.clone(), "pods".to_owned(), name.clone());
        let containers = Containers::of(&pod);
        cluster.change(&pod_key, |pod| pod["status"] = status(fate, &containers));
        if fate == Fate::Unready {
            let event = json!({
                "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "Unhealthy",
                "metadata": {"name": format!("{name}.1")},
                "message": "Startup probe failed: HTTP probe failed with statuscode: 503",
                "involvedObject": {"kind": "Pod", "name": name, "fieldPath": format!("spec.containers{{{}}}", containers.server)},
                "lastTimestamp": "2026-01-01T00:00:00Z",
            });
            cluster.put(&key.0, "events", event);
        }
    }
    if fate == Fate::Ready {
        let Some(deployment) = cluster.objects.get(key).map(|found| found.body.clone()) else {
            return;
        };
        for other in of(
            cluster,
            &key.0,
            "replicasets",
            &deployment["metadata"]["uid"],
        ) {
            if other["metadata"]["name"] == set {
                continue;
            }
            for pod in of(cluster, &key.0, "pods", &other["metadata"]["uid"]) {
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                cluster.remove(&(key.0.clone(), "pods".to_owned(), name));
            }
        }
    }
    count(cluster, key, set);
}

/// What the Deployment says of its pods.
fn count(cluster: &mut Cluster, key: &Key, set: &str) {
    let Some(deployment) = cluster.objects.get(key).map(|found| found.body.clone()) else {
        return;
    };
    let mut replicas = 0;
    let mut updated = 0;
    let mut available = 0;
    for other in of(
        cluster,
        &key.0,
        "replicasets",
        &deployment["metadata"]["uid"],
    ) {
        for pod in of(cluster, &key.0, "pods", &other["metadata"]["uid"]) {
            replicas += 1;
            updated += u64::from(other["metadata"]["name"] == set);
            available += u64::from(pod["status"]["conditions"][0]["status"] == "True");
        }
    }
    let generation = deployment["metadata"]["generation"].clone();
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let is_complete = (replicas, updated) == (wanted, wanted) && available == wanted;
    let mut conditions = vec![match cluster.behaviour.fate {
        Fate::Unready => {
            json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"})
        }
        _ if is_complete => {
            json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"})
        }
        _ => json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}),
    }];
    // One is enough: so many may be missing while pods are replaced.
    conditions.push(if available > 0 {
        json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"})
    } else {
        json!({
            "type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
            "message": "Deployment does not have minimum availability.",
        })
    });
    if cluster.behaviour.fate == Fate::Quota {
        conditions.push(json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"iris-1-x\" is forbidden: exceeded quota: compute",
        }));
    }
    cluster.change(key, |deployment| {
        deployment["status"] = json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated,
            "availableReplicas": available, "readyReplicas": available, "conditions": conditions,
        });
    });
}

fn of(cluster: &Cluster, namespace: &str, plural: &str, owner: &Value) -> Vec<Value> {
    let objects = cluster.objects.iter();
    objects
        .filter(|((other, found, _), object)| {
            other == namespace
                && found == plural
                && object.body["metadata"]["ownerReferences"][0]["uid"] == *owner
        })
        .map(|(_, object)| object.body.clone())
        .collect()
}

pub fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "controller": true,
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
    })
}

/// How the containers of a pod are called.
struct Containers {
    server: String,
    puller: &'static str,
}

impl Containers {
    fn of(pod: &Value) -> Self {
        let server = pod["spec"]["containers"][0]["name"].as_str().unwrap();
        Self {
            server: server.to_owned(),
            puller: match server {
                "kserve-container" => "storage-initializer",
                _ => "pull",
            },
        }
    }
}

fn status(fate: Fate, containers: &Containers) -> Value {
    let Containers { server, puller } = containers;
    let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
    let container = |name: &str, state: Value, last: Value, restarts: u32| {
        json!([{
            "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }])
    };
    let waiting =
        |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let ended = |code: i32, reason: &str, message: &str| json!({"terminated": {"exitCode": code, "reason": reason, "message": message}});
    let loops = || {
        waiting(
            "CrashLoopBackOff",
            "back-off 20s restarting failed container",
        )
    };
    match fate {
        Fate::Ready => json!({
            "phase": "Running", "conditions": ready("True"),
            "containerStatuses": container(server, json!({"running": {}}), json!({}), 0),
        }),
        Fate::NoImage => json!({
            "phase": "Pending", "conditions": ready("False"),
            "containerStatuses": container(server, waiting("ImagePullBackOff", "Back-off pulling image \"registry.example.com/iris:1\": not found"), json!({}), 0),
        }),
        Fate::Crash => json!({
            "phase": "Running", "conditions": ready("False"),
            "containerStatuses": container(server, loops(), ended(1, "Error", "error: `/opt/ml/model` has no MLmodel\n"), 3),
        }),
        Fate::OutOfMemory => json!({
            "phase": "Running", "conditions": ready("False"),
            "containerStatuses": container(server, loops(), ended(137, "OOMKilled", ""), 2),
        }),
        Fate::NoModel => json!({
            "phase": "Pending", "conditions": ready("False"),
            "initContainerStatuses": container(puller, loops(), ended(1, "Error", "error: there is no registered model `iris`"), 2),
            "containerStatuses": container(server, waiting("PodInitializing", ""), json!({}), 0),
        }),
        Fate::NoRoom => json!({
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                            "message": "0/3 nodes are available: 3 Insufficient memory."}],
        }),
        Fate::NoSecret => json!({
            "phase": "Pending", "conditions": ready("False"),
            "containerStatuses": container(server, waiting("CreateContainerConfigError", "secret \"variables\" not found"), json!({}), 0),
        }),
        Fate::Unready => json!({
            "phase": "Running", "conditions": ready("False"),
            "containerStatuses": container(server, json!({"running": {}}), json!({}), 0),
        }),
        Fate::Quota => json!({}),
    }
}
