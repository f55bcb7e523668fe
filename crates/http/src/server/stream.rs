//! The bytes of a connection: a client that does not take its response is cut off, and an idle
//! connection that is told to ends as if the client had closed it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::ServerSettings;
use super::activity::Activity;

/// A connection's socket.
pub(super) struct Stream {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// Whether everything that was written is the system's.
    flushed: bool,
    /// How many requests there were when something came last: a part of a head, until there is one more.
    heard_after: Option<u64>,
    pace: Pace,
}

impl Stream {
    pub(super) fn new(
        socket: TcpStream,
        activity: Arc<Activity>,
        settings: &ServerSettings,
    ) -> Self {
        Self {
            socket,
            activity,
            flushed: true,
            heard_after: None,
            pace: Pace::new(settings.write_timeout, settings.write_bytes),
        }
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        match written {
            Poll::Ready(Ok(count)) => self.pace.took(count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => ready!(self.pace.is_too_slow(context))?,
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        let requests = self.activity.requests();
        if buffer.filled().len() > filled {
            self.heard_after = Some(requests);
        }
        // Nothing has come, and the last response is on its way.
        let is_quiet = read.is_pending() && self.flushed;
        if is_quiet && self.activity.ends(self.heard_after == Some(requests)) {
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.flushed = true;
        self.pace.rest();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// How fast a client takes what is written to it. Counts only from when it keeps the server waiting.
struct Pace {
    within: Duration,
    least: usize,
    waiting: bool,
    taken: usize,
    /// Made for the first client that is waited for.
    end: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(within: Duration, least: usize) -> Self {
        Self {
            within,
            least,
            waiting: false,
            taken: 0,
            end: None,
        }
    }

    fn took(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
        if self.taken >= self.least {
            self.rest();
        }
    }

    /// It is not waited for any more.
    fn rest(&mut self) {
        self.waiting = false;
        self.taken = 0;
    }

    /// Waits for the end of the time in which the client must take enough; then that is an error.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(self.within)));
        if !self.waiting {
            self.waiting = true;
            self.taken = 0;
            end.as_mut().reset(Instant::now() + self.within);
        }
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
