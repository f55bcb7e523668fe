//! A connection to PostgreSQL as the statements see it.
//!
//! A transaction is a chain of short steps that wait for each other, so each connection brings a
//! small event loop of its own, which the thread that works drives while it waits: no statement costs
//! a hop to another thread.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use mlrs_store::StoreError;
use tokio::runtime::Runtime;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::failure::{NulError, failed, silent};
use super::tls::Connector;
use crate::connection::{Connection, Dialect, EachRow, Row, SqlError, Transactions, Value};
use crate::watch::{Ended, Watch};

/// How long a statement that was to end may take to do so. One that takes longer belongs to a server
/// that does not answer.
const GRACE: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared; beyond them it begins anew.
const MOST_PREPARED: usize = 256;

/// Rows that are on their way at once when one statement runs for many.
const PIPELINED: usize = 128;

/// Rows that go into one statement where it takes several: each statement costs as much as writing
/// some rows.
const TOGETHER: usize = 64;

/// A connection, used by one thread at a time.
pub(super) struct PostgresConnection {
    client: Client,
    events: Events,
    prepared: HashMap<Prepared, Statement>,
    connector: Connector,
    /// What ends statements of the work that goes on.
    watch: Option<Watch>,
    /// How long a statement beside that work may take, such as `COMMIT`.
    limit: Option<Duration>,
    /// Whether something may still be on its way: such a connection is not used again.
    is_spoilt: Cell<bool>,
}

/// A statement and the types of its values.
#[derive(PartialEq, Eq, Hash)]
struct Prepared {
    sql: String,
    types: Vec<Type>,
}

/// An event loop that may be dropped anywhere.
pub(super) struct Events(Option<Runtime>);

impl Events {
    /// Starts one; it has no thread of its own.
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future to its end, and meanwhile what was spawned.
    fn drive<T>(&self, future: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            // Only while it is dropped.
            None => Err(SqlError::Unavailable("the connection has ended".into())),
        }
    }

    /// The same, for at most so long.
    pub(super) fn wait<T>(
        &self,
        limit: Option<Duration>,
        future: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        self.drive(async {
            let outcome = match limit {
                None => future.await,
                Some(limit) => tokio::time::timeout(limit, future)
                    .await
                    .map_err(|_| silent())?,
            };
            outcome.map_err(|error| failed(&error))
        })
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(future);
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl PostgresConnection {
    /// A connection whose messages `transport` carries.
    pub(super) fn new(
        client: Client,
        transport: impl Future<Output = ()> + Send + 'static,
        events: Events,
        connector: Connector,
        limit: Option<Duration>,
    ) -> Self {
        events.spawn(transport);
        Self {
            client,
            events,
            prepared: HashMap::new(),
            connector,
            watch: None,
            limit,
            is_spoilt: Cell::new(false),
        }
    }

    /// Whether it can be used no more: the other side is gone, or does not answer.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_spoilt.get()
    }

    /// Runs statements that take no values, separated by `;`.
    pub(super) fn run_all(&mut self, sql: &str) -> Result<(), SqlError> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs a statement that takes no values, for at most so long.
    pub(super) fn run_within(
        &mut self,
        limit: Option<Duration>,
        sql: &str,
    ) -> Result<(), SqlError> {
        let outcome = self.events.wait(limit, self.client.batch_execute(sql));
        self.is_spoilt.set(self.is_spoilt.get() || outcome.is_err());
        outcome
    }

    /// Waits for the server, no longer than the watch allows.
    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        let Some(watch) = &self.watch else {
            let outcome = self.events.wait(self.limit, future);
            if matches!(outcome, Err(SqlError::Unavailable(_))) {
                self.is_spoilt.set(true);
            }
            return outcome;
        };
        self.events.drive(async {
            let mut future = std::pin::pin!(future);
            let ended = tokio::select! {
                biased;
                outcome = &mut future => return outcome.map_err(|error| failed(&error)),
                ended = watch.end() => ended,
            };
            // The request to end may come late, and would then end the next statement.
            self.is_spoilt.set(true);
            tracing::info!(because = ?ended, "a statement is ended");
            let token = self.client.cancel_token();
            let both = async { tokio::join!(self.connector.cancel(&token), future).1 };
            match tokio::time::timeout(GRACE, both).await {
                Err(_) if ended == Ended::TooLong => Err(silent()),
                Ok(_) | Err(_) => Err(SqlError::Ended),
            }
        })
    }

    fn prepare<'v, V: Borrow<Value<'v>>>(
        &mut self,
        sql: &str,
        values: &[V],
    ) -> Result<Statement, SqlError> {
        let key = Prepared {
            sql: sql.to_owned(),
            types: values.iter().map(|value| type_of(value.borrow())).collect(),
        };
        if let Some(statement) = self.prepared.get(&key) {
            return Ok(statement.clone());
        }
        if self.prepared.len() >= MOST_PREPARED {
            self.prepared.clear();
        }
        let text = numbered(sql);
        let statement = self.wait(self.client.prepare_typed(&text, &key.types))?;
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }
}

/// The type that a value has whatever it is compared with: ids of a request may be larger than
/// their column. A text takes the type of its place.
fn type_of(value: &Value<'_>) -> Type {
    match value {
        Value::Integer(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Bool(_) => Type::BOOL,
        Value::Null | Value::Text(_) => Type::UNKNOWN,
    }
}

/// A statement for one row as one for [`TOGETHER`] of them, where it takes them and so many are there.
/// One that changes rows which are there already may not meet the same row twice, so it stays as it is.
fn for_rows(sql: &str, rows: usize) -> Option<String> {
    let (before, rest) = sql.split_once(" VALUES (")?;
    let (row, after) = rest.split_once(')')?;
    let is_plain = row.chars().all(|letter| matches!(letter, '?' | ',' | ' '));
    if rows != TOGETHER || !is_plain || after.contains("DO UPDATE") {
        return None;
    }
    let all = vec![format!("({row})"); rows].join(", ");
    Some(format!("{before} VALUES {all}{after}"))
}

/// The statement with `$1`, `$2`, … for each `?`. No statement of this crate has one in a literal.
fn numbered(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 16);
    for (index, part) in sql.split('?').enumerate() {
        if index > 0 {
            // Writing to a text does not fail.
            let _ = write!(text, "${index}");
        }
        text.push_str(part);
    }
    text
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        place: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql(place, out),
            Self::Real(value) => value.to_sql(place, out),
            Self::Bool(value) => value.to_sql(place, out),
            Self::Text(value) if value.contains('\0') => Err(Box::new(NulError)),
            Self::Text(value) => value.to_sql(place, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Transactions for PostgresConnection {
    fn run(&mut self, sql: &'static str) -> Result<(), SqlError> {
        self.run_all(sql)
    }

    fn undo(&mut self) {
        if !self.is_closed()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction could not be undone; its connection has ended");
        }
    }

    fn watch(&mut self, watch: Option<&Watch>) {
        self.watch = watch.cloned();
    }
}

impl Connection for PostgresConnection {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        let statement = self.prepare(sql, values)?;
        self.wait(self.client.execute_raw(&statement, values))
    }

    fn execute_rows(
        &mut self,
        sql: &str,
        rows: &mut dyn Iterator<Item = Vec<Value<'_>>>,
    ) -> Result<(), SqlError> {
        loop {
            let rows: Vec<Vec<Value<'_>>> = rows.take(PIPELINED).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let mut statements = Vec::with_capacity(rows.len());
            for group in rows.chunks(TOGETHER) {
                match for_rows(sql, group.len()) {
                    Some(text) => {
                        let values: Vec<&Value<'_>> = group.iter().flatten().collect();
                        statements.push((self.prepare(&text, &values)?, values));
                    }
                    None => {
                        for row in group {
                            let values: Vec<&Value<'_>> = row.iter().collect();
                            statements.push((self.prepare(sql, &values)?, values));
                        }
                    }
                }
            }
            // All are sent before the first answer is awaited.
            let sent = statements
                .iter()
                .map(|(statement, values)| self.client.execute_raw(statement, values.iter()));
            self.wait(try_join_all(sent))?;
        }
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql, values)?;
        let mut refused = None;
        let read = async {
            let rows = self.client.query_raw(&statement, values).await?;
            let mut rows = std::pin::pin!(rows);
            while let Some(row) = rows.try_next().await? {
                if let Err(error) = each(&PostgresRow(&row)) {
                    refused = Some(error);
                    break;
                }
            }
            Ok(())
        };
        self.wait(read)?;
        refused.map_or(Ok(()), Err)
    }
}

struct PostgresRow<'a>(&'a tokio_postgres::Row);

impl PostgresRow<'_> {
    fn kind(&self, column: usize) -> Result<&Type, SqlError> {
        let column = self.0.columns().get(column);
        column
            .map(tokio_postgres::Column::type_)
            .ok_or_else(|| SqlError::Other("the answer has fewer columns".into()))
    }

    fn get<'b, T: tokio_postgres::types::FromSql<'b>>(
        &'b self,
        column: usize,
    ) -> Result<Option<T>, SqlError> {
        self.0
            .try_get(column)
            .map_err(|error| SqlError::Other(Box::new(error)))
    }
}

impl Row for PostgresRow<'_> {
    fn text(&self, column: usize) -> Result<Option<&str>, SqlError> {
        self.get(column)
    }

    fn integer(&self, column: usize) -> Result<Option<i64>, SqlError> {
        match *self.kind(column)? {
            Type::INT4 => Ok(self.get::<i32>(column)?.map(i64::from)),
            Type::INT2 => Ok(self.get::<i16>(column)?.map(i64::from)),
            _ => self.get(column),
        }
    }

    fn real(&self, column: usize) -> Result<Option<f64>, SqlError> {
        self.get(column)
    }

    fn boolean(&self, column: usize) -> Result<Option<bool>, SqlError> {
        self.get(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_values_are_numbered() {
        assert_eq!(
            numbered("SELECT 1 WHERE a = ? AND b IN (?, ?)"),
            "SELECT 1 WHERE a = $1 AND b IN ($2, $3)"
        );
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }

    #[test]
    fn rows_go_together_where_they_can() {
        let found = for_rows(
            "INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT DO NOTHING",
            TOGETHER,
        );
        let found = found.unwrap();
        assert!(found.starts_with("INSERT INTO t (a, b) VALUES (?, ?), (?, ?), "));
        assert!(found.ends_with(", (?, ?) ON CONFLICT DO NOTHING"));
        assert_eq!(found.matches('?').count(), 2 * TOGETHER);
        for (sql, rows) in [
            ("INSERT INTO t VALUES (?)", TOGETHER - 1),
            ("INSERT INTO t VALUES (abs(?))", TOGETHER),
            (
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET a = 1",
                TOGETHER,
            ),
            ("DELETE FROM t WHERE a = ?", TOGETHER),
        ] {
            assert_eq!(for_rows(sql, rows), None, "{sql}");
        }
    }
}
