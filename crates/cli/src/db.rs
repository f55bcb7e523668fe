//! `mlrs db`: what a database is, and making it ready.

use clap::{Args, Subcommand};
use mlrs_store_sql::check::{self, State};
use mlrs_store_sql::{DatabaseUri, REVISION, SqlStore};

use crate::connection::runtime;
use crate::failure::hinted;
use crate::{database, output, server};

/// Arguments of `mlrs db`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the schema in an empty database, and add the indexes of mlrs
    Upgrade(Database),
    /// Tell whether a database is ready to be used; the exit status is 1 if not
    Check(Database),
}

/// Which database.
#[derive(Debug, Args)]
struct Database {
    /// The database, such as `sqlite:///mlflow.db` or `postgresql://mlflow@db/mlflow`
    #[arg(env = "MLFLOW_BACKEND_STORE_URI")]
    uri: String,
}

/// Runs `mlrs db`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        match &arguments.command {
            Command::Upgrade(database) => upgrade(&database::uri(&database.uri)?).await,
            Command::Check(database) => check(&database::uri(&database.uri)?).await,
        }
    })
}

/// Refuses a database that has no schema of the revision that is needed.
pub(crate) async fn must_be_there(uri: &DatabaseUri) -> anyhow::Result<()> {
    match check::check(uri).await? {
        State::Empty => Err(empty(uri)),
        state => refuse_other(uri, &state),
    }
}

fn empty(uri: &DatabaseUri) -> anyhow::Error {
    hinted(
        format!("the database `{}` is empty or not there", uri.name()),
        "check its address; `mlrs db upgrade` or `mlrs server` makes a new one",
    )
}

fn refuse_other(uri: &DatabaseUri, state: &State) -> anyhow::Result<()> {
    let name = uri.name();
    match state {
        State::Foreign => Err(hinted(
            format!("the database `{name}` is not empty, and has no schema of MLflow"),
            "give a database of its own, or one that MLflow made",
        )),
        State::Mlflow { revision, .. } if revision != REVISION => Err(hinted(
            format!(
                "the database `{name}` has the schema revision {revision}, and mlrs needs \
                 {REVISION}; it has no migrations from other revisions"
            ),
            "take a backup, then run `mlflow db upgrade` of MLflow 3.17 on it",
        )),
        State::Empty | State::Mlflow { .. } => Ok(()),
    }
}

async fn upgrade(uri: &DatabaseUri) -> anyhow::Result<()> {
    let before = check::check(uri).await?;
    refuse_other(uri, &before)?;
    SqlStore::open(uri, server::DEFAULT_ARTIFACT_ROOT).await?;
    let name = uri.name();
    output::line(&match before {
        State::Empty => format!("`{name}`: the schema is made, revision {REVISION}"),
        State::Mlflow {
            missing_indexes, ..
        } if !missing_indexes.is_empty() => {
            format!("`{name}`: added {}", missing_indexes.join(", "))
        }
        State::Mlflow { .. } | State::Foreign => format!("`{name}`: nothing to do"),
    })
}

async fn check(uri: &DatabaseUri) -> anyhow::Result<()> {
    let state = check::check(uri).await?;
    if state == State::Empty {
        return Err(empty(uri));
    }
    refuse_other(uri, &state)?;
    let name = uri.name();
    output::line(&format!(
        "`{name}`: schema revision {REVISION}, which is the one that mlrs needs"
    ))?;
    match state {
        State::Mlflow {
            missing_indexes, ..
        } if !missing_indexes.is_empty() => Err(hinted(
            format!(
                "the database `{name}` lacks the indexes {}",
                missing_indexes.join(", ")
            ),
            "`mlrs db upgrade` adds them, and so does `mlrs server` when it starts",
        )),
        _ => output::line("the indexes of mlrs are there"),
    }
}
