//! Deployments as containers of a Docker engine: an image is built of the model, and run.
//!
//! What was said is noted in a label of the container, so that an update changes only what it says.
//! Labels are read by many: of a variable they have the name, and its value is in the container alone.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mlrs_deploy::names::Name;
use mlrs_image::ImageName;
use mlrs_image::container::{ContainerSettings, ContainerStatus, Containers};
use serde_json::{Map, Value};

use super::input::Input;
use super::target::{DeploymentTarget, NewDeployment, Update};
use crate::connection::runtime;
use crate::failure::hinted;
use crate::image::{self, PartArguments};
use crate::output;

/// The label with what was said when a deployment was made: JSON, by names.
const SAID: &str = "mlrs.deployment.said";
/// The name of the model's URI among what was said.
const MODEL: &str = "model";
/// The name of an image that was not built here.
const IMAGE: &str = "image";
/// What names of variables begin with.
const VARIABLE: &str = "env.";

const HELP: &str =
    "Target `docker`: a container in the Docker engine of this machine, or of DOCKER_HOST.

An image is built of the model, as `mlrs image build` does, and run as nobody on a read-only root.
`-C NAME=VALUE`:
  image=REFERENCE  run this image, which holds the model; nothing is built
  port=8080        the port of the engine's machine; 0 takes any free one
  host=127.0.0.1   the address that the port is on; 0.0.0.0 is all of the machine's
  memory=512m      the most memory: bytes, or with k, m, g
  cpus=0.5         the most processor time, in cores
  env.NAME=VALUE   a variable of the server; no label of the container has its value
  timeout=60       seconds until it must be ready
";

/// Containers of the engine.
pub(super) struct Docker;

/// What a deployment was told, as the engine takes it.
#[derive(Debug)]
struct Asked {
    image: Option<String>,
    container: ContainerSettings,
    patience: Duration,
}

impl Asked {
    fn read(name: &Name, said: &Map<String, Value>) -> anyhow::Result<Self> {
        let mut asked = Self {
            image: None,
            container: ContainerSettings {
                name: name.to_string(),
                image: format!("mlrs-deployment/{name}:latest"),
                host: "127.0.0.1".to_owned(),
                port: 8080,
                variables: Vec::new(),
                memory_bytes: None,
                millicores: None,
                labels: HashMap::from([(SAID.to_owned(), noted(said).to_string())]),
                restart: true,
            },
            patience: Duration::from_mins(1),
        };
        for (key, value) in said {
            asked.set(key, value.as_str().unwrap_or_default())?;
        }
        Ok(asked)
    }

    fn set(&mut self, key: &str, value: &str) -> anyhow::Result<()> {
        let container = &mut self.container;
        let wrong = |what: &str| {
            hinted(
                format!("`{key}={value}` is not {what}"),
                "see `mlrs deployments help -t docker`",
            )
        };
        match key {
            MODEL => {}
            IMAGE => {
                let name: ImageName = value.parse()?;
                container.image = name.to_string();
                self.image = Some(name.to_string());
            }
            "port" => container.port = value.parse().map_err(|_| wrong("a port"))?,
            "host" => {
                let address: std::net::IpAddr = value.parse().map_err(|_| wrong("an address"))?;
                container.host = address.to_string();
            }
            "memory" => {
                let bytes = bytes(value).ok_or_else(|| wrong("an amount of memory"))?;
                container.memory_bytes = Some(bytes);
            }
            "cpus" => {
                let cores = value
                    .parse()
                    .ok()
                    .filter(|cores| *cores >= 0.01 && *cores < 1e4);
                let cores: f64 = cores.ok_or_else(|| wrong("a number of cores"))?;
                container.millicores = Some((cores * 1000.0).round() as i64);
            }
            "timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                self.patience =
                    Duration::from_secs(seconds.ok_or_else(|| wrong("a number of seconds"))?);
            }
            other => match other.strip_prefix(VARIABLE) {
                Some(variable) if !variable.is_empty() => {
                    container.variables.push(format!("{variable}={value}"));
                }
                _ => {
                    return Err(hinted(
                        format!("`{other}` is no setting of this target"),
                        "see `mlrs deployments help -t docker`",
                    ));
                }
            },
        }
        Ok(())
    }

    /// Builds the image, unless one was named.
    fn image(&self, model: Option<&str>) -> anyhow::Result<()> {
        #[derive(Debug, Parser)]
        struct Parts {
            #[command(flatten)]
            parts: PartArguments,
        }
        let (None, Some(model)) = (&self.image, model) else {
            return Ok(());
        };
        let parts = Parts::try_parse_from(["mlrs", &format!("--model={model}")])?;
        image::into_docker(&parts.parts, &self.container.image.parse()?)
    }
}

/// Bytes, as Docker writes them.
fn bytes(text: &str) -> Option<i64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = digits.parse::<i64>().ok()?.checked_mul(factor)?;
    (bytes > 0).then_some(bytes)
}

/// What was said, by names.
fn said(model: &str, config: &[(String, String)]) -> Map<String, Value> {
    let model = (MODEL.to_owned(), Value::from(model));
    let config = config.iter();
    let config = config.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    std::iter::once(model).chain(config).collect()
}

/// What of that is noted: of variables the names only.
fn noted(said: &Map<String, Value>) -> Value {
    let noted = said.iter().map(|(key, value)| {
        let is_secret = key.starts_with(VARIABLE);
        let value = if is_secret {
            Value::Null
        } else {
            value.clone()
        };
        (key.clone(), value)
    });
    Value::Object(noted.collect())
}

/// What was said of a deployment: what is noted, with the values that its container has.
fn recalled(status: &ContainerStatus) -> anyhow::Result<Map<String, Value>> {
    let note = status.labels.get(SAID).map_or("{}", String::as_str);
    let mut said: Map<String, Value> = serde_json::from_str(note)
        .with_context(|| format!("the label `{SAID}` of `{}` is no JSON", status.name))?;
    let variables: HashMap<&str, &str> = status
        .variables
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .collect();
    for (key, value) in &mut said {
        let variable = key.strip_prefix(VARIABLE).filter(|_| value.is_null());
        if let Some(kept) = variable.and_then(|variable| variables.get(variable)) {
            *value = Value::from(*kept);
        }
    }
    Ok(said)
}

/// Whether the image of a deployment was built for it.
fn was_built(status: &ContainerStatus) -> bool {
    recalled(status).is_ok_and(|said| !said.contains_key(IMAGE))
}

/// Asks the engine something.
fn ask<T>(question: impl AsyncFnOnce(&Containers) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let host = image::docker_host();
    runtime()?.block_on(async {
        let containers = Containers::connect(host.as_deref()).await?;
        question(&containers).await
    })
}

/// Ctrl-C and its like, from now on.
fn interruption() -> anyhow::Result<impl Future<Output = &'static str>> {
    mlrs_http::signals::shutdown_signal().context("the handlers of signals cannot be installed")
}

/// Stays with a container until it ends, or is to end.
async fn stay(
    containers: &Containers,
    status: ContainerStatus,
    stop: impl Future,
) -> anyhow::Result<()> {
    let name = &status.name;
    let address = status.address.map(|address| address.to_string());
    let address = address.unwrap_or_default();
    output::line(&format!("`{name}` answers on {address}; Ctrl-C ends it"))?;
    tokio::select! {
        _ = stop => Ok(()),
        ended = containers.ended(name) => {
            anyhow::bail!("`{name}` ended with exit status {}", ended?)
        }
    }
}

impl Asked {
    /// The id of the image that was built, if one was.
    async fn built(&self, containers: &Containers) -> anyhow::Result<Option<String>> {
        match &self.image {
            Some(_) => Ok(None),
            None => Ok(containers.image_id(&self.container.image).await?),
        }
    }

    /// Deploys, and leaves no image if that fails.
    async fn deploy(
        &self,
        containers: &Containers,
        stop: impl Future,
    ) -> anyhow::Result<ContainerStatus> {
        let built = self.built(containers).await?;
        let deployed = containers
            .deploy(&self.container, self.patience, stop)
            .await;
        if let (Err(_), Some(id)) = (&deployed, built) {
            containers.give_up_image(&self.container.image, &id).await;
        }
        Ok(deployed?)
    }

    /// Replaces a deployment, and leaves the image of the one that serves.
    async fn replace(
        &self,
        containers: &Containers,
        old: &ContainerStatus,
        stop: impl Future,
    ) -> anyhow::Result<()> {
        let built = self.built(containers).await?;
        let name = &self.container.image;
        let replaced = containers
            .replace(&self.container, self.patience, stop)
            .await;
        let is_same = built.as_ref() == Some(&old.image_id);
        match (&replaced, built) {
            _ if is_same && was_built(old) => {}
            (Ok(_), _) if was_built(old) => {
                containers.give_up_image(&old.image, &old.image_id).await;
            }
            (Err(_), Some(id)) => {
                containers.give_up_image(name, &id).await;
                if was_built(old) {
                    // The one that was built has taken its name. Why it was in vain is the news.
                    let _ = containers.name_image(&old.image_id, &old.image).await;
                }
            }
            _ => {}
        }
        replaced?;
        Ok(())
    }
}

/// Removes a deployment, and the images that were built for it.
async fn removed(containers: &Containers, name: &str) -> anyhow::Result<()> {
    for status in containers.delete(name).await? {
        if was_built(&status) {
            let image = containers.give_up_image(&status.image, &status.image_id);
            image.await;
        }
    }
    Ok(())
}

impl DeploymentTarget for Docker {
    fn create(&self, new: &NewDeployment) -> anyhow::Result<()> {
        let asked = Asked::read(&new.name, &said(&new.model_uri, &new.config))?;
        // Before the image is built: it would take the name of the one that is in use.
        ask(async |containers| Ok(containers.is_free(new.name.as_ref()).await?))?;
        asked.image(Some(&new.model_uri))?;
        ask(async |containers| asked.deploy(containers, interruption()?).await).map(drop)
    }

    fn update(&self, update: &Update) -> anyhow::Result<()> {
        let name = update.name.as_ref();
        let old = ask(async |containers| {
            containers.settle(name).await?;
            Ok(containers.status(name).await?)
        })?;
        let mut all = recalled(&old)?;
        let before = all.get(MODEL).and_then(Value::as_str).unwrap_or_default();
        let model = update
            .model_uri
            .clone()
            .unwrap_or_else(|| before.to_owned());
        if update.model_uri.is_some() {
            // The image that was named holds the model before.
            all.remove(IMAGE);
        }
        all.extend(said(&model, &update.config));
        let asked = Asked::read(&update.name, &all)?;
        asked.image(Some(&model))?;
        ask(async |containers| asked.replace(containers, &old, interruption()?).await)
    }

    fn delete(&self, name: &Name, config: &[(String, String)]) -> anyhow::Result<()> {
        if let Some((key, _)) = config.first() {
            return Err(hinted(
                format!("`{key}` is no setting of this command"),
                "there are none for this target",
            ));
        }
        ask(async |containers| removed(containers, name.as_ref()).await)
    }

    fn list(&self) -> anyhow::Result<Vec<String>> {
        ask(async |containers| Ok(containers.list().await?))
    }

    fn get(&self, name: &Name) -> anyhow::Result<Vec<(&'static str, String)>> {
        let status = ask(async |containers| Ok(containers.status(name.as_ref()).await?))?;
        Ok(fields(status))
    }

    fn predict(&self, name: &Name, input: &Input) -> anyhow::Result<Vec<u8>> {
        let body = input.body.clone();
        let (status, body) = ask(async |containers| {
            let asked = containers.invoke(name.as_ref(), input.content_type, body);
            Ok(asked.await?)
        })?;
        if status == 200 {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        Err(anyhow::anyhow!(
            "`{name}` answered {status}: {}",
            text.trim()
        ))
    }

    fn run_local(&self, new: &NewDeployment) -> anyhow::Result<()> {
        let name = new.name.as_ref();
        let mut asked = Asked::read(&new.name, &said(&new.model_uri, &new.config))?;
        asked.container.restart = false;
        ask(async |containers| Ok(containers.is_free(name).await?))?;
        asked.image(Some(&new.model_uri))?;
        ask(async |containers| {
            let mut stop = pin!(interruption()?);
            let status = asked.deploy(containers, &mut stop).await?;
            let ended = stay(containers, status, &mut stop).await;
            // On every way out; why it ended goes before what its removal has to say.
            let removed = removed(containers, name).await;
            ended.and(removed)
        })
    }

    fn help(&self) -> &'static str {
        HELP
    }
}

/// What is known of a deployment, in an order for people.
fn fields(status: ContainerStatus) -> Vec<(&'static str, String)> {
    let said: Map<String, Value> = status
        .labels
        .get(SAID)
        .and_then(|note| serde_json::from_str(note).ok())
        .unwrap_or_default();
    let model = said.get(MODEL).and_then(Value::as_str).map(str::to_owned);
    let optional = [
        ("Model", model),
        ("Health", status.health),
        ("Address", status.address.map(|address| address.to_string())),
        ("Started", status.started),
    ];
    let always = [
        ("Name", status.name),
        ("State", status.state),
        ("Image", status.image),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    always.into_iter().chain(optional).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &[(&str, &str)]) -> anyhow::Result<Asked> {
        let config: Vec<_> = config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Asked::read(&"iris".parse().unwrap(), &said("models:/iris/1", &config))
    }

    #[test]
    fn settings_become_those_of_a_container() {
        let asked = asked(&[
            ("port", "0"),
            ("memory", "512m"),
            ("cpus", "0.5"),
            ("env.MLRS_COMPAT", "mlflow"),
            ("timeout", "5"),
        ])
        .unwrap();
        let container = asked.container;
        assert_eq!(container.image, "mlrs-deployment/iris:latest");
        assert_eq!(container.memory_bytes, Some(512 << 20));
        assert_eq!(container.millicores, Some(500));
        assert_eq!(container.variables, ["MLRS_COMPAT=mlflow"]);
        assert_eq!(asked.patience, Duration::from_secs(5));
    }

    fn status(said: &Map<String, Value>, variables: &[&str]) -> ContainerStatus {
        ContainerStatus {
            name: "iris".to_owned(),
            image: "mlrs-deployment/iris:latest".to_owned(),
            image_id: "sha256:1".to_owned(),
            state: "running".to_owned(),
            health: None,
            address: None,
            started: None,
            labels: HashMap::from([(SAID.to_owned(), noted(said).to_string())]),
            variables: variables.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn values_of_variables_are_recalled_and_not_noted() {
        let config = [
            ("port".to_owned(), "0".to_owned()),
            (
                "env.AWS_SECRET_ACCESS_KEY".to_owned(),
                "very=secret".to_owned(),
            ),
        ];
        let said = said("models:/iris/1", &config);
        let note = noted(&said);
        assert_eq!(
            note,
            serde_json::json!({
                "model": "models:/iris/1",
                "port": "0",
                "env.AWS_SECRET_ACCESS_KEY": null,
            })
        );
        let there = ["PATH=/bin", "AWS_SECRET_ACCESS_KEY=very=secret", "OTHER=1"];
        assert_eq!(recalled(&status(&said, &there)).unwrap(), said);
        let labels = Asked::read(&"iris".parse().unwrap(), &said).unwrap();
        let labels = format!("{:?}", labels.container.labels);
        assert!(!labels.contains("very=secret"), "{labels}");
    }

    #[test]
    fn an_image_that_was_named_was_not_built() {
        let config = [("image".to_owned(), "team/iris:1".to_owned())];
        assert!(!was_built(&status(&said("models:/iris/1", &config), &[])));
        assert!(was_built(&status(&said("models:/iris/1", &[]), &[])));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for (key, value, expected) in [
            ("replicas", "2", "`replicas` is no setting of this target"),
            ("port", "http", "`port=http` is not a port"),
            ("memory", "0", "`memory=0` is not an amount of memory"),
            ("cpus", "-1", "`cpus=-1` is not a number of cores"),
            ("cpus", "NaN", "`cpus=NaN` is not a number of cores"),
            ("host", "here", "`host=here` is not an address"),
            ("timeout", "0", "`timeout=0` is not a number of seconds"),
            ("env.", "x", "`env.` is no setting of this target"),
        ] {
            assert_eq!(asked(&[(key, value)]).unwrap_err().to_string(), expected);
        }
    }
}
