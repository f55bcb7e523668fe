//! PostgreSQL: connections that work side by side, each on a transaction of its own.
//!
//! Writers read what others committed (`READ COMMITTED`, as MLflow has it); what must not change
//! under them they lock by its row. One that a deadlock or a conflict ended is done again. Readers
//! see one state of the database from their first statement to the last.

mod connection;
mod failure;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use mlrs_store::StoreError;

use crate::connection::{Connection, SqlError, Transactions as _};
use crate::pool::{Pool, Share};
use crate::uri::PostgresUri;
use crate::watch::Watch;
use connection::{Events, PostgresConnection};
use tls::Connector;

/// Connections at once: what MLflow's own pool grows to.
const MOST_CONNECTIONS: usize = 15;

/// Connections that stay open, as in MLflow's own pool.
const KEPT_CONNECTIONS: usize = 5;

/// How long an idle connection may take to begin: what stands between may have forgotten it.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

/// How long the server may take to greet a new connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

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
    pub(crate) async fn write<T, W>(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let database = Arc::clone(self);
        let written = self.connections.run(Share::All, timeout, move |_| {
            // What has begun goes on, whether or not its client still waits.
            let watch = Watch::timed(timeout);
            database.transaction("BEGIN", timeout, &watch, &work)
        });
        match written.await {
            // Most likely it waited for another transaction.
            Err(StoreError::TooLong) => {
                let cause = "a transaction took longer than it may";
                Err(StoreError::Unavailable(cause.into()))
            }
            outcome => outcome,
        }
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
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let read = move |watch: &Watch| database.transaction(begin, timeout, watch, &work);
        self.connections.run(share, timeout, read).await
    }

    /// Ends the connections that are idle: new ones are set up as it is asked from then on.
    pub(crate) fn forget_connections(&self) {
        self.connections.clear();
    }

    fn transaction<T>(
        &self,
        begin: &'static str,
        timeout: Option<Duration>,
        watch: &Watch,
        work: impl Fn(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut attempt = 1;
        loop {
            let mut connection = self.begin(begin, timeout)?;
            let outcome = connection.finish(watch, &work);
            if !connection.is_closed() {
                self.connections.put_back(connection);
            }
            match outcome {
                Err(error)
                    if attempt < ATTEMPTS && is_conflict(&error) && watch.ended().is_none() =>
                {
                    std::thread::sleep(Duration::from_millis(5 << attempt));
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// A connection on which a transaction has begun. Idle ones that the server, or what stands
    /// between, has left meanwhile are replaced.
    fn begin(
        &self,
        begin: &'static str,
        timeout: Option<Duration>,
    ) -> Result<PostgresConnection, StoreError> {
        while let Some(mut connection) = self.connections.take() {
            match connection.run_within(Some(BEGIN_WITHIN), begin) {
                Ok(()) => return Ok(connection),
                // Those beside it have most likely gone the same way.
                Err(SqlError::Unavailable(_)) => self.connections.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = self.connect(timeout)?;
        connection.run_within(Some(CONNECT_WITHIN), begin)?;
        Ok(connection)
    }

    fn connect(&self, timeout: Option<Duration>) -> Result<PostgresConnection, SqlError> {
        let events = Events::start().map_err(|error| SqlError::Unavailable(Box::new(error)))?;
        let connect = self.connector.connect(&self.config);
        let (client, transport) = events.wait(Some(CONNECT_WITHIN), connect)?;
        let connector = self.connector.clone();
        let mut connection = PostgresConnection::new(client, transport, events, connector, timeout);
        if let Some(timeout) = timeout {
            // Should this server be away when the time comes.
            let limit = format!("SET statement_timeout = {}", timeout.as_millis());
            connection.run_within(Some(CONNECT_WITHIN), &limit)?;
        }
        Ok(connection)
    }
}

fn is_conflict(error: &StoreError) -> bool {
    let StoreError::Unavailable(cause) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(SqlError::Conflict(_)))
}
