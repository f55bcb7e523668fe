//! Server-side apply: who owns which field, conflicts, and fields that nobody owns any more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::Refusal;
use super::state::Object;

/// The object after `manager` has applied `wanted`.
pub fn apply(
    before: Option<&Object>,
    wanted: &Value,
    manager: &str,
    force: bool,
) -> Result<Object, Refusal> {
    let wanted_fields = fields(wanted);
    let mut object = before.cloned().unwrap_or(Object {
        body: json!({}),
        managers: BTreeMap::new(),
    });
    let has = fields(&object.body);
    let mut causes = Vec::new();
    for (other, owned) in &mut object.managers {
        if other == manager {
            continue;
        }
        for (path, value) in &wanted_fields {
            if !owned.contains(path) || has.get(path) == Some(value) {
                continue;
            }
            causes.push(json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", described(other)),
                "field": path.replace('/', "."),
            }));
            if force {
                owned.remove(path);
            }
        }
    }
    if !causes.is_empty() && !force {
        let count = causes.len();
        let first = causes[0]["message"].as_str().unwrap_or_default().to_owned();
        return Err(Refusal {
            details: json!({"causes": causes}),
            ..Refusal::new(
                409,
                "Conflict",
                format!("Apply failed with {count} conflict: {first}"),
            )
        });
    }
    let mine = object.managers.remove(manager).unwrap_or_default();
    for path in mine {
        let is_owned = object.managers.values().any(|owned| owned.contains(&path));
        if !wanted_fields.contains_key(&path) && !is_owned {
            remove(&mut object.body, &path);
        }
    }
    for (path, value) in &wanted_fields {
        set(&mut object.body, path, value.clone());
    }
    let owned: BTreeSet<String> = wanted_fields
        .into_keys()
        .filter(|path| path.starts_with("/spec") || path.starts_with("/metadata/labels"))
        .collect();
    object.managers.insert(manager.to_owned(), owned);
    Ok(object)
}

/// A manager as messages name it; that of a subresource is stored with a colon, and one that does not
/// apply with a semicolon.
fn described(manager: &str) -> String {
    let manager = manager.trim_end_matches(";update");
    match manager.split_once(':') {
        Some((manager, subresource)) => {
            format!("\"{manager}\" with subresource \"{subresource}\" using apps/v1")
        }
        None => format!("\"{manager}\" using apps/v1"),
    }
}

/// The leaves of an object by their paths; a list is a leaf.
pub fn fields(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, &format!("{path}/{key}"), found);
            }
        }
        leaf => {
            found.insert(path.to_owned(), leaf.clone());
        }
    }
}

fn keys(path: &str) -> Vec<String> {
    let keys = path.split('/').skip(1);
    keys.map(|key| key.replace("~1", "/").replace("~0", "~"))
        .collect()
}

pub fn set(body: &mut Value, path: &str, value: Value) {
    let mut place = body;
    for key in keys(path) {
        place = &mut place[key];
    }
    *place = value;
}

fn remove(body: &mut Value, path: &str) {
    let mut keys = keys(path);
    let Some(last) = keys.pop() else { return };
    let parent = keys.iter().try_fold(body, |place, key| place.get_mut(key));
    if let Some(map) = parent.and_then(Value::as_object_mut) {
        map.remove(&last);
    }
}

/// A JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            if let Some(map) = target.as_object_mut() {
                map.remove(key);
            }
        } else {
            merge(&mut target[key], value);
        }
    }
}
