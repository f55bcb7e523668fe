//! `cargo xtask bench tracking`: `mlrs server` beside `mlflow server` and `FastTrackML`, on one
//! machine in one run, with the same requests from the same client.
//!
//! Each round starts every server on a fresh database, measures what writes, and a large file; then
//! on a filled database, what asks. Answers are compared, with what is known of the contents and
//! with each other. All databases are on one file system, which is on a disk: a commit costs what it
//! costs there.

mod client;
mod databases;
mod filling;
mod load;
mod measuring;
mod postgres;
mod report;
mod servers;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use mlrs_testing::home;

use super::subject::Subject;
use super::{document, release_binary};
use crate::environment;
use databases::{Databases, Files, file_system, page_sync, require_disk};
use filling::Sizes;
use load::{Call, Outcome, Plan};
use measuring::{Answers, Case};
use postgres::Postgres;
use servers::{Programs, Server};

/// How long a server may stay busy after its first answer: MLflow starts more processes.
const SETTLING: Duration = Duration::from_secs(30);

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds of load for each figure
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often the servers take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure only this; may be repeated
    #[arg(long, value_name = "NAME", value_enum)]
    only: Vec<Case>,
    /// Which servers take part
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Server::ALL)]
    subjects: Vec<Server>,
    /// Size of the file that goes through each server, in gigabytes (10⁹ bytes)
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    gigabytes: u64,
    /// Small sizes and short loads: to see that it works, not for figures
    #[arg(long)]
    quick: bool,
    /// The binary of mlrs, instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Measure mlrs and MLflow on PostgreSQL as well: on a cluster made for it, or on the server
    /// of which this is the start of addresses (postgresql://user@host:port)
    #[arg(long, value_name = "URI-PREFIX", num_args = 0..=1, default_missing_value = "")]
    postgres: Option<String>,
    /// Put the sections of the report into this file, too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Options {
    fn wants(&self, case: Case) -> bool {
        self.only.is_empty() || self.only.contains(&case)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 0.2 } else { self.seconds })
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    fn sizes(&self) -> Sizes {
        if self.quick {
            Sizes {
                runs: 400,
                points: 5000,
            }
        } else {
            Sizes {
                runs: 20_000,
                points: 1_000_000,
            }
        }
    }

    /// Bytes of the large file.
    fn file(&self) -> u64 {
        if self.quick {
            10_000_000
        } else {
            self.gigabytes * 1_000_000_000
        }
    }
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Database {
    Sqlite,
    Postgres,
}

/// A figure beside the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// From start to first answer, on a fresh database, in milliseconds.
    Ready,
    /// Memory (PSS) after the first answer, in MiB.
    MemoryReady,
    /// Memory (PSS) after the writes, in MiB.
    MemoryWrites,
    /// Memory (PSS) after the questions, in MiB.
    MemoryReads,
    /// Megabytes a second.
    Upload,
    /// Megabytes a second.
    Download,
    /// The most resident memory during the transfers, in MiB.
    TransferPeak,
    /// By how much that is more than before, in MiB.
    TransferGrowth,
    /// Requests a second that do nothing, from 64 clients.
    Limit,
    /// Milliseconds that it takes to make a page durable.
    Sync,
}

/// The figures of all rounds.
#[derive(Debug, Default)]
struct Measured {
    outcomes: BTreeMap<(Database, Case, Server), Vec<Outcome>>,
    figures: BTreeMap<(Database, Figure, Server), Vec<f64>>,
}

impl Measured {
    fn figure(&mut self, database: Database, figure: Figure, server: Server, value: f64) {
        let key = (database, figure, server);
        self.figures.entry(key).or_default().push(value);
    }
}

/// Runs `cargo xtask bench tracking`.
pub fn run(options: Options) -> anyhow::Result<()> {
    let write = options.write.clone();
    let report = measured(options)?;
    document::publish(&report, write.as_deref())
}

/// Measures everything; the report.
fn measured(options: Options) -> anyhow::Result<String> {
    let bench = Bench::prepare(options)?;
    let mut measured = Measured::default();
    let kept = bench.options.quick.then(|| bench.folder.path());
    let mut files = Files::new(bench.programs.clone(), bench.options.sizes(), kept);
    bench.rounds(Database::Sqlite, &mut files, &mut measured)?;
    if let Some(prefix) = &bench.options.postgres {
        let mut programs = bench.programs.clone();
        if bench.takes_part(Database::Postgres, Server::Mlflow) {
            programs.mlflow = Some(environment::mlflow_on_postgres()?);
        }
        let sizes = bench.options.sizes();
        let mut databases = Postgres::start(prefix, programs.clone(), sizes)?;
        let bench = Bench { programs, ..bench };
        bench.rounds(Database::Postgres, &mut databases, &mut measured)?;
        return Ok(report::markdown(&measured, &bench.options, &bench.system));
    }
    Ok(report::markdown(&measured, &bench.options, &bench.system))
}

/// The tools of a run.
struct Bench {
    options: Options,
    programs: Programs,
    /// What is made and thrown away.
    folder: tempfile::TempDir,
    /// The type of the file system under it.
    system: String,
}

impl Bench {
    fn prepare(options: Options) -> anyhow::Result<Self> {
        let takes_part = |server| options.subjects.contains(&server);
        let mlrs = match &options.binary {
            Some(given) => given
                .canonicalize()
                .with_context(|| format!("there is no `{}`", given.display()))?,
            None => release_binary("mlrs")?,
        };
        let programs = Programs {
            mlrs,
            mlflow: takes_part(Server::Mlflow)
                .then(environment::python)
                .transpose()?,
            fasttrackml: takes_part(Server::Fasttrackml)
                .then(environment::fasttrackml)
                .transpose()?,
        };
        std::fs::create_dir_all(home())?;
        let home = home().canonicalize()?;
        if !options.quick {
            require_disk(&home)?;
        }
        Ok(Self {
            options,
            programs,
            folder: tempfile::Builder::new()
                .prefix("bench-")
                .tempdir_in(&home)?,
            system: file_system(&home)?,
        })
    }

    fn takes_part(&self, database: Database, server: Server) -> bool {
        self.options.subjects.contains(&server)
            && (database == Database::Sqlite || server != Server::Fasttrackml)
    }

    fn rounds(
        &self,
        database: Database,
        databases: &mut dyn Databases,
        measured: &mut Measured,
    ) -> anyhow::Result<()> {
        let mut answers = Answers::new();
        for round in 1..=self.options.rounds() {
            let sync = page_sync(self.folder.path())?;
            measured.figure(database, Figure::Sync, Server::Mlrs, sync);
            println!("round {round}: a durable page takes {sync:.2} ms");
            for server in Server::ALL {
                if self.takes_part(database, server) {
                    println!("round {round}: {} on {database:?}", server.title());
                    self.writes(database, databases, server, measured)?;
                    self.reads(database, databases, server, measured, &mut answers)?;
                }
            }
        }
        Ok(())
    }

    /// What is measured on a fresh database.
    fn writes(
        &self,
        database: Database,
        databases: &mut dyn Databases,
        server: Server,
        measured: &mut Measured,
    ) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let address = databases.fresh(server, folder.path())?;
        let subject = self.programs.start(server, &address, folder.path())?;
        let ready = subject.ready.as_secs_f64() * 1e3;
        measured.figure(database, Figure::Ready, server, ready);
        subject.group().settle(SETTLING);
        let idle = subject.group().proportional();
        measured.figure(database, Figure::MemoryReady, server, idle);
        for case in Case::WRITES {
            if self.options.wants(case) {
                let outcome = measuring::write(&subject.address, case, self.options.length())
                    .with_context(|| format!("{}: {case:?}", server.title()))?;
                self.record(database, case, server, outcome, measured);
            }
        }
        let memory = subject.group().proportional();
        measured.figure(database, Figure::MemoryWrites, server, memory);
        if server == Server::Mlrs && database == Database::Sqlite {
            self.limit(&subject, measured);
        }
        // Files do not go through the database.
        let transfers = self.options.wants(Case::Transfer) && server.offers_all();
        if transfers && database == Database::Sqlite {
            let transfer = transfer::measure(&subject, self.options.file())?;
            let growth = transfer.peak - transfer.before;
            for (figure, value) in [
                (Figure::Upload, transfer.upload),
                (Figure::Download, transfer.download),
                (Figure::TransferPeak, transfer.peak),
                (Figure::TransferGrowth, growth),
            ] {
                measured.figure(database, figure, server, value);
            }
            println!("  {transfer:.0?}");
        }
        Ok(())
    }

    /// What is measured on a filled database.
    fn reads(
        &self,
        database: Database,
        databases: &mut dyn Databases,
        server: Server,
        measured: &mut Measured,
        answers: &mut Answers,
    ) -> anyhow::Result<()> {
        let wanted = Case::READS.map(|case| self.options.wants(case));
        if wanted == [false; 2] {
            return Ok(());
        }
        let folder = tempfile::tempdir_in(&self.folder)?;
        let Some(address) = databases.filled(server, folder.path())? else {
            return Ok(());
        };
        let subject = self.programs.start(server, &address, folder.path())?;
        subject.group().settle(SETTLING);
        let (length, sizes) = (self.options.length(), self.options.sizes());
        for case in Case::READS {
            if !self.options.wants(case) {
                continue;
            }
            let outcome = measuring::read(&subject.address, case, length, sizes, answers)
                .with_context(|| format!("{}: {case:?}", server.title()))?;
            if let Some(outcome) = outcome {
                self.record(database, case, server, outcome, measured);
            }
        }
        let memory = subject.group().proportional();
        measured.figure(database, Figure::MemoryReads, server, memory);
        Ok(())
    }

    fn record(
        &self,
        database: Database,
        case: Case,
        server: Server,
        outcome: Outcome,
        measured: &mut Measured,
    ) {
        println!(
            "  {}: {:.1} requests/s, p50 {:.2} ms, {} failed {}",
            case.title(self.options.sizes()),
            outcome.load.rate,
            outcome.load.p50,
            outcome.failed,
            outcome.failure.as_deref().unwrap_or_default()
        );
        let key = (database, case, server);
        measured.outcomes.entry(key).or_default().push(outcome);
    }

    /// What the client can do: requests that a server has nothing to do for.
    fn limit(&self, subject: &Subject, measured: &mut Measured) {
        let compose = |_, _, call: &mut Call| {
            call.method = "GET";
            "/health".clone_into(&mut call.path);
        };
        let plan = Plan {
            clients: 64,
            length: self.options.length(),
            at_once: false,
        };
        let outcome = load::run(&subject.address, plan, &compose);
        println!("  health: {:.0} requests/s", outcome.load.rate);
        let server = Server::Mlrs;
        measured.figure(Database::Sqlite, Figure::Limit, server, outcome.load.rate);
    }
}

#[cfg(test)]
mod tests {
    use mlrs_testing::mlrs_binary;

    use super::*;

    #[test]
    fn a_quick_run_of_mlrs_alone_answers_everything() {
        let report = measured(Options {
            seconds: 1.0,
            rounds: 1,
            only: Vec::new(),
            subjects: vec![Server::Mlrs],
            gigabytes: 1,
            quick: true,
            binary: Some(mlrs_binary().unwrap()),
            postgres: None,
            write: None,
        })
        .unwrap();
        let sizes = Sizes {
            runs: 400,
            points: 5000,
        };
        for case in Case::WRITES.into_iter().chain(Case::READS) {
            let start = format!("| {} | mlrs | ", case.title(sizes));
            let row = report.lines().find(|line| line.starts_with(&start));
            let cells: Vec<_> = row.unwrap_or_default().split(" | ").collect();
            let rate: f64 = cells[2].parse().unwrap();
            assert!(rate > 0.0 && cells[5] == "0", "{row:?}");
        }
        assert!(
            report.contains("growth of memory over the transfer"),
            "{report}"
        );
    }
}
