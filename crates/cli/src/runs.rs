//! `mlrs runs`: the commands of `mlflow runs`, with its options and its output.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use mlrs_client::tracking::{Run, RunSearch, RunStatus, Tag};
use mlrs_store::ExperimentStore as _;
use mlrs_store_sql::SqlStore;
use serde_json::{Map, Value, json};

use crate::connection::{ConnectionArguments, runtime};
use crate::database::DatabaseArguments;
use crate::experiments::texts;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::run_table::local_time;
use crate::view::View;
use crate::{db, server};

/// Arguments of `mlrs runs`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the runs of an experiment, the latest first
    #[command(
        after_help = "Examples:\n  mlrs runs list --experiment-id 1\n  mlrs runs list --experiment-id 1 --view all --output json"
    )]
    List {
        /// The experiment
        #[arg(long, env = "MLFLOW_EXPERIMENT_ID", value_name = "ID")]
        experiment_id: String,
        /// Which runs
        #[arg(short, long, value_enum, default_value_t = View::ActiveOnly)]
        view: View,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Show a run with its metrics, params and tags, as JSON
    #[command(
        after_help = "Example:\n  mlrs runs describe --run-id 0123456789abcdef0123456789abcdef"
    )]
    Describe(RunArguments),
    /// Create a run that has ended, for what was done elsewhere
    #[command(
        after_help = "Examples:\n  mlrs runs create --experiment-name iris --run-name baseline -t team=flowers\n  mlrs runs create --experiment-id 1 --status failed"
    )]
    Create(CreateArguments),
    /// Mark a run as deleted; `restore` brings it back
    #[command(
        after_help = "Example:\n  mlrs runs delete --run-id 0123456789abcdef0123456789abcdef"
    )]
    Delete(RunArguments),
    /// Bring a deleted run back
    #[command(
        after_help = "Example:\n  mlrs runs restore --run-id 0123456789abcdef0123456789abcdef"
    )]
    Restore(RunArguments),
    /// Move runs into another experiment, with the logged models that they made
    #[command(
        after_help = "Works in the database itself, because MLflow's API has no call for it; a server \
may go on running. Artifacts stay where they are, and the run knows their place.

Example:
  mlrs runs move --run-id 0123456789abcdef0123456789abcdef --experiment-name iris \
--backend-store-uri sqlite:///mlflow.db"
    )]
    Move(MoveArguments),
}

#[derive(Debug, Args)]
struct MoveArguments {
    /// The runs [separated by commas]
    #[arg(
        long = "run-id",
        required = true,
        value_delimiter = ',',
        value_name = "IDS"
    )]
    run_ids: Vec<String>,
    /// The experiment to move them into, by its name
    #[arg(
        long,
        required_unless_present = "experiment_id",
        conflicts_with = "experiment_id",
        value_name = "NAME"
    )]
    experiment_name: Option<String>,
    /// The same by its id
    #[arg(long, value_name = "ID")]
    experiment_id: Option<i64>,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The run
    #[arg(long, value_name = "ID")]
    run_id: String,
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// The experiment, by its id
    #[arg(long, env = "MLFLOW_EXPERIMENT_ID", value_name = "ID")]
    experiment_id: Option<String>,
    /// The experiment, by its name; made if there is none
    #[arg(long, env = "MLFLOW_EXPERIMENT_NAME", value_name = "NAME")]
    experiment_name: Option<String>,
    /// The name of the run [default: the server makes one up]
    #[arg(long, value_name = "NAME")]
    run_name: Option<String>,
    /// What the run is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// How it ended
    #[arg(long, value_enum, ignore_case = true, default_value_t = EndStatus::Finished)]
    status: EndStatus,
    /// The run that it is a part of
    #[arg(long, value_name = "ID")]
    parent_run_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EndStatus {
    Finished,
    Failed,
    Killed,
}

impl From<EndStatus> for RunStatus {
    fn from(status: EndStatus) -> Self {
        match status {
            EndStatus::Finished => Self::Finished,
            EndStatus::Failed => Self::Failed,
            EndStatus::Killed => Self::Killed,
        }
    }
}

/// `key=value`; the value may hold further equals signs.
pub(crate) fn parse_tag(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=');
    let (key, value) = parts.ok_or_else(|| "a tag has the form `key=value`".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs `mlrs runs`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let connection = arguments.connection;
    match arguments.command {
        Command::List {
            experiment_id,
            view,
            output,
        } => list(&connection, &experiment_id, view, output),
        Command::Describe(RunArguments { run_id }) => {
            let run = connection.run(async |client| client.run(&run_id).await)?;
            output::json(&as_json(&run))
        }
        Command::Create(arguments) => create(&connection, arguments),
        Command::Delete(RunArguments { run_id }) => {
            connection.run(async |client| client.delete_run(&run_id).await)?;
            output::line(&format!("Run with ID {run_id} has been deleted."))
        }
        Command::Restore(RunArguments { run_id }) => {
            connection.run(async |client| client.restore_run(&run_id).await)?;
            output::line(&format!("Run with id {run_id} has been restored."))
        }
        Command::Move(arguments) if connection.is_given() => Err(hinted(
            format!(
                "runs cannot be moved through a server: {} stay where they are",
                arguments.run_ids.join(", ")
            ),
            "give the database of the server, with --backend-store-uri",
        )),
        Command::Move(arguments) => runtime()?.block_on(move_runs(&arguments)),
    }
}

async fn move_runs(arguments: &MoveArguments) -> anyhow::Result<()> {
    let uri = arguments.database.uri()?;
    // A new one would be made otherwise.
    db::must_be_there(&uri).await?;
    let store = SqlStore::open(&uri, server::DEFAULT_ARTIFACT_ROOT).await?;
    let id = match (&arguments.experiment_name, arguments.experiment_id) {
        (Some(name), _) => store
            .experiment_by_name(name.clone())
            .await?
            .experiment_id
            .parse()?,
        (None, id) => id.unwrap_or_default(),
    };
    store.move_runs(&arguments.run_ids, id).await?;
    arguments.run_ids.iter().try_for_each(|run_id| {
        output::line(&format!(
            "Run with ID {run_id} has been moved to experiment {id}."
        ))
    })
}

fn list(
    connection: &ConnectionArguments,
    experiment_id: &str,
    view: View,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let search = RunSearch::in_experiments([experiment_id]).view(view.into());
    let runs = connection.run(async |client| client.search_runs(search).all().await)?;
    if format == OutputFormat::Json {
        return output::json(&runs.iter().map(as_json).collect());
    }
    let mut rows: Vec<[String; 3]> = runs
        .into_iter()
        .map(|run| {
            let start = local_time(run.info.start_time.unwrap_or_default());
            [
                start,
                run.info.run_name.unwrap_or_default(),
                run.info.run_id,
            ]
        })
        .collect();
    rows.sort_by(|one, other| other.cmp(one));
    output::columns(["Date", "Name", "ID"], &rows)
}

fn create(connection: &ConnectionArguments, arguments: CreateArguments) -> anyhow::Result<()> {
    let (id, name) = match (arguments.experiment_id, arguments.experiment_name) {
        (Some(id), None) => (id, None),
        (None, Some(name)) => (String::new(), Some(name)),
        _ => {
            return Err(hinted(
                "a run belongs to exactly one experiment",
                "give either --experiment-id or --experiment-name; MLFLOW_EXPERIMENT_ID and \
                 MLFLOW_EXPERIMENT_NAME count as well",
            ));
        }
    };
    let mut tags: Vec<Tag> = arguments
        .tags
        .into_iter()
        .map(|(key, value)| Tag::new(key, value))
        .collect();
    for (index, tag) in tags.iter().enumerate() {
        if tags[..index].iter().any(|other| other.key == tag.key) {
            return Err(hinted(
                format!("the tag `{}` is given twice", tag.key),
                "give each tag once",
            ));
        }
    }
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value
            && tags.iter().all(|tag| tag.key != key)
        {
            tags.push(Tag::new(key, value));
        }
    };
    add("mlflow.note.content", arguments.description);
    add("mlflow.parentRunId", arguments.parent_run_id);
    add("mlflow.user", user());
    add("mlflow.source.name", Some("mlrs".to_owned()));
    add("mlflow.source.type", Some("LOCAL".to_owned()));
    let status = RunStatus::from(arguments.status);
    let run_name = arguments.run_name;
    let info = connection.run(async |client| {
        let id = match &name {
            Some(name) => client.get_or_create_experiment(name).await?,
            None => id,
        };
        let run = client
            .create_run(&id, run_name.as_deref(), now(), tags)
            .await?;
        client
            .update_run(&run.info.run_id, Some(status), Some(now()), None)
            .await
    })?;
    output::json(&json!({
        "run_id": info.run_id,
        "experiment_id": info.experiment_id,
        "status": status,
        "run_name": info.run_name,
    }))
}

/// Who runs this, as Python's `getpass.getuser` looks it up.
fn user() -> Option<String> {
    ["LOGNAME", "USER", "LNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// A run as `mlflow runs describe` prints it. What JSON has no number for is a text, as in MLflow's
/// REST API.
fn as_json(run: &Run) -> Value {
    let metrics: Map<String, Value> = run
        .data
        .metrics
        .iter()
        .map(|metric| {
            let written = serde_json::to_value(metric).unwrap_or_default();
            (metric.key.clone(), written["value"].clone())
        })
        .collect();
    let list = |value: Option<Value>, name: &str| {
        let list = value.and_then(|value| value.get(name).cloned());
        list.unwrap_or_else(|| json!([]))
    };
    let inputs = run
        .inputs
        .as_ref()
        .and_then(|inputs| serde_json::to_value(inputs).ok());
    let outputs = run
        .outputs
        .as_ref()
        .and_then(|outputs| serde_json::to_value(outputs).ok());
    json!({
        "info": {
            "artifact_uri": run.info.artifact_uri,
            "end_time": run.info.end_time,
            "experiment_id": run.info.experiment_id,
            "lifecycle_stage": run.info.lifecycle_stage,
            "run_id": run.info.run_id,
            "run_name": run.info.run_name,
            "start_time": run.info.start_time,
            "status": run.info.status,
            "user_id": run.info.user_id,
        },
        "data": {
            "metrics": metrics,
            "params": texts(&run.data.params),
            "tags": texts(&run.data.tags),
        },
        "inputs": {
            "model_inputs": list(inputs.clone(), "model_inputs"),
            "dataset_inputs": list(inputs, "dataset_inputs"),
        },
        "outputs": { "model_outputs": list(outputs, "model_outputs") },
    })
}
