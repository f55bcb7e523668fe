//! `mlrs db`: what a database is, and making it ready.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mlrs_store_sql::check::{self, State};
use mlrs_store_sql::{DatabaseUri, REVISION, RelativeLocations, SqlStore};

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
    /// Make relative artifact locations absolute, which `check` finds; no file is moved
    #[command(
        after_help = "A relative location is another directory for each client. Copy what \
clients have logged below their own working directories to the one that is given here first.

Example:
  mlrs db resolve-locations sqlite:///mlflow.db --working-directory /srv/mlflow --dry-run"
    )]
    ResolveLocations {
        #[command(flatten)]
        database: Database,
        /// The directory that the locations are relative to: the one that the server was started in
        #[arg(long, value_name = "DIR")]
        working_directory: PathBuf,
        /// Only tell what would be changed
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which database.
#[derive(Debug, Args)]
struct Database {
    /// The database, such as `sqlite:///mlflow.db` or `postgresql://mlflow@db/mlflow`
    #[arg(env = "MLFLOW_BACKEND_STORE_URI", hide_env_values = true)]
    uri: String,
}

/// Runs `mlrs db`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        match &arguments.command {
            Command::Upgrade(database) => upgrade(&database::uri(&database.uri)?).await,
            Command::Check(database) => check(&database::uri(&database.uri)?).await,
            Command::ResolveLocations {
                database,
                working_directory,
                dry_run,
            } => {
                let uri = database::uri(&database.uri)?;
                resolve_locations(&uri, working_directory, *dry_run).await
            }
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
    let missing_indexes = match state {
        State::Mlflow {
            missing_indexes, ..
        } => missing_indexes,
        State::Empty | State::Foreign => Vec::new(),
    };
    let relative = check::relative_locations(uri).await?;
    list(&relative)?;
    if missing_indexes.is_empty() {
        output::line("the indexes of mlrs are there")?;
    }
    match (relative.is_empty(), missing_indexes.as_slice()) {
        (true, []) => Ok(()),
        (false, _) => Err(hinted(
            format!("the database `{name}` has relative artifact locations"),
            RELATIVE_HINT,
        )),
        (true, missing) => Err(hinted(
            format!(
                "the database `{name}` lacks the indexes {}",
                missing.join(", ")
            ),
            "`mlrs db upgrade` adds them, and so does `mlrs server` when it starts",
        )),
    }
}

/// What to do about relative locations.
pub(crate) const RELATIVE_HINT: &str = "each client writes such artifacts below its own working \
    directory: copy them below the directory that the server was started in, then make the locations \
    absolute with `mlrs db resolve-locations URI --working-directory DIR`";

fn list(relative: &[RelativeLocations]) -> anyhow::Result<()> {
    relative.iter().try_for_each(|found| {
        output::line(&format!(
            "relative artifact locations: {} in {}, such as `{}`",
            found.rows, found.column, found.example
        ))
    })
}

async fn resolve_locations(
    uri: &DatabaseUri,
    working_directory: &Path,
    dry_run: bool,
) -> anyhow::Result<()> {
    must_be_there(uri).await?;
    let base = working_directory.canonicalize().with_context(|| {
        format!(
            "the directory `{}` cannot be found",
            working_directory.display()
        )
    })?;
    let found = if dry_run {
        check::relative_locations(uri).await?
    } else {
        let store = SqlStore::open(uri, server::DEFAULT_ARTIFACT_ROOT).await?;
        store.resolve_locations(&base).await?
    };
    list(&found)?;
    let (name, base) = (uri.name(), base.display());
    output::line(&match (found.is_empty(), dry_run) {
        (true, _) => format!("`{name}`: nothing to do"),
        (false, true) => format!("`{name}`: they would be made absolute, below `{base}`"),
        (false, false) => format!("`{name}`: they are absolute now, below `{base}`"),
    })
}
