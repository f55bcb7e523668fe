//! SQLite: one writer that commits together what came together, and readers beside it.
//!
//! Write-ahead logging lets readers go on while the writer works. `synchronous = FULL` makes each
//! commit durable before it is answered; because that waits for the disk, the writer commits all the
//! work that queued during the commit before in one go ([`writer`]).

mod connection;
mod pattern;
mod writer;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mlrs_store::StoreError;
use rusqlite::OpenFlags;

use crate::connection::{Connection, Transactions as _};
use crate::pool::{Pool, Share};
use crate::watch::Watch;
use connection::SqliteConnection;
pub(crate) use pattern::{ILIKE, LIKE};
use writer::Writer;

/// How long a statement waits for another process that writes; the same as MLflow's.
const BUSY: Duration = Duration::from_secs(20);

/// Readers beyond this wait: they share the machine's cores.
const MOST_READERS: usize = 8;

/// Readers that stay open: each holds pages.
const KEPT_READERS: usize = 2;

/// Pages that a connection keeps, in KiB: all that a search among 20,000 runs reads. With less than
/// that it reads every page again, because the page that was used longest ago goes first.
const CACHE_KIB: i64 = 16384;

/// A database file, open.
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    readers: Pool<SqliteConnection>,
}

impl Sqlite {
    /// Opens the file, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        make_private(path);
        let writer = connect(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        // Asking for it each time costs nothing: the mode stays with the file.
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        // 32 MiB of log before it is written back: each page of an index then goes once for many
        // commits.
        writer.pragma_update(None, "wal_autocheckpoint", 8192)?;
        Ok(Self {
            path: path.to_path_buf(),
            writer: Writer::start(SqliteConnection::new(writer)?),
            readers: Pool::new(MOST_READERS, KEPT_READERS),
        })
    }

    /// Runs work that changes something; it is durable when this returns.
    pub(crate) async fn write<T, W>(
        &self,
        timeout: Option<Duration>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(timeout, work).await
    }

    /// Runs work that only reads, on one state of the database.
    pub(crate) async fn read<T, W>(
        self: &Arc<Self>,
        share: Share,
        timeout: Option<Duration>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let database = Arc::clone(self);
        self.readers
            .run(share, timeout, move |watch| {
                let mut connection = database.reader()?;
                connection.run("BEGIN")?;
                let outcome = connection.finish(watch, work);
                database.readers.put_back(connection);
                outcome
            })
            .await
    }

    fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let idle = self.readers.take();
        idle.map_or_else(|| reader_of(&self.path), Ok)
    }
}

/// Runs work that only reads on a file that is there, and changes nothing of it, not even how it is
/// written.
pub(crate) fn look<T>(
    path: &Path,
    work: impl FnOnce(&mut dyn Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut connection = reader_of(path)?;
    connection.run("BEGIN")?;
    connection.finish(&Watch::timed(None), work)
}

/// A connection that changes nothing of a file that is there.
fn reader_of(path: &Path) -> Result<SqliteConnection, StoreError> {
    let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
        connection.pragma_update(None, "query_only", true)?;
        SqliteConnection::new(connection)
    });
    opened.map_err(|error| connection::failed(error).into())
}

/// Makes an empty file, which SQLite takes for a new database, that only its owner reads and writes.
/// SQLite gives the files beside it the same permissions. One that is there stays as it is; a failure
/// is left to SQLite, which opens the file next and says why not.
fn make_private(path: &Path) {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

fn connect(path: &Path, flags: OpenFlags) -> Result<rusqlite::Connection, rusqlite::Error> {
    // A connection is used by one thread at a time, which its owner sees to.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // `LIKE` tells upper from lower case, as MLflow's connections have it.
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_new_database_belongs_to_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        let database = Sqlite::open(&folder.path().join("new.db")).unwrap();
        let write = |connection: &mut dyn Connection| {
            connection.execute("CREATE TABLE t (x)", &[])?;
            Ok(())
        };
        database.write(None, write).await.unwrap();
        for name in ["new.db", "new.db-wal", "new.db-shm"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
        let shared = folder.path().join("shared.db");
        std::fs::write(&shared, "").unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o660)).unwrap();
        let _database = Sqlite::open(&shared).unwrap();
        assert_eq!(mode("shared.db"), 0o660);
    }
}
