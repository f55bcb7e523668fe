//! An API server for tests: it speaks Kubernetes' protocol over HTTP, checks what it is sent, and plays
//! the controllers behind it, KServe's among them.
//!
//! What is real: paths, verbs, content types, `Status` answers, discovery, label and field selectors,
//! partial metadata, server-side apply with managers, conflicts and dropped fields, the scale
//! subresource, watches with resource versions, the proxy to a Service. What is simplified: lists are
//! owned as a whole, and pods live for as long as their [`Fate`] says.

mod answer;
mod apply;
mod controller;
mod kserve;
mod request;
mod state;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;

pub use controller::Fate;
pub use kserve::KServe;
pub use request::Recorded;
use state::Cluster;

/// The token that it takes.
const TOKEN: &str = "token-of-the-tests";

/// What a test wants it to do.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What becomes of pods.
    pub fate: Fate,
    /// What KServe does, where it is installed.
    pub kserve: KServe,
    /// How long KServe does not look at a change, while what it said before stands there.
    pub kserve_delay: Duration,
    /// Groups of kinds that somebody installed.
    pub groups: Vec<&'static str>,
    /// Verbs and plural names that are forbidden.
    pub forbidden: Vec<(&'static str, &'static str)>,
    /// Kinds, by their plural names, of which the next object that is applied is denied, as a webhook does.
    pub denials: Vec<&'static str>,
    /// Whether autoscalers set their number at once, and not after a moment.
    pub is_eager: bool,
    /// The address of a server behind every Service.
    pub backend: Option<String>,
    /// Whether watches end at once, as those do whose version is too old.
    pub watches_are_gone: bool,
    /// The status of every answer of the server behind a Service, instead of a server there.
    pub backend_code: Option<u16>,
    /// How many times a connection is dropped instead of reading a Deployment.
    pub hiccups: usize,
    /// Whether nothing is ever said when a Deployment is to be read.
    pub is_mute: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            fate: Fate::Ready,
            kserve: KServe::Works,
            kserve_delay: Duration::from_millis(700),
            groups: vec!["monitoring.coreos.com/v1"],
            forbidden: Vec::new(),
            denials: Vec::new(),
            is_eager: false,
            backend: None,
            watches_are_gone: false,
            backend_code: None,
            hiccups: 0,
            is_mute: false,
        }
    }
}

/// A cluster without machines.
pub struct ApiServer {
    address: SocketAddr,
    cluster: Arc<Mutex<Cluster>>,
    _runtime: tokio::runtime::Runtime,
}

impl ApiServer {
    /// Starts it on a port of its own.
    pub fn start(behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let cluster = Arc::new(Mutex::new(Cluster::new(behaviour)));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&cluster));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            cluster,
            _runtime: runtime,
        }
    }

    /// Writes a kubeconfig with the contexts `here`, which works, and `stranger`, whose token does not.
    pub fn write_kubeconfig(&self, path: &Path) {
        let address = self.address;
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters:\n- name: fake\n  cluster: {{server: 'http://{address}'}}\n\
             users:\n- name: me\n  user: {{token: {TOKEN}}}\n- name: you\n  user: {{token: other}}\n\
             contexts:\n- name: here\n  context: {{cluster: fake, user: me, namespace: models}}\n\
             - name: stranger\n  context: {{cluster: fake, user: you, namespace: models}}\n"
        );
        std::fs::write(path, text).unwrap();
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.cluster.lock().unwrap().requests.clone()
    }

    /// Changes what it does from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.cluster.lock().unwrap().behaviour);
    }

    /// An object, if it is there.
    pub fn object(&self, plural: &str, name: &str) -> Option<Value> {
        let cluster = self.cluster.lock().unwrap();
        cluster
            .find("models", plural, name)
            .map(|object| object.body.clone())
    }

    /// Kinds and names of everything there but pods and their sets, in order.
    pub fn inventory(&self) -> Vec<String> {
        let cluster = self.cluster.lock().unwrap();
        let objects = cluster.objects.iter();
        let objects = objects.filter(|((_, plural, _), _)| {
            !["pods", "replicasets", "events"].contains(&plural.as_str())
        });
        objects
            .map(|((_, plural, name), _)| format!("{plural}/{name}"))
            .collect()
    }

    /// Has another manager own a field of an object.
    pub fn take_over(&self, plural: &str, name: &str, manager: &str, path: &str, value: Value) {
        let mut cluster = self.cluster.lock().unwrap();
        let mut object = cluster.find("models", plural, name).unwrap().clone();
        apply::set(&mut object.body, path, value);
        for owned in object.managers.values_mut() {
            owned.remove(path);
        }
        object
            .managers
            .insert(manager.to_owned(), [path.to_owned()].into());
        cluster.store("models", plural, object);
    }

    /// Has somebody change an object by hand.
    pub fn edit(&self, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let key = ("models".to_owned(), plural.to_owned(), name.to_owned());
        self.cluster.lock().unwrap().change(&key, change);
    }

    /// Puts an object there that somebody else made.
    pub fn put(&self, plural: &str, body: Value) {
        let mut cluster = self.cluster.lock().unwrap();
        let namespace = "models".to_owned();
        cluster.put(&namespace, plural, body);
    }
}

async fn handle(
    State(cluster): State<Arc<Mutex<Cluster>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    request::handle(&cluster, &method, &uri, &headers, &body).await
}
