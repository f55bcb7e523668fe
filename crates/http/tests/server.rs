//! The accept loop on real sockets: time limits, connection limit, graceful and bounded shutdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use mlrs_http::server::{ServeReport, ServerSettings, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

struct Running {
    port: u16,
    stop: oneshot::Sender<()>,
    server: JoinHandle<ServeReport>,
}

fn router() -> Router {
    Router::new()
        .route("/fast", get(|| async { "fast" }))
        .route("/long", get(|| async { vec![b'x'; 64 << 20] }))
        .route(
            "/slow",
            get(|| async {
                sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        )
}

async fn start(settings: ServerSettings) -> Running {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router(), settings, stopped));
    Running { port, stop, server }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn stop(self) -> ServeReport {
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(5), self.server)
            .await
            .expect("the server ends")
            .unwrap()
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Everything that comes until the server closes; fails when it does not.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await;
    read.expect("the server closes the connection").unwrap();
    String::from_utf8(text).unwrap()
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let count = timeout(Duration::from_secs(5), stream.read(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

fn quick() -> ServerSettings {
    ServerSettings {
        first_head_timeout: Duration::from_millis(100),
        header_read_timeout: Duration::from_millis(200),
        drain: Duration::from_secs(2),
        ..ServerSettings::default()
    }
}

#[tokio::test]
async fn requests_in_flight_finish_and_idle_connections_close() {
    let running = start(ServerSettings::default()).await;
    let mut idle = running.connect().await;
    send(&mut idle, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_some(&mut idle).await.ends_with("fast"));
    let mut silent = running.connect().await;
    let mut busy = running.connect().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;

    let port = running.port;
    let stopping = tokio::spawn(running.stop());
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut silent).await, "");
    TcpStream::connect(("127.0.0.1", port))
        .await
        .expect_err("the listener is closed");
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("slow"), "{answer}");
    assert_eq!(
        stopping.await.unwrap(),
        ServeReport {
            accepted: 3,
            cut_off: 0
        }
    );
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let settings = ServerSettings {
        drain: Duration::from_millis(50),
        ..quick()
    };
    let running = start(settings).await;
    let mut busy = running.connect().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    let begin = Instant::now();
    assert_eq!(
        running.stop().await,
        ServeReport {
            accepted: 1,
            cut_off: 1
        }
    );
    assert!(begin.elapsed() < Duration::from_millis(250));
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed_and_hold_nobody_up() {
    let running = start(quick()).await;
    let mut silent = running.connect().await;
    let mut slow = running.connect().await;
    send(&mut slow, "GET /fast HT").await;
    let mut other = running.connect().await;
    send(
        &mut other,
        "GET /fast HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(read_to_end(&mut other).await.ends_with("fast"));
    assert_eq!(read_to_end(&mut silent).await, "");
    let answer = read_to_end(&mut slow).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    running.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = start(ServerSettings {
        connections: 1,
        ..ServerSettings::default()
    })
    .await;
    let mut first = running.connect().await;
    send(&mut first, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    let mut second = running.connect().await;
    send(
        &mut second,
        "GET /fast HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    let waiting = timeout(Duration::from_millis(100), second.readable()).await;
    assert!(waiting.is_err(), "the second connection is not served yet");
    assert!(read_some(&mut first).await.ends_with("slow"));
    assert!(read_to_end(&mut second).await.ends_with("fast"));
    running.stop().await;
}

#[tokio::test]
async fn silent_and_idle_connections_make_room_for_others() {
    let running = start(ServerSettings {
        connections: 4,
        ..ServerSettings::default()
    })
    .await;
    let mut others = Vec::new();
    for sent in ["", "GET /fast HT", "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut other = running.connect().await;
        send(&mut other, sent).await;
        others.push(other);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(read_some(&mut others[2]).await.ends_with("fast"));
    let mut busy = running.connect().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let begin = Instant::now();
    for _ in 0..3 {
        let mut next = running.connect().await;
        send(&mut next, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(read_some(&mut next).await.ends_with("fast"));
        others.push(next);
    }
    assert!(
        begin.elapsed() < Duration::from_millis(250),
        "nobody waited"
    );
    // Those that were idle longest are gone, and who waits for a response is not.
    for mut other in others.drain(..3) {
        assert!(!read_to_end(&mut other).await.contains("fast"));
    }
    assert!(read_some(&mut busy).await.ends_with("slow"));
    running.stop().await;
}

#[tokio::test]
async fn a_first_head_that_comes_drop_by_drop_is_not_waited_for() {
    let running = start(ServerSettings {
        first_head_timeout: Duration::from_millis(200),
        ..ServerSettings::default()
    })
    .await;
    let mut slow = running.connect().await;
    let mut asked = running.connect().await;
    send(&mut asked, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_some(&mut asked).await.ends_with("fast"));
    let begin = Instant::now();
    for piece in ["GET /", "fast ", "HTTP", "/1.1"] {
        // The server may have closed it by now.
        let _ = slow.write_all(piece.as_bytes()).await;
        sleep(Duration::from_millis(60)).await;
    }
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(5), slow.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2));
    // One that was asked something is kept.
    send(&mut asked, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_some(&mut asked).await.ends_with("fast"));
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_loses_its_place() {
    let running = start(ServerSettings {
        connections: 1,
        write_timeout: Duration::from_millis(200),
        ..ServerSettings::default()
    })
    .await;
    let mut deaf = running.connect().await;
    send(&mut deaf, "GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut other = running.connect().await;
    send(
        &mut other,
        "GET /fast HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(read_to_end(&mut other).await.ends_with("fast"));
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_drop_by_drop_loses_its_place() {
    let running = start(ServerSettings {
        connections: 1,
        write_timeout: Duration::from_millis(400),
        ..ServerSettings::default()
    })
    .await;
    let mut slow = running.connect().await;
    send(&mut slow, "GET /long HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let reading = tokio::spawn(async move {
        let mut piece = [0; 256];
        while matches!(slow.read(&mut piece).await, Ok(count) if count > 0) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut other = running.connect().await;
    send(
        &mut other,
        "GET /fast HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(read_to_end(&mut other).await.ends_with("fast"));
    reading.abort();
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_enough_gets_everything() {
    let running = start(ServerSettings {
        write_timeout: Duration::from_millis(400),
        ..ServerSettings::default()
    })
    .await;
    let mut slow = running.connect().await;
    let request = "GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    send(&mut slow, request).await;
    let (mut piece, mut count) = (vec![0; 1 << 20], 0);
    loop {
        let read = timeout(Duration::from_secs(5), slow.read(&mut piece)).await;
        match read.unwrap().unwrap() {
            0 => break,
            more => count += more,
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(count > 64 << 20, "{count}");
    running.stop().await;
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_are_answered() {
    let running = start(ServerSettings::default()).await;
    let request = "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n";
    let port = running.port;
    // One thread runs the server and this test: nothing is accepted between these lines.
    let clients: Vec<std::net::TcpStream> = (0..20)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            std::io::Write::write_all(&mut client, request.as_bytes()).unwrap();
            client
        })
        .collect();
    let report = running.stop().await;
    assert_eq!((report.accepted, report.cut_off), (20, 0));
    for mut client in clients {
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
        assert!(answer.ends_with("fast"), "{answer}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limit_are_refused() {
    let running = start(ServerSettings {
        header_bytes: 1024,
        ..quick()
    })
    .await;
    let mut client = running.connect().await;
    let head = format!(
        "GET /fast HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n",
        "x".repeat(2000)
    );
    send(&mut client, &head).await;
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn an_address_in_use_comes_with_a_hint() {
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = bind("127.0.0.1", port).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on `127.0.0.1` port {port}")
    );
    assert!(
        error.hint().unwrap().contains("another process"),
        "{error:?}"
    );
    let error = bind("203.0.113.1", 0).await.unwrap_err();
    assert!(
        error.hint().unwrap().contains("not one of this machine"),
        "{error:?}"
    );
}

#[test]
fn a_listener_on_every_address_is_asked_at_the_loopback() {
    for (listening, target) in [
        ("0.0.0.0:5000", "127.0.0.1:5000"),
        ("[::]:5000", "[::1]:5000"),
        ("192.168.1.2:80", "192.168.1.2:80"),
        ("127.0.0.2:80", "127.0.0.2:80"),
    ] {
        assert_eq!(
            mlrs_http::local_target(listening.parse().unwrap()).to_string(),
            target
        );
    }
}

/// A request with so many headers, each with a value of so many bytes.
fn with_headers(count: usize, bytes: usize) -> String {
    let header = |index| format!("x-{index}: {}\r\n", "v".repeat(bytes));
    let headers: String = (0..count).map(header).collect();
    format!("GET /fast HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
}

/// Proxies and meshes add headers: hyper's own limit of 100 is too low, and it says nothing.
#[tokio::test]
async fn a_few_hundred_headers_pass_and_more_are_refused_with_words() {
    let running = start(ServerSettings::default()).await;
    let ask = async |text: String| {
        let mut stream = running.connect().await;
        send(&mut stream, &text).await;
        read_to_end(&mut stream).await
    };
    for count in [0, 150, 398] {
        let answer = ask(with_headers(count, 1)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{count}: {answer}");
    }
    let answer = ask(with_headers(399, 1)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(
        answer.contains("401 headers, more than the 400"),
        "{answer}"
    );
    let answer = ask(with_headers(66, 1000)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("more than the 65536"), "{answer}");
    running.stop().await;
}
