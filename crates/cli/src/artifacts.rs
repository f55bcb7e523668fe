//! `mlrs artifacts`: the commands of `mlflow artifacts`, with its options and its output.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use mlrs_client::ModelUri;
use mlrs_client::tracking::{Artifact, ArtifactPath, TrackingError};
use serde_json::{Value, json};

use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::progress;

/// Arguments of `mlrs artifacts`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Upload a file as an artifact of a run
    #[command(
        after_help = "Example:\n  mlrs artifacts log-artifact -l notes.txt -r 0123456789abcdef0123456789abcdef -a texts"
    )]
    LogArtifact {
        /// The file
        #[arg(short, long, value_name = "FILE")]
        local_file: PathBuf,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Upload everything in a folder as artifacts of a run
    #[command(
        after_help = "Example:\n  mlrs artifacts log-artifacts -l plots -r 0123456789abcdef0123456789abcdef -a plots"
    )]
    LogArtifacts {
        /// The folder
        #[arg(short, long, value_name = "DIR")]
        local_dir: PathBuf,
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// List the artifacts of a run, or those in a folder of them
    #[command(
        after_help = "Examples:\n  mlrs artifacts list -r 0123456789abcdef0123456789abcdef\n  mlrs artifacts list -r 0123456789abcdef0123456789abcdef -a plots --output table"
    )]
    List {
        #[command(flatten)]
        place: PlaceArguments,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Json, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Download a file or a folder, and print where it is
    #[command(
        after_help = "Examples:\n  mlrs artifacts download -r 0123456789abcdef0123456789abcdef -a plots -d .\n  mlrs artifacts download -u models:/iris/1 -d iris"
    )]
    Download(DownloadArguments),
}

#[derive(Debug, Args)]
struct PlaceArguments {
    /// The run
    #[arg(short, long, value_name = "ID")]
    run_id: String,
    /// A folder of the run's artifacts [default: their root]
    #[arg(short, long, value_name = "PATH")]
    artifact_path: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["run_id", "artifact_uri"]))]
struct DownloadArguments {
    /// The run
    #[arg(short, long, value_name = "ID")]
    run_id: Option<String>,
    /// A file or folder of the run's artifacts [default: all of them]
    #[arg(short, long, value_name = "PATH")]
    artifact_path: Option<String>,
    /// What to download, instead of a run's artifact: runs:/…, models:/…, mlflow-artifacts:/…, s3://…
    #[arg(short = 'u', long, value_name = "URI")]
    artifact_uri: Option<String>,
    /// The folder to download into [default: a new temporary one]
    #[arg(short, long, value_name = "DIR")]
    dst_path: Option<PathBuf>,
}

/// Runs `mlrs artifacts`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let connection = arguments.connection;
    match arguments.command {
        Command::LogArtifact { local_file, place } => {
            if !local_file.is_file() {
                return Err(hinted(
                    format!("there is no file `{}`", local_file.display()),
                    "`mlrs artifacts log-artifacts` uploads what is in a folder",
                ));
            }
            upload(&connection, &local_file, &place)
        }
        Command::LogArtifacts { local_dir, place } => {
            if !local_dir.is_dir() {
                return Err(hinted(
                    format!("there is no folder `{}`", local_dir.display()),
                    "`mlrs artifacts log-artifact` uploads a file",
                ));
            }
            upload(&connection, &local_dir, &place)
        }
        Command::List { place, output } => list(&connection, &place, output),
        Command::Download(arguments) => download(&connection, &arguments),
    }
}

fn upload(
    connection: &ConnectionArguments,
    source: &Path,
    place: &PlaceArguments,
) -> anyhow::Result<()> {
    let (bar, report) = progress::transfer("uploading");
    let location = connection.run(async |client| {
        let artifacts = client.run_artifacts(&place.run_id).await?;
        let path = place.artifact_path.as_deref();
        if source.is_dir() {
            artifacts.upload_folder(source, path, &report).await?;
        } else {
            artifacts.upload_file(source, path, &report).await?;
        }
        Ok(artifacts.location().to_owned())
    })?;
    bar.finish_and_clear();
    // Only addresses of a server are made of names.
    if location.starts_with("http") {
        warn_of_names(source, place.artifact_path.as_deref())?;
    }
    Ok(())
}

/// Names the files that MLflow's client for Python cannot download.
#[allow(
    clippy::print_stderr,
    reason = "a warning to the person who typed the command"
)]
fn warn_of_names(source: &Path, folder: Option<&str>) -> anyhow::Result<()> {
    let files = if source.is_dir() {
        mlrs_client::tracking::paths_below(source)?
    } else {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        vec![ArtifactPath::parse(&name)?]
    };
    let folder = ArtifactPath::parse(folder.unwrap_or_default())?;
    let mut lost = Vec::new();
    for file in files {
        let path = folder.join(&file)?;
        if !is_reached_by_python(path.as_str()) {
            lost.push(path);
        }
    }
    if let Some(first) = lost.first() {
        eprintln!(
            "warning: MLflow's client for Python cannot download {} of the files, such as `{first}`: it \
             sends `#`, `?` and percent codes of a name as they are. Rename them if Python is to read them.",
            lost.len()
        );
    }
    Ok(())
}

/// Whether an address that MLflow's client for Python makes of a path means that path: it does not
/// encode what it puts into an address.
fn is_reached_by_python(path: &str) -> bool {
    let is_code = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    !path.contains(['#', '?']) && !path.split('%').skip(1).any(is_code)
}

fn list(
    connection: &ConnectionArguments,
    place: &PlaceArguments,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let path = place.artifact_path.as_deref().unwrap_or_default();
    let found = connection.run(async |client| {
        let artifacts = client.run_artifacts(&place.run_id).await?;
        artifacts.list(path).await
    })?;
    match format {
        OutputFormat::Json => {
            let entries: Result<Vec<String>, _> = found
                .iter()
                .map(|entry| serde_json::to_string_pretty(&as_json(entry)))
                .collect();
            output::line(&format!("[{}]", entries?.join(", ")))
        }
        OutputFormat::Table => {
            let mut table = output::table(&["path", "size"]);
            for entry in found {
                let size = entry
                    .size
                    .map(|size| indicatif::HumanBytes(size).to_string());
                let slash = if entry.is_directory { "/" } else { "" };
                table.add_row([
                    format!("{}{slash}", entry.path.as_str()),
                    size.unwrap_or_default(),
                ]);
            }
            output::line(&table.to_string())
        }
    }
}

/// The fields of MLflow's `FileInfo`.
fn as_json(entry: &Artifact) -> Value {
    let mut value = json!({"path": entry.path.as_str(), "is_dir": entry.is_directory});
    if let Some(size) = entry.size {
        value["file_size"] = json!(size);
    }
    value
}

fn download(connection: &ConnectionArguments, arguments: &DownloadArguments) -> anyhow::Result<()> {
    let mut scratch = None;
    let destination = if let Some(folder) = &arguments.dst_path {
        folder.clone()
    } else {
        // What is on this machine needs no copy.
        if let Some(Ok(ModelUri::Local(path))) =
            arguments.artifact_uri.as_deref().map(ModelUri::parse)
        {
            return output::line(&path.display().to_string());
        }
        let folder = tempfile::Builder::new().prefix("mlrs-").tempdir();
        let folder = folder.context("cannot make a temporary folder")?;
        scratch.insert(folder).path().to_owned()
    };
    let (bar, report) = progress::transfer("downloading");
    let path = connection.run(async |client| -> Result<PathBuf, TrackingError> {
        // As in MLflow, a URI counts more than a run.
        if let Some(uri) = &arguments.artifact_uri {
            return client.download(uri, &destination, &report).await;
        }
        let run_id = arguments.run_id.as_deref().unwrap_or_default();
        if let Some(path) = &arguments.artifact_path {
            return client
                .download_of_run(run_id, path, &destination, &report)
                .await;
        }
        let artifacts = client.run_artifacts(run_id).await?;
        artifacts.download("", &destination, &report).await
    })?;
    bar.finish_and_clear();
    // Until here, a failure takes the temporary folder with it.
    scratch.map(tempfile::TempDir::keep);
    let path = std::path::absolute(&path).unwrap_or(path);
    output::line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_part_of_an_address_are_not_reached_by_python() {
        for path in ["a b/ä.txt", "100%", "50%-off/x", "a+b;c=d&e@f"] {
            assert!(is_reached_by_python(path), "{path}");
        }
        for path in ["a#b", "what?/x", "a%20b", "%ff"] {
            assert!(!is_reached_by_python(path), "{path}");
        }
    }
}
