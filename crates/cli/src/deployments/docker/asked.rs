//! What a deployment was told: as the engine takes it, and as a label of the container notes it.
//!
//! Labels are read by many: of a variable they have the name, and its value is in the container alone.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mlrs_deploy::names::Name;
use mlrs_image::ImageName;
use mlrs_image::container::{ContainerSettings, ContainerStatus};
use serde_json::{Map, Value};

use crate::failure::hinted;
use crate::image::{self, PartArguments};

/// The label with what was said when a deployment was made: JSON, by names.
const SAID: &str = "mlrs.deployment.said";
/// The name of the model's URI among what was said.
pub(super) const MODEL: &str = "model";
/// The name of an image that was not built here.
pub(super) const IMAGE: &str = "image";
/// What names of variables begin with.
const VARIABLE: &str = "env.";

/// What a deployment was told, as the engine takes it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The image that was named.
    pub(super) image: Option<String>,
    pub(super) container: ContainerSettings,
    /// How long it may take until it is ready.
    pub(super) patience: Duration,
}

impl Asked {
    pub(super) fn read(name: &Name, said: &Map<String, Value>) -> anyhow::Result<Self> {
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
    pub(super) fn image(&self, model: Option<&str>) -> anyhow::Result<()> {
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
pub(super) fn said(model: &str, config: &[(String, String)]) -> Map<String, Value> {
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
pub(super) fn recalled(status: &ContainerStatus) -> anyhow::Result<Map<String, Value>> {
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
pub(super) fn was_built(status: &ContainerStatus) -> bool {
    recalled(status).is_ok_and(|said| !said.contains_key(IMAGE))
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
