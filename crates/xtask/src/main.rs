//! The project's own commands.
//!
//! `cargo xtask test` prepares what the tests need and runs all of them; `cargo xtask differential`
//! compares the built binary with MLflow and writes the report; `cargo xtask fuzz` runs the fuzz targets; `cargo xtask bench serve`,
//! `cargo xtask bench tracking` and `cargo xtask bench image` measure.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command line talks to its user"
)]

mod bench;
mod docker;
mod environment;
mod failures;
mod fuzz;
mod machine;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Prepare what the tests need and run every test
    Test {
        /// Fail when something cannot be tested here, instead of only saying so
        #[arg(long)]
        require_all: bool,
        /// Run only the tests whose names contain this
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
        /// Arguments of Cargo that choose what is tested, such as `-p mlrs-tests --test image`; the whole
        /// workspace unless given
        #[arg(last = true, value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Compare the answers of the built binary with MLflow's
    Differential {
        /// Write the report to this file instead of failing on differences
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Run the fuzz targets over the inputs that are kept
    Fuzz(fuzz::Options),
    /// Measure mlrs beside a bare handler and beside MLflow
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// The bare handlers that `bench` measures against
    #[command(hide = true)]
    BenchBaseline,
}

#[derive(Subcommand)]
enum Bench {
    /// Scoring requests
    Serve(bench::serve::Options),
    /// The tracking server, beside those of others
    Tracking(bench::tracking::Options),
    /// Container images: size, time to build and to start
    Image(bench::image::Options),
    /// Whether memory stays flat over a million requests
    Memory(bench::serve::MemoryOptions),
}

/// A failure is told in words: a stack trace of this program helps nobody who runs a test.
fn main() -> ExitCode {
    match done(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn done(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Test {
            require_all,
            filter,
            targets,
        } => test::all(require_all, filter.as_deref(), &targets),
        Task::Differential { report } => test::differential(report.as_deref()),
        Task::Fuzz(options) => fuzz::all(&options),
        Task::Bench {
            what: Bench::Serve(options),
        } => bench::serve::run(options),
        Task::Bench {
            what: Bench::Tracking(options),
        } => bench::tracking::run(options),
        Task::Bench {
            what: Bench::Image(options),
        } => bench::image::run(&options),
        Task::Bench {
            what: Bench::Memory(options),
        } => bench::serve::memory(options),
        Task::BenchBaseline => bench::serve::baseline::run(),
    }
}
