//! The accept loop: a place for each connection, and an end for all of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::activity::Activity;
use super::connection::{self, Shared};
use super::listener::take_no_more;
use super::registry::Registry;
use super::{ServeReport, ServerSettings};

/// How often idle connections are looked for while one waits for a place.
const NEXT_LOOK: Duration = Duration::from_millis(20);

/// How long connections that wait to be accepted are taken once the server stops: longer than the way
/// to most clients and back, whose connection may be about to begin.
const LAST_ACCEPTED: Duration = Duration::from_millis(200);

/// When no connection came for so long, none waited to be accepted, and none was about to begin.
const NO_MORE: Duration = Duration::from_millis(50);

pub(super) struct Acceptor {
    listener: TcpListener,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    registry: Arc<Registry>,
    connections: JoinSet<()>,
    /// Accepted, and waiting for a place.
    waiting: Option<(TcpStream, SocketAddr)>,
    accepted: u64,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, router: Router, settings: ServerSettings) -> Self {
        let places = settings.connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            listener,
            shared: Shared::new(router, settings),
            slots: Arc::new(Semaphore::new(places)),
            registry: Arc::default(),
            connections: JoinSet::new(),
            waiting: None,
            accepted: 0,
        }
    }

    pub(super) async fn accept_forever(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) => pause_after(&error).await,
            }
            if self.waiting.is_some() {
                // It is kept while there is no place, also when the server stops meanwhile.
                let slot = self.slot().await;
                self.hold(slot);
            }
        }
    }

    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        loop {
            self.registry.make_room();
            let free = Arc::clone(&self.slots).acquire_owned();
            if let Ok(slot) = timeout(NEXT_LOOK, free).await {
                // The semaphore is never closed.
                return slot.ok();
            }
        }
    }

    /// Begins with the connection that waits.
    fn hold(&mut self, slot: Option<OwnedSemaphorePermit>) {
        while self.connections.try_join_next().is_some() {}
        let Some((socket, peer)) = self.waiting.take() else {
            return;
        };
        self.accepted += 1;
        let activity = Activity::new();
        let most = self.shared.settings.connections_per_address;
        let Some(registered) = self.registry.register(peer.ip(), &activity, most) else {
            tracing::debug!(%peer, "a connection is closed: its address has as many as it may");
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.connections.spawn(async move {
            connection::run(&shared, &activity, socket, peer).await;
            drop((registered, slot));
        });
    }

    /// Takes the connections that wait in the listener's backlog, whether there is a place or not: their
    /// clients have been told that they are connected, and most have sent a request.
    async fn accept_waiting(&mut self) {
        self.hold(None);
        take_no_more(&self.listener);
        let end = Instant::now() + LAST_ACCEPTED;
        while Instant::now() < end {
            let Ok(Ok(accepted)) = timeout(NO_MORE, self.listener.accept()).await else {
                return;
            };
            self.waiting = Some(accepted);
            self.hold(None);
        }
    }

    pub(super) async fn drain(mut self) -> ServeReport {
        let begin = Instant::now();
        self.accept_waiting().await;
        let Self {
            listener,
            mut connections,
            shared,
            registry,
            accepted,
            ..
        } = self;
        drop(listener);
        let settings = &shared.settings;
        shared.closing.store(true, Ordering::Release);
        let end = begin + settings.drain;
        let end_of_idle = (begin + settings.linger).min(end);
        let all_done = async |connections: &mut JoinSet<()>| {
            while connections.join_next().await.is_some() {}
        };
        if timeout_at(end_of_idle, all_done(&mut connections))
            .await
            .is_err()
        {
            registry.end_all();
            // Running out of time is what is reported.
            let _ = timeout_at(end, all_done(&mut connections)).await;
        }
        let cut_off = connections.len();
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
