//! The scoring server on a real socket: keep-alive, slow bodies, clients that leave, shutdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use mlrs_http::{ServeReport, ServerSettings, bind, serve};
use mlrs_scoring::ScoringSettings;
use support::{EXAMPLE, Server, split};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

struct Running {
    server: Server,
    port: u16,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<ServeReport>,
}

async fn start(settings: ScoringSettings) -> Running {
    let server = Server::new(settings);
    server.state.mark_ready();
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(
        listener,
        server.router(),
        ServerSettings::default(),
        stopped,
    ));
    Running {
        server,
        port,
        stop,
        serving,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn stop(self) -> ServeReport {
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(5), self.serving)
            .await
            .expect("the server ends")
            .unwrap()
    }

    async fn rejections(&self, reason: &str) -> f64 {
        self.server
            .metric(&format!("mlrs_rejections_total{{reason=\"{reason}\"}}"))
            .await
    }
}

fn post(body: &str) -> String {
    format!(
        "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 8192];
    let count = timeout(Duration::from_secs(5), stream.read(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let running = start(ScoringSettings::default()).await;
    let mut client = running.connect().await;
    for _ in 0..3 {
        send(&mut client, &post(EXAMPLE)).await;
        let answer = read_some(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\"predictions\""), "{answer}");
        assert!(answer.contains("content-length: "), "{answer}");
    }
    drop(client);
    assert_eq!(
        running.stop().await,
        ServeReport {
            accepted: 1,
            cut_off: 0
        }
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let settings = ScoringSettings {
        read_timeout: Duration::from_millis(100),
        ..ScoringSettings::default()
    };
    let running = start(settings).await;
    let mut slow = running.connect().await;
    send(&mut slow, &post(EXAMPLE)[..150]).await;
    let mut other = running.connect().await;
    send(&mut other, &post(EXAMPLE)).await;
    assert!(
        read_some(&mut other).await.starts_with("HTTP/1.1 200"),
        "nobody waits for the slow one"
    );
    let answer = read_some(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    drop((slow, other));
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_even_while_it_is_sent() {
    let settings = ScoringSettings {
        body_bytes: 1000,
        ..ScoringSettings::default()
    };
    let running = start(settings).await;
    let mut client = running.connect().await;
    send(&mut client, &post(&" ".repeat(1 << 20))).await;
    let answer = read_some(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_counted() {
    let running = start(ScoringSettings::default()).await;
    let closed = running.server.close_gate();
    let mut client = running.connect().await;
    send(&mut client, &post(&split(&[[-4.0, 0.0]]))).await;
    sleep(Duration::from_millis(50)).await;
    drop(client);
    sleep(Duration::from_millis(50)).await;
    assert!((running.rejections("client_gone").await - 1.0).abs() < 1e-9);
    closed.open();
    let mut next = running.connect().await;
    send(&mut next, &post(EXAMPLE)).await;
    assert!(read_some(&mut next).await.starts_with("HTTP/1.1 200"));
    drop(next);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_while_the_server_drains() {
    let running = start(ScoringSettings::default()).await;
    let closed = running.server.close_gate();
    let mut client = running.connect().await;
    send(&mut client, &post(&split(&[[-4.0, 0.0]]))).await;
    sleep(Duration::from_millis(50)).await;
    running.server.state.begin_drain();
    assert_eq!(running.server.get("/ready").await.status, 503);
    let stopping = tokio::spawn(running.stop());
    sleep(Duration::from_millis(50)).await;
    closed.open();
    let answer = read_some(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(stopping.await.unwrap().cut_off, 0);
}
