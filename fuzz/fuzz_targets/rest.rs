//! Requests to the REST API: a line with the method, path and query, then the body. Whatever comes, the
//! response is JSON, and only the sender is at fault.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use mlrs_fuzz::server::send;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = head.split_once(' ').unwrap_or(("POST", head));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let target = format!("/api/2.0/mlflow/{target}");
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    if let Some(response) = send(&method, &target, &headers, body.as_bytes()) {
        let is_json =
            response.body.is_empty() || serde_json::from_slice::<Value>(&response.body).is_ok();
        assert!(
            is_json || method == Method::HEAD,
            "{}",
            String::from_utf8_lossy(&response.body)
        );
    }
});
