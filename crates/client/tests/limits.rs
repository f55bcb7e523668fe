//! Servers that are slow, endless or contradict themselves: what is bounded, and that no half of a
//! model is ever taken for one.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{RawServer, chain, json, resolver};
use mlrs_client::silent;

/// Short enough to wait for, long enough for a busy machine.
const TIMEOUT: &[(&str, &str)] = &[("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")];
const LOCATION: &str = r#"{"artifact_uri":"mlflow-artifacts:/1/m/artifacts"}"#;

/// Starts a server that writes each answer itself, piece by piece, and returns its address.
fn piecemeal(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") {
                    if connection.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    request.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&request).into_owned();
                answer(&head, &mut connection);
            });
        }
    });
    address
}

/// The answers up to the one file of ten bytes; whether this was one of them.
fn lead_to_the_file(head: &str, connection: &mut TcpStream) -> bool {
    let answer = if head.contains("get-download-uri") {
        json(LOCATION)
    } else if head.contains("artifacts?path=") {
        json(r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":10}]}"#)
    } else {
        return false;
    };
    connection.write_all(&answer).is_ok()
}

/// The models in a cache that a reader would use.
fn entries(cache: &Path) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(cache.join("models")) else {
        return Vec::new();
    };
    found
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

#[tokio::test]
async fn a_slow_file_is_waited_for_while_something_comes() {
    let address = piecemeal(|head, connection| {
        if lead_to_the_file(head, connection) {
            return;
        }
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for byte in b"0123456789" {
            std::thread::sleep(Duration::from_millis(300));
            let _ = connection.write_all(&[*byte]);
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let resolver = resolver(&address, cache.path(), TIMEOUT);
    let found = resolver.resolve("models:/reg/1", &silent).await.unwrap();
    // Longer than the limit, which is one of silence.
    assert!(begin.elapsed() > Duration::from_millis(2500));
    let content = std::fs::read(found.path.join("MLmodel")).unwrap();
    assert_eq!(content, b"0123456789");
}

#[tokio::test]
async fn a_file_that_stops_coming_is_given_up_and_leaves_no_model() {
    let address = piecemeal(|head, connection| {
        if lead_to_the_file(head, connection) {
            return;
        }
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0");
        std::thread::sleep(Duration::from_secs(30));
    });
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let resolver = resolver(&address, cache.path(), TIMEOUT);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    let error = error.unwrap_err();
    assert!(chain(&error).contains("MLmodel"), "{}", chain(&error));
    assert!(error.hint().is_some());
    assert!(begin.elapsed() < Duration::from_secs(25));
    assert_eq!(entries(cache.path()), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let sent = Arc::new(Mutex::new(0_usize));
    let count = Arc::clone(&sent);
    let address = piecemeal(move |_, connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"files\":[");
        let piece = vec![b' '; 1 << 20];
        // Far more than a listing may have.
        for _ in 0..1024 {
            if connection.write_all(&piece).is_err() {
                return;
            }
            *count.lock().unwrap() += piece.len();
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&address, cache.path(), &[]);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    let text = chain(&error.unwrap_err());
    assert!(text.contains("more than 67108864 bytes"), "{text}");
    assert!(*sent.lock().unwrap() < 128 << 20);
}

#[tokio::test]
async fn a_file_longer_than_announced_is_cut() {
    let address = piecemeal(|head, connection| {
        if lead_to_the_file(head, connection) {
            return;
        }
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while connection.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&address, cache.path(), &[]);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    let text = chain(&error.unwrap_err());
    assert!(text.contains("the store announced 10"), "{text}");
    assert_eq!(entries(cache.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_is_both_a_file_and_a_folder_is_no_model() {
    let server = RawServer::start(|seen| {
        if seen.target.contains("get-download-uri") {
            json(LOCATION)
        } else if seen.target.contains("artifacts?path=") {
            json(
                r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":2},
                    {"path":"MLmodel/x","is_dir":false,"file_size":2}]}"#,
            )
        } else {
            json("{}")
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.address, cache.path(), &[]);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    let text = chain(&error.unwrap_err());
    assert!(text.contains("MLmodel"), "{text}");
    assert_eq!(entries(cache.path()), Vec::<String>::new());
}

#[tokio::test]
async fn models_that_point_at_each_other_are_a_circle() {
    let server = RawServer::start(|seen| {
        let other = if seen.target.contains("logged-models/m-a") {
            "m-b"
        } else {
            "m-a"
        };
        if seen.target.contains("get-download-uri") {
            json(r#"{"artifact_uri":"models:/m-a"}"#)
        } else {
            json(&format!(
                r#"{{"model":{{"info":{{"model_id":"m","artifact_uri":"models:/{other}"}}}}}}"#
            ))
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver(&server.address, cache.path(), &[]);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    let error = error.unwrap_err();
    assert!(chain(&error).contains("circles"), "{}", chain(&error));
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_to_another_server() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heads);
    let other = piecemeal(move |head, connection| {
        log.lock().unwrap().push(head.to_owned());
        let _ = connection.write_all(&json("{}"));
    });
    let address = piecemeal(move |head, connection| {
        assert!(head.to_ascii_lowercase().contains("authorization: basic"));
        let _ = write!(
            connection,
            "HTTP/1.1 302 Found\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
    });
    let cache = tempfile::tempdir().unwrap();
    let with_password = address.replace("http://", "http://anna:secret@");
    let resolver = resolver(&with_password, cache.path(), &[]);
    let error = resolver.resolve("models:/reg/1", &silent).await;
    assert!(!chain(&error.unwrap_err()).contains("secret"));
    let heads = heads.lock().unwrap();
    assert!(!heads.is_empty(), "the redirect was followed");
    assert!(
        heads
            .iter()
            .all(|head| !head.to_ascii_lowercase().contains("authorization"))
    );
}
