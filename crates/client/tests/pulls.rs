//! Copies of a model where somebody wants them: whole or not at all, also when the folder is there
//! already and cannot be replaced, and when an earlier try was ended anywhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{RawServer, json, resolver};
use mlrs_client::{ConnectionSettings, ResolveError, Resolver, silent};

const URI: &str = "models:/reg/1";

/// A model of two files; the large one breaks off as often as `broken` says.
fn server(broken: usize) -> RawServer {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    RawServer::start(move |seen| {
        if seen.target.contains("get-download-uri") {
            return json(r#"{"artifact_uri":"mlflow-artifacts:/1/m/artifacts"}"#);
        }
        if seen.target.contains("artifacts?path=") {
            return json(
                r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":4},{"path":"weights","is_dir":false,"file_size":100}]}"#,
            );
        }
        if seen.target.contains("MLmodel") {
            return json("mlmo");
        }
        if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < broken {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_vec();
        }
        let body = "w".repeat(100);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{body}")
            .into_bytes()
    })
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn is_whole(folder: &Path) -> bool {
    let expected = ["MLmodel", "registered_model_meta", "weights"];
    names(folder) == expected.map(str::to_owned).into()
        && std::fs::read(folder.join("weights")).unwrap() == [b'w'; 100]
}

fn uncached(address: &str, destination: &Path) -> Resolver {
    let settings = ConnectionSettings::from_variables(|name| match name {
        "MLFLOW_TRACKING_URI" => Some(address.to_owned()),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES" => Some("0".to_owned()),
        _ => None,
    });
    Resolver::without_cache(settings.unwrap(), destination).unwrap()
}

#[tokio::test]
async fn a_folder_that_is_there_is_filled() {
    let server = server(0);
    let scratch = tempfile::tempdir().unwrap();
    let destination = scratch.path().join("models");
    std::fs::create_dir(&destination).unwrap();
    let before = identity(&destination);
    let resolver = resolver(&server.address, &scratch.path().join("cache"), &[]);
    resolver
        .pull(URI, &destination, false, &silent)
        .await
        .unwrap();
    assert!(is_whole(&destination), "{:?}", names(&destination));
    // Where a volume is mounted, the folder must stay the one it was.
    assert_eq!(identity(&destination), before);

    let again = resolver.pull(URI, &destination, false, &silent).await;
    assert!(matches!(again, Err(ResolveError::Exists(_))), "{again:?}");
    std::fs::write(destination.join("of-an-older-one"), "x").unwrap();
    std::fs::create_dir(destination.join("folder")).unwrap();
    resolver
        .pull(URI, &destination, true, &silent)
        .await
        .unwrap();
    assert!(is_whole(&destination), "{:?}", names(&destination));
    assert_eq!(identity(&destination), before);
}

#[cfg(unix)]
fn identity(folder: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(folder).unwrap())
}

#[cfg(not(unix))]
fn identity(_: &Path) -> u64 {
    0
}

#[tokio::test]
async fn without_a_cache_nothing_is_left_but_the_model() {
    let server = server(0);
    for is_there in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        let destination = scratch.path().join("models");
        if is_there {
            std::fs::create_dir(&destination).unwrap();
        }
        // Twice: a container that is begun again pulls into the same volume.
        for _ in 0..2 {
            let resolver = uncached(&server.address, &destination);
            resolver
                .pull(URI, &destination, true, &silent)
                .await
                .unwrap();
            assert!(is_whole(&destination), "{:?}", names(&destination));
            assert_eq!(names(scratch.path()), ["models".to_owned()].into());
        }
    }
}

#[tokio::test]
async fn a_pull_that_failed_is_begun_again() {
    for is_there in [false, true] {
        let server = server(1);
        let scratch = tempfile::tempdir().unwrap();
        let destination = scratch.path().join("models");
        if is_there {
            std::fs::create_dir(&destination).unwrap();
        }
        let first = uncached(&server.address, &destination);
        first
            .pull(URI, &destination, false, &silent)
            .await
            .unwrap_err();
        assert!(!destination.join("MLmodel").exists());
        let second = uncached(&server.address, &destination);
        second
            .pull(URI, &destination, false, &silent)
            .await
            .unwrap();
        assert!(is_whole(&destination), "{:?}", names(&destination));
        assert_eq!(names(scratch.path()), ["models".to_owned()].into());
    }
}

#[tokio::test]
async fn a_pull_that_was_killed_while_it_filled_the_folder_is_begun_again() {
    let server = server(0);
    let scratch = tempfile::tempdir().unwrap();
    let destination = scratch.path().join("models");
    // As a kill leaves it: some files are in place, and the staging folder says that not all are.
    std::fs::create_dir_all(destination.join(".mlrs-pull/model")).unwrap();
    std::fs::write(destination.join(".mlrs-pull/model/MLmodel"), "half").unwrap();
    std::fs::write(destination.join("weights"), "half").unwrap();
    let resolver = uncached(&server.address, &destination);
    resolver
        .pull(URI, &destination, false, &silent)
        .await
        .unwrap();
    assert!(is_whole(&destination), "{:?}", names(&destination));
}

#[tokio::test]
async fn what_is_no_folder_is_never_replaced() {
    let server = server(0);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("models");
    std::fs::write(&file, "mine").unwrap();
    let resolver = resolver(&server.address, &scratch.path().join("cache"), &[]);
    let error = resolver.pull(URI, &file, true, &silent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` is there already", file.display())
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn a_local_model_is_copied_and_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let model = scratch.path().join("mine");
    std::fs::create_dir_all(model.join("data")).unwrap();
    std::fs::write(model.join("MLmodel"), "m").unwrap();
    std::fs::write(model.join("data/weights"), "w").unwrap();
    let destination = scratch.path().join("models");
    let resolver = uncached("http://127.0.0.1:9", &destination);
    let uri = model.display().to_string();
    resolver
        .pull(&uri, &destination, false, &silent)
        .await
        .unwrap();
    assert!(model.join("data/weights").exists());
    assert!(destination.join("data/weights").exists());
}
