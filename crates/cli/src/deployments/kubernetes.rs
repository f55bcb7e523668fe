//! Deployments in Kubernetes: `-C NAME=VALUE` is the option `--NAME VALUE` of `mlrs deploy
//! kubernetes`.
//!
//! What was said is noted on the Deployment, so that an update changes only what it says.

use anyhow::Context as _;
use clap::Parser;
use mlrs_deploy::Settings;
use mlrs_deploy::cluster::{Cluster, ClusterError, ClusterSettings};
use mlrs_deploy::names::{Name, Namespace};
use serde_json::{Map, Value};

use super::input::Input;
use super::target::{DeploymentTarget, NewDeployment, Update};
use crate::connection::runtime;
use crate::deploy::{KubernetesArguments, apply, fields};
use crate::failure::hinted;

/// The annotation with what was said when a deployment was made: JSON, by names.
const SAID: &str = "mlrs/deployment";
/// The name of the model's URI among what was said.
const MODEL: &str = "model";

/// Settings that are said by being there.
const FLAGS: [&str; 3] = ["no-service-monitor", "no-wait", "force-conflicts"];

/// Options that mean nothing here, or are said in another way.
const NO_SETTINGS: [&str; 6] = ["name", "output", "directory", "kserve", "dry-run", "env"];

const HELP: &str = "Target `kubernetes`, or `kubernetes:/NAMESPACE`: a Deployment with its Service.

The cluster is that of the current context of the kubeconfig (KUBECONFIG).
`-C NAME=VALUE` is the option `--NAME VALUE` of `mlrs deploy kubernetes`; see its --help:
  namespace, context, image, runtime-image, tracking-uri, credentials-secret, replicas, autoscale,
  resources, env-from-secret, drain, image-pull-secret, service-account, ingress, ingress-class,
  tls-secret, http-route, gateway, timeout
  env.NAME=VALUE is a variable of the server
  no-service-monitor=true, no-wait=true, force-conflicts=true
With image=REFERENCE the image holds the model, and nothing is fetched.
";

#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    kubernetes: KubernetesArguments,
}

/// A namespace of the cluster of the kubeconfig.
pub(super) struct Kubernetes {
    namespace: Option<Namespace>,
}

impl Kubernetes {
    pub(super) fn new(namespace: Option<Namespace>) -> Self {
        Self { namespace }
    }

    /// The cluster that a config means.
    fn settings(&self, config: &[(String, String)]) -> anyhow::Result<ClusterSettings> {
        let mut settings = ClusterSettings {
            context: None,
            namespace: self.namespace.clone(),
        };
        for (name, value) in config {
            match name.as_str() {
                "namespace" => settings.namespace = Some(value.parse()?),
                "context" => settings.context = Some(value.clone()),
                other => {
                    return Err(hinted(
                        format!("`{other}` is no setting of this command"),
                        "there are: namespace, context",
                    ));
                }
            }
        }
        Ok(settings)
    }

    /// Asks the cluster something.
    fn ask<T>(
        &self,
        config: &[(String, String)],
        question: impl AsyncFnOnce(Cluster) -> Result<T, ClusterError>,
    ) -> anyhow::Result<T> {
        let settings = self.settings(config)?;
        let answer = runtime()?.block_on(async {
            let cluster = Cluster::connect(&settings).await?;
            question(cluster).await
        });
        Ok(answer?)
    }

    /// Applies what was said, and notes it.
    fn apply(&self, name: &Name, said: &Map<String, Value>) -> anyhow::Result<()> {
        let options = self.options(name, said)?;
        let mut settings: Settings = options.settings()?;
        // Which cluster it is in, and how it is waited for, is no part of the deployment.
        let mut lasting = said.clone();
        lasting.retain(|key, _| {
            !["context", "timeout", "no-wait", "force-conflicts"].contains(&key.as_str())
        });
        let note = serde_json::to_string(&lasting)?;
        settings.annotations.insert(SAID.to_owned(), note);
        // MLflow's commands say one thing, at the end.
        runtime()?.block_on(apply(&settings, &options, &mut |_| Ok(())))
    }

    /// What was said, as `mlrs deploy kubernetes` takes it.
    fn options(
        &self,
        name: &Name,
        said: &Map<String, Value>,
    ) -> anyhow::Result<KubernetesArguments> {
        let mut words = vec!["mlrs".to_owned(), format!("--name={name}")];
        if let (None, Some(namespace)) = (said.get("namespace"), &self.namespace) {
            words.push(format!("--namespace={namespace}"));
        }
        let is_image = said.contains_key("image");
        for (key, value) in said {
            let value = value.as_str().unwrap_or_default();
            match key.strip_prefix("env.") {
                // The image holds it.
                None if is_image && key == MODEL => {}
                None if FLAGS.contains(&key.as_str()) => match value {
                    "true" => words.push(format!("--{key}")),
                    "false" => {}
                    _ => {
                        return Err(hinted(
                            format!("`{key}={value}` is neither true nor false"),
                            "write true or false",
                        ));
                    }
                },
                None if NO_SETTINGS.contains(&key.as_str()) => return Err(no_setting(key)),
                None => words.push(format!("--{key}={value}")),
                Some(variable) => words.push(format!("--env={variable}={value}")),
            }
        }
        let options = Options::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            hinted(
                first.trim_start_matches("error: ").replace("'--", "'-C "),
                "see `mlrs deployments help -t kubernetes`",
            )
        })?;
        Ok(options.kubernetes)
    }
}

fn no_setting(key: &str) -> anyhow::Error {
    hinted(
        format!("`{key}` is no setting of this command"),
        "see `mlrs deployments help -t kubernetes`",
    )
}

/// What was said, by names.
fn said(
    model_uri: Option<&str>,
    config: &[(String, String)],
) -> anyhow::Result<Map<String, Value>> {
    let model = model_uri.map(|uri| (MODEL.to_owned(), Value::from(uri)));
    if config.iter().any(|(name, _)| name == MODEL) {
        return Err(no_setting(MODEL));
    }
    let config = config.iter();
    let config = config.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Ok(model.into_iter().chain(config).collect())
}

impl DeploymentTarget for Kubernetes {
    fn create(&self, new: &NewDeployment) -> anyhow::Result<()> {
        self.apply(&new.name, &said(Some(&new.model_uri), &new.config)?)
    }

    fn update(&self, update: &Update) -> anyhow::Result<()> {
        let where_it_is: Vec<(String, String)> = update
            .config
            .iter()
            .filter(|(name, _)| ["namespace", "context"].contains(&name.as_str()))
            .cloned()
            .collect();
        let status = self.ask(&where_it_is, async |cluster| {
            cluster.status(&update.name).await
        })?;
        let note = status.annotations.get(SAID).ok_or_else(|| {
            hinted(
                format!(
                    "`{}` was not made by `mlrs deployments create`",
                    update.name
                ),
                "change it with `mlrs deploy kubernetes --output apply`",
            )
        })?;
        let mut all: Map<String, Value> = serde_json::from_str(note)
            .with_context(|| format!("the annotation `{SAID}` of `{}` is no JSON", update.name))?;
        let new = said(update.model_uri.as_deref(), &update.config)?;
        // One way to say how many pods there are replaces the other.
        for (one, other) in [("replicas", "autoscale"), ("ingress", "http-route")] {
            for (said, gone) in [(one, other), (other, one)] {
                if new.contains_key(said) {
                    all.remove(gone);
                }
            }
        }
        all.extend(new);
        self.apply(&update.name, &all)
    }

    fn delete(&self, name: &Name, config: &[(String, String)]) -> anyhow::Result<()> {
        self.ask(config, async |cluster| cluster.delete(name).await)
            .map(drop)
    }

    fn list(&self) -> anyhow::Result<Vec<String>> {
        let all = self.ask(&[], async |cluster| cluster.deployments().await)?;
        Ok(all.into_iter().map(|status| status.name).collect())
    }

    fn get(&self, name: &Name) -> anyhow::Result<Vec<(&'static str, String)>> {
        let status = self.ask(&[], async |cluster| cluster.status(name).await)?;
        let mut known = fields(&status);
        known.extend(
            status
                .trouble
                .map(|trouble| ("Trouble", trouble.to_string())),
        );
        Ok(known)
    }

    fn predict(&self, name: &Name, input: &Input) -> anyhow::Result<Vec<u8>> {
        let body = input.body.clone();
        let answer = self.ask(&[], async |cluster| {
            let path = "invocations";
            cluster.ask(name, path, input.content_type, body).await
        })?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let text = String::from_utf8_lossy(&answer.body);
        Err(anyhow::anyhow!(
            "`{name}` answered {}: {}",
            answer.status,
            text.trim()
        ))
    }

    fn run_local(&self, new: &NewDeployment) -> anyhow::Result<()> {
        Err(hinted(
            "a cluster is not on this machine",
            format!("`mlrs serve {}` serves the model here", new.model_uri),
        ))
    }

    fn help(&self) -> &'static str {
        HELP
    }
}
