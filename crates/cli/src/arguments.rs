//! The command line: what can be said, and what `--help` says of it.

use clap::{Parser, Subcommand};

use crate::{
    artifacts, db, deploy, deployments, doctor, experiments, gc, healthcheck, image,
    import_filestore, inspect, models, onnxruntime, pack, package, predict, register, registry,
    runs, serve, server, source,
};

/// MLflow's models, served from one binary.
#[derive(Debug, Parser)]
#[command(
    name = "mlrs",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a model over HTTP
    Serve(serve::Arguments),
    /// Track runs: MLflow's tracking server
    #[command(visible_alias = "ui")]
    Server(Box<server::Arguments>),
    /// Bring a folder of runs, `./mlruns`, into a database
    ImportFilestore(import_filestore::Arguments),
    /// Look after the database of a tracking server
    Db(db::Arguments),
    /// Delete for good what was deleted, artifacts with it
    Gc(gc::Arguments),
    /// Predict from a file, without a server
    Predict(predict::Arguments),
    /// Show what a model is, and which backend would serve it
    Inspect(inspect::Arguments),
    /// Download a model from a registry, a run or an object store
    Pull(source::PullArguments),
    /// Make a model directory of a model file, without Python
    Package(package::Arguments),
    /// Upload a model directory, and make a version of a registered model of it
    Register(register::Arguments),
    /// Make a `.zip` of a model directory
    Pack(pack::PackArguments),
    /// Make a model directory of a `.zip`
    Unpack(pack::UnpackArguments),
    /// Build a container image that serves a model
    Image(image::Arguments),
    /// Ask the server of this machine whether it is ready: the health check of containers
    Healthcheck(healthcheck::Arguments),
    /// Manage the ONNX Runtime library
    Onnxruntime(onnxruntime::Arguments),
    /// The commands of `mlflow models`, with its options
    Models(models::Arguments),
    /// Experiments of a tracking server
    Experiments(experiments::Arguments),
    /// Runs of a tracking server
    Runs(runs::Arguments),
    /// Artifacts of runs: list, upload, download
    Artifacts(artifacts::Arguments),
    /// Registered models, their versions, stages and aliases
    Registry(registry::Arguments),
    /// Run a model in Kubernetes
    Deploy(deploy::Arguments),
    /// The commands of `mlflow deployments`, with its options
    Deployments(deployments::Arguments),
    /// Show what is known of this installation and its servers
    Doctor(doctor::Arguments),
}
