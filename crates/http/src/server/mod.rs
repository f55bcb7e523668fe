//! HTTP/1.1 connections, bounded in number, that end gracefully.
//!
//! Not axum's own loop, because that one has no time limit for heads, no limit of connections, does
//! not make room for new ones, and loses requests when it ends. Routing and responses belong to the
//! router that is served.

mod acceptor;
mod activity;
mod address;
mod connection;
mod head;
mod listener;
mod registry;
mod stream;

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use acceptor::Acceptor;
pub use address::{BindError, bind, local_target};

/// How connections are held and ended.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Connections at the same time. One more takes the place of those that have been idle longest; when
    /// none is idle, it waits in the listener's backlog.
    pub connections: usize,
    /// Connections of one address at the same time, except this machine's own, where a proxy may be. One
    /// more takes the place of the address's own idle ones; when none is idle, it is closed.
    pub connections_per_address: usize,
    /// Time for the first head of a connection to arrive whole.
    pub first_head_timeout: Duration,
    /// Time for the head of a later request to arrive, and how long an idle connection is kept. Longer
    /// than the idle time of common load balancers, which must be the ones to close first.
    pub header_read_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Time in which a client that keeps the server waiting must take [`Self::write_bytes`] of its
    /// response.
    pub write_timeout: Duration,
    /// See [`Self::write_timeout`].
    pub write_bytes: usize,
    /// Time after shutdown begins in which requests on open connections are still answered; the responses
    /// close their connections. Then idle connections are closed.
    pub linger: Duration,
    /// Time for everything to finish after shutdown begins.
    pub drain: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 6144,
            first_head_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(75),
            header_bytes: 64 << 10,
            headers: 400,
            write_timeout: Duration::from_mins(1),
            write_bytes: 64 << 10,
            linger: Duration::from_secs(1),
            drain: Duration::from_secs(25),
        }
    }
}

impl ServerSettings {
    /// The same with at most so many connections; an address has three quarters of them.
    #[must_use]
    pub fn with_connections(mut self, most: usize) -> Self {
        self.connections = most.max(1);
        self.connections_per_address = (self.connections / 4 * 3).max(1);
        self
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

/// Serves `router` until `shutdown` completes and the connections have drained.
///
/// After `shutdown` the listener is closed, behind the connections that clients have opened already.
/// For [`ServerSettings::linger`] requests on open connections are answered as before, with
/// `Connection: close`; a client may have sent one before it can know. Then idle connections are closed,
/// and those with a request in flight answer it and close. What is not done within
/// [`ServerSettings::drain`] is cut off.
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
