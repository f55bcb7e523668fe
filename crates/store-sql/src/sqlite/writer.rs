//! The one that writes: a thread that takes work from a queue and commits it in groups.
//!
//! Each piece of work runs in a savepoint, so that one that fails takes nothing of the others with
//! it. Their answers are given after the commit: what was acknowledged is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mlrs_store::StoreError;
use tokio::sync::oneshot;

use super::connection::SqliteConnection;
use crate::connection::{Connection, Transactions as _};

/// Pieces of work of one commit.
const MOST: usize = 512;

/// A commit waits no longer than this for more work that is there already.
const LONGEST: Duration = Duration::from_millis(50);

/// What is told after the commit: that it is durable, or why not.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A piece of work that waits.
trait Job: Send {
    /// Does it; what it did stays only when [`Done::keep`] says so.
    fn run(self: Box<Self>, connection: &mut SqliteConnection) -> Done;
    /// Tells that it cannot be done.
    fn refuse(self: Box<Self>, error: StoreError);
}

struct Done {
    keep: bool,
    finish: Finish,
}

/// Work, and who waits for it. Nobody may be there to hear the answer any more; what is done stays
/// done.
struct Waiting<T, W> {
    work: W,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Job for Waiting<T, W>
where
    T: Send + 'static,
    W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send,
{
    fn run(self: Box<Self>, connection: &mut SqliteConnection) -> Done {
        let Self { work, answer } = *self;
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(StoreError::Internal("the work panicked".into())));
        Done {
            keep: outcome.is_ok(),
            finish: Box::new(move |committed| {
                let _ = answer.send(outcome.and_then(|value| committed.map(|()| value)));
            }),
        }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error));
    }
}

/// The queue of the thread that writes. Dropping it ends the thread when its work is done.
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
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
            thread,
        }
    }

    /// Runs work in the next commit, and waits for that.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, told) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Waiting { work, answer });
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
        if let Err(error) = connection.run("BEGIN IMMEDIATE") {
            connection.undo();
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a transaction cannot begin");
            first.refuse(error.into());
            continue;
        }
        let finishes = group(&mut connection, first, queue);
        let committed = connection.run("COMMIT").map_err(StoreError::from);
        if committed.is_err() {
            connection.undo();
        }
        tell(finishes, committed);
    }
}

/// Runs the first piece of work and what queued behind it.
fn group(
    connection: &mut SqliteConnection,
    first: Box<dyn Job>,
    queue: &Receiver<Box<dyn Job>>,
) -> Vec<Finish> {
    let end = Instant::now() + LONGEST;
    let mut finishes = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        finishes.push(in_savepoint(connection, job));
        let more = finishes.len() < MOST && Instant::now() < end;
        next = if more { queue.try_recv().ok() } else { None };
    }
    finishes
}

fn in_savepoint(connection: &mut SqliteConnection, job: Box<dyn Job>) -> Finish {
    if let Err(error) = connection.run("SAVEPOINT work") {
        return Box::new(move |_| job.refuse(error.into()));
    }
    let done = job.run(connection);
    let ended = if done.keep {
        connection.run("RELEASE work")
    } else {
        connection
            .run("ROLLBACK TO work")
            .and_then(|()| connection.run("RELEASE work"))
    };
    match ended {
        Ok(()) => done.finish,
        // Some failures end the transaction by themselves; the commit will say so.
        Err(error) => {
            let finish = done.finish;
            Box::new(move |_| finish(Err(error.into())))
        }
    }
}

fn tell(finishes: Vec<Finish>, committed: Result<(), StoreError>) {
    match committed {
        Ok(()) => finishes.into_iter().for_each(|finish| finish(Ok(()))),
        Err(error) => {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a commit failed");
            for finish in finishes {
                finish(Err(StoreError::Unavailable("the commit failed".into())));
            }
        }
    }
}
