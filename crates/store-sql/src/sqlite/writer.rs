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
        let job = Waiting {
            work: Shared::new(work),
            timeout: None,
            outcome: None,
            answer,
            _place: None,
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

    /// A database whose lock another program holds.
    fn locked(folder: &std::path::Path) -> (rusqlite::Connection, Writer) {
        let path = folder.join("t.db");
        let other = rusqlite::Connection::open(&path).unwrap();
        let table = "PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER PRIMARY KEY)";
        other.execute_batch(table).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(1)).unwrap();
        (other, Writer::start(SqliteConnection::new(connection)))
    }

    fn insert(row: i64, held: Arc<()>) -> impl Fn(&mut dyn Connection) -> Result<u64, StoreError> {
        move |connection| {
            let _held = &held;
            Ok(connection.execute("INSERT INTO t VALUES (?)", &[row.into()])?)
        }
    }

    #[tokio::test]
    async fn a_lock_of_another_fails_all_that_wait_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (other, writer) = locked(folder.path());
        let begin = Instant::now();
        let waiting = (0..5).map(|row| writer.run(None, insert(row, Arc::new(()))));
        for outcome in futures_util::future::join_all(waiting).await {
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))));
        }
        let took = begin.elapsed();
        assert!(
            took < Duration::from_millis(2500),
            "one after another: {took:?}"
        );
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(writer.run(None, insert(1, Arc::new(()))).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_waits_goes_with_its_client() {
        let folder = tempfile::tempdir().unwrap();
        let (other, writer) = locked(folder.path());
        let held = Arc::new(());
        // The first is what waits for the lock, the others behind it.
        let waiting = (0..5).map(|row| writer.run(None, insert(row, Arc::clone(&held))));
        let left = futures_util::future::join_all(waiting);
        let left = tokio::time::timeout(Duration::from_millis(200), left).await;
        assert!(left.is_err(), "the database was not locked");
        assert_eq!(
            Arc::strong_count(&held),
            1,
            "work of clients that left is kept"
        );
        other.execute_batch("ROLLBACK").unwrap();
        writer.run(None, insert(9, held)).await.unwrap();
        let rows: i64 = other
            .query_one("SELECT sum(x) FROM t", (), |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 9, "work of clients that left was done");
    }

    #[tokio::test]
    async fn the_queue_has_an_end_and_work_a_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (other, writer) = locked(folder.path());
        let waiting =
            (0..=MOST_WAITING as i64).map(|row| writer.run(None, insert(row, Arc::new(()))));
        let mut waiting: Vec<_> = waiting.map(Box::pin).collect();
        let mut refused = 0;
        for waits in &mut waiting {
            let outcome = futures_util::FutureExt::now_or_never(waits.as_mut());
            refused += usize::from(matches!(outcome, Some(Err(StoreError::Unavailable(_)))));
        }
        assert!(refused >= 1, "nothing was refused");
        drop(waiting);
        other.execute_batch("ROLLBACK").unwrap();
        while writer.places.available_permits() < MOST_WAITING {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let endless = |connection: &mut dyn Connection| {
            let sql = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                       INSERT INTO t SELECT x FROM n WHERE x < 0";
            Ok(connection.execute(sql, &[])?)
        };
        let timeout = Some(Duration::from_millis(100));
        let ended = writer.run(timeout, endless).await;
        assert!(
            matches!(ended, Err(StoreError::Unavailable(_))),
            "{ended:?}"
        );
        assert_eq!(
            writer.run(timeout, insert(1, Arc::new(()))).await.unwrap(),
            1
        );
    }
}
