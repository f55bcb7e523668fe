//! MLflow's schema: an empty database gets it, another revision is refused.

use mlrs_store::{StoreError, clock};

use crate::connection::{Connection, Dialect, all, first};

/// The revision of the schema: that of MLflow 3.17.
pub const REVISION: &str = "dc11669786a5";

/// What a dialect's schema is made of, and how it is looked at.
struct Schema {
    /// MLflow's own statements.
    statements: &'static str,
    /// Statements that make indexes beside MLflow's own.
    indexes: &'static [&'static str],
    /// Lets one server at a time prepare the database.
    lock: Option<&'static str>,
    /// Counts the tables.
    tables: &'static str,
    /// Counts the tables that hold the revision.
    versions: &'static str,
}

/// The indexes hold all that a search asks of a metric or param, so that it need not visit the rows,
/// which lie run by run and are most of the file; and the runs of an experiment in the order that
/// pages show them.
const SQLITE: Schema = Schema {
    statements: include_str!("../schema/sqlite.sql"),
    indexes: &[
        "CREATE INDEX IF NOT EXISTS mlrs_latest_metrics ON latest_metrics \
         (key, run_uuid, value, is_nan)",
        "CREATE INDEX IF NOT EXISTS mlrs_params ON params (key, run_uuid, value)",
        "CREATE INDEX IF NOT EXISTS mlrs_runs ON runs \
         (experiment_id, lifecycle_stage, start_time DESC, run_uuid)",
    ],
    lock: None,
    tables: "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
    versions: "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'",
};

/// Values of params can be longer than an entry of an index may be, so there is none with them.
const POSTGRES: Schema = Schema {
    statements: include_str!("../schema/postgresql.sql"),
    indexes: &["CREATE INDEX IF NOT EXISTS mlrs_runs ON runs \
         (experiment_id, lifecycle_stage, start_time DESC, run_uuid)"],
    // Any number will do, as long as it is this one.
    lock: Some("SELECT pg_advisory_xact_lock(7305808868896302)"),
    tables: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()",
    versions: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() \
               AND tablename = 'alembic_version'",
};

impl Schema {
    /// That of a dialect.
    const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Sqlite => SQLITE,
            Dialect::Postgres => POSTGRES,
        }
    }
}

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

/// What a database is; nothing is changed.
pub(crate) fn look(connection: &mut dyn Connection) -> Result<State, StoreError> {
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

/// What became of a database that was to be prepared.
pub(crate) enum Found {
    /// It has the schema.
    Ready,
    /// It has another revision of it.
    Revision(String),
    /// It holds something else.
    Foreign,
}

/// Makes the schema where there is nothing, and adds what MLflow's has not.
pub(crate) fn prepare(
    connection: &mut dyn Connection,
    artifact_root: &str,
) -> Result<Found, StoreError> {
    let schema = Schema::of(connection.dialect());
    if let Some(lock) = schema.lock {
        connection.execute(lock, &[])?;
    }
    match look(connection)? {
        State::Empty => make(connection, &schema)?,
        State::Foreign => return Ok(Found::Foreign),
        State::Mlflow { revision, .. } if revision != REVISION => {
            return Ok(Found::Revision(revision));
        }
        State::Mlflow {
            missing_indexes, ..
        } if !missing_indexes.is_empty() => tracing::info!(
            "indexes for searches are added to the database; a large one takes a while, once"
        ),
        State::Mlflow { .. } => {}
    }
    for index in schema.indexes {
        connection.execute(index, &[])?;
    }
    default_experiment(connection, artifact_root)?;
    Ok(Found::Ready)
}

fn count(connection: &mut dyn Connection, sql: &str) -> Result<i64, StoreError> {
    let count = first(connection, sql, &[], |row| row.integer(0))?;
    Ok(count.flatten().unwrap_or_default())
}

fn make(connection: &mut dyn Connection, schema: &Schema) -> Result<(), StoreError> {
    for statement in statements(schema.statements) {
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

/// The statements of a schema file: each ends with a line that ends with `;` before an empty line.
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
