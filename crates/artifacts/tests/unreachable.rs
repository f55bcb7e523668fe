//! A server that nobody reaches is given up soon: a person waits for the answer, or an
//! orchestrator that could start the process elsewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mlrs_artifacts::{HttpRequest, Transport, TransportError, TransportSettings};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use url::Url;

/// A listener that takes no more connections: what comes now is left without an answer, as by a
/// firewall. The connections keep its queue full.
async fn mute() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    (listener, waiting)
}

async fn ask(address: SocketAddr) -> (TransportError, Duration) {
    let transport = Transport::new(TransportSettings::default()).unwrap();
    let request = HttpRequest::get(Url::parse(&format!("http://{address}/x")).unwrap());
    let begin = Instant::now();
    let answer = transport.json::<serde_json::Value>(&request).await;
    (answer.unwrap_err(), begin.elapsed())
}

#[tokio::test]
async fn where_nothing_answers_one_attempt_of_five_seconds_is_enough() {
    let (listener, _waiting) = mute().await;
    let (error, waited) = ask(listener.local_addr().unwrap()).await;
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_transient() && error.hint().is_some());
    let expected = Duration::from_secs(4)..Duration::from_secs(8);
    assert!(expected.contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn where_nobody_listens_the_answer_is_there_in_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (error, waited) = ask(address).await;
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}
