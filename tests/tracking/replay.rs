//! A scenario against one server: what was taken from its answers goes into later requests, and is
//! put back as names, so that answers of two servers can be compared.

use mlrs_testing::Client;
use serde_json::Value;

use crate::scenario::Request;

/// A server, and what its answers were called.
pub struct Replay {
    address: String,
    client: Client,
    /// Names and values, the longest value first.
    names: Vec<(String, String)>,
}

/// An answer in which ids and times have names.
#[derive(Debug, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body; a text where it is no JSON.
    pub body: Value,
}

impl Replay {
    /// A server with nothing asked yet.
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            client: Client::new(),
            names: Vec::new(),
        }
    }

    /// Asks.
    pub fn ask(&mut self, request: &Request) -> Reply {
        let url = format!("{}{}", self.address, self.filled(&request.path));
        let body = request.body.as_deref().map(|body| self.filled(body));
        let answer = self.client.send(
            &request.method,
            &url,
            request.content_type.as_deref(),
            body.as_deref().map(str::as_bytes),
        );
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", request.line));
        let mut body = serde_json::from_str(&answer.body).unwrap_or(Value::from(answer.body));
        for (name, pointer) in &request.lets {
            let found = body.pointer(pointer).unwrap_or(&Value::Null);
            let text = found
                .as_str()
                .map_or_else(|| found.to_string(), str::to_owned);
            self.names.push((name.clone(), text));
        }
        self.names
            .sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        self.name(&mut body, "");
        Reply {
            status: answer.status,
            body,
        }
    }

    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${").into_iter().chain(rest.find("%{")).min() {
            filled.push_str(&rest[..start]);
            let (inner, after) = if rest[start..].starts_with('$') {
                let (name, after) = rest[start + 2..].split_once('}').expect("a closed `${`");
                let known = self.names.iter().find(|(known, _)| known == name);
                let (_, value) = known.unwrap_or_else(|| panic!("`{name}` is not known"));
                (value.clone(), after)
            } else {
                let (part, after) = rest[start + 2..].split_once('%').expect("`%{part%times}`");
                let (times, after) = after.split_once('}').expect("`%{part%times}`");
                (part.repeat(times.parse().unwrap()), after)
            };
            filled.push_str(&inner);
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// Puts names in the place of values, and orders what has no order.
    fn name(&self, value: &mut Value, key: &str) {
        match value {
            // GraphQL has 64-bit integers as texts.
            Value::String(text) if is_time(key) && text.parse::<i64>().is_ok() => {
                *value = Value::from("time");
            }
            Value::String(text) => {
                for (name, value) in self.names.iter().filter(|(_, value)| value.len() > 5) {
                    *text = text.replace(value, &format!("${{{name}}}"));
                }
            }
            Value::Number(_) if is_time(key) => *value = Value::from("time"),
            Value::Array(items) => {
                for item in items.iter_mut() {
                    self.name(item, key);
                }
                if matches!(
                    key,
                    "params"
                        | "tags"
                        | "aliases"
                        | "dataset_summaries"
                        | "datasetSummaries"
                        | "latest_versions"
                ) || key == "metrics" && is_data(items)
                {
                    items.sort_by_key(ToString::to_string);
                }
            }
            Value::Object(fields) => {
                // What only mlrs says.
                fields.remove("request_id");
                for (key, value) in fields.iter_mut() {
                    self.name(value, key);
                }
            }
            _ => {}
        }
    }
}

fn is_time(key: &str) -> bool {
    matches!(
        key,
        "creation_time"
            | "last_update_time"
            | "creation_timestamp"
            | "last_updated_timestamp"
            | "creation_timestamp_ms"
            | "last_updated_timestamp_ms"
            | "creationTime"
            | "lastUpdateTime"
            | "creationTimestamp"
            | "lastUpdatedTimestamp"
    )
}

/// Latest metrics have no order; a history has one.
fn is_data(items: &[Value]) -> bool {
    let mut keys: Vec<&Value> = items.iter().filter_map(|item| item.get("key")).collect();
    keys.dedup();
    keys.len() == items.len()
}
