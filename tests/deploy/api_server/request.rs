//! From a request to its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::TOKEN;
use super::answer::{Refusal, broken, json_response, stream, unknown_path};
use super::apply::{apply, merge};
use super::controller::{autoscale, fit, follow};
use super::kserve::serve;
use super::state::{Cluster, Key};

/// A request, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub content_type: String,
    pub body: Value,
}

/// Kubernetes' own kinds: group and version, plural, kind.
const KINDS: [(&str, &str, &str); 8] = [
    ("v1", "services", "Service"),
    ("v1", "pods", "Pod"),
    ("v1", "events", "Event"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "replicasets", "ReplicaSet"),
    (
        "autoscaling/v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    ),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "ingresses", "Ingress"),
];

/// Kinds that somebody may have installed.
const CUSTOM: [(&str, &str, &str); 5] = [
    (
        "monitoring.coreos.com/v1",
        "servicemonitors",
        "ServiceMonitor",
    ),
    ("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"),
    (
        "serving.kserve.io/v1beta1",
        "inferenceservices",
        "InferenceService",
    ),
    (
        "serving.kserve.io/v1alpha1",
        "servingruntimes",
        "ServingRuntime",
    ),
    (
        "serving.kserve.io/v1alpha1",
        "clusterstoragecontainers",
        "ClusterStorageContainer",
    ),
];

const NAMESPACES: [&str; 2] = ["default", "models"];

/// What a path is about.
struct Place {
    group: String,
    kind: &'static str,
    namespace: String,
    plural: String,
    name: Option<String>,
    below: Vec<String>,
}

pub async fn handle(
    cluster: &Arc<Mutex<Cluster>>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let query: BTreeMap<String, String> = pairs(uri.query().unwrap_or_default());
    cluster.lock().unwrap().requests.push(Recorded {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: query.clone(),
        content_type: header("content-type"),
        body: serde_json::from_slice(body).unwrap_or_default(),
    });
    if header("authorization") != format!("Bearer {TOKEN}") {
        return Refusal::new(401, "Unauthorized", "Unauthorized").response();
    }
    let (plural, name) = subject(uri.path());
    let verb = match (
        method.as_str(),
        name,
        query.get("watch").map(String::as_str),
    ) {
        ("GET", None, Some("true" | "1")) => "watch",
        ("GET", None, _) => "list",
        ("GET", Some(_), _) => "get",
        ("PATCH", ..) => "patch",
        ("DELETE", ..) => "delete",
        _ => "create",
    };
    // Whoever has no right is told so before it is looked whether there is such a kind.
    if let Some(plural) = plural
        && cluster
            .lock()
            .unwrap()
            .behaviour
            .forbidden
            .contains(&(verb, plural))
    {
        return forbidden(verb, plural);
    }
    let place = match place(&cluster.lock().unwrap(), uri.path()) {
        Ok(place) => place,
        Err(response) => return *response,
    };
    // Who applies what is not there creates it.
    if verb == "patch" {
        let cluster = cluster.lock().unwrap();
        let is_forbidden = |plural: &str| {
            let mut forbidden = cluster.behaviour.forbidden.iter();
            forbidden.any(|rule| *rule == ("create", plural))
        };
        if !cluster.objects.contains_key(&place.key()) && is_forbidden(&place.plural) {
            return forbidden("create", &place.plural);
        }
    }
    if verb == "get" && place.plural == "deployments" {
        let is_mute = {
            let mut cluster = cluster.lock().unwrap();
            let is_there = cluster.objects.contains_key(&place.key());
            if is_there && cluster.behaviour.hiccups > 0 {
                cluster.behaviour.hiccups -= 1;
                return broken();
            }
            is_there && cluster.behaviour.is_mute
        };
        if is_mute {
            std::future::pending::<()>().await;
        }
    }
    let answer = match verb {
        "watch" => return watch(cluster, &place, &query),
        "list" => Ok(list(
            &cluster.lock().unwrap(),
            &place,
            &query,
            &header("accept"),
        )),
        "get" => get(&cluster.lock().unwrap(), &place, &header("accept")),
        "patch" => patch(cluster, &place, &query, &header("content-type"), body),
        "delete" => delete(&mut cluster.lock().unwrap(), &place),
        _ => return proxy(cluster, &place, &header("content-type"), body).await,
    };
    match answer {
        Ok(value) => json_response(200, &value),
        Err(refusal) => refusal.response(),
    }
}

fn forbidden(verb: &str, plural: &str) -> Response {
    let message = format!(
        "{plural} is forbidden: User \"me\" cannot {verb} resource \"{plural}\" in API group \"\" in the namespace \"models\""
    );
    Refusal::new(403, "Forbidden", message).response()
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    let digits = String::from_utf8(digits).unwrap();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => bytes.push(other),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The plural name and the name in a path, whether there is such a kind or not.
fn subject(path: &str) -> (Option<&str>, Option<&str>) {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = match &words[..] {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let rest = if rest.first() == Some(&"namespaces") {
        rest.get(2..).unwrap_or_default()
    } else {
        rest
    };
    (rest.first().copied(), rest.get(1).copied())
}

/// What a path is about; discovery is answered at once.
fn place(cluster: &Cluster, path: &str) -> Result<Place, Box<Response>> {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match words[..] {
        ["api", "v1", ref rest @ ..] => ("v1".to_owned(), rest),
        ["apis", group, version, ref rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return Err(Box::new(unknown_path())),
    };
    let installed = CUSTOM.iter();
    let installed = installed.filter(|(group, ..)| cluster.behaviour.groups.contains(group));
    let kinds: Vec<_> = KINDS
        .iter()
        .chain(installed)
        .filter(|kind| kind.0 == group)
        .collect();
    if kinds.is_empty() {
        return Err(Box::new(unknown_path()));
    }
    let (namespace, rest) = match *rest {
        [] => {
            let resources: Vec<Value> = kinds
                .iter()
                .map(|(_, plural, kind)| json!({"name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list", "patch", "delete"]}))
                .collect();
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources});
            return Err(Box::new(json_response(200, &list)));
        }
        ["namespaces", namespace, ref rest @ ..] => (namespace, rest),
        ref rest => ("", rest),
    };
    let [plural, ref rest @ ..] = *rest else {
        return Err(Box::new(unknown_path()));
    };
    let Some((_, _, kind)) = kinds.iter().find(|kind| kind.1 == plural) else {
        return Err(Box::new(unknown_path()));
    };
    let is_of_cluster = *kind == "ClusterStorageContainer";
    if is_of_cluster != namespace.is_empty() {
        return Err(Box::new(unknown_path()));
    }
    if !is_of_cluster && !NAMESPACES.contains(&namespace) && rest.len() == 1 {
        return Err(Box::new(
            Refusal::not_found("namespaces", namespace).response(),
        ));
    }
    Ok(Place {
        group,
        kind,
        namespace: if is_of_cluster { "models" } else { namespace }.to_owned(),
        plural: plural.to_owned(),
        name: rest.first().map(|name| (*name).to_owned()),
        below: rest.iter().skip(1).map(|word| (*word).to_owned()).collect(),
    })
}

impl Place {
    fn key(&self) -> Key {
        let name = self.name.clone().unwrap_or_default();
        (self.namespace.clone(), self.plural.clone(), name)
    }
}

fn get(cluster: &Cluster, place: &Place, accept: &str) -> Result<Value, Refusal> {
    let (_, plural, name) = place.key();
    let found = cluster.objects.get(&place.key());
    let found = found.ok_or_else(|| Refusal::not_found(&plural, &name))?;
    if accept.contains("as=PartialObjectMetadata") {
        return Ok(partial(&found.body));
    }
    Ok(found.body.clone())
}

/// The metadata alone.
fn partial(body: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": body["metadata"],
    })
}

fn is_selected(body: &Value, query: &BTreeMap<String, String>) -> bool {
    let all = |selector: &str, value: &dyn Fn(&str) -> Value| {
        let selector = query.get(selector).map(String::as_str).unwrap_or_default();
        let mut terms = selector.split(',').filter(|term| !term.is_empty());
        terms.all(|term| {
            let (key, wanted) = term.split_once('=').unwrap();
            value(key) == wanted
        })
    };
    all("labelSelector", &|key| {
        body["metadata"]["labels"][key].clone()
    }) && all("fieldSelector", &|key| {
        let pointer = format!("/{}", key.replace('.', "/"));
        body.pointer(&pointer).cloned().unwrap_or_default()
    })
}

fn list(cluster: &Cluster, place: &Place, query: &BTreeMap<String, String>, accept: &str) -> Value {
    let is_partial = accept.contains("as=PartialObjectMetadataList");
    let items: Vec<Value> = cluster
        .objects
        .iter()
        .filter(|((namespace, plural, _), object)| {
            *namespace == place.namespace
                && *plural == place.plural
                && is_selected(&object.body, query)
        })
        .map(|(_, object)| {
            if is_partial {
                partial(&object.body)
            } else {
                object.body.clone()
            }
        })
        .collect();
    let (api_version, kind) = if is_partial {
        ("meta.k8s.io/v1", "PartialObjectMetadataList".to_owned())
    } else {
        (place.group.as_str(), format!("{}List", place.kind))
    };
    let version = cluster.version().to_string();
    json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": version}, "items": items})
}

fn watch(
    cluster: &Arc<Mutex<Cluster>>,
    place: &Place,
    query: &BTreeMap<String, String>,
) -> Response {
    let begun = cluster.lock().unwrap();
    if begun.behaviour.watches_are_gone {
        let gone = Refusal::new(410, "Expired", "too old resource version");
        let line = json!({"type": "ERROR", "object": gone.status()}).to_string();
        return stream(futures_util::stream::iter([line]));
    }
    let since: u64 = query["resourceVersion"].parse().unwrap();
    let news = begun.news.subscribe();
    drop(begun);
    let (cluster, query, plural) = (Arc::clone(cluster), query.clone(), place.plural.clone());
    stream(futures_util::stream::unfold(
        (since, news),
        move |(since, mut news)| {
            let (cluster, query, plural) = (Arc::clone(&cluster), query.clone(), plural.clone());
            async move {
                loop {
                    let next = {
                        let cluster = cluster.lock().unwrap();
                        let history = cluster.history.iter();
                        let mut later = history.filter(|happened| {
                            happened.version > since && happened.plural == plural
                        });
                        later
                            .find(|happened| is_selected(&happened.body, &query))
                            .cloned()
                    };
                    if let Some(happened) = next {
                        let line =
                            json!({"type": happened.kind, "object": happened.body}).to_string();
                        return Some((line, (happened.version, news)));
                    }
                    news.changed().await.ok()?;
                }
            }
        },
    ))
}

fn patch(
    cluster: &Arc<Mutex<Cluster>>,
    place: &Place,
    query: &BTreeMap<String, String>,
    content_type: &str,
    body: &Bytes,
) -> Result<Value, Refusal> {
    let wanted: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?;
    let mut locked = cluster.lock().unwrap();
    let before = locked.objects.get(&place.key()).cloned();
    let object = match (content_type, place.below.first().map(String::as_str)) {
        ("application/apply-patch+yaml", None) => {
            check(place, &wanted)?;
            admit(&mut locked, place)?;
            let manager = query.get("fieldManager").ok_or_else(|| {
                Refusal::new(
                    400,
                    "BadRequest",
                    "fieldManager is required for apply patch",
                )
            })?;
            let force = query.get("force").is_some_and(|force| force == "true");
            apply(before.as_ref(), &wanted, manager, force)?
        }
        ("application/merge-patch+json", below) => {
            let mut object = before.ok_or_else(|| {
                Refusal::not_found(&place.plural, place.name.as_deref().unwrap_or_default())
            })?;
            merge(&mut object.body, &wanted);
            let manager = query.get("fieldManager").cloned().unwrap_or_default();
            // It is another one than that of the same name that applies.
            let manager = below.map_or(format!("{manager};update"), |below| {
                format!("{manager}:{below}")
            });
            let fields = super::apply::fields(&wanted).into_keys().collect();
            for owned in object.managers.values_mut() {
                let fields: &std::collections::BTreeSet<String> = &fields;
                owned.retain(|path| !fields.contains(path));
            }
            object.managers.insert(manager, fields);
            object
        }
        _ => {
            let message =
                format!("the body of the request was in an unknown format: {content_type}");
            return Err(Refusal::new(415, "UnsupportedMediaType", message));
        }
    };
    let mut object = object;
    if place.plural == "deployments" && object.body["spec"]["replicas"].is_null() {
        object.body["spec"]["replicas"] = json!(1);
    }
    if query.get("dryRun").is_some_and(|dry| dry == "All") {
        return Ok(object.body);
    }
    let stored = locked.store(&place.namespace, &place.plural, object);
    if place.plural == "deployments" && locked.behaviour.is_eager {
        fit(&mut locked, &place.namespace, &place.key().2);
    }
    if place.plural == "deployments" {
        tokio::spawn(follow(Arc::clone(cluster), place.key()));
    }
    if place.plural == "horizontalpodautoscalers" {
        tokio::spawn(autoscale(Arc::clone(cluster), place.key()));
    }
    if place.plural == "inferenceservices" {
        tokio::spawn(serve(Arc::clone(cluster), place.key()));
    }
    if place.below.first().is_some_and(|below| below == "scale") {
        return Ok(json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": stored["metadata"],
            "spec": {"replicas": stored["spec"]["replicas"]}, "status": {"replicas": 0},
        }));
    }
    Ok(stored)
}

/// What a webhook says to what is applied.
fn admit(cluster: &mut Cluster, place: &Place) -> Result<(), Refusal> {
    let denials = &mut cluster.behaviour.denials;
    let Some(denial) = denials.iter().position(|plural| *plural == place.plural) else {
        return Ok(());
    };
    denials.remove(denial);
    let message = "admission webhook \"policy.example.com\" denied the request: not now";
    Err(Refusal::new(400, "BadRequest", message))
}

/// Whether an applied object is what its path says.
fn check(place: &Place, wanted: &Value) -> Result<(), Refusal> {
    let (_, _, name) = place.key();
    let bad = |message: String| Err(Refusal::new(400, "BadRequest", message));
    if wanted["apiVersion"] != place.group.as_str() || wanted["kind"] != place.kind {
        return bad(format!(
            "{} {} is not what {} holds",
            wanted["apiVersion"], wanted["kind"], place.plural
        ));
    }
    if wanted["metadata"]["name"] != name.as_str() {
        return bad(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            wanted["metadata"]["name"]
        ));
    }
    let namespace = &wanted["metadata"]["namespace"];
    if !namespace.is_null() && *namespace != place.namespace.as_str() {
        return bad(
            "the namespace of the provided object does not match the namespace sent on the request"
                .to_owned(),
        );
    }
    Ok(())
}

fn delete(cluster: &mut Cluster, place: &Place) -> Result<Value, Refusal> {
    let (_, plural, name) = place.key();
    let removed = cluster.remove(&place.key());
    removed
        .map(|_| json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
        .ok_or_else(|| Refusal::not_found(&plural, &name))
}

/// Whether a Service has a port: KServe's have no name that anybody knows.
fn is_port(service: &str, port: &str) -> bool {
    port == "80" || (port == "http" && !service.ends_with("-predictor"))
}

/// Passes a request on to the server behind a Service.
async fn proxy(
    cluster: &Arc<Mutex<Cluster>>,
    place: &Place,
    content_type: &str,
    body: &Bytes,
) -> Response {
    let named = place.name.clone().unwrap_or_default();
    let (name, port) = named.split_once(':').unwrap_or((&named, ""));
    let (is_there, backend, code) = {
        let cluster = cluster.lock().unwrap();
        let is_there = cluster.find(&place.namespace, "services", name).is_some();
        let behaviour = &cluster.behaviour;
        (is_there, behaviour.backend.clone(), behaviour.backend_code)
    };
    if place.plural != "services" || !is_there {
        return Refusal::not_found("services", name).response();
    }
    let [proxy, path @ ..] = &place.below[..] else {
        return unknown_path();
    };
    if let Some(code) = code {
        return json_response(code, &json!({"error_code": "BUSY", "message": "not now"}));
    }
    let Some(backend) = backend.filter(|_| proxy == "proxy" && is_port(name, port)) else {
        let message = format!("no endpoints available for service \"{named}\"");
        return Refusal::new(503, "ServiceUnavailable", message).response();
    };
    let (url, content_type) = (
        format!("{backend}/{}", path.join("/")),
        content_type.to_owned(),
    );
    let body = body.clone();
    let asked = tokio::task::spawn_blocking(move || {
        mlrs_testing::Client::new().post(&url, Some(&content_type), &body)
    });
    let answer = asked.await.unwrap().unwrap();
    let code = axum::http::StatusCode::from_u16(answer.status).unwrap();
    let head = [("content-type", "application/json")];
    (code, head, answer.body).into_response()
}
