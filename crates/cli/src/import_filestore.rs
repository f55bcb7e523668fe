//! `mlrs import-filestore`: MLflow's folder of runs into a database.

use std::path::PathBuf;

use clap::Args;
use mlrs_file_store::{FileStore, Kind, Report};
use mlrs_store_sql::SqlStore;
use serde_json::{Value, json};

use crate::connection::runtime;
use crate::database::DatabaseArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::{progress, server};

/// Failures that the table shows; JSON has all.
const SHOWN: usize = 10;

/// Arguments of `mlrs import-filestore`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is in the database already stays as it is, so an import that was ended \
can be begun again.

Examples:
  mlrs import-filestore ./mlruns
  mlrs import-filestore /home/ann/project --backend-store-uri postgresql://mlflow@db/mlflow"
)]
pub(crate) struct Arguments {
    /// The folder `mlruns`, or the one that holds it
    source: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
    /// How to print what was imported
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

/// Runs `mlrs import-filestore`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let source = FileStore::open(&arguments.source)?;
    let report = runtime()?.block_on(import(arguments, &source))?;
    match arguments.output {
        OutputFormat::Table => print_table(&report)?,
        OutputFormat::Json => output::line(&as_json(&source, &report).to_string())?,
    }
    match report.failures.len() {
        0 => Ok(()),
        count => Err(hinted(
            format!(
                "{count} of the things in the folder are not in the database, or not all of them"
            ),
            "mend them and run the same again: what is there is not written twice",
        )),
    }
}

async fn import(arguments: &Arguments, source: &FileStore) -> anyhow::Result<Report> {
    let uri = arguments.database.uri()?;
    let store = SqlStore::open(&uri, server::DEFAULT_ARTIFACT_ROOT).await?;
    let bar = progress::items("importing", "runs", source.run_count());
    let report = source
        .import(&store, &mut |report| bar.set_position(report.runs_done()))
        .await;
    bar.finish_and_clear();
    Ok(report?)
}

fn print_table(report: &Report) -> anyhow::Result<()> {
    let mut table = output::table(&["kind", "imported", "was there", "failed"]);
    for kind in Kind::ALL {
        let tally = report.tally(kind);
        let counts = [tally.imported, tally.was_there, tally.failed];
        let mut row = vec![kind.name().to_owned()];
        row.extend(counts.iter().map(u64::to_string));
        table.add_row(row);
    }
    output::line(&table.to_string())?;
    for experiment in &report.renumbered {
        output::line(&format!(
            "experiment `{}`: its id is {} here, and was {}",
            plain(&experiment.name),
            experiment.to,
            experiment.from
        ))?;
    }
    if let Some(first) = report.artifacts_only.first() {
        output::line(&format!(
            "note: {} directories such as `{}` hold only artifacts, of a server that has its runs in a \
             database; there is nothing to import from them",
            report.artifacts_only.len(),
            plain(first)
        ))?;
    }
    if report.traces > 0 {
        output::line(&format!(
            "not imported: {} traces with {} assessments, which mlrs does not keep yet",
            report.traces, report.assessments
        ))?;
    }
    for failure in report.failures.iter().take(SHOWN) {
        output::line(&format!(
            "failed: {} `{}`: {}",
            failure.kind.name(),
            plain(&failure.name),
            plain(&failure.reason)
        ))?;
    }
    match report.failures.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => output::line(&format!("and {more} more: `--output json` has all of them")),
    }
}

/// Text of the folder without what a terminal would obey.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn as_json(source: &FileStore, report: &Report) -> Value {
    let kinds: serde_json::Map<String, Value> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let tally = report.tally(kind);
            let counts = json!({
                "imported": tally.imported,
                "was_there": tally.was_there,
                "failed": tally.failed,
            });
            (kind.name().replace(' ', "_"), counts)
        })
        .collect();
    let failures: Vec<Value> = report
        .failures
        .iter()
        .map(|failure| {
            json!({
                "kind": failure.kind.name().replace(' ', "_"),
                "name": failure.name,
                "reason": failure.reason,
            })
        })
        .collect();
    let renumbered: Vec<Value> = report
        .renumbered
        .iter()
        .map(|one| json!({ "name": one.name, "from": one.from.to_string(), "to": one.to.to_string() }))
        .collect();
    json!({
        "source": source.location().display().to_string(),
        "kinds": kinds,
        "renumbered": renumbered,
        "not_imported": {
            "traces": report.traces,
            "assessments": report.assessments,
            "artifacts_only": report.artifacts_only,
        },
        "failures": failures,
    })
}
