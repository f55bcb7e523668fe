//! The accept loop: HTTP/1.1 connections, bounded in number, that end gracefully.
//!
//! Not axum's own loop, because that one has no time limit for heads, no limit of connections and
//! no bound on the time it drains. Routing and answers belong to the router that is served.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::Service;

/// Time for a new connection to send its first byte once the server stops: its request may be on
/// the way.
const LAST_WORD: Duration = Duration::from_millis(200);

/// When no connection came for so long, none waited to be accepted.
const NO_MORE: Duration = Duration::from_millis(10);

/// How connections are held and ended.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Connections at the same time; more wait in the listener's backlog.
    pub connections: usize,
    /// Time for a new connection to send its first byte.
    pub first_byte_timeout: Duration,
    /// Time for the head of a request to arrive, and how long an idle connection is kept. Longer
    /// than the idle time of common load balancers, which must be the ones to close first.
    pub header_read_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Time that an answer may make no headway because the client does not read it.
    pub write_timeout: Duration,
    /// Time for requests in flight to finish after shutdown begins.
    pub drain: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: 8192,
            first_byte_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(75),
            header_bytes: 64 << 10,
            write_timeout: Duration::from_mins(1),
            drain: Duration::from_secs(25),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeReport {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were cut off because they did not finish within the drain time.
    pub cut_off: usize,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{host}` port {port}")]
pub struct BindError {
    /// The host as it was given.
    pub host: String,
    /// The port as it was given.
    pub port: u16,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => Some(format!(
                "another process listens on port {}; stop it, or choose another port (0 takes a free one)",
                self.port
            )),
            io::ErrorKind::PermissionDenied if self.port < 1024 => {
                Some("ports below 1024 need privileges; choose a higher one".to_owned())
            }
            io::ErrorKind::AddrNotAvailable => Some(
                "the address is not one of this machine; `0.0.0.0` listens on all of them"
                    .to_owned(),
            ),
            // What the name lookup of the system says has no kind.
            _ if self.host.parse::<IpAddr>().is_err() => {
                Some("the name cannot be looked up: give an IP address of this machine".to_owned())
            }
            _ => None,
        }
    }
}

/// Listens on `host` and `port`; 0 takes any free port, which [`TcpListener::local_addr`] tells.
///
/// # Errors
/// When the name does not resolve or no address of it can be listened on.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let failed = |source| BindError {
        host: host.to_owned(),
        port,
        source,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await.map_err(failed)? {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Where a program on this machine reaches a listener: one that listens on every address of the
/// machine has none of its own, and is asked at the loopback.
pub fn local_target(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Serves `router` until `shutdown` completes and the connections have drained.
///
/// After `shutdown` the listener is closed, behind the connections that clients have opened already;
/// idle connections are closed, and those with a request in flight answer it and close. What is not done within [`ServerSettings::drain`] is cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ServerSettings,
    shutdown: impl Future,
) -> ServeReport {
    let mut acceptor = Acceptor::new(listener, router, settings);
    tokio::select! {
        () = acceptor.accept_forever() => {}
        _ = shutdown => {}
    }
    acceptor.drain().await
}

struct Acceptor {
    listener: TcpListener,
    router: Router,
    settings: ServerSettings,
    builder: http1::Builder,
    slots: Arc<Semaphore>,
    stop: watch::Sender<()>,
    connections: JoinSet<()>,
    accepted: u64,
}

impl Acceptor {
    fn new(listener: TcpListener, router: Router, settings: ServerSettings) -> Self {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .max_header_size(settings.header_bytes);
        Self {
            listener,
            router,
            settings,
            builder,
            slots: Arc::new(Semaphore::new(
                settings.connections.clamp(1, Semaphore::MAX_PERMITS),
            )),
            stop: watch::Sender::new(()),
            connections: JoinSet::new(),
            accepted: 0,
        }
    }

    async fn accept_forever(&mut self) {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => self.hold(stream, peer, slot),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn hold(&mut self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        self.accepted += 1;
        while self.connections.try_join_next().is_some() {}
        let connection = Connection {
            builder: self.builder.clone(),
            router: self.router.clone(),
            stop: self.stop.subscribe(),
            settings: self.settings,
        };
        self.connections.spawn(async move {
            connection.run(stream, peer).await;
            drop(slot);
        });
    }

    /// Takes the connections that wait in the listener's backlog: their clients have been told that
    /// they are connected, and most have sent a request.
    async fn accept_waiting(&mut self) {
        let end = Instant::now() + LAST_WORD;
        while Instant::now() < end
            && let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned()
            && let Ok(Ok((stream, peer))) = timeout(NO_MORE, self.listener.accept()).await
        {
            self.hold(stream, peer, slot);
        }
    }

    async fn drain(mut self) -> ServeReport {
        self.accept_waiting().await;
        let Self {
            listener,
            mut connections,
            stop,
            settings,
            accepted,
            ..
        } = self;
        drop(listener);
        stop.send_replace(());
        let all_done = async { while connections.join_next().await.is_some() {} };
        let in_time = timeout(settings.drain, all_done).await.is_ok();
        let cut_off = if in_time { 0 } else { connections.len() };
        connections.shutdown().await;
        ServeReport { accepted, cut_off }
    }
}

/// A client that went away is nothing; a lack of descriptors passes only when some are closed.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(Duration::from_millis(100)).await;
}

struct Connection {
    builder: http1::Builder,
    router: Router,
    stop: watch::Receiver<()>,
    settings: ServerSettings,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection stays with delayed writes");
        }
        let heard = tokio::select! {
            heard = is_heard(&stream, self.settings.first_byte_timeout) => heard,
            _ = self.stop.changed() => is_heard(&stream, LAST_WORD).await,
        };
        if !heard {
            return;
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.settings.write_timeout));
        let router = self.router;
        let service = service_fn(move |request| call(&router, request));
        let mut served = pin!(
            self.builder
                .serve_connection(TokioIo::new(Box::pin(stream)), service)
        );
        let outcome = tokio::select! {
            outcome = served.as_mut() => outcome,
            _ = self.stop.changed() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, %error, "the connection ended early");
        }
    }
}

/// Whether the client says anything in time. Keeps a connection that was opened and forgotten
/// from living as long as an idle one that did work.
async fn is_heard(stream: &TcpStream, within: Duration) -> bool {
    matches!(timeout(within, stream.readable()).await, Ok(Ok(())))
}

fn call(
    router: &Router,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    // A router is a shared pointer, and always ready.
    let mut router = router.clone();
    router.call(request)
}
