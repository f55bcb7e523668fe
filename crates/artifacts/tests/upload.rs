//! Uploads to the artifact proxy of a tracking server, which is a mock here.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use mlrs_artifacts::{
    ArtifactPath, ArtifactStore, ProxyStore, RetrySettings, Source, StoreError, Transport,
    TransportSettings,
};
use url::Url;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const PLACE: &str = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/a%20b/c";

fn store(server: &MockServer, timeout: Duration) -> ProxyStore {
    let transport = Transport::new(TransportSettings {
        timeout,
        retry: RetrySettings {
            backoff_factor: 0.0,
            backoff_jitter: 0.0,
            ..RetrySettings::default()
        },
        ..TransportSettings::default()
    });
    let root = ArtifactPath::parse("1/run/artifacts").unwrap();
    ProxyStore::new(transport.unwrap(), Url::parse(&server.uri()).unwrap(), root)
}

#[tokio::test]
async fn a_file_is_sent_with_its_length_and_again_when_the_server_is_busy() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path(PLACE))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(path(PLACE))
        .and(header("content-length", "3000000"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c");
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    let place = ArtifactPath::parse("a b/c").unwrap();
    let sent = store(&server, Duration::from_secs(10))
        .upload(&place, &Source::file(&file))
        .await;
    assert_eq!(sent.unwrap(), 3_000_000);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.last().unwrap().body, vec![7; 3_000_000]);
}

#[tokio::test]
async fn a_refusal_a_silent_server_and_an_absent_file_are_errors() {
    let server = MockServer::start().await;
    let place = ArtifactPath::parse("a b/c").unwrap();
    let source = Source::bytes("x");
    let impatient = store(&server, Duration::from_millis(200));
    let refused = impatient.upload(&place, &source).await;
    assert!(matches!(refused, Err(StoreError::NotWritten { .. })));
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(5)))
        .mount(&server)
        .await;
    let silent = impatient.upload(&place, &source).await.unwrap_err();
    assert!(silent.is_transient(), "{silent:?}");
    let absent = impatient.upload(&place, &Source::file("/nowhere/x")).await;
    assert!(matches!(absent, Err(StoreError::Content { .. })));
}
