//! Bodies that say they are compressed: what unfolds within the limits is read, all else is refused.
#![no_main]

use http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mlrs_fuzz::server::send;

fuzz_target!(|body: &[u8]| {
    // The first byte chooses what the head says.
    let (choice, body) = body.split_first().unwrap_or((&0, body));
    let encodings: [&[u8]; 4] = [b"gzip", b"deflate", b"x-gzip", b"gzip, gzip"];
    let encoding = encodings[usize::from(choice % 4)];
    let headers: [(&str, &[u8]); 2] = [
        ("content-type", b"application/json"),
        ("content-encoding", encoding),
    ];
    let response = send(
        &Method::POST,
        "/api/2.0/mlflow/experiments/search",
        &headers,
        body,
    );
    let status = response.expect("a response").status;
    let expected = [
        StatusCode::OK,
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    ];
    assert!(expected.contains(&status), "{status}");
});
