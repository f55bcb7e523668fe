//! Groups of work, and what waits for them.

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
    work(SqliteConnection::new(open()).unwrap(), &queue);
    let told = told
        .into_iter()
        .map(|mut told| told.try_recv().unwrap().is_ok());
    let mut connection = SqliteConnection::new(open()).unwrap();
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
    (
        other,
        Writer::start(SqliteConnection::new(connection).unwrap()),
    )
}

fn insert(row: i64, held: Arc<()>) -> impl Fn(&mut dyn Connection) -> Result<u64, StoreError> {
    move |connection| {
        assert!(Arc::strong_count(&held) > 0);
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
    let waiting = (0..=MOST_WAITING as i64).map(|row| writer.run(None, insert(row, Arc::new(()))));
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
