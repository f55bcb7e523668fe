//! The places that a model can be deployed to.

use std::str::FromStr;

use mlrs_deploy::names::{Name, Namespace};

use super::docker::Docker;
use super::input::Input;
use super::kubernetes::Kubernetes;

/// What a place does with deployments.
pub(super) trait DeploymentTarget {
    /// Deploys a model, and comes back when it answers.
    fn create(&self, new: &NewDeployment) -> anyhow::Result<()>;

    /// Changes what was said, and nothing else; comes back when the new one answers.
    fn update(&self, update: &Update) -> anyhow::Result<()>;

    /// Deletes a deployment.
    fn delete(&self, name: &Name, config: &[(String, String)]) -> anyhow::Result<()>;

    /// The names of all deployments.
    fn list(&self) -> anyhow::Result<Vec<String>>;

    /// What is known of a deployment, in an order for people.
    fn get(&self, name: &Name) -> anyhow::Result<Vec<(&'static str, String)>>;

    /// The body of a deployment's answer to an input.
    fn predict(&self, name: &Name, input: &Input) -> anyhow::Result<Vec<u8>>;

    /// Deploys a model on this machine, and stays until it is ended.
    fn run_local(&self, new: &NewDeployment) -> anyhow::Result<()>;

    /// The settings that it knows, for people.
    fn help(&self) -> &'static str;
}

/// A deployment that is to be made.
#[derive(Clone, Debug)]
pub(super) struct NewDeployment {
    pub(super) name: Name,
    pub(super) model_uri: String,
    /// Settings of the target, each name once.
    pub(super) config: Vec<(String, String)>,
}

/// What is to change of a deployment.
#[derive(Clone, Debug)]
pub(super) struct Update {
    pub(super) name: Name,
    pub(super) model_uri: Option<String>,
    /// Settings of the target, each name once.
    pub(super) config: Vec<(String, String)>,
}

/// The targets, as `-t` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `kubernetes`, or `kubernetes:/NAMESPACE`.
    Kubernetes(Option<Namespace>),
    /// `docker`: the engine of this machine, or of `DOCKER_HOST`.
    Docker,
}

impl Target {
    pub(super) fn open(&self) -> Box<dyn DeploymentTarget> {
        match self {
            Self::Docker => Box::new(Docker),
            Self::Kubernetes(namespace) => Box::new(Kubernetes::new(namespace.clone())),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(":/") {
            None if text == "docker" => Ok(Self::Docker),
            None if text == "kubernetes" => Ok(Self::Kubernetes(None)),
            Some(("kubernetes", namespace)) => {
                let namespace = namespace.trim_start_matches('/').parse();
                namespace
                    .map(|namespace| Self::Kubernetes(Some(namespace)))
                    .map_err(|error| error.to_string())
            }
            _ => Err("there is `docker`, `kubernetes`, and `kubernetes:/NAMESPACE`".to_owned()),
        }
    }
}
