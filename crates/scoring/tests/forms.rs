//! Bodies and responses beside MLflow's JSON: CSV without a header, JSON lines, `.npy`, chosen outputs;
//! and servers behind a proxy's prefix or for the pages of other sites.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use http::Request;
use mlrs_scoring::{ModelInfo, ScoringSettings};
use serde_json::json;
use support::{Answer, EXAMPLE, Server, info, runtime_settings, scoring};

const JSON: &str = "application/json";

fn server() -> Server {
    Server::new(ScoringSettings::default())
}

async fn accepting(server: &Server, accept: &str) -> Answer {
    let mut request = scoring(JSON, EXAMPLE);
    request
        .headers_mut()
        .insert("accept", accept.parse().unwrap());
    server.send(request).await
}

#[tokio::test]
async fn csv_without_a_header_has_the_order_of_the_signature() {
    let server = server();
    let expected = json!({"predictions": [{"sum": 3.5}, {"sum": 7.0}]});
    let answer = server
        .score("text/csv; header=absent", "1.5,2\n3,4\n")
        .await;
    assert_eq!(answer.json(), expected);
    let narrow = server.score("text/csv; header=absent", "1.5\n").await;
    assert_eq!(narrow.status, 400, "{narrow:?}");
    let sagemaker = Server::new(ScoringSettings {
        csv_header: false,
        ..ScoringSettings::default()
    });
    assert_eq!(
        sagemaker.score("text/csv", "1.5,2\n3,4\n").await.json(),
        expected
    );
    let named = sagemaker
        .score("text/csv; header=present", "b,a\n2,1.5\n4,3\n")
        .await;
    assert_eq!(named.json(), expected);
    // Names where rows are expected are no numbers, and no row.
    assert_eq!(
        sagemaker.score("text/csv", "a,b\n1.5,2\n").await.status,
        400
    );
}

#[tokio::test]
async fn json_lines_are_rows() {
    let server = server();
    let expected = json!({"predictions": [{"sum": 3.5}, {"sum": 7.0}]});
    for lines in [
        "{\"a\": 1.5, \"b\": 2}\n{\"b\": 4, \"a\": 3}\n",
        "{\"a\": 1.5, \"b\": 2}\r\n\r\n{\"b\": 4, \"a\": 3}",
        "[1.5, 2]\n[3, 4]\n",
    ] {
        let answer = server.score("application/jsonlines", lines).await;
        assert_eq!(answer.json(), expected, "{lines}");
    }
    for lines in [
        "",
        "\n",
        "{\"a\": 1, \"b\": 2}\n[1, 2]",
        "{\"a\": 1\n}",
        "[1, 2]]}}\n[1, 2]",
    ] {
        let answer = server.score("application/x-ndjson", lines).await;
        assert_eq!(answer.status, 400, "{lines}");
    }
}

#[tokio::test]
async fn responses_come_as_accept_asks() {
    let server = server();
    let csv = accepting(&server, "text/csv").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.text, "sum\n3.5\n7.0\n");
    assert_eq!(
        accepting(&server, "text/csv; header=absent").await.text,
        "3.5\n7.0\n"
    );
    let lines = accepting(&server, "application/jsonlines").await;
    assert_eq!(lines.header("content-type"), "application/jsonlines");
    assert_eq!(lines.text, "{\"sum\":3.5}\n{\"sum\":7.0}\n");
    assert_eq!(
        accepting(&server, "text/html").await.header("content-type"),
        JSON
    );
    let sagemaker = Server::new(ScoringSettings {
        csv_header: false,
        ..ScoringSettings::default()
    });
    assert_eq!(accepting(&sagemaker, "text/csv").await.text, "3.5\n7.0\n");
}

#[tokio::test]
async fn outputs_are_chosen_by_name() {
    let server = server();
    let ask = async |path: &str, body: &str| {
        let request = Request::post(path).header("content-type", JSON);
        server
            .send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    };
    let all = ask("/invocations", EXAMPLE).await;
    assert_eq!(
        ask("/invocations?outputs=sum", EXAMPLE).await.json(),
        all.json()
    );
    let body = EXAMPLE.replacen('{', "{\"outputs\": [\"sum\"], ", 1);
    assert_eq!(ask("/invocations", &body).await.json(), all.json());
    let other = ask("/invocations?outputs=other", EXAMPLE).await;
    assert_eq!(other.status, 400);
    assert!(other.text.contains("the outputs are `sum`"), "{other:?}");
    let body = body.replace("[\"sum\"]", "\"sum\"");
    assert_eq!(ask("/invocations", &body).await.status, 400);
}

/// `numpy.save` of `[[1.5, 2.0], [3.0, 4.0]]`.
fn npy() -> Vec<u8> {
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }";
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend_from_slice(format!("{header:117}\n").as_bytes());
    for value in [1.5f64, 2.0, 3.0, 4.0] {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file
}

#[tokio::test]
async fn an_npy_file_is_a_tensor() {
    let unsigned = ModelInfo {
        signature: None,
        ..info()
    };
    let server = Server::with(unsigned, ScoringSettings::default(), runtime_settings());
    let answer = server.score("application/x-npy", npy()).await;
    assert_eq!(
        answer.json(),
        json!({"predictions": {"sum": [3.5, 7.0]}}),
        "{answer:?}"
    );
    let mut request = scoring("application/x-npy", npy());
    request
        .headers_mut()
        .insert("accept", "application/x-npy".parse().unwrap());
    let bytes = server.send_for_bytes(request).await;
    assert!(bytes.starts_with(b"\x93NUMPY"));
    assert!(bytes.ends_with(&[3.5f64.to_le_bytes(), 7.0f64.to_le_bytes()].concat()));
    // A model of columns does not take it.
    let columns = Server::new(ScoringSettings::default());
    assert_eq!(columns.score("application/x-npy", npy()).await.status, 400);
}

#[tokio::test]
async fn a_prefix_of_a_proxy_may_stay_or_not() {
    let server = Server::new(ScoringSettings {
        root_path: "/models/iris".to_owned(),
        ..ScoringSettings::default()
    });
    for prefix in ["", "/models/iris"] {
        let request = Request::post(format!("{prefix}/invocations")).header("content-type", JSON);
        let answer = server
            .send(request.body(Body::from(EXAMPLE)).unwrap())
            .await;
        assert_eq!(answer.status, 200, "{prefix}");
        assert_eq!(server.get(&format!("{prefix}/ping")).await.status, 200);
        let slash = server.get(&format!("{prefix}/invocations/")).await;
        assert_eq!(slash.header("location"), "/models/iris/invocations");
        assert_eq!(server.get(&format!("{prefix}/nothing")).await.status, 404);
    }
    let document = server.get("/openapi.json").await.json();
    assert_eq!(document["servers"], json!([{"url": "/models/iris"}]));
}

#[tokio::test]
async fn only_allowed_names_are_served_where_there_are_some() {
    let server = Server::new(ScoringSettings {
        allowed_hosts: vec!["models.example".to_owned(), "*.internal".to_owned()],
        ..ScoringSettings::default()
    });
    let of_host = |path: &str, host: &str| {
        let request = Request::get(path).header("host", host);
        request.body(Body::empty()).unwrap()
    };
    for (path, host, status) in [
        ("/docs", "models.example", 200),
        ("/docs", "models.example:8080", 200),
        ("/docs", "a.internal", 200),
        ("/docs", "rebound.example", 403),
        ("/docs", "127.0.0.1:5000", 403),
        ("/ping", "10.0.0.7:8080", 200),
    ] {
        let answer = server.send(of_host(path, host)).await;
        assert_eq!(answer.status, status, "{path} {host}");
    }
    let refused = server.send(of_host("/docs", "rebound.example")).await;
    assert_eq!(refused.json()["error_code"], "PERMISSION_DENIED");
    let any = Server::new(ScoringSettings::default());
    assert_eq!(
        any.send(of_host("/docs", "rebound.example")).await.status,
        200
    );
}

#[tokio::test]
async fn pages_of_allowed_origins_read_responses() {
    let server = Server::new(ScoringSettings {
        allowed_origins: vec!["https://app.example".to_owned()],
        ..ScoringSettings::default()
    });
    let preflight = |origin: &str| {
        Request::options("/invocations")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .body(Body::empty())
            .unwrap()
    };
    let allowed = server.send(preflight("https://app.example")).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        "content-type"
    );
    for origin in ["https://evil.example", "http://localhost:3000"] {
        let other = server.send(preflight(origin)).await;
        assert!(
            other.headers.get("access-control-allow-origin").is_none(),
            "{origin}"
        );
    }
    let mut request = scoring(JSON, EXAMPLE);
    request
        .headers_mut()
        .insert("origin", "https://app.example".parse().unwrap());
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example"
    );
    // Without the option nothing is said.
    let silent = Server::new(ScoringSettings::default());
    assert_eq!(
        silent.send(preflight("https://app.example")).await.status,
        405
    );
}
