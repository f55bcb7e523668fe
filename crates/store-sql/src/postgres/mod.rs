//! PostgreSQL: connections that work side by side, each on a transaction of its own.
//!
//! Writers read what others committed (`READ COMMITTED`, as MLflow has it); what must not change
//! under them they lock by its row. One that a deadlock or a conflict ended is done again. Readers
//! see one state of the database from their first statement to the last.

mod connection;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use mlrs_store::StoreError;

use crate::connection::{Connection, SqlError, Transactions as _};
use crate::pool::Pool;
use crate::uri::PostgresUri;
use connection::{Events, PostgresConnection};
use tls::Connector;

/// Connections at once: what MLflow's own pool grows to.
const MOST_CONNECTIONS: usize = 15;

/// Connections that stay open, as in MLflow's own pool.
const KEPT_CONNECTIONS: usize = 5;

/// How often work that met a conflict is done.
const ATTEMPTS: u32 = 5;

/// A database of a server.
pub(crate) struct Postgres {
    config: tokio_postgres::Config,
    connector: Connector,
    connections: Pool<PostgresConnection>,
}

impl Postgres {
    /// Prepares connections; none is made yet.
    pub(crate) fn new(uri: &PostgresUri) -> Result<Self, tls::TlsError> {
        Ok(Self {
            config: uri.config().clone(),
            connector: Connector::new(uri)?,
            connections: Pool::new(MOST_CONNECTIONS, KEPT_CONNECTIONS),
        })
    }

    /// Runs work that changes something; it is durable when this returns.
    pub(crate) async fn write<T, W>(self: &Arc<Self>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.transaction("BEGIN", work).await
    }

    /// Runs work that only reads, on one state of the database.
    pub(crate) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
            .await
    }

    async fn transaction<T, W>(
        self: &Arc<Self>,
        begin: &'static str,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let database = Arc::clone(self);
        self.connections
            .run(move || {
                let mut attempt = 1;
                loop {
                    let mut connection = database.begin(begin)?;
                    let outcome = connection.finish(&work);
                    if !connection.is_closed() {
                        database.connections.put_back(connection);
                    }
                    match outcome {
                        Err(error) if attempt < ATTEMPTS && is_conflict(&error) => {
                            std::thread::sleep(Duration::from_millis(5 << attempt));
                            attempt += 1;
                        }
                        outcome => return outcome,
                    }
                }
            })
            .await
    }

    /// A connection on which a transaction has begun. Idle ones that the server has left meanwhile
    /// are replaced.
    fn begin(&self, begin: &'static str) -> Result<PostgresConnection, StoreError> {
        while let Some(mut connection) = self.connections.take() {
            match connection.run(begin) {
                Ok(()) => return Ok(connection),
                Err(SqlError::Unavailable(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = self.connect()?;
        connection.run(begin)?;
        Ok(connection)
    }

    fn connect(&self) -> Result<PostgresConnection, SqlError> {
        let events = Events::start().map_err(|error| SqlError::Unavailable(Box::new(error)))?;
        let (client, transport) = events.wait(self.connector.connect(&self.config))?;
        Ok(PostgresConnection::new(client, transport, events))
    }
}

fn is_conflict(error: &StoreError) -> bool {
    let StoreError::Unavailable(cause) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(SqlError::Conflict(_)))
}
