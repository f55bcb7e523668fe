//! `mlrs gc`: deletes for good what was deleted, artifacts with it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mlrs_artifacts::{AllowedRoots, CloudSettings};
use mlrs_store::clock;
use mlrs_store::garbage::{Garbage, GarbageItem, GarbageQuery, GarbageStore as _};
use mlrs_store::rules::HostPolicy;
use mlrs_store_sql::SqlStore;
use mlrs_tracking::{Artifacts, garbage};

use crate::connection::runtime;
use crate::database::{DatabaseArguments, DestinationArguments};
use crate::failure::hinted;
use crate::{db, output, server};

/// Arguments of `mlrs gc`.
#[derive(Debug, Args)]
#[command(
    after_help = "Artifacts go first; what has artifacts that cannot be deleted stays and is \
named.

Examples:
  mlrs gc --older-than 30d --dry-run
  mlrs gc --backend-store-uri postgresql://mlflow@db/mlflow --artifacts-destination s3://box"
)]
pub(crate) struct Arguments {
    /// Only what was deleted that long ago, as in 1d2h3m4s; numbers may have a fraction
    #[arg(long, value_parser = age, value_name = "AGE")]
    older_than: Option<Duration>,
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    destination: DestinationArguments,
    /// These deleted runs, instead of all [separated by commas]
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    run_ids: Option<Vec<String>>,
    /// These deleted experiments with their runs, instead of all [separated by commas]
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    experiment_ids: Option<Vec<i64>>,
    /// These deleted logged models, instead of all [separated by commas]
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    logged_model_ids: Option<Vec<String>>,
    /// Delete the rows only; files of artifacts stay, and nothing names them any more
    #[arg(long)]
    keep_artifacts: bool,
    /// Only tell what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    refused: Refused,
}

/// What `mlflow gc` takes and this does not, each with its reason.
#[derive(Debug, Args)]
struct Refused {
    #[arg(long, hide = true)]
    tracking_uri: Option<String>,
    #[arg(long, hide = true)]
    jobs: bool,
    #[arg(long, hide = true)]
    job_ids: Option<String>,
    #[arg(long, hide = true)]
    workspace: Option<String>,
    #[arg(long, hide = true)]
    all_workspaces: bool,
}

impl Refused {
    fn check(&self) -> anyhow::Result<()> {
        let jobs = "mlrs runs no jobs, so it has none to delete";
        let workspaces = "mlrs has one workspace only";
        for (is_set, flag, reason) in [
            (
                self.tracking_uri.is_some(),
                "--tracking-uri",
                "artifacts are deleted where they are: say that with `--artifacts-destination`",
            ),
            (self.jobs, "--jobs", jobs),
            (self.job_ids.is_some(), "--job-ids", jobs),
            (self.workspace.is_some(), "--workspace", workspaces),
            (self.all_workspaces, "--all-workspaces", workspaces),
        ] {
            if is_set {
                return Err(hinted(format!("`{flag}` is not for `mlrs gc`"), reason));
            }
        }
        Ok(())
    }
}

/// An age such as `1d2h3m4s`: each part at most once, in this order, with a fraction or without.
fn age(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no age; write 30d, 8h or 1d2h3m4s");
    let mut rest = text;
    let mut seconds = 0.0;
    for (unit, length) in [('d', 86_400.0), ('h', 3600.0), ('m', 60.0), ('s', 1.0)] {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        if !number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(refused());
        }
        let number: f64 = number.parse().map_err(|_| refused())?;
        seconds += number * length;
        rest = after;
    }
    if !rest.is_empty() || text.is_empty() {
        return Err(refused());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refused())
}

/// Runs `mlrs gc`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    arguments.refused.check()?;
    runtime()?.block_on(collect(arguments))
}

async fn collect(arguments: &Arguments) -> anyhow::Result<()> {
    let uri = arguments.database.uri()?;
    // A new one would be made otherwise, and nothing be found in it.
    db::must_be_there(&uri).await?;
    let store = SqlStore::open(&uri, server::DEFAULT_ARTIFACT_ROOT).await?;
    let found = store.garbage(query(arguments)).await?;
    if arguments.dry_run {
        return list(&found, arguments.keep_artifacts);
    }
    let artifacts = (!arguments.keep_artifacts)
        .then(|| open(&arguments.destination))
        .transpose()?;
    let files = artifacts
        .as_ref()
        .map_or(garbage::Files::Kept, garbage::Files::Deleted);
    let (mut stayed, mut printed) = (0, Ok(()));
    garbage::collect(&store, files, found, &mut |kind, id, outcome| {
        let name = kind.name();
        let line = match outcome {
            Ok(()) => format!("deleted: {name} {id}"),
            Err(error) => {
                stayed += 1;
                let error = anyhow::Error::from(error);
                format!("stays: {name} {id}: {error:#}")
            }
        };
        if printed.is_ok() {
            printed = output::line(&line);
        }
    })
    .await?;
    printed?;
    match stayed {
        0 => Ok(()),
        count => Err(hinted(
            format!("{count} of what was to be deleted could not be"),
            "see the lines that begin with `stays`; when the destination is not the server's, say it with `--artifacts-destination`",
        )),
    }
}

/// Where artifacts are: any place that a row names, because the operator asks for it.
fn open(destination: &DestinationArguments) -> anyhow::Result<Artifacts> {
    let cloud = CloudSettings::from_variables(|name| std::env::var(name).ok());
    Ok(Artifacts {
        destination: Some(Artifacts::open_destination(
            &destination.artifacts_destination,
            &cloud,
        )?),
        cloud,
        allowed_roots: AllowedRoots::default(),
        hosts: HostPolicy::default(),
        working_directory: PathBuf::new(),
    })
}

fn query(arguments: &Arguments) -> GarbageQuery {
    let before = |age: Duration| {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        clock::now().saturating_sub(age)
    };
    GarbageQuery {
        run_ids: arguments.run_ids.clone(),
        experiment_ids: arguments.experiment_ids.clone(),
        logged_model_ids: arguments.logged_model_ids.clone(),
        before: arguments.older_than.map(before),
    }
}

fn list(found: &Garbage, keep_artifacts: bool) -> anyhow::Result<()> {
    let artifacts = if keep_artifacts {
        "artifacts stay"
    } else {
        "artifacts"
    };
    let item = |kind: &str, item: &GarbageItem| {
        let root = item.artifact_root.as_deref().unwrap_or("nowhere");
        output::line(&format!(
            "would be deleted: {kind} {}, {artifacts} in {root}",
            item.id
        ))
    };
    for run in &found.runs {
        item("run", run)?;
    }
    for model in &found.logged_models {
        item("logged model", model)?;
    }
    for experiment in &found.experiments {
        output::line(&format!(
            "would be deleted: experiment {} with {} runs and {} logged models",
            experiment.id,
            experiment.runs.len(),
            experiment.logged_models.len()
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_mlflow_reads_them() {
        let seconds = |text| age(text).map(|age| age.as_secs_f64());
        assert_eq!(seconds("1d2h3m4s"), Ok(93_784.0));
        assert_eq!(seconds("1.5d"), Ok(129_600.0));
        assert_eq!(seconds("2m4s"), Ok(124.0));
        assert_eq!(seconds("0s"), Ok(0.0));
        for text in [
            "", "1", "d", "1x", "4s1d", "1d 2h", "-1d", "1..2d", "1e3s", "1d1d",
        ] {
            assert!(age(text).is_err(), "{text}");
        }
        assert!(age(&format!("{}d", "9".repeat(400))).is_err());
    }
}
