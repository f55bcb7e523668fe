//! `mlrs models update-pip-requirements`: as `mlflow models update-pip-requirements`.
//!
//! Both files are read and changed before the first is written, so that a refused requirement changes
//! nothing.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use mlrs_client::ModelUri;
use mlrs_client::tracking::TrackingError;
use mlrs_mlmodel::ModelDirectory;
use mlrs_mlmodel::directory::EXAMPLE_LIMIT;
use mlrs_mlmodel::requirement::{self, Operation, Updated};
use serde_json::json;

use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};

const REQUIREMENTS: &str = "requirements.txt";
const CONDA: &str = "conda.yaml";

/// Arguments of `mlrs models update-pip-requirements`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model, by a URI or a path
    #[arg(
        short,
        long,
        value_name = "URI",
        help = "The model: a directory, or a URI such as runs:/ID/PATH, models:/m-ID, mlflow-artifacts:/PATH"
    )]
    model_uri: String,
    /// Whether to add or to remove
    #[arg(value_enum)]
    operation: Change,
    /// Requirements such as `pandas==2.0`; to remove, their names are enough
    requirements: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Change {
    /// Add, or replace what is there of the same package
    Add,
    /// Remove whatever is there of the packages
    Remove,
}

impl From<Change> for Operation {
    fn from(change: Change) -> Self {
        match change {
            Change::Add => Self::Add,
            Change::Remove => Self::Remove,
        }
    }
}

/// Runs `mlrs models update-pip-requirements`.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let updated = match ModelUri::parse(&arguments.model_uri)? {
        ModelUri::Local(path) => local(arguments, &path)?,
        ModelUri::Registered { .. } => {
            return Err(hinted(
                format!(
                    "the requirements of `{}` cannot be changed: what is registered stays as it is",
                    arguments.model_uri
                ),
                "change the logged model that the version was made of (models:/m-…), or register a changed \
                 directory with `mlrs register`",
            ));
        }
        _ => remote(arguments)?,
    };
    print(arguments, &updated)
}

fn change(arguments: &Arguments, requirements: Vec<u8>, conda: Vec<u8>) -> anyhow::Result<Updated> {
    let text = |content: Vec<u8>, file: &str| {
        let uri = &arguments.model_uri;
        String::from_utf8(content).with_context(|| format!("`{file}` of `{uri}` is not UTF-8 text"))
    };
    let (requirements, conda) = (text(requirements, REQUIREMENTS)?, text(conda, CONDA)?);
    let operation = arguments.operation.into();
    Ok(requirement::update(
        &requirements,
        &conda,
        operation,
        &arguments.requirements,
    )?)
}

fn local(arguments: &Arguments, path: &Path) -> anyhow::Result<Updated> {
    let directory = ModelDirectory::open(path)?;
    let read = |file: &str| directory.read(file, EXAMPLE_LIMIT);
    let updated = change(arguments, read(REQUIREMENTS)?, read(CONDA)?)?;
    for (file, text) in [
        (CONDA, &updated.conda),
        (REQUIREMENTS, &updated.requirements),
    ] {
        let path = directory.data_path(file)?;
        replace(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(updated)
}

/// Puts a text in the place of a file at once, with the permissions of that file.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let permissions = std::fs::metadata(path)?.permissions();
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn remote(arguments: &Arguments) -> anyhow::Result<Updated> {
    let uri = &arguments.model_uri;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let name = |folder: &str, file: &str| match folder {
        "" => file.to_owned(),
        folder => format!("{folder}/{file}"),
    };
    let (artifacts, folder, paths) = arguments.connection.run(async |client| {
        let (artifacts, folder) = client.artifacts_holding(uri, CONDA).await?;
        let mut paths = Vec::new();
        for file in [REQUIREMENTS, CONDA] {
            let path = name(&folder, file);
            paths.push(
                artifacts
                    .download(&path, scratch.path(), &mlrs_client::silent)
                    .await?,
            );
        }
        Ok((artifacts, folder, paths))
    })?;
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let updated = change(arguments, read(&paths[0])?, read(&paths[1])?)?;
    arguments.connection.run(async |_| {
        for (file, text) in [
            (CONDA, &updated.conda),
            (REQUIREMENTS, &updated.requirements),
        ] {
            let content = text.clone().into_bytes();
            artifacts
                .upload_bytes(&name(&folder, file), content)
                .await?;
        }
        Ok::<(), TrackingError>(())
    })?;
    Ok(updated)
}

#[allow(
    clippy::print_stderr,
    reason = "a note to the person who typed the names"
)]
fn print(arguments: &Arguments, updated: &Updated) -> anyhow::Result<()> {
    let Updated {
        before,
        after,
        absent,
        ..
    } = updated;
    for name in absent {
        eprintln!("note: \"{name}\" not found in requirements, ignoring");
    }
    if arguments.output == OutputFormat::Json {
        return output::json(&json!({
            "before": before,
            "after": after,
            "not_found": absent,
        }));
    }
    for gone in before.iter().filter(|line| !after.contains(line)) {
        output::line(&format!("- {gone}"))?;
    }
    for new in after.iter().filter(|line| !before.contains(line)) {
        output::line(&format!("+ {new}"))?;
    }
    let uri = &arguments.model_uri;
    output::line(&format!(
        "Successfully updated the requirements for the model at {uri}!"
    ))
}
