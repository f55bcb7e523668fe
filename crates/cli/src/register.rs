//! `mlrs register`: a model directory becomes a version of a registered model, on any MLflow server.
//!
//! As `mlflow.<flavor>.log_model` with a name to register under: the files become a logged model, of a
//! run if one is named and of an experiment alone otherwise, and only when they are whole a version is
//! made of it.

use anyhow::Context as _;
use clap::Args;
use mlrs_client::tracking::{
    ModelOwner, ModelVersion, NewVersion, RunInfo, SavedModel, TrackingClient, TrackingError,
};
use mlrs_mlmodel::ModelDirectory;
use mlrs_mlmodel::onnx::OnnxFile;
use mlrs_store::rules::registry::{check_new_alias, model_name};
use serde_json::{Value, json};

use crate::cache::CacheArguments;
use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::progress;
use crate::source;

/// The experiment that MLflow uses where none is named.
const DEFAULT_EXPERIMENT: &str = "0";

/// Arguments of `mlrs register`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs register ./iris --name iris --alias champion
  mlrs register ./iris --name iris --experiment flowers
  mlrs register ./iris --name iris --run-id 0123456789abcdef0123456789abcdef --output json

Without --run-id the model belongs to the experiment alone, as a model that MLflow 3 logs where no
run is active.")]
pub(crate) struct Arguments {
    /// The model: a directory, a `.zip` of one, or a URI (see `mlrs pull --help`)
    model: String,
    /// The registered model to make a version of; made if it is not there
    #[arg(long, value_name = "NAME")]
    name: String,
    /// An alias to point to the version; can be given several times
    #[arg(long, value_name = "ALIAS")]
    alias: Vec<String>,
    /// The run that the model belongs to
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
    /// The experiment that the model belongs to, by its name; made if it is not there
    #[arg(
        long,
        visible_alias = "experiment-name",
        env = "MLFLOW_EXPERIMENT_NAME",
        value_name = "NAME"
    )]
    experiment: Option<String>,
    /// The experiment that the model belongs to, by its id [default: 0]
    #[arg(long, env = "MLFLOW_EXPERIMENT_ID", value_name = "ID")]
    experiment_id: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    cache: CacheArguments,
}

/// What the model is to belong to.
enum Place {
    Run(String),
    ExperimentNamed(String),
    Experiment(String),
}

/// Runs `mlrs register`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    check_names(arguments)?;
    let place = place(arguments)?;
    let source = source::open(&arguments.model, &arguments.cache)?;
    check_files(&source.directory)?;
    let name = &arguments.name;
    let (bar, report) = progress::transfer("uploading");
    let (saved, version) = arguments.connection.run(async |client| {
        // A registry that is away or lets nobody in is better noticed before the upload.
        match client.registered_model(name).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let found = owner(&client, &place).await?;
        let owner = match &found {
            Owner::Run(run) => ModelOwner::Run(run),
            Owner::Experiment(id) => ModelOwner::Experiment(id),
        };
        let directory = &source.directory.path;
        let saved = client
            .log_model_directory(owner, &logged_name(name), directory, &report)
            .await?;
        let version = client.register_model(NewVersion::of(name, &saved)).await?;
        Ok((saved, version))
    })?;
    bar.finish_and_clear();
    for alias in &arguments.alias {
        set_alias(arguments, alias, &version.version)?;
    }
    print(arguments, &saved, &version)
}

fn set_alias(arguments: &Arguments, alias: &str, version: &str) -> anyhow::Result<()> {
    let name = &arguments.name;
    arguments
        .connection
        .run(async |client| client.set_alias(name, alias, version).await)
        .with_context(|| {
            format!("version {version} of `{name}` was made, but has no alias `{alias}`")
        })
}

/// Refuses names that the server would refuse after the upload.
fn check_names(arguments: &Arguments) -> anyhow::Result<()> {
    let refused = |what: &str, error: mlrs_store::StoreError, hint: &str| {
        hinted(format!("{what} cannot be used: {error}"), hint)
    };
    model_name(&Some(arguments.name.clone())).map_err(|error| {
        let what = format!("the name `{}`", arguments.name);
        refused(&what, error, "choose a name such as `iris`")
    })?;
    for alias in &arguments.alias {
        check_new_alias(alias).map_err(|error| {
            refused(
                &format!("the alias `{alias}`"),
                error,
                "choose an alias such as `champion`",
            )
        })?;
    }
    Ok(())
}

/// Refuses an ONNX model without the files that its tensors lie in: nobody could load it from there.
fn check_files(directory: &ModelDirectory) -> anyhow::Result<()> {
    let Some(flavor) = directory.flavor("onnx") else {
        return Ok(());
    };
    let data = flavor.get("data").and_then(Value::as_str);
    OnnxFile::open(&directory.data_path(data.unwrap_or("model.onnx"))?)?;
    Ok(())
}

fn place(arguments: &Arguments) -> anyhow::Result<Place> {
    if let Some(run_id) = &arguments.run_id {
        return Ok(Place::Run(run_id.clone()));
    }
    match (&arguments.experiment, &arguments.experiment_id) {
        (Some(_), Some(_)) => Err(hinted(
            "a model belongs to exactly one experiment",
            "give either --experiment or --experiment-id; MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID \
             count as well",
        )),
        (Some(name), None) => Ok(Place::ExperimentNamed(name.clone())),
        (None, Some(id)) => Ok(Place::Experiment(id.clone())),
        (None, None) => Ok(Place::Experiment(DEFAULT_EXPERIMENT.to_owned())),
    }
}

/// A place that is there.
enum Owner {
    Run(RunInfo),
    Experiment(String),
}

/// Finds the place on the server; an experiment that is named is made if it is not there.
async fn owner(client: &TrackingClient, place: &Place) -> Result<Owner, TrackingError> {
    Ok(match place {
        Place::Run(run_id) => Owner::Run(client.run(run_id).await?.info),
        Place::ExperimentNamed(name) => {
            Owner::Experiment(client.get_or_create_experiment(name).await?)
        }
        Place::Experiment(id) => Owner::Experiment(client.experiment(id).await?.experiment_id),
    })
}

/// The name of the logged model: that of the registered model, without what MLflow refuses there
/// (`_validate_logged_model_name`).
fn logged_name(name: &str) -> String {
    let replaced = |character: char| match character {
        '/' | ':' | '.' | '%' | '"' | '\'' => '_',
        other => other,
    };
    name.chars().map(replaced).collect()
}

fn print(arguments: &Arguments, saved: &SavedModel, version: &ModelVersion) -> anyhow::Result<()> {
    let name = &arguments.name;
    let number = &version.version;
    if arguments.output == OutputFormat::Json {
        return output::json(&json!({
            "name": name,
            "version": number,
            "aliases": arguments.alias,
            "model_id": saved.model_id,
            "run_id": saved.run_id,
            "source": version.source,
        }));
    }
    let mut table = output::table(&["registered", ""]);
    table.add_row(["name", name]);
    table.add_row(["version", number]);
    for alias in &arguments.alias {
        table.add_row(["alias", alias]);
    }
    for (what, value) in [("model id", &saved.model_id), ("run id", &saved.run_id)] {
        if let Some(value) = value {
            table.add_row([what, value]);
        }
    }
    output::line(&table.to_string())?;
    let uri = match arguments.alias.first() {
        Some(alias) => format!("models:/{name}@{alias}"),
        None => format!("models:/{name}/{number}"),
    };
    output::line(&format!("serve it: mlrs serve {uri}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_model_has_a_name_that_it_can_have() {
        assert_eq!(logged_name("iris"), "iris");
        assert_eq!(logged_name("team.iris 'v1'%"), "team_iris _v1__");
    }
}
