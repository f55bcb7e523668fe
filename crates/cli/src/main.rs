//! `mlrs`: MLflow's models, served from one binary.
//!
//! This crate turns arguments into settings and settings into a running server or a printed answer.
//! It is the only one that names backends, reads the environment and prints.

mod arguments;
mod artifacts;
mod cache;
mod connection;
mod database;
mod db;
mod deploy;
mod deployments;
mod doctor;
mod ending;
mod engine;
mod experiments;
mod failure;
mod gc;
mod healthcheck;
mod hidden;
mod image;
mod import_filestore;
mod inspect;
mod interrupted;
mod logging;
mod memory;
mod models;
mod onnxruntime;
mod output;
mod pack;
mod package;
mod predict;
mod progress;
mod register;
mod registry;
mod run_table;
mod runs;
mod serve;
mod server;
mod source;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    hidden::hide_passwords();
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    if makes_files(&command) {
        interrupted::leave_nothing()?;
    }
    match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Server(arguments) => server::run(&arguments),
        Command::ImportFilestore(arguments) => import_filestore::run(&arguments),
        Command::Db(arguments) => db::run(&arguments),
        Command::Gc(arguments) => gc::run(&arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Pull(arguments) => source::pull(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::Register(arguments) => register::run(&arguments),
        Command::Pack(arguments) => pack::pack(&arguments),
        Command::Unpack(arguments) => pack::unpack(&arguments),
        Command::Image(arguments) => image::run(arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Onnxruntime(arguments) => onnxruntime::run(arguments),
        Command::Models(arguments) => models::run(arguments),
        Command::Experiments(arguments) => experiments::run(arguments),
        Command::Runs(arguments) => runs::run(arguments),
        Command::Artifacts(arguments) => artifacts::run(arguments),
        Command::Registry(arguments) => registry::run(arguments),
        Command::Deploy(arguments) => deploy::run(arguments),
        Command::Deployments(arguments) => deployments::run(arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    }
}

/// Whether a command makes files, and does not handle signals itself.
fn makes_files(command: &Command) -> bool {
    matches!(
        command,
        Command::Pull(_)
            | Command::Package(_)
            | Command::Pack(_)
            | Command::Unpack(_)
            | Command::Image(_)
            | Command::Onnxruntime(_)
            | Command::Artifacts(_)
            | Command::Deploy(_)
    )
}
