//! What a database is, without changing anything of it.

use std::sync::Arc;

use mlrs_store::StoreError;

use crate::connection::{Connection, Dialect, all, first};
use crate::open::OpenError;
use crate::postgres::Postgres;
use crate::schema::{REVISION, Schema, count};
use crate::sqlite;
use crate::uri::DatabaseUri;

/// What a database turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is not there, or has no tables.
    Empty,
    /// It has tables, and none of them tells a revision of MLflow's schema.
    Foreign,
    /// It has MLflow's schema.
    Mlflow {
        /// Its revision.
        revision: String,
        /// Indexes of this program that are not there.
        missing_indexes: Vec<&'static str>,
    },
}

impl State {
    /// Whether it can be used as it is, and searches are fast.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Mlflow { revision, missing_indexes }
            if revision == REVISION && missing_indexes.is_empty())
    }
}

/// Looks at a database.
///
/// # Errors
/// When it cannot be reached or read.
pub async fn check(uri: &DatabaseUri) -> Result<State, OpenError> {
    let failed = |error| OpenError::of(uri, error);
    match uri {
        // An empty name is a database that goes with its connection.
        DatabaseUri::Sqlite(path) if !path.exists() => Ok(State::Empty),
        DatabaseUri::Sqlite(path) => {
            sqlite::look(path, state).map_err(|error| failed(Box::new(error)))
        }
        DatabaseUri::Postgres(uri) => {
            let database = Postgres::new(uri).map_err(|error| failed(Box::new(error)))?;
            let found = Arc::new(database).read(state).await;
            found.map_err(|error| failed(Box::new(error)))
        }
    }
}

fn state(connection: &mut dyn Connection) -> Result<State, StoreError> {
    let schema = Schema::of(connection.dialect());
    if count(connection, schema.tables)? == 0 {
        return Ok(State::Empty);
    }
    if count(connection, schema.versions)? == 0 {
        return Ok(State::Foreign);
    }
    let revision = "SELECT version_num FROM alembic_version";
    let revision = first(connection, revision, &[], |row| row.string(0))?;
    let names = match connection.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'index'",
        Dialect::Postgres => "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()",
    };
    let names = all(connection, names, &[], |row| row.string(0))?;
    let own = schema.indexes.iter().filter_map(|sql| name_of(sql));
    Ok(State::Mlflow {
        revision: revision.unwrap_or_default(),
        missing_indexes: own
            .filter(|own| !names.iter().any(|name| name == own))
            .collect(),
    })
}

/// The name of the index that a statement makes.
fn name_of(sql: &'static str) -> Option<&'static str> {
    sql.split_once("IF NOT EXISTS ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_index_has_its_name() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for sql in Schema::of(dialect).indexes {
                assert!(name_of(sql).unwrap().starts_with("mlrs_"), "{sql}");
            }
        }
    }
}
