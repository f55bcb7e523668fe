//! A connection to SQLite as the statements see it.

use mlrs_store::StoreError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Statement, ToSql};

use crate::connection::{Connection, Dialect, EachRow, Row, SqlError, Transactions, Value};
use crate::sqlite::pattern::{self, SharedWatch};
use crate::watch::Watch;

/// Steps of a statement between two looks at the watch: some tens of microseconds.
const STEPS: i32 = 1000;

/// A connection, used by one thread at a time.
pub(crate) struct SqliteConnection {
    inner: rusqlite::Connection,
    /// What its functions look at.
    watch: SharedWatch,
}

/// What kind of failure it is.
pub(crate) fn failed(error: rusqlite::Error) -> SqlError {
    let code = error.sqlite_error().copied();
    let unique = [
        rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE,
        rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
    ];
    match code {
        Some(code) if unique.contains(&code.extended_code) => SqlError::Unique(Box::new(error)),
        Some(code) if code.code == ErrorCode::OperationInterrupted => SqlError::Ended,
        Some(code) if is_passing(code.code) => SqlError::Unavailable(Box::new(error)),
        _ => SqlError::Other(Box::new(error)),
    }
}

/// Whether it may work later: locks, a full disk, a file system that fails.
fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
    )
}

impl SqliteConnection {
    /// A connection with the functions that statements use.
    pub(super) fn new(inner: rusqlite::Connection) -> rusqlite::Result<Self> {
        let watch = SharedWatch::default();
        pattern::add(&inner, &watch)?;
        Ok(Self { inner, watch })
    }

    /// How many rows were changed since it was opened.
    pub(super) fn changes(&self) -> u64 {
        self.inner.total_changes()
    }
}

impl Transactions for SqliteConnection {
    fn run(&mut self, sql: &'static str) -> Result<(), SqlError> {
        self.execute(sql, &[]).map(|_| ())
    }

    fn undo(&mut self) {
        if !self.inner.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be undone");
        }
    }

    fn watch(&mut self, watch: Option<&Watch>) {
        self.watch.set(watch.cloned());
        let ended = watch.cloned().map(|watch| move || watch.ended().is_some());
        // It fails only on a connection of another thread's.
        if let Err(error) = self.inner.progress_handler(STEPS, ended) {
            tracing::error!(%error, "statements of a connection cannot be ended");
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Borrowed(ValueRef::Real(*value)),
            Self::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        })
    }
}

fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

impl Connection for SqliteConnection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(failed)?;
        bind(&mut statement, values).map_err(failed)?;
        let changed = statement.raw_execute().map_err(failed)?;
        Ok(changed as u64)
    }

    fn execute_rows(
        &mut self,
        sql: &str,
        rows: &mut dyn Iterator<Item = Vec<Value<'_>>>,
    ) -> Result<(), SqlError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(failed)?;
        for row in rows {
            bind(&mut statement, &row).map_err(failed)?;
            statement.raw_execute().map_err(failed)?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(failed)?;
        bind(&mut statement, values).map_err(failed)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            each(&SqliteRow(row))?;
        }
        Ok(())
    }
}

struct SqliteRow<'a>(&'a rusqlite::Row<'a>);

impl SqliteRow<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, SqlError> {
        self.0.get_ref(column).map_err(failed)
    }
}

/// A column that holds something else than the schema says; SQLite allows that.
fn unexpected(column: usize, value: ValueRef<'_>) -> SqlError {
    let kind = value.data_type();
    SqlError::Other(format!("column {column} holds {kind}").into())
}

impl Row for SqliteRow<'_> {
    fn text(&self, column: usize) -> Result<Option<&str>, SqlError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            value => value
                .as_str()
                .map(Some)
                .map_err(|_| unexpected(column, value)),
        }
    }

    fn integer(&self, column: usize) -> Result<Option<i64>, SqlError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            value => Err(unexpected(column, value)),
        }
    }

    fn real(&self, column: usize) -> Result<Option<f64>, SqlError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Real(value) => Ok(Some(value)),
            ValueRef::Integer(value) => Ok(Some(value as f64)),
            value => Err(unexpected(column, value)),
        }
    }

    fn boolean(&self, column: usize) -> Result<Option<bool>, SqlError> {
        Ok(self.integer(column)?.map(|value| value != 0))
    }
}
