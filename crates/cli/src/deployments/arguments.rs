//! Arguments of `mlrs deployments`: those of `mlflow deployments`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mlrs_deploy::names::Name;

use super::target::Target;
use crate::deploy::parsed;

/// Arguments of `mlrs deployments`.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Deploy a model
    #[command(
        after_help = "Example:\n  mlrs deployments create -t kubernetes --name iris -m models:/iris/3 -C tracking-uri=https://mlflow.example.com -C runtime-image=registry.example.com/mlrs:0.1 -C autoscale=2:10:70"
    )]
    Create(Box<CreateOptions>),
    /// Change a deployment: another model, or another config
    #[command(
        after_help = "Example:\n  mlrs deployments update -t kubernetes --name iris -m models:/iris/4"
    )]
    Update(Box<UpdateOptions>),
    /// Delete a deployment
    #[command(after_help = "Example:\n  mlrs deployments delete -t kubernetes --name iris")]
    Delete(DeleteOptions),
    /// List the names of all deployments
    #[command(after_help = "Example:\n  mlrs deployments list -t kubernetes:/models")]
    List {
        #[command(flatten)]
        target: TargetOption,
    },
    /// Describe a deployment
    #[command(after_help = "Example:\n  mlrs deployments get -t kubernetes --name iris")]
    Get {
        /// Name of the deployment
        #[arg(long, value_parser = parsed::<Name>)]
        name: Name,
        #[command(flatten)]
        target: TargetOption,
    },
    /// Ask a deployment for predictions
    #[command(
        after_help = "Example:\n  mlrs deployments predict -t kubernetes --name iris -I flowers.json"
    )]
    Predict(PredictOptions),
    /// Deploy a model on this machine, until Ctrl-C
    #[command(
        after_help = "Example:\n  mlrs deployments run-local -t docker --name iris -m models:/iris/3 -C port=8080"
    )]
    RunLocal(Box<CreateOptions>),
    /// Explain a target and its config
    #[command(after_help = "Example:\n  mlrs deployments help -t kubernetes")]
    Help {
        #[command(flatten)]
        target: TargetOption,
    },
}

#[derive(Debug, Args)]
pub(super) struct TargetOption {
    /// Where to deploy to.
    #[arg(short = 't', long = "target", value_name = "TARGET", value_parser = target,
          help = "Where to deploy to: docker, kubernetes, or kubernetes:/NAMESPACE")]
    target: Target,
}

impl TargetOption {
    /// What does it.
    pub(super) fn open(&self) -> Box<dyn super::DeploymentTarget> {
        self.target.open()
    }
}

/// A model, and how to deploy it.
#[derive(Debug, Args)]
pub(super) struct ModelOptions {
    /// Name of the deployment
    #[arg(long, value_parser = parsed::<Name>)]
    pub(super) name: Name,
    /// The model: models:/…, runs:/…, s3://…
    #[arg(short, long, value_name = "URI")]
    pub(super) model_uri: String,
    /// A setting of the target (see `mlrs deployments help -t TARGET`); may be given several times
    #[arg(short = 'C', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) config: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct CreateOptions {
    #[command(flatten)]
    pub(super) model: ModelOptions,
    #[command(flatten)]
    pub(super) target: TargetOption,
    /// Taken for MLflow's sake: `mlrs serve` chooses by what the model has
    #[arg(short, long)]
    pub(super) flavor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateOptions {
    /// Name of the deployment
    #[arg(long, value_parser = parsed::<Name>)]
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) target: TargetOption,
    /// Another model [default: the same]
    #[arg(short, long, value_name = "URI")]
    pub(super) model_uri: Option<String>,
    /// A setting of the target; what is not said stays as it is
    #[arg(short = 'C', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) config: Vec<(String, String)>,
    /// Taken for MLflow's sake: `mlrs serve` chooses by what the model has
    #[arg(short, long)]
    pub(super) flavor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DeleteOptions {
    /// Name of the deployment
    #[arg(long, value_parser = parsed::<Name>)]
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) target: TargetOption,
    /// A setting of the target: namespace, context
    #[arg(short = 'C', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) config: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(super) struct PredictOptions {
    /// Name of the deployment
    #[arg(long, value_parser = parsed::<Name>)]
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) target: TargetOption,
    /// The input: JSON as pandas reads it or as the scoring protocol has it, or a `.csv`
    #[arg(short = 'I', long, value_name = "FILE")]
    pub(super) input_path: PathBuf,
    /// The file to write the predictions to, as JSON [default: print them]
    #[arg(short = 'O', long, value_name = "FILE")]
    pub(super) output_path: Option<PathBuf>,
}

fn target(text: &str) -> Result<Target, String> {
    text.parse()
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
