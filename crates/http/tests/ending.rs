//! A server that stops answers every request that was sent to it whole.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use mlrs_http::server::{ServeReport, ServerSettings, bind, serve};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    port: u16,
    stop: oneshot::Sender<()>,
    server: JoinHandle<ServeReport>,
}

async fn start(settings: ServerSettings) -> Running {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/echo", post(|body: String| async { body }));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router, settings, stopped));
    Running { port, stop, server }
}

fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let patience = Some(Duration::from_secs(10));
    client.set_read_timeout(patience).unwrap();
    client
}

/// One response of the server; nothing when the connection ends without one.
fn read_one(client: &mut TcpStream) -> String {
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    while !text.ends_with("here") {
        match client.read(&mut piece) {
            Ok(count) if count > 0 => text.push_str(std::str::from_utf8(&piece[..count]).unwrap()),
            _ => break,
        }
    }
    text
}

fn ask(client: &mut TcpStream) -> String {
    // Whether it was received is what the response tells.
    let _ = client.write_all(REQUEST.as_bytes());
    read_one(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_just_after_the_stop_is_answered_and_closes() {
    let running = start(ServerSettings::default()).await;
    let port = running.port;
    let mut clients: Vec<_> = (0..3).map(|_| connect(port)).collect();
    for client in &mut clients[..2] {
        assert!(!ask(client).contains("connection: close"));
    }
    running.stop.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    // One that was used before, one that was not; the third says nothing.
    for client in &mut clients[1..] {
        let response = ask(client);
        assert!(response.contains("connection: close"), "{response}");
        assert!(response.ends_with("here"), "{response}");
        assert_eq!(read_one(client), "");
    }
    assert_eq!(read_one(&mut clients[0]), "");
    let report = running.server.await.unwrap();
    assert_eq!((report.accepted, report.cut_off), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_has_begun_to_come_is_waited_for() {
    let running = start(ServerSettings {
        linger: Duration::from_millis(200),
        ..ServerSettings::default()
    })
    .await;
    let (mut head, mut body) = (connect(running.port), connect(running.port));
    assert!(ask(&mut head).ends_with("here"));
    head.write_all(&REQUEST.as_bytes()[..20]).unwrap();
    let post = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nhe";
    body.write_all(post.as_bytes()).unwrap();
    running.stop.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    head.write_all(&REQUEST.as_bytes()[20..]).unwrap();
    body.write_all(b"re").unwrap();
    for client in [&mut head, &mut body] {
        let response = read_one(client);
        assert!(response.contains("connection: close"), "{response}");
        assert!(response.ends_with("here"), "{response}");
    }
    assert_eq!(running.server.await.unwrap().cut_off, 0);
}

/// Asks on new connections until there is no server any more. How many were answered, and how often a
/// connection that had been made was not.
fn ask_on_new_connections(port: u16) -> (usize, usize) {
    let (mut answered, mut lost) = (0, 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        let Ok(mut client) = TcpStream::connect(("127.0.0.1", port)) else {
            break;
        };
        match ask(&mut client).as_str() {
            response if response.ends_with("here") => answered += 1,
            _ => lost += 1,
        }
    }
    (answered, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_made_is_answered_however_late() {
    for _ in 0..5 {
        let running = start(ServerSettings::default()).await;
        let port = running.port;
        let clients: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(move || ask_on_new_connections(port)))
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        running.stop.send(()).unwrap();
        running.server.await.unwrap();
        for client in clients {
            let (answered, lost) = client.join().unwrap();
            assert!(answered > 0);
            assert_eq!(lost, 0, "of {answered}");
        }
    }
}
