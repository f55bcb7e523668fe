//! Deployments as containers of a Docker engine: an image is built of the model, and run.
//!
//! What was said is noted in a label of the container, so that an update changes only what it says.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mlrs_deploy::names::Name;
use mlrs_image::ImageName;
use mlrs_image::container::{ContainerError, ContainerSettings, ContainerStatus, Containers};
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

const HELP: &str =
    "Target `docker`: a container in the Docker engine of this machine, or of DOCKER_HOST.

An image is built of the model, as `mlrs image build` does, and run as nobody on a read-only root.
`-C NAME=VALUE`:
  image=REFERENCE  run this image, which holds the model; nothing is built
  port=8080        the port of this machine; 0 takes any free one
  host=127.0.0.1   the address that the port is on; 0.0.0.0 is all of this machine's
  memory=512m      the most memory: bytes, or with k, m, g
  cpus=0.5         the most processor time, in cores
  env.NAME=VALUE   a variable of the server
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
                labels: HashMap::from([(SAID.to_owned(), serde_json::to_string(said)?)]),
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
            "image" => {
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
            other => match other.strip_prefix("env.") {
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

/// Asks the engine something.
fn ask<T>(
    question: impl AsyncFnOnce(Containers) -> Result<T, ContainerError>,
) -> anyhow::Result<T> {
    let host = image::docker_host();
    let answer = runtime()?.block_on(async {
        let containers = Containers::connect(host.as_deref()).await?;
        question(containers).await
    });
    Ok(answer?)
}

impl DeploymentTarget for Docker {
    fn create(&self, new: &NewDeployment) -> anyhow::Result<()> {
        let asked = Asked::read(&new.name, &said(&new.model_uri, &new.config))?;
        asked.image(Some(&new.model_uri))?;
        ask(async |containers| containers.deploy(&asked.container, asked.patience).await).map(drop)
    }

    fn update(&self, update: &Update) -> anyhow::Result<()> {
        let name = update.name.to_string();
        let status = ask(async |containers| containers.status(&name).await)?;
        let note = status.labels.get(SAID).map_or("{}", String::as_str);
        let mut all: Map<String, Value> = serde_json::from_str(note)
            .with_context(|| format!("the label `{SAID}` of `{name}` is no JSON"))?;
        let before = all.get(MODEL).and_then(Value::as_str).unwrap_or_default();
        let model = update
            .model_uri
            .clone()
            .unwrap_or_else(|| before.to_owned());
        if update.model_uri.is_some() {
            // The image that was named holds the model before.
            all.remove("image");
        }
        all.extend(said(&model, &update.config));
        let asked = Asked::read(&update.name, &all)?;
        asked.image(Some(&model))?;
        ask(async |containers| containers.replace(&asked.container, asked.patience).await).map(drop)
    }

    fn delete(&self, name: &Name, config: &[(String, String)]) -> anyhow::Result<()> {
        if let Some((key, _)) = config.first() {
            return Err(hinted(
                format!("`{key}` is no setting of this command"),
                "there are none for this target",
            ));
        }
        let name = name.to_string();
        ask(async |containers| {
            let status = containers.status(&name).await?;
            containers.delete(&name).await?;
            if status.image.starts_with("mlrs-deployment/") {
                containers.remove_image(&status.image).await;
            }
            Ok(())
        })
    }

    fn list(&self) -> anyhow::Result<Vec<String>> {
        ask(async |containers| containers.list().await)
    }

    fn get(&self, name: &Name) -> anyhow::Result<Vec<(&'static str, String)>> {
        let status = ask(async |containers| containers.status(name.as_ref()).await)?;
        Ok(fields(status))
    }

    fn predict(&self, name: &Name, input: &Input) -> anyhow::Result<Vec<u8>> {
        let name = name.to_string();
        let body = input.body.clone();
        let (status, body) =
            ask(async |containers| containers.invoke(&name, input.content_type, body).await)?;
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
        let mut asked = Asked::read(&new.name, &said(&new.model_uri, &new.config))?;
        asked.container.restart = false;
        asked.image(Some(&new.model_uri))?;
        let host = image::docker_host();
        runtime()?.block_on(async {
            let stop = mlrs_http::signals::shutdown_signal()
                .context("the handlers of signals cannot be installed")?;
            let containers = Containers::connect(host.as_deref()).await?;
            let status = containers.deploy(&asked.container, asked.patience).await?;
            let name = &asked.container.name;
            let address = status.address.unwrap_or_default();
            output::line(&format!(
                "`{name}` answers on http://{address}; Ctrl-C ends it"
            ))?;
            tokio::select! {
                _ = stop => containers.delete(name).await?,
                ended = containers.ended(name) => {
                    let ended = ended?;
                    containers.remove(name).await?;
                    anyhow::bail!("`{name}` ended with exit status {ended}");
                }
            }
            Ok(())
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
        (
            "Address",
            status.address.map(|address| format!("http://{address}")),
        ),
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
