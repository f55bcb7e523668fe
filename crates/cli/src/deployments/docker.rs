//! Deployments as containers of a Docker engine: an image is built of the model, and run.
//!
//! What was said is noted in the container ([`asked`]), so that an update changes only what it says.

mod asked;

use std::pin::pin;

use anyhow::Context as _;
use mlrs_deploy::names::Name;
use mlrs_image::container::{ContainerStatus, Containers};
use serde_json::Value;

use super::input::Input;
use super::target::{DeploymentTarget, NewDeployment, Update};
use crate::connection::runtime;
use crate::failure::hinted;
use crate::{image, output};
use asked::{Asked, IMAGE, MODEL, recalled, said, was_built};

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
    let said = recalled(&status).unwrap_or_default();
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
