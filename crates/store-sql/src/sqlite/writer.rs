//! The one that writes: a thread that takes work from a queue and commits it in groups.
//!
//! A piece that fails takes nothing of the others with it. Mostly it fails before it has changed
//! anything; if not, the whole group is undone and done again, each piece in a savepoint. Answers are
//! given after the commit: what was acknowledged is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mlrs_store::StoreError;
use tokio::sync::oneshot;

use super::connection::SqliteConnection;
use crate::connection::{Connection, SqlError, Transactions as _};

/// Pieces of work of one commit.
const MOST: usize = 512;

/// A commit waits no longer than this for more work that is there already.
const LONGEST: Duration = Duration::from_millis(50);

/// A piece of work that waits.
trait Job: Send {
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

/// Work, and who waits for it. Nobody may be there to hear the answer any more; what is done stays
/// done.
struct Waiting<T, W> {
    work: W,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Job for Waiting<T, W>
where
    T: Send + 'static,
    W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &mut SqliteConnection) -> Ran {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)))
            .unwrap_or_else(|_| Err(StoreError::Internal("the work panicked".into())));
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
        let job: Box<dyn Job> = Box::new(Waiting {
            work,
            outcome: None,
            answer,
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
        if let Err(error) = connection.run("BEGIN IMMEDIATE") {
            connection.undo();
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a transaction cannot begin");
            first.finish(Err(error.into()));
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
            jobs.extend(queue.try_recv().ok());
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
mod tests {
    use super::*;
    use crate::connection::all;

    type Answer = oneshot::Receiver<Result<(), StoreError>>;

    /// Work that adds rows, and then may fail.
    fn job(
        rows: &'static [i64],
        end: fn(&mut dyn Connection) -> Result<(), StoreError>,
    ) -> (Box<dyn Job>, Answer) {
        let (answer, told) = oneshot::channel();
        let work = move |connection: &mut dyn Connection| {
            for row in rows {
                connection.execute("INSERT INTO t VALUES (?)", &[(*row).into()])?;
            }
            end(connection)
        };
        let outcome = None;
        let job = Waiting {
            work,
            outcome,
            answer,
        };
        (Box::new(job), told)
    }

    fn fine(rows: &'static [i64]) -> (Box<dyn Job>, Answer) {
        job(rows, |_| Ok(()))
    }

    fn refused(_: &mut dyn Connection) -> Result<(), StoreError> {
        Err(StoreError::invalid("no"))
    }

    fn lost(connection: &mut dyn Connection) -> Result<(), StoreError> {
        connection.execute("ROLLBACK", &[])?;
        Err(StoreError::Internal("the transaction is gone".into()))
    }

    fn panicked(_: &mut dyn Connection) -> Result<(), StoreError> {
        panic!("on purpose")
    }

    /// What is told of each piece of work when all queued together, and the rows that stay.
    fn outcome(jobs: Vec<(Box<dyn Job>, Answer)>) -> (Vec<bool>, Vec<i64>) {
        let folder = tempfile::tempdir().unwrap();
        let open = || rusqlite::Connection::open(folder.path().join("t.db")).unwrap();
        let table = "CREATE TABLE t (x INTEGER PRIMARY KEY)";
        open().execute_batch(table).unwrap();
        let (sender, queue) = channel();
        let (jobs, told): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        for job in jobs {
            sender.send(job).unwrap();
        }
        drop(sender);
        work(SqliteConnection::new(open()), &queue);
        let told = told
            .into_iter()
            .map(|mut told| told.try_recv().unwrap().is_ok());
        let mut connection = SqliteConnection::new(open());
        let rows = all(&mut connection, "SELECT x FROM t ORDER BY x", &[], |row| {
            Ok(row.integer(0)?.unwrap_or_default())
        });
        (told.collect(), rows.unwrap())
    }

    #[test]
    fn what_fails_takes_nothing_of_the_others_with_it() {
        for end in [refused, panicked] {
            let twice = fine(&[3]);
            let jobs = vec![fine(&[1]), job(&[2], end), job(&[], end), fine(&[3]), twice];
            let told = vec![true, false, false, true, false];
            assert_eq!(outcome(jobs), (told, vec![1, 3]));
        }
    }

    #[test]
    fn a_transaction_that_is_gone_is_told_to_all_that_were_in_it() {
        let jobs = vec![fine(&[1]), job(&[2], lost), fine(&[3])];
        assert_eq!(outcome(jobs), (vec![false, false, true], vec![3]));
    }
}
