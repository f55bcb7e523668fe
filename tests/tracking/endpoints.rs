//! Every endpoint that tracking, models and the registry need is there; every other one says that it
//! is not, so that clients take another way.

use mlrs_testing::{Client, MlrsServer};

/// MLflow's endpoints, each with what it is for.
const ENDPOINTS: &str = include_str!("endpoints.txt");

/// Endpoints that MLflow's pages ask for without being told to; they get the answer of a server that
/// has nothing of the kind, below `/ajax-api` only.
const OF_PAGES: &[&str] = &[
    "/mlflow/traces/search",
    "/mlflow/traces/metrics",
    "/mlflow/datasets/search",
    "/mlflow/scorers/list",
    "/mlflow/label-schemas/list",
    "/mlflow/review-queues/list",
    "/mlflow/issues/search",
    "/mlflow/webhooks",
    "/mlflow/gateway/endpoints/list",
    "/mlflow/gateway/secrets/list",
    "/mlflow/gateway/model-definitions/list",
    "/mlflow/scorers/online-configs",
    "/mlflow/traces/batchGetInfos",
    "/mlflow/traces",
];

/// What buttons of these pages would do; below `/ajax-api` it is refused by its name.
const BUTTONS: &[&str] = &[
    "/mlflow/datasets/create",
    "/mlflow/scorers/register",
    "/mlflow/issues",
    "/mlflow/webhooks",
    "/mlflow/label-schemas/create",
    "/mlflow/review-queues/create",
    "/mlflow/review-queues/get-or-create-user",
];

/// Routes outside of the protocol definitions, with the status that an empty request gets.
const ROUTES: &[(&str, &str, u16)] = &[
    ("GET", "/health", 200),
    ("GET", "/version", 200),
    ("GET", "/metrics", 200),
    ("GET", "/api/3.0/mlflow/server-info", 200),
    ("GET", "/ajax-api/3.0/mlflow/server-info", 200),
    ("GET", "/ajax-api/3.0/mlflow/mcp-servers", 200),
    ("GET", "/ajax-api/3.0/mlflow/skills", 200),
    ("GET", "/api/3.0/mlflow/mcp-servers", 404),
    ("GET", "/ajax-api/2.0/mlflow/users/current", 404),
    ("POST", "/ajax-api/3.0/mlflow/demo/generate", 501),
    (
        "POST",
        "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
        501,
    ),
    ("GET", "/get-artifact", 400),
    ("GET", "/model-versions/get-artifact", 400),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", 400),
    (
        "GET",
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval",
        400,
    ),
    (
        "POST",
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
        400,
    ),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact", 400),
    (
        "GET",
        "/ajax-api/2.0/mlflow/logged-models/m-0/artifacts/files",
        400,
    ),
];

/// A path with something in each of its places.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| match part {
            part if part.starts_with('{') || part.starts_with('<') => "x",
            part => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn what_is_needed_is_there_and_the_rest_says_that_it_is_not() {
    let server = MlrsServer::start(&[]).unwrap();
    let client = Client::new();
    let ask = |method: &str, path: &str| {
        let url = format!("{}{path}", server.address());
        let body = (method != "GET").then_some(b"{}".as_slice());
        let kind = body.map(|_| "application/json");
        client.send(method, &url, kind, body).unwrap()
    };
    let mut needed = 0;
    for line in ENDPOINTS.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        let [purpose, method, version, path] = parts[..] else {
            panic!("{line}");
        };
        for prefix in ["api", "ajax-api"] {
            let answer = ask(method, &format!("/{prefix}/{version}{}", filled(path)));
            let absent = answer.body.contains("ENDPOINT_NOT_FOUND");
            if purpose == "CORE" {
                assert!(
                    !absent && answer.status != 405,
                    "{prefix} {line}: {answer:?}"
                );
            } else if prefix == "ajax-api" && method == "POST" && BUTTONS.contains(&path) {
                let refused = answer.body.contains("This server has no ");
                assert!(
                    answer.status == 501 && refused,
                    "{prefix} {line}: {answer:?}"
                );
            } else if prefix == "api" || !OF_PAGES.contains(&path) {
                assert!(absent, "{prefix} {line}: {answer:?}");
            }
        }
        needed += usize::from(purpose == "CORE");
    }
    assert_eq!(needed, 68);
    for (method, path, status) in ROUTES {
        let answer = ask(method, path);
        assert_eq!(answer.status, *status, "{method} {path}: {answer:?}");
    }
    // MLflow's pages show what they are not told about.
    let info = ask("GET", "/ajax-api/3.0/mlflow/server-info").body;
    for absent in ["gateway", "scheduled_issue_detection"] {
        assert!(info.contains(&format!("\"{absent}\":false")), "{info}");
    }
}
