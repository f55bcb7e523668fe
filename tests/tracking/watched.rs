//! What Prometheus is told of a tracking server: each answer once, under the template of its
//! endpoint.

use std::collections::BTreeMap;

use mlrs_testing::{Client, MlrsServer};
use serde_json::Value;

/// The series of a server, each with its value.
fn scrape(client: &Client, server: &MlrsServer) -> BTreeMap<String, f64> {
    let answer = client
        .get(&format!("{}/metrics", server.address()))
        .unwrap();
    let series = answer.body.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

/// The requests that were counted, as `method endpoint status: count`.
fn counted(series: &BTreeMap<String, f64>) -> Vec<String> {
    let label = |labels: &str, name: &str| {
        let (_, rest) = labels.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let counted = series.iter().filter_map(|(name, count)| {
        let labels = name.strip_prefix("mlrs_http_requests_total{")?;
        let [method, endpoint, status] =
            ["method", "endpoint", "status"].map(|name| label(labels, name));
        (*count > 0.0).then(|| format!("{method} {endpoint} {status}: {count}"))
    });
    let mut counted: Vec<String> = counted.collect();
    counted.sort_unstable();
    counted
}

#[test]
fn requests_are_counted_by_endpoint_method_and_status() {
    let server = MlrsServer::start(&[]).unwrap();
    let client = Client::new();
    let ask = |method: &str, path: &str, body: Option<&str>| {
        let kind = body.map(|_| "application/json");
        let url = format!("{}{path}", server.address());
        let answer = client.send(method, &url, kind, body.map(str::as_bytes));
        answer.unwrap()
    };
    let before = scrape(&client, &server);
    assert_eq!(counted(&before), [""; 0]);

    let api = "/api/2.0/mlflow";
    let create = format!("{api}/experiments/create");
    let made: Value =
        serde_json::from_str(&ask("POST", &create, Some(r#"{"name":"a"}"#)).body).unwrap();
    let id = made["experiment_id"].as_str().unwrap();
    ask("POST", &create, Some(r#"{"name":"a"}"#));
    ask(
        "POST",
        "/ajax-api/2.0/mlflow/experiments/create",
        Some(r#"{"name":"b"}"#),
    );
    ask(
        "GET",
        &format!("{api}/experiments/get?experiment_id={id}"),
        None,
    );
    ask(
        "GET",
        &format!("{api}/experiments/get?experiment_id=77"),
        None,
    );
    for model in ["m-1", "m-2", "m-3"] {
        ask("GET", &format!("{api}/logged-models/{model}"), None);
        ask("DELETE", &format!("{api}/logged-models/{model}"), None);
    }
    let files = "/api/2.0/mlflow-artifacts/artifacts";
    ask("PUT", &format!("{files}/1/a.txt"), Some("text"));
    ask("PUT", &format!("{files}/1/b.txt"), Some("text"));
    ask("GET", &format!("{files}/1/a.txt"), None);
    ask(
        "GET",
        "/ajax-api/2.0/mlflow-artifacts/artifacts/1/b.txt",
        None,
    );
    ask("GET", &format!("{files}/1/none.txt"), None);
    ask("GET", &format!("{files}?path=1"), None);
    ask(
        "POST",
        "/graphql",
        Some(r#"{"query":"{ test(inputString: \"a\") { output } }"}"#),
    );
    ask("POST", "/ajax-api/3.0/mlflow/traces/search", Some("{}"));
    ask("GET", "/static-files/none.js", None);
    ask("GET", "/", None);
    // Neither the path nor the method of these is anybody's.
    ask("GET", "/a/path/of/somebody", None);
    ask("PATCH", &format!("{api}/runs/get"), None);
    ask("GET", &create, None);
    ask("GET", "/health", None);

    let after = scrape(&client, &server);
    assert_eq!(
        counted(&after),
        [
            "DELETE /mlflow/logged-models/{model_id} 404: 3",
            "GET / 200: 1",
            "GET /mlflow-artifacts/artifacts 200: 1",
            "GET /mlflow-artifacts/artifacts/{*artifact_path} 200: 2",
            "GET /mlflow-artifacts/artifacts/{*artifact_path} 404: 1",
            "GET /mlflow/experiments/get 200: 1",
            "GET /mlflow/experiments/get 404: 1",
            "GET /mlflow/logged-models/{model_id} 404: 3",
            "GET /static-files/{*path} 404: 1",
            "POST /ajax-api/3.0/mlflow/traces/search 200: 1",
            "POST /graphql 200: 1",
            "POST /mlflow/experiments/create 200: 2",
            "POST /mlflow/experiments/create 400: 1",
            "PUT /mlflow-artifacts/artifacts/{*artifact_path} 200: 2",
            "any unknown 404: 1",
            "any unknown 405: 2",
        ]
    );
    let names = |series: &BTreeMap<String, f64>| series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "a request made a series");
    let times = |endpoint: &str, le: &str| {
        let labels = format!("endpoint=\"{endpoint}\",le=\"{le}\"");
        after[&format!("mlrs_http_request_duration_seconds_bucket{{{labels}}}")]
    };
    for (endpoint, count) in [
        ("/mlflow/experiments/create", 3.0),
        ("/mlflow/logged-models/{model_id}", 6.0),
        ("/mlflow-artifacts/artifacts/{*artifact_path}", 5.0),
        ("unknown", 3.0),
    ] {
        assert!((times(endpoint, "+Inf") - count).abs() < 0.1, "{endpoint}");
        assert!(times(endpoint, "30") > count - 0.1, "{endpoint}");
    }
}
