//! `mlrs models`: the commands of `mlflow models`, with its options, for scripts that have them.
//!
//! Options about Python environments are taken and said to have no effect: nothing here runs Python.

mod requirements;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cache::CacheArguments;
use crate::engine::EngineArguments;
use crate::image::{self, BuildArguments, PartArguments};
use crate::logging::LogArguments;
use crate::output::{self, OutputFormat};
use crate::serve::{LimitArguments, ServerArguments};
use crate::{interrupted, predict, serve};

/// Arguments of `mlrs models`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// As `mlflow models serve`
    #[command(
        disable_help_flag = true,
        after_help = "Example:\n  mlrs models serve -m models:/iris/Production -p 5001"
    )]
    Serve(Box<ServeArguments>),
    /// As `mlflow models predict`
    Predict(Box<PredictArguments>),
    /// As `mlflow models build-docker`: an image in the Docker engine
    #[command(
        after_help = "Example:\n  mlrs models build-docker -m models:/iris/Production -n iris"
    )]
    BuildDocker(Box<BuildDockerArguments>),
    /// As `mlflow models generate-dockerfile`: a folder to build the image from with Docker
    #[command(
        after_help = "Example:\n  mlrs models generate-dockerfile -m models:/iris/Production -d iris-image\n  docker build -t iris iris-image"
    )]
    GenerateDockerfile(Box<GenerateDockerfileArguments>),
    /// As `mlflow models update-pip-requirements`
    #[command(after_help = "Examples:
  mlrs models update-pip-requirements -m ./iris add pandas==2.3 'scipy>=1.10,<2'
  mlrs models update-pip-requirements -m runs:/0123456789abcdef0123456789abcdef/model remove torch

The files requirements.txt and conda.yaml are changed. Versions of registered models stay as they are.")]
    UpdatePipRequirements(requirements::Arguments),
}

/// The options of MLflow that are about Python.
#[derive(Debug, Args)]
struct PythonArguments {
    /// Taken for MLflow's sake: no Python environment is made
    #[arg(long, value_name = "MANAGER")]
    env_manager: Option<String>,
    /// Taken for MLflow's sake
    #[arg(long)]
    no_conda: bool,
    /// Taken for MLflow's sake
    #[arg(long)]
    install_mlflow: bool,
}

impl PythonArguments {
    #[allow(
        clippy::print_stderr,
        reason = "a note to the person who typed the option"
    )]
    fn note(&self) {
        if self.env_manager.is_some() || self.no_conda || self.install_mlflow {
            eprintln!(
                "note: options about Python environments have no effect: this model runs without Python"
            );
        }
    }
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The model (see `mlrs pull --help`)
    #[arg(short, long, value_name = "URI")]
    model_uri: String,
    /// The port to listen on
    #[arg(short, long, default_value_t = 5000, env = "MLFLOW_PORT")]
    port: u16,
    /// The address to listen on
    #[arg(short, long, default_value = "127.0.0.1", env = "MLFLOW_HOST")]
    host: String,
    /// Seconds that a request may take
    #[arg(short, long, default_value_t = 60, env = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Predictions that run at the same time
    #[arg(short, long, env = "MLFLOW_MODELS_WORKERS")]
    workers: Option<NonZeroUsize>,
    #[command(flatten)]
    python: PythonArguments,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    cache: CacheArguments,
    #[command(flatten)]
    log: LogArguments,
}

#[derive(Debug, Args)]
struct PredictArguments {
    #[command(flatten)]
    predict: predict::Arguments,
    #[command(flatten)]
    python: PythonArguments,
    /// Taken for MLflow's sake
    #[arg(short = 'r', long, value_name = "REQUIREMENTS")]
    pip_requirements_override: Option<String>,
    /// Taken for MLflow's sake
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
}

/// The options of MLflow about what is installed into an image.
#[derive(Debug, Args)]
struct InstallArguments {
    /// Taken for MLflow's sake: no Python environment is made
    #[arg(long, value_name = "MANAGER")]
    env_manager: Option<String>,
    /// Taken for MLflow's sake
    #[arg(long, value_name = "PATH")]
    mlflow_home: Option<String>,
    /// Taken for MLflow's sake
    #[arg(long, value_name = "BOOLEAN")]
    install_java: Option<String>,
    /// Taken for MLflow's sake
    #[arg(long)]
    install_mlflow: bool,
}

impl InstallArguments {
    fn note(&self) {
        PythonArguments {
            env_manager: self
                .env_manager
                .clone()
                .or_else(|| self.mlflow_home.clone())
                .or_else(|| self.install_java.clone()),
            no_conda: false,
            install_mlflow: self.install_mlflow,
        }
        .note();
    }
}

#[derive(Debug, Args)]
struct BuildDockerArguments {
    /// The name of the image
    #[arg(short, long, default_value = "mlflow-pyfunc-servable")]
    name: String,
    #[command(flatten)]
    install: InstallArguments,
    #[command(flatten)]
    parts: PartArguments,
}

#[derive(Debug, Args)]
struct GenerateDockerfileArguments {
    /// The folder to make
    #[arg(
        short = 'd',
        long,
        default_value = "mlflow-dockerfile",
        value_name = "DIR"
    )]
    output_directory: PathBuf,
    #[command(flatten)]
    install: InstallArguments,
    #[command(flatten)]
    parts: PartArguments,
}

/// Runs `mlrs models`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(arguments) => {
            arguments.python.note();
            serve::run(serve_arguments(*arguments)?)
        }
        Command::Predict(arguments) => {
            arguments.python.note();
            predict::run(arguments.predict)
        }
        Command::BuildDocker(arguments) => {
            arguments.install.note();
            interrupted::leave_nothing()?;
            image::build(&BuildArguments {
                tag: arguments.name,
                output: Some("docker".to_owned()),
                parts: arguments.parts,
                plain_http: Vec::new(),
                sbom: None,
                format: OutputFormat::Table,
            })
        }
        Command::GenerateDockerfile(arguments) => {
            arguments.install.note();
            interrupted::leave_nothing()?;
            let folder = &arguments.output_directory;
            image::generate_dockerfile(&arguments.parts, folder)?;
            output::line(&format!(
                "Generated Dockerfile in directory {}",
                folder.display()
            ))
        }
        Command::UpdatePipRequirements(arguments) => requirements::run(&arguments),
    }
}

/// MLflow's options as those of `mlrs serve`; what MLflow has no option for comes from the
/// environment and the defaults.
fn serve_arguments(arguments: ServeArguments) -> anyhow::Result<serve::Arguments> {
    #[derive(Debug, clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        server: ServerArguments,
        #[command(flatten)]
        limits: LimitArguments,
    }
    let defaults = <Defaults as clap::Parser>::try_parse_from(["mlrs"])?;
    let server = ServerArguments {
        host: arguments.host,
        port: arguments.port,
        timeout: arguments.timeout,
        ..defaults.server
    };
    let limits = LimitArguments {
        workers: arguments.workers,
        ..defaults.limits
    };
    Ok(serve::Arguments {
        model: arguments.model_uri,
        server,
        limits,
        engine: arguments.engine,
        cache: arguments.cache,
        log: arguments.log,
    })
}
