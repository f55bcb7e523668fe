//! Models as containers of a Docker engine: start, wait until they answer, ask, replace, remove.
//!
//! What was deployed is known by a label. A container is ready when its own health check, run inside
//! it, says so: that needs no way to its port, and works on an engine of another machine as well.

mod address;
mod error;
mod images;
mod replace;
mod steps;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::TryStreamExt as _;

use crate::config::PORT;
use crate::output::connect;
use error::refused;
use replace::{half_done, next_name};

pub use address::Address;
pub use error::ContainerError;

/// The label of a deployment: its name.
pub const DEPLOYMENT_LABEL: &str = "mlrs.deployment";

/// How long an answer is waited for: as long as a server takes for one, and a moment for the way.
const ANSWER_PATIENCE: Duration = Duration::from_secs(65);

/// What to run.
#[derive(Clone)]
pub struct ContainerSettings {
    /// The name of the container, and of the deployment.
    pub name: String,
    /// The image.
    pub image: String,
    /// The address of the engine's machine that the port is published on.
    pub host: String,
    /// The port of that machine; 0 takes any free one.
    pub port: u16,
    /// Variables, `NAME=VALUE`.
    pub variables: Vec<String>,
    /// The most memory, in bytes.
    pub memory_bytes: Option<i64>,
    /// The most processor time, in thousandths of a core.
    pub millicores: Option<i64>,
    /// Further labels.
    pub labels: HashMap<String, String>,
    /// Whether it is started again when it ends or the machine starts.
    pub restart: bool,
}

/// What is known of a container.
#[derive(Clone)]
pub struct ContainerStatus {
    /// The deployment.
    pub name: String,
    /// The image it was started from.
    pub image: String,
    /// The id of that image: its name may mean another one by now.
    pub image_id: String,
    /// Docker's word: `running`, `exited`.
    pub state: String,
    /// `healthy`, `starting`, `unhealthy`; nothing when it does not run.
    pub health: Option<String>,
    /// Where it answers.
    pub address: Option<Address>,
    /// When it was started, RFC 3339.
    pub started: Option<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Its variables and those of its image, `NAME=VALUE`; there may be secrets among them.
    pub variables: Vec<String>,
}

/// The containers of one engine.
#[derive(Debug)]
pub struct Containers {
    docker: Docker,
    /// The machine of the engine, if it is another one.
    machine: Option<String>,
}

impl Containers {
    /// Connects to the engine at an address, as `DOCKER_HOST` has it, or to the one of this machine.
    ///
    /// # Errors
    /// When none answers.
    pub async fn connect(host: Option<&str>) -> Result<Self, ContainerError> {
        let docker = connect(host).await?;
        let machine = address::machine(host);
        Ok(Self { docker, machine })
    }

    /// Whether a name can be had: there is no container of it, nor one that is to have it.
    ///
    /// # Errors
    /// When there is one.
    pub async fn is_free(&self, name: &str) -> Result<(), ContainerError> {
        let own = self.inspect(name).await?;
        let next = self.deployment(&next_name(name), name).await?;
        if own.is_some() || next.is_some() {
            return Err(ContainerError::Exists(name.to_owned()));
        }
        Ok(())
    }

    /// Starts a container, and waits until it is ready; until then, `stop` gives it up.
    ///
    /// # Errors
    /// When it does not start, or is not ready in time; it is removed then.
    pub async fn deploy(
        &self,
        settings: &ContainerSettings,
        patience: Duration,
        stop: impl Future,
    ) -> Result<ContainerStatus, ContainerError> {
        let name = settings.name.as_str();
        let id = self.create(name, settings).await?;
        let Err(error) = self.started(&id, name, patience, stop).await else {
            return self.status(name).await;
        };
        Err(match self.remove(&id).await {
            Ok(()) => error,
            Err(undoing) => half_done(name, error, &undoing),
        })
    }

    /// Stops and removes a deployment; requests in flight are answered. Gives what was removed: one
    /// container, or two when an update did not come to its end.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete(&self, name: &str) -> Result<Vec<ContainerStatus>, ContainerError> {
        let found = self.both(name).await?;
        if found.is_empty() {
            return Err(ContainerError::Absent(name.to_owned()));
        }
        let mut removed = Vec::new();
        for container in found {
            let id = container.id.clone().unwrap_or_default();
            self.stop_container(&id).await?;
            self.remove(&id).await?;
            removed.push(self.status_of(name, container));
        }
        Ok(removed)
    }

    /// All deployments, by name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list(&self) -> Result<Vec<String>, ContainerError> {
        let labels = HashMap::from([("label".to_owned(), vec![DEPLOYMENT_LABEL.to_owned()])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&labels)
            .build();
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| refused("list containers", error))?;
        let mut names: Vec<String> = listed
            .into_iter()
            .filter_map(|container| container.labels?.remove(DEPLOYMENT_LABEL))
            .collect();
        names.sort();
        // One that is being replaced has two.
        names.dedup();
        Ok(names)
    }

    /// What is known of a deployment. While one container replaces another, it is the one that runs.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self, name: &str) -> Result<ContainerStatus, ContainerError> {
        let mut found = self.both(name).await?;
        // The order of those that are alike stays.
        found.sort_by_key(|container| !is_running(container));
        let found = found.into_iter().next();
        found
            .map(|container| self.status_of(name, container))
            .ok_or_else(|| ContainerError::Absent(name.to_owned()))
    }

    /// Asks a deployment for predictions: its status, and the body of its answer.
    ///
    /// # Errors
    /// When there is none, it cannot be reached from this machine, or does not answer in time.
    pub async fn invoke(
        &self,
        name: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), ContainerError> {
        let address = self.status(name).await?.address;
        let address = address.ok_or_else(|| ContainerError::NotRunning(name.to_owned()))?;
        if address.only_on().is_some() {
            let name = name.to_owned();
            return Err(ContainerError::Elsewhere { name, address });
        }
        let asked = async {
            let client = reqwest::Client::builder().no_proxy();
            let client = client.timeout(ANSWER_PATIENCE).build()?;
            let request = client
                .post(format!("http://{}/invocations", address.authority()))
                .header("Content-Type", content_type)
                .body(body);
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok((status, answer.bytes().await?.to_vec()))
        };
        asked.await.map_err(|source| ContainerError::NoAnswer {
            name: name.to_owned(),
            source,
        })
    }

    /// Waits until a container ends, and gives its exit status.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn ended(&self, name: &str) -> Result<i64, ContainerError> {
        let mut waiting = Box::pin(self.docker.wait_container(name, None));
        match waiting.try_next().await {
            Ok(ended) => Ok(ended.map_or(0, |ended| ended.status_code)),
            Err(EngineError::DockerContainerWaitError { code, .. }) => Ok(code),
            Err(error) => Err(refused(&format!("wait for `{name}`"), error)),
        }
    }

    /// A container, if it belongs to this deployment.
    async fn deployment(
        &self,
        container: &str,
        name: &str,
    ) -> Result<Option<ContainerInspectResponse>, ContainerError> {
        let found = self.inspect(container).await?;
        Ok(found.filter(|found| {
            let labels = found
                .config
                .as_ref()
                .and_then(|config| config.labels.as_ref());
            labels
                .and_then(|labels| labels.get(DEPLOYMENT_LABEL))
                .map(String::as_str)
                == Some(name)
        }))
    }

    fn status_of(&self, name: &str, container: ContainerInspectResponse) -> ContainerStatus {
        let is_running = is_running(&container);
        let config = container.config.unwrap_or_default();
        let state = container.state.unwrap_or_default();
        let ports = container.network_settings.and_then(|network| network.ports);
        let binding = ports
            .and_then(|mut ports| ports.remove(&format!("{PORT}/tcp"))?)
            .and_then(|bindings| bindings.into_iter().next());
        let address = binding.and_then(|binding| Address::of(binding, self.machine.as_deref()));
        let health = state.health.and_then(|health| health.status);
        let state_name = state.status.map(|status| status.to_string());
        ContainerStatus {
            name: name.to_owned(),
            image: config.image.unwrap_or_default(),
            image_id: container.image.unwrap_or_default(),
            state: state_name.unwrap_or_default(),
            health: health
                .map(|health| health.to_string())
                .filter(|_| is_running),
            address: address.filter(|_| is_running),
            started: state.started_at,
            labels: config.labels.unwrap_or_default(),
            variables: config.env.unwrap_or_default(),
        }
    }
}

fn id_of(container: ContainerInspectResponse) -> String {
    container.id.unwrap_or_default()
}

fn is_running(container: &ContainerInspectResponse) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.running == Some(true))
}

impl fmt::Debug for ContainerSettings {
    /// Without the values of variables: there may be secrets among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ContainerSettings")
            .field("name", &self.name)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ContainerStatus {
    /// Without the values of variables: there may be secrets among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ContainerStatus")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A container that may do nothing but what it needs.
fn body(settings: &ContainerSettings) -> ContainerCreateBody {
    let port = PortBinding {
        host_ip: Some(settings.host.clone()),
        host_port: Some(settings.port.to_string()),
    };
    let restart = if settings.restart {
        RestartPolicyNameEnum::UNLESS_STOPPED
    } else {
        RestartPolicyNameEnum::NO
    };
    let mut labels = settings.labels.clone();
    labels.insert(DEPLOYMENT_LABEL.to_owned(), settings.name.clone());
    ContainerCreateBody {
        image: Some(settings.image.clone()),
        env: Some(settings.variables.clone()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(format!("{PORT}/tcp"), Some(vec![port]))])),
            restart_policy: Some(RestartPolicy {
                name: Some(restart),
                maximum_retry_count: None,
            }),
            memory: settings.memory_bytes,
            nano_cpus: settings.millicores.map(|millicores| millicores * 1_000_000),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), String::new())])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
