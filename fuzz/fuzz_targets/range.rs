//! `Range` and what belongs to it: a part that is sent is one that the file has, and as long as said.
#![no_main]

use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mlrs_fuzz::server::{FILE, FILE_BYTES, send};

fuzz_target!(|text: &str| {
    let (range, condition) = text.split_once('\n').unwrap_or((text, ""));
    let mut headers: Vec<(&str, &[u8])> = vec![("range", range.as_bytes())];
    if !condition.is_empty() {
        headers.push(("if-range", condition.as_bytes()));
    }
    let target = format!("/api/2.0/mlflow-artifacts/artifacts/{FILE}");
    let Some(response) = send(&Method::GET, &target, &headers, b"") else {
        return;
    };
    let bytes = response.body.len();
    match response.status {
        StatusCode::OK => assert_eq!(bytes, FILE_BYTES),
        StatusCode::PARTIAL_CONTENT => assert!(bytes <= FILE_BYTES && !response.body.is_empty()),
        status => assert!(status.is_client_error(), "{status}"),
    }
    assert!(response.length.is_none_or(|length| length == bytes));
});
