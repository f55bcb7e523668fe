//! `POST /invocations` without a socket: answers, refusals, limits, compression, metrics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use mlrs_runtime::Settings;
use mlrs_scoring::{ExampleOutcome, ModelInfo, ScoringSettings, WarmUpError};
use serde_json::json;
use support::{EXAMPLE, Server, info, runtime_settings, scoring, split};

const JSON: &str = "application/json";

fn server() -> Server {
    Server::new(ScoringSettings::default())
}

fn small() -> ScoringSettings {
    ScoringSettings {
        body_bytes: 1000,
        bytes_in_flight: 1000,
        read_timeout: Duration::from_millis(50),
        request_timeout: Duration::from_millis(300),
        ..ScoringSettings::default()
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn stalled() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>())
}

#[tokio::test]
async fn data_frames_are_answered_with_records() {
    let server = server();
    let answer = server.score(JSON, EXAMPLE).await;
    assert_eq!(answer.header("content-type"), JSON);
    assert_eq!(answer.header("x-request-id"), "test");
    assert_eq!(
        answer.json(),
        json!({"predictions": [{"sum": 3.5}, {"sum": 7.0}]}),
        "{answer:?}"
    );
    let csv = server.score("text/csv", "a,b\n1.5,2\n3,4\n").await;
    assert_eq!(csv.json(), answer.json());
}

#[tokio::test]
async fn long_bodies_and_answers_take_the_same_way() {
    let rows: Vec<[f64; 2]> = (0..20_000).map(|row| [f64::from(row), 0.5]).collect();
    let body = split(&rows);
    assert!(body.len() > 128 << 10);
    let runtime = Settings {
        queue_rows: 100_000,
        queue_bytes: 1 << 24,
        ..runtime_settings()
    };
    let server = Server::with(info(), ScoringSettings::default(), runtime);
    let answer = server.score(JSON, body).await;
    let predictions = answer.json()["predictions"].as_array().unwrap().clone();
    assert_eq!(predictions.len(), 20_000);
    assert_eq!(predictions[19_999], json!({"sum": 19_999.5}));
}

#[tokio::test]
async fn gzip_both_ways() {
    let server = server();
    let rows: Vec<[f64; 2]> = (0..50).map(|row| [f64::from(row), 0.0]).collect();
    let mut request = scoring(JSON, gzip(split(&rows).as_bytes()));
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    request
        .headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["predictions"].as_array().unwrap().len(), 50);
    let long = server.score(JSON, split(&vec![[1.0, 2.0]; 60])).await;
    assert_eq!(long.header("content-encoding"), "", "nobody asked");
}

#[tokio::test]
async fn refusals_of_the_body() {
    let server = Server::new(small());
    let chunks = (0..3).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b' '; 400])));
    let bomb = gzip(&vec![b' '; 100_000]);
    let encoded = |encoding: &str, body: Vec<u8>| {
        let mut request = scoring(JSON, body);
        request
            .headers_mut()
            .insert("content-encoding", encoding.parse().unwrap());
        request
    };
    let requests = [
        ("declared too large", scoring(JSON, vec![b' '; 1001])),
        (
            "streamed too large",
            scoring(JSON, Body::from_stream(futures_util::stream::iter(chunks))),
        ),
        ("bomb", encoded("gzip", bomb)),
        ("not gzip", encoded("gzip", b"{}".to_vec())),
        ("brotli", encoded("br", b"{}".to_vec())),
        ("stalled", scoring(JSON, stalled())),
        ("xml", scoring("application/xml", "<a/>")),
        (
            "latin-1",
            scoring("application/json; charset=latin-1", "{}"),
        ),
    ];
    let mut table = Vec::new();
    for (name, request) in requests {
        table.push(format!("{name}: {}", server.send(request).await.brief()));
    }
    let untyped = Request::post("/invocations").header("x-request-id", "test");
    let untyped = server.send(untyped.body(Body::from("{}")).unwrap()).await;
    table.push(format!("no content type: {}", untyped.brief()));
    insta::assert_snapshot!(table.join("\n"));
    let rejections = server
        .metric(r#"mlrs_rejections_total{reason="body_too_large"}"#)
        .await;
    assert!((rejections - 3.0).abs() < 1e-9, "{rejections}");
    assert!(
        server.metric("mlrs_bytes_in_flight").await.abs() < 1e-9,
        "everything is given back"
    );
}

#[tokio::test]
async fn refusals_of_the_content() {
    let server = server();
    for (body, code, class) in [
        ("{", "BAD_REQUEST", "INVALID_PARAMETER_VALUE"),
        ("[1]", "BAD_REQUEST", "INVALID_PARAMETER_VALUE"),
        ("{}", "BAD_REQUEST", "INVALID_PARAMETER_VALUE"),
        (
            r#"{"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}"#,
            "INVALID_PARAMETER_VALUE",
            "SCHEMA_ENFORCEMENT_FAILED",
        ),
    ] {
        let answer = server.score(JSON, body).await;
        let json = answer.json();
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(
            (json["error_code"].as_str(), json["error_class"].as_str()),
            (Some(code), Some(class)),
            "{body}: {answer:?}"
        );
        assert_eq!(json["request_id"], "test");
        assert!(json.get("stack_trace").is_none());
    }
}

#[tokio::test]
async fn failures_of_the_engine() {
    let server = server();
    let mut table = Vec::new();
    for (name, first) in [
        ("inputs", -1.0),
        ("engine", -2.0),
        ("panic", -3.0),
        ("well", 1.0),
    ] {
        table.push(format!(
            "{name}: {}",
            server.score(JSON, split(&[[first, 0.0]])).await.brief()
        ));
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn bodies_of_others_overload_the_server() {
    let server = Server::new(ScoringSettings {
        read_timeout: Duration::from_secs(5),
        ..small()
    });
    let budget = Body::new(Declared(900));
    let router = server.router();
    let held = tokio::spawn(tower::ServiceExt::oneshot(router, scoring(JSON, budget)));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!((server.metric("mlrs_bytes_in_flight").await - 900.0).abs() < 1e-9);
    let answer = server.score(JSON, vec![b' '; 200]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "1"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["error_code"], "TEMPORARILY_UNAVAILABLE");
    // The client of the first request leaves: its bytes are free again, and it is counted.
    held.abort();
    let _ = held.await;
    assert!(server.metric("mlrs_bytes_in_flight").await.abs() < 1e-9);
    let gone = server
        .metric(r#"mlrs_rejections_total{reason="client_gone"}"#)
        .await;
    assert!((gone - 1.0).abs() < 1e-9);
}

/// A body that declares its length and never comes.
struct Declared(u64);

impl axum::body::HttpBody for Declared {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Pending
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429_and_a_late_answer_504() {
    let runtime = Settings {
        queue_rows: 1,
        batch_rows: 1,
        ..runtime_settings()
    };
    let server = Server::with(
        info(),
        ScoringSettings {
            body_bytes: 1 << 20,
            ..small()
        },
        runtime,
    );
    let closed = server.close_gate();
    let waiting = || {
        tokio::spawn(tower::ServiceExt::oneshot(
            server.router(),
            scoring(JSON, split(&[[-4.0, 0.0]])),
        ))
    };
    let running = waiting();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let queued = waiting();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = server.score(JSON, split(&[[1.0, 2.0]])).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "1"),
        "{refused:?}"
    );
    assert_eq!(refused.json()["error_code"], "REQUEST_LIMIT_EXCEEDED");
    for late in [running, queued] {
        assert_eq!(late.await.unwrap().unwrap().status(), 504);
    }
    closed.open();
    let deadline = server
        .metric(r#"mlrs_rejections_total{reason="deadline"}"#)
        .await;
    assert!((deadline - 2.0).abs() < 1e-9, "{deadline}");
    let full = server
        .metric(r#"mlrs_rejections_total{reason="queue_full"}"#)
        .await;
    assert!((full - 1.0).abs() < 1e-9, "{full}");
}

#[tokio::test]
async fn requests_are_counted_and_timed() {
    let server = server();
    server.score(JSON, EXAMPLE).await;
    server
        .score(JSON, r#"{"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}"#)
        .await;
    server.score(JSON, "{").await;
    for (line, expected) in [
        (r#"mlrs_requests_total{status="200"}"#, 2.0),
        (r#"mlrs_requests_total{status="400"}"#, 1.0),
        ("mlrs_request_seconds_count", 3.0),
        ("mlrs_decode_seconds_count", 2.0),
        ("mlrs_wait_seconds_count", 2.0),
        ("mlrs_predict_seconds_count", 2.0),
        ("mlrs_encode_seconds_count", 2.0),
        ("mlrs_batch_rows_sum", 3.0),
        ("mlrs_ignored_columns_total", 1.0),
    ] {
        let found = server.metric(line).await;
        assert!((found - expected).abs() < 1e-9, "{line} {found}");
    }
}

#[tokio::test]
async fn the_serving_example_warms_up() {
    let warm = server().state.warm_up().await.unwrap();
    assert_eq!(
        (&warm.example, warm.engine.rows),
        (&ExampleOutcome::Answered, 2)
    );
    let outcome = async |example: Option<&str>| {
        let serving_example = example.map(|text| text.as_bytes().to_vec());
        let info = ModelInfo {
            serving_example,
            ..info()
        };
        let server = Server::with(info, ScoringSettings::default(), runtime_settings());
        server.state.warm_up().await
    };
    assert_eq!(outcome(None).await.unwrap().example, ExampleOutcome::Absent);
    let refused = outcome(Some("{}")).await.unwrap().example;
    assert!(matches!(refused, ExampleOutcome::Refused(_)), "{refused:?}");
    let failed = outcome(Some(&split(&[[-2.0, 0.0]]))).await.unwrap_err();
    assert!(matches!(failed, WarmUpError::Predict(_)), "{failed:?}");
}
