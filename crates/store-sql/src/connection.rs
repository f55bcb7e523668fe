//! A narrow view of a database: statements with bound values, rows with columns by position.
//!
//! Synchronous, because the work of a transaction is a chain of short steps that wait for each other:
//! it runs on one thread from beginning to end.

use std::borrow::Cow;

use mlrs_store::StoreError;

use crate::watch::Watch;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// A row with this key is there already.
    #[error("a unique key is taken")]
    Unique(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another transaction was in the way; the same work may succeed when it is done again.
    #[error("another transaction was in the way")]
    Conflict(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value that this database cannot hold or compare.
    #[error("the database does not take the value")]
    Value(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than it may, or nobody waits for it any more.
    #[error("the statement was ended")]
    Ended,
    /// The database is locked, full, stopping or gone; it may come back.
    #[error("the database cannot be used at the moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else: a defect in a statement, or in the database.
    #[error("the database refused a statement")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unavailable(_) | SqlError::Conflict(_) => Self::Unavailable(Box::new(error)),
            SqlError::Ended => Self::TooLong,
            SqlError::Value(cause) => Self::invalid(format!(
                "The database cannot take a value of the request: {cause}"
            )),
            SqlError::Unique(_) | SqlError::Other(_) => Self::Internal(Box::new(error)),
        }
    }
}

/// A value to be bound.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(Cow<'a, str>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer; columns are counted from 0.
pub trait Row {
    /// A text, if there is one.
    ///
    /// # Errors
    /// When the column holds something else.
    fn text(&self, column: usize) -> Result<Option<&str>, SqlError>;
    /// A whole number, if there is one.
    ///
    /// # Errors
    /// When the column holds something else.
    fn integer(&self, column: usize) -> Result<Option<i64>, SqlError>;
    /// A number, if there is one.
    ///
    /// # Errors
    /// When the column holds something else.
    fn real(&self, column: usize) -> Result<Option<f64>, SqlError>;
    /// True or false, if there is one.
    ///
    /// # Errors
    /// When the column holds something else.
    fn boolean(&self, column: usize) -> Result<Option<bool>, SqlError>;

    /// A text as its own; none is the empty text.
    ///
    /// # Errors
    /// When the column holds something else.
    fn string(&self, column: usize) -> Result<String, SqlError> {
        Ok(self.text(column)?.unwrap_or_default().to_owned())
    }

    /// A text as its own, if there is one.
    ///
    /// # Errors
    /// When the column holds something else.
    fn maybe_string(&self, column: usize) -> Result<Option<String>, SqlError> {
        Ok(self.text(column)?.map(str::to_owned))
    }
}

/// What differs between databases in the text of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Behind a `SELECT`: nobody else who asks in this way, or changes its rows, goes on until this
    /// transaction ends. SQLite has one writer at a time anyway.
    pub const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE",
        }
    }
}

/// What is done with each row of an answer.
pub type EachRow<'a> = &'a mut dyn FnMut(&dyn Row) -> Result<(), StoreError>;

/// A connection within a transaction.
pub trait Connection {
    /// How statements are written here.
    fn dialect(&self) -> Dialect;

    /// Runs a statement; `?` stands for the values in their order. Tells how many rows it changed.
    ///
    /// # Errors
    /// When the database refuses.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError>;

    /// Runs a statement for each of several rows of values, all of the same width.
    ///
    /// # Errors
    /// When the database refuses; then the rows before it stay until the transaction is undone.
    fn execute_rows(
        &mut self,
        sql: &str,
        rows: &mut dyn Iterator<Item = Vec<Value<'_>>>,
    ) -> Result<(), SqlError> {
        for row in rows {
            self.execute(sql, &row)?;
        }
        Ok(())
    }

    /// Runs a statement and hands over its rows.
    ///
    /// # Errors
    /// When the database refuses, or `each` does.
    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: EachRow<'_>,
    ) -> Result<(), StoreError>;
}

/// A connection that begins and ends transactions.
pub(crate) trait Transactions: Connection + Sized {
    /// Runs a statement that takes nothing and gives nothing, such as `BEGIN`.
    ///
    /// # Errors
    /// When the database refuses.
    fn run(&mut self, sql: &'static str) -> Result<(), SqlError>;

    /// Undoes an open transaction, if there is one.
    fn undo(&mut self);

    /// Ends statements when the watch says so, from now on; without one they run to their end.
    fn watch(&mut self, watch: Option<&Watch>);

    /// Runs work in the transaction that has begun, and ends it: with its failure nothing stays.
    ///
    /// # Errors
    /// When the work fails, is ended by the watch, or the end of the transaction fails.
    fn finish<T>(
        &mut self,
        watch: &Watch,
        work: impl FnOnce(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.watch(Some(watch));
        let outcome = work(self);
        self.watch(None);
        if outcome.is_err() {
            self.undo();
            return outcome;
        }
        match self.run("COMMIT") {
            Ok(()) => outcome,
            Err(error) => {
                self.undo();
                Err(error.into())
            }
        }
    }
}

/// The first row of an answer, read by `read`.
///
/// # Errors
/// When the database or `read` refuses.
pub fn first<T>(
    connection: &mut dyn Connection,
    sql: &str,
    values: &[Value<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, SqlError>,
) -> Result<Option<T>, StoreError> {
    let mut found = None;
    connection.query(sql, values, &mut |row| {
        if found.is_none() {
            found = Some(read(row)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// All rows of an answer, each read by `read`.
///
/// # Errors
/// When the database or `read` refuses.
pub fn all<T>(
    connection: &mut dyn Connection,
    sql: &str,
    values: &[Value<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, SqlError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    connection.query(sql, values, &mut |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}
