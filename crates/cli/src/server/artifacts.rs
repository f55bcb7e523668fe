//! Where `mlrs server` has its artifacts, and which places it reaches for its clients.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use mlrs_artifacts::{AllowedRoots, CloudSettings, without_secrets};
use mlrs_store::rules::{HostPolicy, SourcePattern, relative};
use mlrs_tracking::Artifacts;

use super::DEFAULT_ARTIFACT_ROOT;
use crate::database::DestinationArguments;
use crate::failure::hinted;

/// Where artifacts are, and who passes them on.
#[derive(Debug, Args)]
pub(super) struct ArtifactArguments {
    /// Where experiments have their artifacts that name no place [default: mlflow-artifacts:/, through
    /// this server; ./mlruns when it serves none]
    #[arg(long, env = "MLFLOW_DEFAULT_ARTIFACT_ROOT", value_name = "URI")]
    default_artifact_root: Option<String>,
    #[command(flatten)]
    destination: DestinationArguments,
    /// Further roots of artifacts that this server reaches for its clients: directories, or URIs such as
    /// `s3://box/team`; `s3://` is every bucket [default: only the two roots above]
    #[arg(
        long,
        env = "MLRS_ALLOWED_ARTIFACT_ROOTS",
        value_delimiter = ',',
        value_name = "URIS"
    )]
    allowed_artifact_roots: Vec<String>,
    /// Schemes of artifact locations that may name any host, such as `hdfs` [default: only hosts of
    /// the server's own roots]
    #[arg(
        long,
        env = "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES",
        value_delimiter = ',',
        value_name = "SCHEMES"
    )]
    allowed_artifact_schemes: Vec<String>,
    /// A regular expression that is found in the source of every new model version [default: any
    /// source]
    #[arg(
        long,
        env = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX",
        value_name = "REGEX"
    )]
    model_version_source: Option<String>,
    /// Do not pass artifacts through this server: clients reach their store themselves
    #[arg(long, conflicts_with = "artifacts_only")]
    no_serve_artifacts: bool,
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_SERVE_ARTIFACTS",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    serve_artifacts: bool,
    /// Serve artifacts and nothing else; no database is opened
    #[arg(long, env = "MLFLOW_ARTIFACTS_ONLY")]
    pub(super) artifacts_only: bool,
}

impl ArtifactArguments {
    fn are_served(&self) -> bool {
        self.artifacts_only || (self.serve_artifacts && !self.no_serve_artifacts)
    }

    /// Where experiments have their artifacts that name no place; never relative.
    pub(super) fn root(&self) -> anyhow::Result<String> {
        let given = self.default_artifact_root.as_deref();
        let root = match given.filter(|root| !root.is_empty()) {
            Some(root) => root,
            None if self.are_served() => DEFAULT_ARTIFACT_ROOT,
            None => "./mlruns",
        };
        relative::resolve(root, &working_directory()?).map_err(|error| {
            hinted(
                format!("invalid --default-artifact-root: {error}"),
                "give an absolute path, or a URI such as `s3://box/team`",
            )
        })
    }

    /// How artifacts are reached.
    pub(super) fn open(&self) -> anyhow::Result<Artifacts> {
        let cloud = CloudSettings::from_variables(|name| std::env::var(name).ok());
        let destination = self
            .are_served()
            .then(|| Artifacts::open_destination(&self.destination.artifacts_destination, &cloud))
            .transpose()?;
        let root = self.root()?;
        Ok(Artifacts {
            destination,
            cloud,
            allowed_roots: self.allowed_roots(&root)?,
            hosts: self.hosts(&root),
            working_directory: working_directory()?,
        })
    }

    /// The places that are reached for clients: the server's own roots, and what is allowed.
    fn allowed_roots(&self, root: &str) -> anyhow::Result<AllowedRoots> {
        let mut allowed = AllowedRoots::default();
        let destination = self.destination.artifacts_destination.as_str();
        for own in [root, destination] {
            // What is reached in another way, such as `mlflow-artifacts:`, needs no permission.
            let _ = allowed.allow(own);
        }
        for scheme in &self.allowed_artifact_schemes {
            // MLflow's permission to reach any host of the scheme.
            if matches!(
                scheme.trim().to_ascii_lowercase().as_str(),
                "abfs" | "abfss"
            ) {
                allowed.allow("abfss://")?;
            }
        }
        for given in self.given_roots() {
            allowed.allow(given).map_err(|error| {
                hinted(
                    format!(
                        "invalid root `{}` in --allowed-artifact-roots: {error}",
                        without_secrets(given)
                    ),
                    "give directories, or URIs such as `s3://box/team`; `s3://` is every bucket",
                )
            })?;
        }
        Ok(allowed)
    }

    fn given_roots(&self) -> impl Iterator<Item = &str> {
        let given = self.allowed_artifact_roots.iter();
        given
            .map(|root| root.trim())
            .filter(|root| !root.is_empty())
    }

    /// The hosts that clients may name: those of the server's own roots, and what is allowed.
    fn hosts(&self, root: &str) -> HostPolicy {
        let allowed = self.allowed_artifact_schemes.iter().map(String::as_str);
        let destination = self.destination.artifacts_destination.as_str();
        HostPolicy::new(
            allowed,
            [root, destination].into_iter().chain(self.given_roots()),
        )
    }

    pub(super) fn source_pattern(&self) -> anyhow::Result<SourcePattern> {
        let pattern = self.model_version_source.as_deref().unwrap_or_default();
        SourcePattern::parse(pattern).map_err(|error| {
            hinted(
                error.to_string(),
                "correct --model-version-source, or MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX",
            )
        })
    }
}

/// Where relative local paths begin.
fn working_directory() -> anyhow::Result<PathBuf> {
    std::env::current_dir().context("the working directory cannot be read")
}
