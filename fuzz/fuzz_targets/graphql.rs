//! GraphQL documents, which MLflow's limits bound: a line with the variables, then the document. Whatever
//! comes, the response is JSON with data or errors.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use mlrs_fuzz::server::send;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let (variables, query) = text.split_once('\n').unwrap_or(("", text));
    let variables: Value = serde_json::from_str(variables).unwrap_or(Value::Null);
    let body = json!({ "query": query, "variables": variables }).to_string();
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    let response = send(&Method::POST, "/graphql", &headers, body.as_bytes()).expect("a response");
    let found: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(found.is_object(), "{found}");
});
