//! Deployments in Kubernetes: `-C NAME=VALUE` is the option `--NAME VALUE` of `mlrs deploy
//! kubernetes`.
//!
//! What was said is noted on the Deployment, so that an update changes only what it says. Of variables
//! only the names are noted; their values are those that the Deployment has.

use anyhow::Context as _;
use clap::Parser;
use mlrs_deploy::Settings;
use mlrs_deploy::cluster::{Cluster, ClusterSettings, Environment};
use mlrs_deploy::names::{Name, Namespace};
use serde_json::{Map, Value};

use super::input::Input;
use super::target::{DeploymentTarget, NewDeployment, Update};
use crate::connection::runtime;
use crate::deploy::{KubernetesArguments, apply, delete, fields, unread};
use crate::failure::hinted;

/// The annotation with what was said when a deployment was made: JSON, by names.
const SAID: &str = "mlrs/deployment";
/// The name of the model's URI among what was said.
const MODEL: &str = "model";
/// What variables of the server begin with among what was said.
const VARIABLE: &str = "env.";

/// What an earlier saying loses when something else is said: a setting, and those that it excludes.
const EXCLUSIONS: [(&str, &[&str]); 6] = [
    ("replicas", &["autoscale"]),
    ("autoscale", &["replicas"]),
    ("ingress", &["http-route", "gateway"]),
    ("http-route", &["ingress", "ingress-class", "tls-secret"]),
    (
        "image",
        &[MODEL, "tracking-uri", "credentials-secret", "runtime-image"],
    ),
    (MODEL, &["image"]),
];

/// Settings that are said by being there.
const FLAGS: [&str; 4] = [
    "service-monitor",
    "no-service-monitor",
    "no-wait",
    "force-conflicts",
];

/// Options that mean nothing here, or are said in another way.
const NO_SETTINGS: [&str; 6] = ["name", "output", "directory", "kserve", "dry-run", "env"];

const HELP: &str = "Target `kubernetes`, or `kubernetes:/NAMESPACE`: a Deployment with its Service.

The cluster is that of the current context of the kubeconfig (KUBECONFIG).
`-C NAME=VALUE` is the option `--NAME VALUE` of `mlrs deploy kubernetes`; see its --help:
  namespace, context, image, runtime-image, tracking-uri, credentials-secret, replicas, autoscale,
  resources, env-from-secret, drain, image-pull-secret, service-account, ingress, ingress-class,
  tls-secret, http-route, gateway, service-monitor-label, timeout
  env.NAME=VALUE is a variable of the server; an update leaves those that it does not say as they are
  service-monitor=true, no-wait=true, force-conflicts=true
With image=REFERENCE the image holds the model, and nothing is fetched. Without it, runtime-image (or
MLRS_RUNTIME_IMAGE) names an image of mlrs, as `mlrs image build -t REFERENCE --output registry` makes.
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
    fn ask<T, E: Into<anyhow::Error>>(
        &self,
        config: &[(String, String)],
        question: impl AsyncFnOnce(Cluster) -> Result<T, E>,
    ) -> anyhow::Result<T> {
        let settings = self.settings(config)?;
        runtime()?.block_on(async {
            let cluster = Cluster::connect(&settings).await?;
            question(cluster).await.map_err(Into::into)
        })
    }

    /// Applies what was said, and notes it.
    fn apply(&self, name: &Name, said: &Map<String, Value>) -> anyhow::Result<()> {
        let options = self.options(name, said)?;
        let mut settings: Settings = options.settings()?;
        let note = serde_json::to_string(&noted(said))?;
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
            match key.strip_prefix(VARIABLE) {
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

/// What is kept of what was said. Which cluster it is in, and how it is waited for, is no part of the
/// deployment; and the values of variables are for its pods alone.
fn noted(said: &Map<String, Value>) -> Map<String, Value> {
    said.iter()
        .filter(|(key, _)| {
            !["context", "timeout", "no-wait", "force-conflicts"].contains(&key.as_str())
        })
        .map(|(key, value)| {
            let is_variable = key.starts_with(VARIABLE);
            let value = if is_variable { &Value::Null } else { value };
            (key.clone(), value.clone())
        })
        .collect()
}

/// What holds after an update: what was noted, but for what the new excludes, and the new. Values of
/// variables are those that are running, unless they are said again.
///
/// # Errors
/// When the value of a variable would be lost.
fn merged(
    mut all: Map<String, Value>,
    new: Map<String, Value>,
    running: &Environment,
) -> anyhow::Result<Map<String, Value>> {
    for (said, gone) in EXCLUSIONS {
        if new.contains_key(said) {
            all.retain(|key, _| !gone.contains(&key.as_str()));
        }
    }
    all.extend(new);
    let mut lost = Vec::new();
    for (key, value) in all.iter_mut().filter(|(_, value)| value.is_null()) {
        let name = key.strip_prefix(VARIABLE);
        match name.and_then(|name| running.get(name)) {
            Some(running) => *value = Value::from(running),
            None => lost.push(key.clone()),
        }
    }
    if lost.is_empty() {
        return Ok(all);
    }
    Err(hinted(
        format!("the update would lose `{}`", lost.join("`, `")),
        format!(
            "the Deployment has no value of its own for it any more: say {}",
            lost.iter()
                .map(|key| format!("`-C {key}=VALUE`"))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    ))
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
        let noted: Map<String, Value> = serde_json::from_str(note)
            .with_context(|| format!("the annotation `{SAID}` of `{}` is no JSON", update.name))?;
        let new = said(update.model_uri.as_deref(), &update.config)?;
        self.apply(&update.name, &merged(noted, new, &status.environment)?)
    }

    fn delete(&self, name: &Name, config: &[(String, String)]) -> anyhow::Result<()> {
        self.ask(config, async |cluster| {
            delete(&cluster, name, &mut |_| Ok(())).await
        })
    }

    fn list(&self) -> anyhow::Result<Vec<String>> {
        let all = self.ask(&[], async |cluster| cluster.deployments().await)?;
        unread(&all.unread);
        let all = all.deployments.into_iter();
        Ok(all.map(|status| status.name).collect())
    }

    fn get(&self, name: &Name) -> anyhow::Result<Vec<(&'static str, String)>> {
        let status = self.ask(&[], async |cluster| cluster.status(name).await)?;
        unread(&status.unread);
        let mut known = fields(&status);
        known.extend(status.wrong().into_iter().map(|text| ("Trouble", text)));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else {
            panic!("no object: {value}");
        };
        map
    }

    #[test]
    fn what_is_said_takes_away_what_cannot_be_with_it() {
        for (noted, new, wanted) in [
            (
                json!({"replicas": "2", "drain": "5"}),
                json!({"autoscale": "1:2:50"}),
                json!({"autoscale": "1:2:50", "drain": "5"}),
            ),
            (
                json!({"autoscale": "1:2:50"}),
                json!({"replicas": "2"}),
                json!({"replicas": "2"}),
            ),
            (
                json!({"http-route": "a", "gateway": "g"}),
                json!({"ingress": "b", "tls-secret": "t"}),
                json!({"ingress": "b", "tls-secret": "t"}),
            ),
            (
                json!({"ingress": "b", "ingress-class": "c", "tls-secret": "t"}),
                json!({"http-route": "a", "gateway": "g"}),
                json!({"http-route": "a", "gateway": "g"}),
            ),
            (
                json!({"model": "models:/iris/3", "tracking-uri": "u", "credentials-secret": "s", "runtime-image": "r", "replicas": "2"}),
                json!({"image": "iris:1"}),
                json!({"image": "iris:1", "replicas": "2"}),
            ),
            (
                json!({"model": "models:/iris/3", "image": "iris:1"}),
                json!({"model": "models:/iris/4", "runtime-image": "r"}),
                json!({"model": "models:/iris/4", "runtime-image": "r"}),
            ),
            // What changes a part of one way stays with it.
            (
                json!({"ingress": "b", "tls-secret": "t"}),
                json!({"ingress": "c"}),
                json!({"ingress": "c", "tls-secret": "t"}),
            ),
        ] {
            let all = merged(map(noted), map(new), &Environment::default()).unwrap();
            assert_eq!(Value::Object(all), wanted);
        }
    }

    #[test]
    fn a_model_takes_the_place_of_an_image() {
        let target = Kubernetes::new(None);
        let name: Name = "iris".parse().unwrap();
        let before = said(
            Some("models:/iris/3"),
            &[("image".to_owned(), "iris:1".to_owned())],
        );
        let new = map(json!({
            "model": "models:/iris/4", "tracking-uri": "http://mlflow:5000", "runtime-image": "mlrs:0.1",
        }));
        let all = merged(noted(&before.unwrap()), new, &Environment::default()).unwrap();
        let settings = target.options(&name, &all).unwrap().settings().unwrap();
        let mlrs_deploy::Model::Fetched(fetched) = settings.model else {
            panic!("the image is still there");
        };
        assert_eq!(fetched.uri, "models:/iris/4");
    }

    #[test]
    fn values_of_variables_are_said_and_not_noted() {
        let said = map(json!({"env.A": "hush", "replicas": "2", "timeout": "5"}));
        let note = noted(&said);
        assert_eq!(
            Value::Object(note.clone()),
            json!({"env.A": null, "replicas": "2"})
        );
        let empty = Environment::default();
        let lost = merged(note.clone(), map(json!({"replicas": "3"})), &empty).unwrap_err();
        assert_eq!(lost.to_string(), "the update would lose `env.A`");
        let again = map(json!({"env.A": "x", "replicas": "3"}));
        assert_eq!(merged(note.clone(), again.clone(), &empty).unwrap(), again);
        // What runs has it, and is not asked when it is said again.
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let running = [pair("A", "y"), pair("OTHER", "z")].into_iter().collect();
        assert_eq!(
            merged(note.clone(), again.clone(), &running).unwrap(),
            again
        );
        assert_eq!(
            Value::Object(merged(note, Map::new(), &running).unwrap()),
            json!({"env.A": "y", "replicas": "2"})
        );
    }
}
