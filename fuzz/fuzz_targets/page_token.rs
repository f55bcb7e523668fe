//! Page tokens of all searches: a foreign one is refused, or gives a page.
#![no_main]

use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mlrs_fuzz::server::send;
use mlrs_store::search::page_token;
use serde_json::json;

/// Searches that take a token in their body, below `/api`.
const SEARCHES: [&str; 4] = [
    "2.0/mlflow/runs/search",
    "2.0/mlflow/experiments/search",
    "2.0/mlflow/logged-models/search",
    "3.0/mlflow/logged-models/search",
];

fuzz_target!(|token: &str| {
    if let Ok(offset) = page_token::offset(Some(token)) {
        assert_eq!(
            page_token::offset(Some(&page_token::of(offset))).expect("a token"),
            offset
        );
    }
    let body =
        json!({ "experiment_ids": ["0"], "max_results": 3, "page_token": token }).to_string();
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    for search in SEARCHES {
        let response = send(
            &Method::POST,
            &format!("/api/{search}"),
            &headers,
            body.as_bytes(),
        );
        let status = response.expect("a response").status;
        let expected = [
            StatusCode::OK,
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
        ];
        assert!(expected.contains(&status), "{search}: {status}");
    }
});
