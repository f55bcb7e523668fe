//! When a piece of work is to end early: its client has left, or its time is up.
//!
//! Each database asks in its own way: SQLite between the steps of a statement, PostgreSQL beside the
//! response that it waits for.

use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};

/// Why work ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nobody waits for it any more.
    Gone,
    /// Its time is up.
    TooLong,
}

/// Told to a piece of work; a clone is about the same work.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    gone: CancellationToken,
    deadline: Option<Instant>,
}

impl Watch {
    /// Work for somebody who waits: it ends when the guard is dropped. Its time begins with
    /// [`Watch::begin`].
    pub(crate) fn waited_for() -> (Self, DropGuard) {
        let gone = CancellationToken::new();
        let watch = Self {
            gone: gone.clone(),
            deadline: None,
        };
        (watch, gone.drop_guard())
    }

    /// Work that goes on whoever waits, for at most so long from now.
    pub(crate) fn timed(timeout: Option<Duration>) -> Self {
        let (watch, guard) = Self::waited_for();
        guard.disarm();
        watch.begin(timeout)
    }

    /// The same, with its time running from now on.
    pub(crate) fn begin(self, timeout: Option<Duration>) -> Self {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { deadline, ..self }
    }

    /// Whether it is to end now, and why.
    pub(crate) fn ended(&self) -> Option<Ended> {
        if self.gone.is_cancelled() {
            return Some(Ended::Gone);
        }
        let is_over = self.deadline.is_some_and(|end| Instant::now() >= end);
        is_over.then_some(Ended::TooLong)
    }

    /// Waits until it is to end.
    pub(crate) async fn end(&self) -> Ended {
        let over = async {
            match self.deadline {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.gone.cancelled() => Ended::Gone,
            () = over => Ended::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_client_or_its_time() {
        let (watch, guard) = Watch::waited_for();
        let watch = watch.begin(Some(Duration::from_hours(1)));
        assert_eq!(watch.ended(), None);
        drop(guard);
        assert_eq!(watch.ended(), Some(Ended::Gone));
        assert_eq!(watch.end().await, Ended::Gone);

        let watch = Watch::timed(Some(Duration::ZERO));
        assert_eq!(watch.ended(), Some(Ended::TooLong));
        assert_eq!(watch.end().await, Ended::TooLong);
        assert_eq!(Watch::timed(None).ended(), None);
    }
}
