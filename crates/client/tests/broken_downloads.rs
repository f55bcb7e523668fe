//! Downloads that break off, from a server that breaks them off on purpose: they go on where they
//! stopped, also in a later process, and end with the right bytes or with an error.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{RawServer, Seen, chain, json, resolver};
use mlrs_client::{Progress, silent};

const CONTENT: &[u8; 100] = &[b'x'; 100];

/// The answers that lead from `models:/reg/1` to one file of 100 bytes.
fn way_to_the_file(seen: &Seen) -> Option<Vec<u8>> {
    if seen.target.contains("get-download-uri") {
        Some(json(
            r#"{"artifact_uri":"mlflow-artifacts:/1/m/artifacts"}"#,
        ))
    } else if seen.target.contains("artifacts?path=") {
        Some(json(
            r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":100}]}"#,
        ))
    } else {
        None
    }
}

/// The file from `start` on, cut after `sent` bytes although all of it is announced.
fn file(start: usize, sent: usize) -> Vec<u8> {
    let mut answer = if start == 0 {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: \"a\"\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nETag: \"a\"\r\n\
             Content-Range: bytes {start}-99/100\r\n",
            100 - start
        )
    }
    .into_bytes();
    answer.extend_from_slice(b"Connection: close\r\n\r\n");
    answer.extend_from_slice(&CONTENT[start..(start + sent).min(100)]);
    answer
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let server = RawServer::start(|seen| {
        way_to_the_file(seen).unwrap_or_else(|| file(seen.range.unwrap_or(0) as usize, 40))
    });
    let cache = tempfile::tempdir().unwrap();
    let reports: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let log = Arc::clone(&reports);
    let found = resolver(&server.address, cache.path(), &[])
        .resolve("models:/reg/1", &move |progress| {
            log.lock().unwrap().push(progress);
        })
        .await
        .unwrap();
    assert_eq!(std::fs::read(found.path.join("MLmodel")).unwrap(), CONTENT);
    assert_eq!(server.ranges("/MLmodel"), [None, Some(40), Some(80)]);
    let last = *reports.lock().unwrap().last().unwrap();
    assert_eq!((last.files_done, last.files_total), (1, 1));
    assert_eq!((last.bytes_done, last.bytes_total), (100, Some(100)));
}

#[tokio::test]
async fn a_server_that_cannot_start_in_the_middle_starts_again() {
    let calls = AtomicUsize::new(0);
    let server = RawServer::start(move |seen| {
        way_to_the_file(seen).unwrap_or_else(|| {
            file(
                0,
                if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    40
                } else {
                    100
                },
            )
        })
    });
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.address, cache.path(), &[]);
    let found = resolver.resolve("models:/reg/1", &silent).await.unwrap();
    assert_eq!(std::fs::read(found.path.join("MLmodel")).unwrap(), CONTENT);
}

#[tokio::test]
async fn a_later_process_goes_on_with_what_an_earlier_one_left() {
    let answers = AtomicUsize::new(0);
    let server = RawServer::start(move |seen| {
        way_to_the_file(seen).unwrap_or_else(|| {
            // First a part, then nothing but errors, then the rest.
            match answers.fetch_add(1, Ordering::SeqCst) {
                0 => file(0, 60),
                1 => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_vec(),
                _ => file(seen.range.unwrap_or(0) as usize, 100),
            }
        })
    });
    let cache = tempfile::tempdir().unwrap();
    let first = resolver(&server.address, cache.path(), &[]);
    let error = first.resolve("models:/reg/1", &silent).await.unwrap_err();
    assert!(chain(&error).contains("403"), "{}", chain(&error));
    let second = resolver(&server.address, cache.path(), &[]);
    let found = second.resolve("models:/reg/1", &silent).await.unwrap();
    assert_eq!(std::fs::read(found.path.join("MLmodel")).unwrap(), CONTENT);
    assert_eq!(server.ranges("/MLmodel"), [None, Some(60), Some(60)]);
}

#[tokio::test]
async fn a_file_that_never_comes_is_an_error_in_the_end() {
    let server = RawServer::start(|seen| way_to_the_file(seen).unwrap_or_else(|| file(0, 0)));
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.address, cache.path(), &[]);
    let error = resolver
        .resolve("models:/reg/1", &silent)
        .await
        .unwrap_err();
    assert!(chain(&error).contains("MLmodel"), "{}", chain(&error));
    assert_eq!(server.ranges("/MLmodel").len(), 4);
}
