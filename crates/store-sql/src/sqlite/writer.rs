//! The one that writes: a thread that takes work from a queue and commits it in groups.
//!
//! A piece that fails takes nothing of the others with it. Mostly it fails before it has changed
//! anything; if not, the whole group is undone and done again, each piece in a savepoint. Responses
//! are given after the commit: what was acknowledged is on the disk.
//!
//! What waits is bounded: the queue has places, work whose client leaves is dropped at once, before
//! it is done, and a database that another program has locked for too long fails all that wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mlrs_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::connection::SqliteConnection;
use crate::connection::{Connection, SqlError, Transactions as _};
use crate::watch::Watch;

/// Pieces of work of one commit.
const MOST: usize = 512;

/// A commit waits no longer than this for more work that is there already.
const LONGEST: Duration = Duration::from_millis(50);

/// Pieces of work that wait at once.
const MOST_WAITING: usize = 4096;

/// A piece of work that waits.
trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Does it, also once more after what it did was undone.
    fn run(&mut self, connection: &mut SqliteConnection) -> Ran;
    /// Tells how it went: as the last run says, if that is durable.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// How a piece of work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    /// What it did is to stay.
    Done,
    /// A rule or the state of the database was against it.
    Refused,
    /// A statement failed, or it panicked.
    Failed,
}

/// Work that its client takes back when it leaves, unless it is being done: what it holds of a
/// request goes with the client, not when its turn comes.
struct Shared<W>(Arc<Mutex<Option<W>>>);

impl<W> Shared<W> {
    fn new(work: W) -> Self {
        Self(Arc::new(Mutex::new(Some(work))))
    }

    fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Option<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the work back when it is dropped.
struct TakenBack<W>(Shared<W>);

impl<W> Drop for TakenBack<W> {
    fn drop(&mut self) {
        // While the work is done it is locked, and soon dropped by who does it.
        if let Ok(mut work) = self.0.0.try_lock() {
            *work = None;
        }
    }
}

/// Work, and who waits for it. Nobody may be there to hear the response any more; what is done stays
/// done.
struct Waiting<T, W> {
    work: Shared<W>,
    /// How long it may take.
    timeout: Option<Duration>,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<T, W> Job for Waiting<T, W>
where
    T: Send + 'static,
    W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, connection: &mut SqliteConnection) -> Ran {
        let work = self.work.lock();
        let Some(work) = &*work else {
            return Ran::Refused;
        };
        connection.watch(Some(&Watch::timed(self.timeout)));
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(StoreError::Internal("the work panicked".into())));
        connection.watch(None);
        let outcome = outcome.map_err(|error| match error {
            StoreError::TooLong => {
                StoreError::Unavailable("a transaction took longer than it may".into())
            }
            error => error,
        });
        let ran = match &outcome {
            Ok(_) => Ran::Done,
            Err(StoreError::Internal(_) | StoreError::Unavailable(_)) => Ran::Failed,
            Err(_) => Ran::Refused,
        };
        self.outcome = Some(outcome);
        ran
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self {
            outcome, answer, ..
        } = *self;
        // A refusal needs no commit, and says more than the failure of one.
        let told = match (outcome, committed) {
            (Some(Err(refused)), _) => Err(refused),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Internal("the work was not done".into())),
        };
        let _ = answer.send(told);
    }
}

/// The queue of the thread that writes. Dropping it ends the thread when its work is done.
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (jobs, queue) = channel();
        let thread = thread::Builder::new()
            .name("mlrs-writer".to_owned())
            .spawn(move || work(connection, &queue))
            .map_err(|error| tracing::error!(%error, "the thread that writes cannot start"))
            .ok();
        Self {
            jobs: Some(jobs),
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            thread,
        }
    }

    /// Runs work in the next commit, and waits for that. Work that nobody waits for when its turn
    /// comes is left out.
    ///
    /// # Errors
    /// When the work fails, takes longer than `timeout`, or too much is waiting already.
    pub(super) async fn run<T, W>(
        &self,
        timeout: Option<Duration>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let (answer, told) = oneshot::channel();
        let work = Shared::new(work);
        let _taken_back = TakenBack(work.handle());
        let job: Box<dyn Job> = Box::new(Waiting {
            work,
            timeout,
            outcome: None,
            answer,
            _place: Some(place),
        });
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        let gone = || StoreError::Unavailable("the thread that writes has ended".into());
        if !sent {
            return Err(gone());
        }
        told.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged where it happened.
            let _ = thread.join();
        }
    }
}

fn work(mut connection: SqliteConnection, queue: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        if first.is_abandoned() {
            continue;
        }
        if let Err(error) = connection.run("BEGIN IMMEDIATE") {
            connection.undo();
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a transaction cannot begin");
            // Those behind it would each wait as long for the same lock. Who comes later tries again.
            let waiting: Vec<_> = std::iter::once(first).chain(queue.try_iter()).collect();
            for job in waiting {
                job.finish(Err(StoreError::Unavailable(error.to_string().into())));
            }
            continue;
        }
        let mut jobs = vec![first];
        let committed = group(&mut connection, queue, &mut jobs);
        if let Err(error) = &committed {
            connection.undo();
            tracing::error!(%error, cause = ?std::error::Error::source(error), "a commit failed");
        }
        for job in jobs {
            let failed = |_: &SqlError| StoreError::Unavailable("the commit failed".into());
            job.finish(committed.as_ref().map(|&()| ()).map_err(failed));
        }
    }
}

/// Runs the first piece of work and what queued behind it in the transaction that has begun, and
/// commits.
fn group(
    connection: &mut SqliteConnection,
    queue: &Receiver<Box<dyn Job>>,
    jobs: &mut Vec<Box<dyn Job>>,
) -> Result<(), SqlError> {
    let end = Instant::now() + LONGEST;
    let (mut clean, mut ran) = (true, 0);
    while let Some(job) = jobs.get_mut(ran) {
        clean = run_plainly(connection, &mut **job);
        ran += 1;
        if clean && ran < MOST && Instant::now() < end {
            jobs.extend(queue.try_iter().find(|job| !job.is_abandoned()));
        }
    }
    if !clean {
        connection.undo();
        connection.run("BEGIN IMMEDIATE")?;
        for job in jobs {
            run_in_savepoint(connection, &mut **job)?;
        }
    }
    connection.run("COMMIT")
}

/// Tells whether the transaction holds nothing but what is to stay.
fn run_plainly(connection: &mut SqliteConnection, job: &mut dyn Job) -> bool {
    let before = connection.changes();
    match job.run(connection) {
        Ran::Done => true,
        Ran::Refused => connection.changes() == before,
        // Some failures end the transaction with all that was in it, and not all changes are counted.
        Ran::Failed => false,
    }
}

fn run_in_savepoint(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), SqlError> {
    connection.run("SAVEPOINT work")?;
    if job.run(connection) != Ran::Done {
        connection.run("ROLLBACK TO work")?;
    }
    connection.run("RELEASE work")
}

#[cfg(test)]
mod tests;
