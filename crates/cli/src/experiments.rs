//! `mlrs experiments`: the commands of `mlflow experiments`, with its options and its output.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use mlrs_client::tracking::{Experiment, ExperimentSearch, RunSearch, Tag};
use serde_json::{Map, Value, json};

use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::run_table;
use crate::view::View;

/// Arguments of `mlrs experiments`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an experiment
    #[command(
        after_help = "Examples:\n  mlrs experiments create -n iris\n  mlrs experiments create -n iris --artifact-location s3://bucket/iris"
    )]
    Create {
        /// Its name
        #[arg(short = 'n', long, value_name = "NAME")]
        experiment_name: String,
        /// The root for the artifacts of its runs [default: the server chooses]
        #[arg(short = 'l', long, value_name = "URI")]
        artifact_location: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// List experiments
    #[command(
        after_help = "Examples:\n  mlrs experiments search\n  mlrs experiments search --view all --output json"
    )]
    Search {
        /// Which ones
        #[arg(short, long, value_enum, default_value_t = View::ActiveOnly)]
        view: View,
        /// The most to list [default: all]
        #[arg(long, value_name = "COUNT")]
        max_results: Option<usize>,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Show an experiment
    #[command(
        group = ArgGroup::new("which").required(true).args(["experiment_id", "experiment_name"]),
        after_help = "Examples:\n  mlrs experiments get -x 1\n  mlrs experiments get -n iris --output json"
    )]
    Get {
        /// Its id
        #[arg(short = 'x', long, value_name = "ID")]
        experiment_id: Option<String>,
        /// Its name
        #[arg(short = 'n', long, value_name = "NAME")]
        experiment_name: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Mark an experiment and its runs as deleted; `restore` brings them back
    #[command(after_help = "Example:\n  mlrs experiments delete -x 1")]
    Delete {
        /// Its id
        #[arg(short = 'x', long, value_name = "ID")]
        experiment_id: String,
    },
    /// Bring a deleted experiment and its runs back
    #[command(after_help = "Example:\n  mlrs experiments restore -x 1")]
    Restore {
        /// Its id
        #[arg(short = 'x', long, value_name = "ID")]
        experiment_id: String,
    },
    /// Give an experiment another name
    #[command(after_help = "Example:\n  mlrs experiments rename -x 1 --new-name flowers")]
    Rename {
        /// Its id
        #[arg(short = 'x', long, value_name = "ID")]
        experiment_id: String,
        /// Its name from now on
        #[arg(long, value_name = "NAME")]
        new_name: String,
    },
    /// Write the runs of an experiment as CSV
    #[command(
        after_help = "Examples:\n  mlrs experiments csv -x 1 > runs.csv\n  mlrs experiments csv -x 1 -o runs.csv"
    )]
    Csv {
        /// Its id
        #[arg(short = 'x', long, value_name = "ID")]
        experiment_id: String,
        /// The file to write [default: standard output]
        #[arg(short = 'o', long, value_name = "FILE")]
        filename: Option<PathBuf>,
    },
}

/// Runs `mlrs experiments`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let connection = arguments.connection;
    match arguments.command {
        Command::Create {
            experiment_name,
            artifact_location,
            output,
        } => create(
            &connection,
            &experiment_name,
            artifact_location.as_deref(),
            output,
        ),
        Command::Search {
            view,
            max_results,
            output,
        } => search(&connection, view, max_results, output),
        Command::Get {
            experiment_id,
            experiment_name,
            output,
        } => get(
            &connection,
            experiment_id.as_deref(),
            experiment_name.as_deref(),
            output,
        ),
        Command::Delete { experiment_id: id } => {
            connection.run(async |client| client.delete_experiment(&id).await)?;
            output::line(&format!("Experiment with ID {id} has been deleted."))
        }
        Command::Restore { experiment_id: id } => {
            connection.run(async |client| client.restore_experiment(&id).await)?;
            output::line(&format!("Experiment with id {id} has been restored."))
        }
        Command::Rename {
            experiment_id: id,
            new_name,
        } => {
            connection.run(async |client| client.rename_experiment(&id, &new_name).await)?;
            output::line(&format!(
                "Experiment with id {id} has been renamed to '{new_name}'."
            ))
        }
        Command::Csv {
            experiment_id,
            filename,
        } => csv(&connection, &experiment_id, filename),
    }
}

fn create(
    connection: &ConnectionArguments,
    name: &str,
    location: Option<&str>,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let id = connection.run(async |client| client.create_experiment(name, location, []).await)?;
    match format {
        OutputFormat::Table => output::line(&format!("Created experiment '{name}' with id {id}")),
        OutputFormat::Json => output::json(&json!({"experiment_id": id, "name": name})),
    }
}

fn search(
    connection: &ConnectionArguments,
    view: View,
    most: Option<usize>,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let search = ExperimentSearch::new().view(view.into());
    let mut found = connection.run(async |client| {
        let pages = client.search_experiments(search);
        pages.first(most.unwrap_or(usize::MAX)).await
    })?;
    found.sort_by(|one, other| one.experiment_id.cmp(&other.experiment_id));
    if format == OutputFormat::Json {
        return output::json(&found.iter().map(as_json).collect());
    }
    let rows = found.iter().map(|experiment| {
        let location = experiment.artifact_location.clone().unwrap_or_default();
        [
            experiment.experiment_id.clone(),
            experiment.name.clone(),
            location,
        ]
    });
    output::columns(
        ["Experiment Id", "Name", "Artifact Location"],
        &rows.collect::<Vec<_>>(),
    )
}

fn get(
    connection: &ConnectionArguments,
    id: Option<&str>,
    name: Option<&str>,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let found = connection.run(async |client| match (id, name) {
        (Some(id), _) => client.experiment(id).await.map(Some),
        (None, name) => client.experiment_by_name(name.unwrap_or_default()).await,
    })?;
    let Some(experiment) = found else {
        let name = name.unwrap_or_default();
        return Err(hinted(
            format!("there is no experiment `{name}`"),
            "`mlrs experiments search` lists them; names are case-sensitive",
        ));
    };
    if format == OutputFormat::Json {
        return output::json(&as_json(&experiment));
    }
    let time = |time: Option<i64>| time.map_or_else(|| "N/A".to_owned(), |time| time.to_string());
    let stage = experiment.lifecycle_stage.map(|stage| stage.to_string());
    let tags: Vec<String> = experiment
        .tags
        .iter()
        .map(|tag| format!("{}={}", tag.key, tag.value))
        .collect();
    output::fields(&[
        ("Experiment ID", experiment.experiment_id),
        ("Name", experiment.name),
        (
            "Artifact Location",
            experiment.artifact_location.unwrap_or_default(),
        ),
        ("Lifecycle Stage", stage.unwrap_or_default()),
        ("Creation Time", time(experiment.creation_time)),
        ("Last Update Time", time(experiment.last_update_time)),
        ("Tags", tags.join(", ")),
    ])
}

/// The fields that `mlflow experiments get --output json` has, without those of traces.
fn as_json(experiment: &Experiment) -> Value {
    json!({
        "artifact_location": experiment.artifact_location,
        "creation_time": experiment.creation_time,
        "experiment_id": experiment.experiment_id,
        "last_update_time": experiment.last_update_time,
        "lifecycle_stage": experiment.lifecycle_stage,
        "name": experiment.name,
        "tags": texts(&experiment.tags),
        "workspace": experiment.workspace,
    })
}

/// Tags or params as an object.
pub(crate) fn texts(tags: &[Tag]) -> Map<String, Value> {
    let pairs = tags
        .iter()
        .map(|tag| (tag.key.clone(), Value::from(tag.value.as_str())));
    pairs.collect()
}

fn csv(connection: &ConnectionArguments, id: &str, file: Option<PathBuf>) -> anyhow::Result<()> {
    let search = RunSearch::in_experiments([id]);
    let runs = connection.run(async |client| client.search_runs(search).all().await)?;
    let table = run_table::csv(&runs);
    let Some(file) = file else {
        return output::text(&table);
    };
    std::fs::write(&file, table).with_context(|| format!("cannot write `{}`", file.display()))?;
    output::line(&format!(
        "Experiment with ID {id} has been exported as a CSV to file: {}.",
        file.display()
    ))
}
