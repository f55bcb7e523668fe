//! Arguments of `mlrs deploy`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use mlrs_deploy::cluster::ClusterSettings;
use mlrs_deploy::names::{HostName, ImageReference, Name, NameError, Namespace, ObjectName};
use mlrs_deploy::{
    Exposure, FetchedModel, Gateway, Label, Model, Resources, ResourcesError, Scale, Settings,
    SettingsError, Variable,
};

use crate::failure::hinted;
use crate::output::OutputFormat;
use crate::registry::Consent;

/// Names the image of mlrs that fetches and serves models.
const RUNTIME_IMAGE_VARIABLE: &str = "MLRS_RUNTIME_IMAGE";

/// Arguments of `mlrs deploy`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the objects of a deployment, or apply them to a cluster
    Kubernetes(Box<KubernetesArguments>),
    /// Show how deployments are
    #[command(
        after_help = "Examples:\n  mlrs deploy status\n  mlrs deploy status iris --output json"
    )]
    Status {
        /// The deployment [default: all of them, in short]
        #[arg(value_parser = parsed::<Name>)]
        name: Option<Name>,
        #[command(flatten)]
        cluster: ClusterArguments,
        /// How to print
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Change how many pods a deployment has
    #[command(
        after_help = "Examples:\n  mlrs deploy scale iris --replicas 5\n  mlrs deploy scale iris --autoscale 2:20:70"
    )]
    Scale {
        /// The deployment
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        #[command(flatten)]
        scale: NewScale,
        #[command(flatten)]
        cluster: ClusterArguments,
        #[command(flatten)]
        wait: WaitArguments,
    },
    /// Delete a deployment with all of its objects
    #[command(after_help = "Example:\n  mlrs deploy delete iris --yes")]
    Delete {
        /// The deployment
        #[arg(value_parser = parsed::<Name>)]
        name: Name,
        #[command(flatten)]
        cluster: ClusterArguments,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Which cluster, and where in it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArguments {
    /// The context of the kubeconfig [default: its current one, or the cluster around this process]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
    /// The namespace [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = parsed::<Namespace>)]
    pub(crate) namespace: Option<Namespace>,
}

impl ClusterArguments {
    /// As the library takes them.
    pub(crate) fn settings(&self) -> ClusterSettings {
        ClusterSettings {
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

/// How long to wait for pods.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct WaitArguments {
    /// Seconds until the pods must be ready
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Do not wait until the pods are ready
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// The new number of pods.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct NewScale {
    /// So many pods
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    replicas: Option<u32>,
    /// Another range and target for the autoscaler
    #[arg(long, value_name = "MIN:MAX:TARGET", value_parser = autoscale)]
    autoscale: Option<Scale>,
}

impl NewScale {
    pub(super) fn scale(&self) -> Scale {
        let replicas = Scale::Replicas(self.replicas.unwrap_or_default());
        self.autoscale.unwrap_or(replicas)
    }
}

/// What to do with the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Target {
    /// Print them.
    Yaml,
    /// Write them as a chart for Helm.
    Helm,
    /// Apply them to the cluster, and wait until they run.
    Apply,
}

/// Arguments of `mlrs deploy kubernetes`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs deploy kubernetes --name iris --image registry.example.com/iris:1 | kubectl apply -f -
  mlrs deploy kubernetes --name iris --image registry.example.com/iris:1 \\
      --autoscale 2:10:70 --output apply
  mlrs deploy kubernetes --name iris --model models:/iris/3 \\
      --runtime-image registry.example.com/mlrs:0.1 \\
      --tracking-uri https://mlflow.example.com --credentials-secret mlflow --output apply
  mlrs deploy kubernetes --name iris --image registry.example.com/iris:1 \\
      --output helm --directory ./iris-chart
  mlrs deploy kubernetes --name iris --model models:/iris/3 \\
      --runtime-image registry.example.com/mlrs:0.1 --tracking-uri http://mlflow:5000 --kserve")]
pub(crate) struct KubernetesArguments {
    /// The name of the deployment and of its objects
    #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
    pub(crate) name: Name,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    scale: ScaleArguments,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    exposure: ExposureArguments,
    /// Leave it to KServe: write an InferenceService, and what it needs to fetch and serve the model
    #[arg(long, help_heading = "Output", conflicts_with_all = ["ingress", "http_route"])]
    pub(super) kserve: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArguments,
    #[command(flatten)]
    pub(super) apply: ApplyArguments,
    #[command(flatten)]
    pub(super) wait: WaitArguments,
    /// What to do with the objects
    #[arg(short, long, help_heading = "Output", value_enum, default_value_t = Target::Yaml, value_name = "WHAT")]
    pub(super) output: Target,
    /// The folder to write a chart into
    #[arg(short, long, help_heading = "Output", value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
}

/// How to apply.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ApplyArguments {
    /// Have the API server check the objects, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Take over fields that other programs manage
    #[arg(long)]
    pub(super) force_conflicts: bool,
}

#[derive(Debug, Args)]
#[group(id = "source", required = true, multiple = false, args = ["image", "model"])]
struct ModelChoice {
    /// An image that holds the model
    #[arg(long, value_name = "REFERENCE", value_parser = parsed::<ImageReference>)]
    image: Option<ImageReference>,
    /// A model that pods fetch when they start: models:/…, runs:/…, s3://…; no image needs building
    #[arg(long, value_name = "URI")]
    model: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
struct ModelArguments {
    #[command(flatten)]
    choice: ModelChoice,
    /// The image of mlrs that fetches and serves the model; with --model it must be named, here or in
    /// `MLRS_RUNTIME_IMAGE`. `mlrs image build -t REFERENCE --output registry` makes one
    // Read later: clap would take the variable for a conflict with --image.
    #[arg(long, value_name = "REFERENCE", conflicts_with = "image", value_parser = parsed::<ImageReference>)]
    runtime_image: Option<ImageReference>,
    /// The tracking server that pods ask for the model
    #[arg(long, value_name = "URI", conflicts_with = "image")]
    tracking_uri: Option<String>,
    /// A Secret whose entries are the variables to fetch the model with
    #[arg(long, value_name = "SECRET", conflicts_with = "image", value_parser = parsed::<ObjectName>)]
    credentials_secret: Option<ObjectName>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Scale")]
struct ScaleArguments {
    /// So many pods
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "autoscale", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    replicas: u32,
    /// As many pods as keep their processors busy to TARGET percent of what they ask for
    #[arg(long, value_name = "MIN:MAX:TARGET", value_parser = autoscale)]
    autoscale: Option<Scale>,
    /// What a pod asks for, and with `limits.` may take: cpu=500m,memory=1Gi,limits.memory=2Gi
    /// [default: cpu=500m,memory=1Gi]
    #[arg(long, value_name = "LIST", value_parser = parsed::<Resources>)]
    resources: Option<Resources>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct ServerArguments {
    /// A variable of the server; may be given several times
    // Read later: clap would repeat a bad one with its value, and that may be a secret.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// A Secret whose entries are variables of the server; may be given several times
    #[arg(long, value_name = "SECRET", value_parser = parsed::<ObjectName>)]
    env_from_secret: Vec<ObjectName>,
    /// Seconds that requests in flight may take to finish when a pod ends, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = mlrs_deploy::DRAIN_SECONDS)]
    drain: u32,
    /// A Secret to pull images with; may be given several times
    #[arg(long, value_name = "SECRET", value_parser = parsed::<ObjectName>)]
    image_pull_secret: Vec<ObjectName>,
    /// The service account of the pods [default: the namespace's]
    #[arg(long, value_name = "NAME", value_parser = parsed::<ObjectName>)]
    service_account: Option<ObjectName>,
    /// Write a ServiceMonitor, by which Prometheus' operator finds the metrics; the cluster must have it
    #[arg(long, overrides_with = "no_service_monitor")]
    service_monitor: bool,
    /// A label of the ServiceMonitor, for operators that choose by labels; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "service_monitor", value_parser = parsed::<Label>)]
    service_monitor_label: Vec<Label>,
    /// What is so unless it is said otherwise
    #[arg(long, hide = true)]
    no_service_monitor: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reached from outside")]
struct ExposureArguments {
    /// The host of an Ingress
    #[arg(long, value_name = "HOST", value_parser = parsed::<HostName>)]
    ingress: Option<HostName>,
    /// The class of the Ingress [default: the cluster's]
    #[arg(long, value_name = "CLASS", requires = "ingress", value_parser = parsed::<ObjectName>)]
    ingress_class: Option<ObjectName>,
    /// The Secret with the certificate of the Ingress's host
    #[arg(long, value_name = "SECRET", requires = "ingress", value_parser = parsed::<ObjectName>)]
    tls_secret: Option<ObjectName>,
    /// The host of an HTTPRoute
    #[arg(long, value_name = "HOST", conflicts_with = "ingress", requires = "gateway", value_parser = parsed::<HostName>)]
    http_route: Option<HostName>,
    /// The gateway of the HTTPRoute
    #[arg(long, value_name = "[NAMESPACE/]GATEWAY", requires = "http_route", value_parser = parsed::<Gateway>)]
    gateway: Option<Gateway>,
}

impl KubernetesArguments {
    /// What was said.
    ///
    /// # Errors
    /// When parts of it do not fit each other.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let settings = Settings {
            namespace: self.cluster.namespace.clone(),
            scale: self
                .scale
                .autoscale
                .unwrap_or(Scale::Replicas(self.scale.replicas)),
            resources: self.scale.resources.clone().unwrap_or_default(),
            environment: self.server.variables()?,
            environment_secrets: self.server.env_from_secret.clone(),
            drain_seconds: self.server.drain,
            exposure: self.exposure.exposure(),
            service_monitor: self.server.monitor(),
            image_pull_secrets: self.server.image_pull_secret.clone(),
            service_account: self.server.service_account.clone(),
            ..Settings::new(self.name.clone(), self.model.model()?)
        };
        settings.check()?;
        Ok(settings)
    }
}

impl ServerArguments {
    /// The labels of the ServiceMonitor, if there is one.
    fn monitor(&self) -> Option<Vec<Label>> {
        self.service_monitor
            .then(|| self.service_monitor_label.clone())
    }

    fn variables(&self) -> Result<Vec<Variable>, SettingsError> {
        self.environment.iter().map(|text| text.parse()).collect()
    }
}

impl ModelArguments {
    fn model(&self) -> anyhow::Result<Model> {
        if let Some(image) = &self.choice.image {
            return Ok(Model::Image(image.clone()));
        }
        let runtime_image = match &self.runtime_image {
            Some(image) => Some(image.clone()),
            None => runtime_image_of_environment()?,
        };
        Ok(Model::Fetched(FetchedModel {
            uri: self.choice.model.clone().unwrap_or_default(),
            runtime_image: runtime_image.ok_or(SettingsError::NoRuntimeImage)?,
            tracking_uri: self.tracking_uri.clone(),
            credentials_secret: self.credentials_secret.clone(),
        }))
    }
}

/// The image that the environment names, if it names one.
fn runtime_image_of_environment() -> anyhow::Result<Option<ImageReference>> {
    let text = std::env::var(RUNTIME_IMAGE_VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let image = text.parse().map_err(|error: NameError| {
        hinted(format!("{RUNTIME_IMAGE_VARIABLE}: {error}"), error.hint())
    })?;
    Ok(Some(image))
}

impl ExposureArguments {
    fn exposure(&self) -> Exposure {
        if let Some(host) = self.ingress.clone() {
            return Exposure::Ingress {
                host,
                class: self.ingress_class.clone(),
                certificate: self.tls_secret.clone(),
            };
        }
        match (self.http_route.clone(), self.gateway.clone()) {
            (Some(host), Some(gateway)) => Exposure::HttpRoute { host, gateway },
            _ => Exposure::Cluster,
        }
    }
}

/// An error of a value that says what to write instead.
pub(crate) trait Remedy: std::fmt::Display {
    fn remedy(&self) -> &'static str;
}

impl Remedy for NameError {
    fn remedy(&self) -> &'static str {
        self.hint()
    }
}

impl Remedy for SettingsError {
    fn remedy(&self) -> &'static str {
        self.hint()
    }
}

impl Remedy for ResourcesError {
    fn remedy(&self) -> &'static str {
        self.hint()
    }
}

/// Reads a value for clap, which prints one line about a bad one.
pub(crate) fn parsed<T: FromStr<Err: Remedy>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| with_remedy(&error))
}

fn autoscale(text: &str) -> Result<Scale, String> {
    Scale::autoscale(text).map_err(|error| with_remedy(&error))
}

fn with_remedy(error: &impl Remedy) -> String {
    format!("{error}; {}", error.remedy())
}
