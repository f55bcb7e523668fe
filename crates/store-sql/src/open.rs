//! Opening a database: an empty one gets MLflow's schema, another revision is refused.

use std::path::Path;
use std::sync::Arc;

use mlrs_store::{StoreError, clock};

use crate::connection::{Connection, Dialect, first};
use crate::sqlite::Sqlite;
use crate::uri::DatabaseUri;

/// The revision of the schema: that of MLflow 3.17.
pub const REVISION: &str = "dc11669786a5";

/// MLflow's schema for SQLite.
const SQLITE_SCHEMA: &str = include_str!("../schema/sqlite.sql");

/// Indexes beside MLflow's own. They hold all that a search asks of a metric or param, so that it
/// need not visit the rows, which lie run by run and are most of the file; and the runs of an
/// experiment in the order that pages show them.
const SQLITE_INDEXES: [&str; 3] = [
    "CREATE INDEX IF NOT EXISTS mlrs_latest_metrics ON latest_metrics (key, run_uuid, value, is_nan)",
    "CREATE INDEX IF NOT EXISTS mlrs_params ON params (key, run_uuid, value)",
    "CREATE INDEX IF NOT EXISTS mlrs_runs ON runs \
     (experiment_id, lifecycle_stage, start_time DESC, run_uuid)",
];

/// Why a database is not used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("the database `{database}` cannot be opened")]
    Open {
        /// The file, or the host and name.
        database: String,
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
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Open { .. } => "check that its folder exists and may be written to".to_owned(),
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
    database: Arc<Sqlite>,
    artifact_root: Arc<str>,
}

impl SqlStore {
    /// Opens a database; an empty one gets the schema, the default workspace and the default
    /// experiment. `artifact_root` is where experiments have their artifacts that name no place.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(uri: &DatabaseUri, artifact_root: &str) -> Result<Self, OpenError> {
        let DatabaseUri::Sqlite(path) = uri;
        let name = path.display().to_string();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Open {
            database: name.clone(),
            source,
        };
        check_folder(path).map_err(|error| failed(Box::new(error)))?;
        let database = Sqlite::open(path).map_err(|error| failed(Box::new(error)))?;
        let store = Self {
            database: Arc::new(database),
            artifact_root: artifact_root.into(),
        };
        let root = artifact_root.to_owned();
        let found = store
            .write(move |connection| prepare(connection, &root))
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

    /// Runs work that changes something; it is durable when this returns.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.database.write(work).await
    }

    /// Runs work that only reads, on one state of the database.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut dyn Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.database.read(work).await
    }

    pub(crate) fn artifact_root(&self) -> Arc<str> {
        Arc::clone(&self.artifact_root)
    }
}

/// SQLite's own message for an absent folder does not name it.
fn check_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::metadata(folder).map(|_| ()),
        _ => Ok(()),
    }
}

enum Found {
    Ready,
    Revision(String),
    Foreign,
}

fn prepare(connection: &mut dyn Connection, artifact_root: &str) -> Result<Found, StoreError> {
    let tables = match connection.dialect() {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
    };
    let count = first(connection, tables, &[], |row| row.integer(0))?.flatten();
    if count == Some(0) {
        make(connection)?;
    } else {
        let known = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'";
        let known = first(connection, known, &[], |row| row.integer(0))?.flatten();
        if known != Some(1) {
            return Ok(Found::Foreign);
        }
        let revision = "SELECT version_num FROM alembic_version";
        let revision = first(connection, revision, &[], |row| row.string(0))?.unwrap_or_default();
        if revision != REVISION {
            return Ok(Found::Revision(revision));
        }
        let indexes = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'mlrs\\_%' ESCAPE '\\'";
        let known = first(connection, indexes, &[], |row| row.integer(0))?.flatten();
        if known == Some(0) {
            tracing::info!(
                "indexes for searches are added to the database; a large one takes a while, once"
            );
        }
    }
    for index in SQLITE_INDEXES {
        connection.execute(index, &[])?;
    }
    default_experiment(connection, artifact_root)?;
    Ok(Found::Ready)
}

fn make(connection: &mut dyn Connection) -> Result<(), StoreError> {
    for statement in statements(SQLITE_SCHEMA) {
        connection.execute(statement, &[])?;
    }
    connection.execute(
        "INSERT INTO alembic_version (version_num) VALUES (?)",
        &[REVISION.into()],
    )?;
    connection.execute(
        "INSERT INTO workspaces (name, description) VALUES ('default', 'Default workspace for legacy resources')",
        &[],
    )?;
    Ok(())
}

/// The statements of a schema file: each ends with a line that ends with `;`, a trigger with `END;`.
fn statements(schema: &'static str) -> impl Iterator<Item = &'static str> {
    schema
        .split(";\n\n")
        .map(|statement| statement.trim().trim_end_matches(';'))
        .filter(|statement| !statement.is_empty())
}

/// MLflow makes the experiment 0 where there is none at all.
fn default_experiment(
    connection: &mut dyn Connection,
    artifact_root: &str,
) -> Result<(), StoreError> {
    let any = first(
        connection,
        "SELECT 1 FROM experiments LIMIT 1",
        &[],
        |row| row.integer(0),
    )?;
    if any.is_some() {
        return Ok(());
    }
    let location = mlrs_store::rules::locations::append(artifact_root, &["0"]);
    let now = clock::now();
    connection.execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, \
         creation_time, last_update_time, workspace) VALUES (0, 'Default', ?, 'active', ?, ?, 'default')",
        &[location.into(), now.into(), now.into()],
    )?;
    Ok(())
}
