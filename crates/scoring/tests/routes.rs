//! Every route but `/invocations`: probes, pages, metrics, unknown paths and methods.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use http::Request;
use mlrs_scoring::{Phase, ScoringSettings};
use support::Server;

fn server() -> Server {
    Server::new(ScoringSettings::default())
}

#[tokio::test]
async fn probes_answer_as_mlflow_does() {
    let server = server();
    for path in ["/ping", "/health"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "\n"));
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let version = server.get("/version").await;
    assert_eq!(
        (version.text.as_str(), version.header("content-type")),
        ("3.17.2", "application/json")
    );
}

#[tokio::test]
async fn ready_follows_the_life_of_the_server() {
    let server = server();
    assert_eq!(server.state.phase(), Phase::Starting);
    let starting = server.get("/ready").await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.json()["message"], "the model is loading");
    server.state.mark_ready();
    assert_eq!(server.get("/ready").await.status, 200);
    assert!((server.metric("mlrs_ready").await - 1.0).abs() < 1e-9);
    server.state.begin_drain();
    let draining = server.get("/ready").await;
    assert_eq!(
        (draining.status.as_u16(), draining.header("retry-after")),
        (503, "1")
    );
    server.state.mark_ready();
    assert_eq!(
        server.state.phase(),
        Phase::Draining,
        "there is no way back"
    );
    assert_eq!(
        server.get("/ping").await.status,
        200,
        "alive while draining"
    );
}

/// As MLflow's server has it; clients follow with the same method and body.
#[tokio::test]
async fn slashes_at_the_end_lead_to_the_route() {
    let server = server();
    for (path, location) in [
        ("/invocations/", "/invocations"),
        ("/invocations//", "/invocations"),
        ("/invocations/?x=1&y", "/invocations?x=1&y"),
        ("/ping/", "/ping"),
    ] {
        let request = Request::builder().method("POST").uri(path);
        let request = request.body(Body::from("{\"inputs\": [1]}")).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status, 307, "{path}");
        assert_eq!(answer.header("location"), location);
    }
    for path in ["/", "//", "/nothing/", "//invocations/"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json() {
    let server = server();
    let mut answers = Vec::new();
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/invocations"),
        ("POST", "/ping"),
        ("DELETE", "/docs"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", "test");
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("x-request-id"), "test");
        answers.push(format!(
            "{method} {path} {} allow={}",
            answer.brief(),
            answer.header("allow")
        ));
    }
    insta::assert_snapshot!(answers.join("\n"));
    assert!((server.metric(r#"mlrs_requests_total{status="404"}"#).await - 1.0).abs() < 1e-9);
    assert!((server.metric(r#"mlrs_requests_total{status="405"}"#).await - 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn head_requests_have_no_body() {
    let answer = server()
        .send(Request::head("/ping").body(Body::empty()).unwrap())
        .await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn request_ids_are_made_or_kept() {
    let server = server();
    assert_eq!(server.get("/ping").await.header("x-request-id").len(), 32);
    for (sent, kept) in [("abc", true), ("two words", false)] {
        let request = Request::get("/ping")
            .header("x-request-id", sent)
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            server.send(request).await.header("x-request-id") == sent,
            kept,
            "{sent}"
        );
    }
}

#[tokio::test]
async fn metrics_name_the_model() {
    let answer = server().get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let line = "mlrs_model_info{backend=\"test\",flavor=\"onnx\",name=\"row-sum\",\
                run_id=\"707dcc0bd23a43c0bee7989ce3aa40aa\",version=\"7\"} 1";
    assert!(
        answer.text.lines().any(|found| found == line),
        "{}",
        answer.text
    );
    let mut names: Vec<&str> = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    names.sort_unstable();
    insta::assert_snapshot!(names.join("\n"));
}

#[tokio::test]
async fn the_page_is_html_with_a_policy() {
    let answer = server().get("/docs").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for text in [
        "<title>row-sum · mlrs</title>",
        "<td>a</td><td><code>double</code></td>",
        "[1.5, 2.0]",
    ] {
        assert!(answer.text.contains(text), "{text}");
    }
}

#[tokio::test]
async fn the_openapi_document_is_json_and_compressed_when_asked() {
    let request = Request::get("/openapi.json").header("accept-encoding", "gzip");
    let answer = server().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "row-sum");
}
