//! Servers that lie, fail, dawdle or try to write where they must not.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{chain, resolver};
use mlrs_client::{ResolveError, silent};
use wiremock::matchers::{any, header, method, path, path_regex, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const DOWNLOAD_URI: &str = "/api/2.0/mlflow/model-versions/get-download-uri";
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

fn json(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(text, "application/json")
}

async fn version_at(server: &MockServer, artifact_uri: &str) {
    let body = serde_json::json!({ "artifact_uri": artifact_uri }).to_string();
    Mock::given(method("GET"))
        .and(path(DOWNLOAD_URI))
        .respond_with(json(&body))
        .mount(server)
        .await;
}

async fn listing(server: &MockServer, files: serde_json::Value) {
    let body = serde_json::json!({ "files": files }).to_string();
    Mock::given(method("GET"))
        .and(path(PROXY))
        .respond_with(json(&body))
        .mount(server)
        .await;
}

async fn file(server: &MockServer, content: &[u8], times: u64) {
    Mock::given(method("GET"))
        .and(path_regex(format!("^{PROXY}/.+")))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(content))
        .expect(times)
        .mount(server)
        .await;
}

/// A server with version 1 of `reg`: one file.
async fn model(content: &[u8], size: usize, times: u64) -> MockServer {
    let server = MockServer::start().await;
    version_at(&server, "mlflow-artifacts:/1/models/m/artifacts").await;
    listing(
        &server,
        serde_json::json!([{ "path": "MLmodel", "is_dir": false, "file_size": size }]),
    )
    .await;
    file(&server, content, times).await;
    server
}

async fn refused(server: &MockServer, cache: &Path, more: &[(&str, &str)]) -> ResolveError {
    let resolver = resolver(&server.uri(), cache, more);
    resolver
        .resolve("models:/reg/1", &silent)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_path_out_of_the_folder_is_refused_before_anything_is_asked_for() {
    for hostile in [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "%2e%2e/evil",
        "%252e%252e%252fevil",
        "..\\evil",
        "a\u{0}b",
        "a//b",
        "C:/evil",
    ] {
        let server = MockServer::start().await;
        version_at(&server, "mlflow-artifacts:/1/models/m/artifacts").await;
        let files = serde_json::json!([
            { "path": hostile, "is_dir": false, "file_size": 4 },
        ]);
        listing(&server, files).await;
        file(&server, b"evil", 0).await;
        let home = tempfile::tempdir().unwrap();
        let error = refused(&server, &home.path().join("cache"), &[]).await;
        assert!(
            chain(&error).contains("is not safe"),
            "{hostile}: {}",
            chain(&error)
        );
        let kept: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert_eq!(kept.len(), 1, "{hostile}");
    }
}

#[tokio::test]
async fn an_artifact_uri_out_of_the_store_is_refused() {
    for uri in [
        "mlflow-artifacts:/1/../../x",
        "mlflow-artifacts:/%2e%2e/x",
        "ftp://host/x",
        "mlflow-artifacts://5000/x",
    ] {
        let server = MockServer::start().await;
        version_at(&server, uri).await;
        let cache = tempfile::tempdir().unwrap();
        assert!(
            matches!(
                refused(&server, cache.path(), &[]).await,
                ResolveError::Store(_)
            ),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn a_content_of_another_size_is_refused() {
    for (content, announced) in [(b"abc".as_slice(), 5), (b"abcde", 3)] {
        let server = model(content, announced, 1).await;
        let cache = tempfile::tempdir().unwrap();
        let error = refused(&server, cache.path(), &[]).await;
        assert!(
            chain(&error).contains(&format!("announced {announced}")),
            "{}",
            chain(&error)
        );
    }
}

#[tokio::test]
async fn folders_without_end_are_refused() {
    let server = MockServer::start().await;
    version_at(&server, "mlflow-artifacts:/1/models/m/artifacts").await;
    listing(
        &server,
        serde_json::json!([{ "path": "d", "is_dir": true }]),
    )
    .await;
    let cache = tempfile::tempdir().unwrap();
    let error = refused(&server, cache.path(), &[]).await;
    assert!(chain(&error).contains("deep"), "{}", chain(&error));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_clear_answer_is_not() {
    for (status, body, asked) in [
        (503, "", 8),
        (429, "", 8),
        (500, "<html>", 8),
        (500, r#"{"error_code":"INTERNAL_ERROR","message":"no"}"#, 3),
        (
            400,
            r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}"#,
            1,
        ),
        (
            404,
            r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}"#,
            1,
        ),
        (401, "You are not authenticated", 1),
    ] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .expect(asked)
            .mount(&server)
            .await;
        let cache = tempfile::tempdir().unwrap();
        let error = refused(&server, cache.path(), &[]).await;
        let text = chain(&error);
        assert!(
            text.contains("version `1` of the registered model `reg`"),
            "{text}"
        );
        assert!(
            text.contains(&status.to_string()) && text.contains(&server.uri()),
            "{text}"
        );
        if status == 401 {
            assert!(error.hint().unwrap().contains("MLFLOW_TRACKING_USERNAME"));
        }
    }
}

#[tokio::test]
async fn a_server_that_recovers_is_waited_for_as_long_as_it_asks() {
    let server = MockServer::start().await;
    let wait = ResponseTemplate::new(429).insert_header("Retry-After", "1");
    Mock::given(path(DOWNLOAD_URI))
        .respond_with(wait)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    version_at(&server, "mlflow-artifacts:/1/models/m/artifacts").await;
    listing(
        &server,
        serde_json::json!([{ "path": "MLmodel", "is_dir": false, "file_size": "3" }]),
    )
    .await;
    file(&server, b"abc", 1).await;
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let found = resolver(&server.uri(), cache.path(), &[])
        .resolve("models:/reg/1", &silent)
        .await
        .unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(std::fs::read(found.path.join("MLmodel")).unwrap(), b"abc");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = MockServer::start().await;
    let late = json("{}").set_delay(Duration::from_mins(1));
    Mock::given(any()).respond_with(late).mount(&server).await;
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let error = refused(
        &server,
        cache.path(),
        &[("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")],
    )
    .await;
    assert!(
        chain(&error).contains("within 1 seconds"),
        "{}",
        chain(&error)
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_page_instead_of_an_answer_says_what_to_check() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_string("<html>welcome</html>");
    Mock::given(any()).respond_with(page).mount(&server).await;
    let cache = tempfile::tempdir().unwrap();
    let error = refused(&server, cache.path(), &[]).await;
    assert!(chain(&error).contains("<html>welcome"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("MLFLOW_TRACKING_URI"));
}

#[tokio::test]
async fn credentials_go_to_the_server_alone_and_never_into_a_message() {
    let server = MockServer::start().await;
    let port = server.address().port();
    Mock::given(path(DOWNLOAD_URI))
        .and(header("authorization", "Basic YW5uYTpnZWhlaW0="))
        .respond_with(json(&format!(
            r#"{{"artifact_uri":"mlflow-artifacts://localhost:{port}/1/m/artifacts"}}"#
        )))
        .expect(1)
        .mount(&server)
        .await;
    let forbidden = ResponseTemplate::new(403).set_body_string("no");
    Mock::given(path(PROXY))
        .respond_with(forbidden)
        .mount(&server)
        .await;
    let cache = tempfile::tempdir().unwrap();
    let address = format!("http://anna:geheim@127.0.0.1:{port}");
    let error = resolver(&address, cache.path(), &[])
        .resolve("models:/reg/1", &silent)
        .await
        .unwrap_err();
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("403") && !text.contains("geheim"), "{text}");
    let requests = server.received_requests().await.unwrap();
    let elsewhere = requests
        .iter()
        .find(|request| request.url.path() == PROXY)
        .unwrap();
    assert!(!elsewhere.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_version_is_downloaded_once_even_by_two_at_a_time_and_survives_its_server() {
    let server = model(b"abc", 3, 1).await;
    let address = server.uri();
    let cache = tempfile::tempdir().unwrap();
    let (one, two) = (
        resolver(&address, cache.path(), &[]),
        resolver(&address, cache.path(), &[]),
    );
    let (first, second) = tokio::join!(
        one.resolve("models:/reg/1", &silent),
        two.resolve("models:/reg/1", &silent)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.path, second.path);
    assert!(first.from_cache != second.from_cache);
    let meta = std::fs::read_to_string(first.path.join("registered_model_meta")).unwrap();
    assert_eq!(meta, "model_name: reg\nmodel_version: '1'\n");
    // The server names another place: what is cached is of something else.
    server.reset().await;
    version_at(&server, "mlflow-artifacts:/1/models/other/artifacts").await;
    listing(
        &server,
        serde_json::json!([{ "path": "MLmodel", "is_dir": false, "file_size": 2 }]),
    )
    .await;
    file(&server, b"zz", 1).await;
    let changed = one.resolve("models:/reg/1", &silent).await.unwrap();
    assert!(!changed.from_cache);
    assert_eq!(std::fs::read(changed.path.join("MLmodel")).unwrap(), b"zz");
    // The server is gone: what is here is still there, but a pointer cannot be followed.
    drop(server);
    let offline = one.resolve("models:/reg/1", &silent).await.unwrap();
    assert!(offline.from_cache);
    assert_eq!(offline.identity.unwrap().version.as_deref(), Some("1"));
    assert!(one.resolve("models:/reg/latest", &silent).await.is_err());
}

#[tokio::test]
async fn workspaces_do_not_share_the_cache() {
    let server = model(b"abc", 3, 2).await;
    let cache = tempfile::tempdir().unwrap();
    for workspace in ["one", "two"] {
        let resolver = resolver(
            &server.uri(),
            cache.path(),
            &[("MLFLOW_WORKSPACE", workspace)],
        );
        assert!(
            !resolver
                .resolve("models:/reg/1", &silent)
                .await
                .unwrap()
                .from_cache
        );
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["x-mlflow-workspace"], "one");
}

#[tokio::test]
async fn an_older_server_is_asked_for_stages_in_its_own_way() {
    let server = model(b"abc", 3, 1).await;
    let stages = "/api/2.0/mlflow/registered-models/get-latest-versions";
    let unknown = ResponseTemplate::new(404)
        .set_body_string(r#"{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}"#);
    Mock::given(method("POST"))
        .and(path(stages))
        .respond_with(unknown)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(stages))
        .and(query_param("stages", "Production"))
        .respond_with(json(
            r#"{"model_versions":[{"name":"reg","version":9},{"name":"reg","version":"10"}]}"#,
        ))
        .mount(&server)
        .await;
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.uri(), cache.path(), &[]);
    let found = resolver
        .resolve("models:/reg/Production", &silent)
        .await
        .unwrap();
    assert_eq!(found.identity.unwrap().version.as_deref(), Some("10"));
}

#[tokio::test]
async fn a_folder_on_the_servers_disk_is_used_in_place_or_explained() {
    let server = MockServer::start().await;
    let store = tempfile::tempdir().unwrap();
    std::fs::write(store.path().join("MLmodel"), "flavors: {}").unwrap();
    version_at(&server, &format!("file://{}", store.path().display())).await;
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.uri(), cache.path(), &[]);
    let found = resolver.resolve("models:/reg/1", &silent).await.unwrap();
    assert_eq!(found.path, store.path());
    // Nothing is written into a store.
    assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 1);
    server.reset().await;
    version_at(&server, "/mlruns/1/models/m-1/artifacts").await;
    let error = resolver
        .resolve("models:/reg/1", &silent)
        .await
        .unwrap_err();
    assert!(matches!(error, ResolveError::Elsewhere { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--serve-artifacts"));
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let server = model(b"abc", 3, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("taken");
    std::fs::write(&cache, "a file").unwrap();
    let error = refused(&server, &cache, &[]).await;
    assert!(error.to_string().contains("taken/models"), "{error}");
}

#[tokio::test]
async fn without_a_server_the_message_says_which_variable_to_set() {
    let cache = tempfile::tempdir().unwrap();
    for (address, says) in [
        ("", "no tracking server is set"),
        (
            "sqlite:///mlflow.db",
            "`sqlite:///mlflow.db` is not the address",
        ),
        ("databricks", "`databricks` is not the address"),
    ] {
        let error = resolver(address, cache.path(), &[])
            .resolve("models:/reg/1", &silent)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().unwrap().contains("MLFLOW_TRACKING_URI"));
    }
}

#[tokio::test]
async fn nobody_listening_is_found_out_quickly() {
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    for address in ["http://127.0.0.1:9", "http://no-such-host.invalid:5000"] {
        let error = resolver(address, cache.path(), &[])
            .resolve("models:/reg/1", &silent)
            .await
            .unwrap_err();
        assert!(
            chain(&error).contains("cannot reach the server"),
            "{}",
            chain(&error)
        );
        assert!(error.hint().unwrap().contains("MLFLOW_TRACKING_URI"));
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_model_of_a_run_is_found_by_name_on_any_page_and_a_file_in_it_too() {
    let server = MockServer::start().await;
    let run = r#"{"run":{"info":{"run_id":"r1","experiment_id":"7",
        "artifact_uri":"mlflow-artifacts:/7/r1/artifacts"}}}"#;
    Mock::given(path("/api/2.0/mlflow/runs/get"))
        .respond_with(json(run))
        .mount(&server)
        .await;
    let search = "/api/2.0/mlflow/logged-models/search";
    let model = |id: &str, run: &str| {
        serde_json::json!({ "info": { "model_id": id, "name": "clf", "source_run_id": run,
            "artifact_uri": format!("mlflow-artifacts:/7/models/{id}/artifacts") } })
    };
    let second = serde_json::json!({ "models": [model("m-right", "r1")] }).to_string();
    let first = serde_json::json!({ "models": [model("m-wrong", "r2")], "next_page_token": "t" });
    Mock::given(path(search))
        .and(wiremock::matchers::body_partial_json(
            serde_json::json!({ "page_token": "t" }),
        ))
        .respond_with(json(&second))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path(search))
        .respond_with(json(&first.to_string()))
        .mount(&server)
        .await;
    Mock::given(path(PROXY))
        .and(query_param("path", "7/models/m-right/artifacts"))
        .respond_with(json(
            r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":3}]}"#,
        ))
        .mount(&server)
        .await;
    Mock::given(path(PROXY))
        .respond_with(json("{}"))
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(path(format!("{PROXY}/7/models/m-right/artifacts/MLmodel")))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(b"abc"))
        .mount(&server)
        .await;
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.uri(), cache.path(), &[]);
    let whole = resolver.resolve("runs:/r1/clf", &silent).await.unwrap();
    assert_eq!(std::fs::read(whole.path.join("MLmodel")).unwrap(), b"abc");
    assert_eq!(whole.identity.unwrap().model_id.as_deref(), Some("m-right"));
    let file = resolver
        .resolve("runs:/r1/clf/MLmodel", &silent)
        .await
        .unwrap();
    assert_eq!(std::fs::read(&file.path).unwrap(), b"abc");
    let missing = resolver
        .resolve("runs:/r1/clf/nothing", &silent)
        .await
        .unwrap_err();
    assert!(
        chain(&missing).contains("no artifact `clf/nothing`"),
        "{}",
        chain(&missing)
    );
}
