//! What a connection does at the moment: seen by its task, its stream and the acceptor.
//!
//! A connection is idle from its beginning, and after each response, until a request's head is there.
//! [`Activity::end_when_idle`] lets its stream end as if the client had closed it, which is how a
//! connection ends without losing a request: what has arrived is read before.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

const BUSY: u64 = u64::MAX;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    begin: Instant,
    /// Milliseconds from `begin` to when it became idle, or [`BUSY`].
    idle_since: AtomicU64,
    /// Heads that have come whole.
    requests: AtomicU64,
    ending: AtomicBool,
    cut_off: AtomicBool,
    told: Notify,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begin: Instant::now(),
            idle_since: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            told: Notify::new(),
        })
    }

    /// Since when it is idle, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match self.idle_since.load(Ordering::Acquire) {
            BUSY => None,
            milliseconds => self.begin.checked_add(Duration::from_millis(milliseconds)),
        }
    }

    /// Heads of requests that have come whole.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }

    /// A request's head is there. It is idle again when what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Release);
        self.idle_since.store(BUSY, Ordering::Release);
        Busy(Arc::clone(self))
    }

    /// From now on the connection ends when it is idle. A head that has begun to come is waited for.
    pub(super) fn end_when_idle(&self) {
        self.ending.store(true, Ordering::Release);
        self.told.notify_one();
    }

    /// The same, and a head that has begun to come is not waited for: another needs the place.
    pub(super) fn make_room(&self) {
        self.cut_off.store(true, Ordering::Release);
        self.end_when_idle();
    }

    /// Whether it was told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Whether it ends, now that nothing more has come. `heard` is whether a head has begun to.
    pub(super) fn ends(&self, heard: bool) -> bool {
        self.is_ending()
            && self.idle_since().is_some()
            && (!heard || self.cut_off.load(Ordering::Acquire))
    }

    /// Completes when it was told to end.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }
}

/// A request in flight, up to the end of its response.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let milliseconds = self.0.begin.elapsed().as_millis() as u64;
        self.0.idle_since.store(milliseconds, Ordering::Release);
    }
}

/// The body of a response, which keeps its connection busy.
pub(super) struct TrackedBody {
    body: Body,
    _busy: Busy,
}

impl TrackedBody {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
