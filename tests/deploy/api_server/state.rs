//! What is in the cluster, with versions and their history.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Behaviour;
use super::request::Recorded;

/// Namespace, plural name, name.
pub type Key = (String, String, String);

/// An object and who owns which of its fields.
#[derive(Clone, Debug)]
pub struct Object {
    pub body: Value,
    /// Paths of fields by manager; a manager of a subresource has a name of its own.
    pub managers: BTreeMap<String, BTreeSet<String>>,
}

/// Something that happened, for watches.
#[derive(Clone, Debug)]
pub struct Happened {
    pub version: u64,
    pub plural: String,
    pub kind: &'static str,
    pub body: Value,
}

pub struct Cluster {
    pub behaviour: Behaviour,
    pub objects: BTreeMap<Key, Object>,
    pub history: Vec<Happened>,
    pub requests: Vec<Recorded>,
    pub news: tokio::sync::watch::Sender<u64>,
    version: u64,
}

impl Cluster {
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            objects: BTreeMap::new(),
            history: Vec::new(),
            requests: Vec::new(),
            news: tokio::sync::watch::Sender::new(0),
            version: 100,
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn find(&self, namespace: &str, plural: &str, name: &str) -> Option<&Object> {
        self.objects
            .get(&(namespace.to_owned(), plural.to_owned(), name.to_owned()))
    }

    /// Stores an object without managers.
    pub fn put(&mut self, namespace: &str, plural: &str, body: Value) -> Value {
        let object = Object {
            body,
            managers: BTreeMap::new(),
        };
        self.store(namespace, plural, object)
    }

    /// Stores an object with a new version, and a generation that counts its specifications.
    pub fn store(&mut self, namespace: &str, plural: &str, mut object: Object) -> Value {
        self.version += 1;
        let name = object.body["metadata"]["name"].as_str().unwrap().to_owned();
        let key = (namespace.to_owned(), plural.to_owned(), name);
        let before = self.objects.get(&key);
        let generation = match before {
            Some(before) if before.body["spec"] == object.body["spec"] => {
                before.body["metadata"]["generation"].as_u64().unwrap_or(1)
            }
            Some(before) => before.body["metadata"]["generation"].as_u64().unwrap_or(1) + 1,
            None => 1,
        };
        let uid = before.map_or_else(
            || json!(format!("uid-{}", self.version)),
            |before| before.body["metadata"]["uid"].clone(),
        );
        let metadata = &mut object.body["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["generation"] = json!(generation);
        metadata["uid"] = uid;
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.happened(kind, plural, object.body.clone());
        let body = object.body.clone();
        self.objects.insert(key, object);
        body
    }

    /// Changes an object that is there.
    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.objects.get(key).cloned() {
            change(&mut object.body);
            self.store(&key.0, &key.1, object);
        }
    }

    /// Removes an object and all that it owns.
    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let object = self.objects.remove(key)?;
        self.version += 1;
        self.happened("DELETED", &key.1, object.body.clone());
        let uid = object.body["metadata"]["uid"].clone();
        let owned: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, other)| other.body["metadata"]["ownerReferences"][0]["uid"] == uid)
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            self.remove(&key);
        }
        Some(object.body)
    }

    fn happened(&mut self, kind: &'static str, plural: &str, body: Value) {
        self.history.push(Happened {
            version: self.version,
            plural: plural.to_owned(),
            kind,
            body,
        });
        self.news.send_replace(self.version);
    }
}
