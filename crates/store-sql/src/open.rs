//! Opening a database, and working in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mlrs_store::{StoreError, StoreHealth};

use crate::connection::{Connection, first};
use crate::pool::Share;
use crate::postgres::Postgres;
use crate::schema::{self, Found, REVISION};
use crate::sqlite::Sqlite;
use crate::uri::DatabaseUri;

/// Why a database is not used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("the database `{database}` cannot be opened")]
    Open {
        /// The file, or the host and name.
        database: String,
        /// What the user can do.
        remedy: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its schema is of another MLflow.
    #[error(
        "the database `{database}` has the schema revision {found}, but this server needs {REVISION}"
    )]
    Revision {
        /// The file, or the host and name.
        database: String,
        /// What it has.
        found: String,
    },
    /// It holds tables, and none of MLflow's.
    #[error("the database `{database}` is not empty, and has no schema of MLflow")]
    Foreign {
        /// The file, or the host and name.
        database: String,
    },
}

impl OpenError {
    /// One that cannot be opened.
    pub(crate) fn of(uri: &DatabaseUri, source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Open {
            database: uri.name(),
            remedy: match uri {
                DatabaseUri::Sqlite(_) => "check that its folder exists and may be written to",
                DatabaseUri::Postgres(_) => {
                    "check host, port, user, password and the name of the database, and that the user may make tables in it"
                }
            },
            source,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Open { remedy, .. } => (*remedy).to_owned(),
            Self::Revision { .. } => format!(
                "take a backup, then run `mlflow db upgrade` of MLflow 3.17 on it: that is revision {REVISION}"
            ),
            Self::Foreign { .. } => {
                "give a database of its own, or one that MLflow made".to_owned()
            }
        }
    }
}

/// The stores of tracking in one database.
#[derive(Clone)]
pub struct SqlStore {
    database: Database,
    artifact_root: Arc<str>,
    timeout: Option<Duration>,
}

#[derive(Clone)]
enum Database {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Database {
    fn open(uri: &DatabaseUri) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        match uri {
            DatabaseUri::Sqlite(path) => {
                check_folder(path)?;
                Ok(Self::Sqlite(Arc::new(Sqlite::open(path)?)))
            }
            DatabaseUri::Postgres(uri) => Ok(Self::Postgres(Arc::new(Postgres::new(uri)?))),
        }
    }
}

impl SqlStore {
    /// Opens a database; an empty one gets the schema, the default workspace and the default
    /// experiment. `artifact_root` is where experiments have their artifacts that name no place.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(uri: &DatabaseUri, artifact_root: &str) -> Result<Self, OpenError> {
        let name = uri.name();
        let failed = |source| OpenError::of(uri, source);
        let store = Self {
            database: Database::open(uri).map_err(&failed)?,
            artifact_root: artifact_root.into(),
            timeout: None,
        };
        let root = artifact_root.to_owned();
        let found = store
            .write(move |connection| schema::prepare(connection, &root))
            .await
            .map_err(|error| failed(Box::new(error)))?;
        match found {
            Found::Ready => Ok(store),
            Found::Revision(found) => Err(OpenError::Revision {
                database: name,
                found,
            }),
            Found::Foreign => Err(OpenError::Foreign { database: name }),
        }
    }

    /// The same store, in which a request gets at most so much of the database's time. Without it,
    /// which is right for commands that go through everything, work takes as long as it takes.
    #[must_use]
    pub fn with_statement_timeout(self, timeout: Duration) -> Self {
        if let Database::Postgres(database) = &self.database {
            database.forget_connections();
        }
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    /// Runs work that changes something; it is durable when this returns.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.database {
            Database::Sqlite(database) => database.write(self.timeout, work).await,
            Database::Postgres(database) => database.write(self.timeout, work).await,
        }
    }

    /// Runs work that only reads, on one state of the database, and costs little.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.read_with(Share::All, work).await
    }

    /// Runs work that only reads and may cost much: some connections are left to what costs little.
    pub(crate) async fn search<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.read_with(Share::Searches, work).await
    }

    async fn read_with<T, W>(&self, share: Share, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.database {
            Database::Sqlite(database) => database.read(share, self.timeout, work).await,
            Database::Postgres(database) => database.read(share, self.timeout, work).await,
        }
    }

    pub(crate) fn artifact_root(&self) -> Arc<str> {
        Arc::clone(&self.artifact_root)
    }
}

#[async_trait]
impl StoreHealth for SqlStore {
    async fn check_readable(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            // The schema's revision: one row that is always there.
            let sql = "SELECT version_num FROM alembic_version";
            first(connection, sql, &[], |row| row.string(0)).map(|_| ())
        })
        .await
    }
}

/// SQLite's own message for an absent folder does not name it.
fn check_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::metadata(folder).map(|_| ()),
        _ => Ok(()),
    }
}
