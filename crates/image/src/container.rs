//! Models as containers of a Docker engine: start, wait until they answer, ask, replace, remove.
//!
//! What was deployed is known by a label. A container is ready when its own health check, run inside
//! it, says so: that needs no way to its port, and works on an engine of another machine as well.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ExecConfig, HostConfig, PortBinding,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RenameContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt as _;

use crate::config::PORT;
use crate::output::{DockerError, connect};
use crate::parts::BINARY_PATH;

/// The label of a deployment: its name.
pub const DEPLOYMENT_LABEL: &str = "mlrs.deployment";

/// Seconds after which a container that does not stop is ended: longer than a server drains.
const STOP_SECONDS: i32 = 40;

/// How much of the log of a container that failed is told.
const LOG_LINES: &str = "20";

/// What to run.
#[derive(Clone, Debug)]
pub struct ContainerSettings {
    /// The name of the container, and of the deployment.
    pub name: String,
    /// The image.
    pub image: String,
    /// The address of this machine that the port is published on.
    pub host: String,
    /// The port of this machine; 0 takes any free one.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// The deployment.
    pub name: String,
    /// The image it was started from.
    pub image: String,
    /// Docker's word: `running`, `exited`.
    pub state: String,
    /// `healthy`, `starting`, `unhealthy`; nothing when it does not run.
    pub health: Option<String>,
    /// Where its port is published, such as `127.0.0.1:8080`.
    pub address: Option<String>,
    /// When it was started, RFC 3339.
    pub started: Option<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

/// Why a deployment did not go as asked.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// There is none of that name.
    #[error("there is no deployment `{0}`")]
    Absent(String),
    /// There is something of that name already.
    #[error("there is a container `{0}` already")]
    Exists(String),
    /// It does not run, or does not publish its port.
    #[error("`{0}` does not run")]
    NotRunning(String),
    /// It does not answer.
    #[error("`{name}` does not answer")]
    NoAnswer {
        /// The deployment.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It ended before it was ready.
    #[error("`{name}` ended with exit status {status} before it was ready{log}")]
    Ended {
        /// The deployment.
        name: String,
        /// Its exit status.
        status: i64,
        /// The last lines of its log, each on a line of its own.
        log: String,
    },
    /// It was not ready in time.
    #[error("`{name}` was not ready within {} s{log}", patience.as_secs())]
    NotReady {
        /// The deployment.
        name: String,
        /// How long was waited.
        patience: Duration,
        /// The last lines of its log, each on a line of its own.
        log: String,
    },
}

impl ContainerError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Absent(_) => Some("`mlrs deployments list -t docker` names those that there are"),
            Self::Exists(_) => Some(
                "change it with `mlrs deployments update`, remove it with `docker rm`, or choose another \
                 name",
            ),
            Self::NotRunning(_) | Self::NoAnswer { .. } => {
                Some("`docker logs` says what became of it")
            }
            Self::Ended { .. } | Self::NotReady { .. } => {
                Some("the log says why; nothing was left behind")
            }
        }
    }
}

/// The containers of one engine.
#[derive(Debug)]
pub struct Containers {
    docker: Docker,
}

impl Containers {
    /// Connects to the engine at an address, as `DOCKER_HOST` has it, or to the one of this machine.
    ///
    /// # Errors
    /// When none answers.
    pub async fn connect(host: Option<&str>) -> Result<Self, ContainerError> {
        let docker = connect(host).await?;
        Ok(Self { docker })
    }

    /// Starts a container, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or is not ready in time; it is removed then.
    pub async fn deploy(
        &self,
        settings: &ContainerSettings,
        patience: Duration,
    ) -> Result<ContainerStatus, ContainerError> {
        self.create(settings).await?;
        let ready = self.started(&settings.name, patience).await;
        if ready.is_err() {
            self.remove(&settings.name).await?;
        }
        ready
    }

    /// Replaces the container of a deployment. The old one is stopped first, since it has the port; it
    /// is started again if the new one does not become ready.
    ///
    /// # Errors
    /// When there is none, or the new one does not become ready.
    pub async fn replace(
        &self,
        settings: &ContainerSettings,
        patience: Duration,
    ) -> Result<ContainerStatus, ContainerError> {
        let name = settings.name.as_str();
        self.status(name).await?;
        let before = format!("{name}-before");
        self.rename(name, &before).await?;
        self.stop_container(&before).await?;
        match self.deploy(settings, patience).await {
            Ok(status) => {
                self.remove(&before).await?;
                Ok(status)
            }
            Err(error) => {
                self.rename(&before, name).await?;
                self.started(name, patience).await?;
                Err(error)
            }
        }
    }

    /// Stops and removes a deployment; requests in flight are answered.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete(&self, name: &str) -> Result<(), ContainerError> {
        self.status(name).await?;
        self.stop_container(name).await?;
        self.remove(name).await
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
        names.dedup();
        Ok(names)
    }

    /// What is known of a deployment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self, name: &str) -> Result<ContainerStatus, ContainerError> {
        let found = self.inspect(name).await?;
        let status = found.and_then(|container| status_of(name, container));
        status.ok_or_else(|| ContainerError::Absent(name.to_owned()))
    }

    /// Asks a deployment for predictions: its status, and the body of its answer.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub async fn invoke(
        &self,
        name: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), ContainerError> {
        let address = self.status(name).await?.address;
        let address = address.ok_or_else(|| ContainerError::NotRunning(name.to_owned()))?;
        let asked = async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let request = client
                .post(format!("http://{address}/invocations"))
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

    /// Removes an image that no container uses any more; one that is used stays.
    pub async fn remove_image(&self, image: &str) {
        // Its name is given up; what else may use its layers is the engine's matter.
        let _ = self
            .docker
            .remove_image(image, None::<RemoveImageOptions>, None)
            .await;
    }

    async fn inspect(
        &self,
        name: &str,
    ) -> Result<Option<ContainerInspectResponse>, ContainerError> {
        match self.docker.inspect_container(name, None).await {
            Ok(found) => Ok(Some(found)),
            Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(error) => Err(refused(&format!("look at `{name}`"), error)),
        }
    }

    async fn create(&self, settings: &ContainerSettings) -> Result<(), ContainerError> {
        let name = &settings.name;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let created = self
            .docker
            .create_container(Some(options), body(settings))
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(EngineError::DockerResponseServerError {
                status_code: 409, ..
            }) => Err(ContainerError::Exists(name.clone())),
            Err(error) => Err(refused(&format!("create `{name}`"), error)),
        }
    }

    /// Starts a container that is there, and waits until it is ready.
    async fn started(
        &self,
        name: &str,
        patience: Duration,
    ) -> Result<ContainerStatus, ContainerError> {
        let started = self.docker.start_container(name, None).await;
        started.map_err(|error| refused(&format!("start `{name}`"), error))?;
        let deadline = Instant::now() + patience;
        loop {
            if self.is_ready(name).await {
                return self.status(name).await;
            }
            let state = self.inspect(name).await?.and_then(|found| found.state);
            let state = state.unwrap_or_default();
            if state.running != Some(true) || state.restarting == Some(true) {
                return Err(ContainerError::Ended {
                    name: name.to_owned(),
                    status: state.exit_code.unwrap_or_default(),
                    log: self.log(name).await,
                });
            }
            if Instant::now() > deadline {
                return Err(ContainerError::NotReady {
                    name: name.to_owned(),
                    patience,
                    log: self.log(name).await,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs the health check inside; one that cannot be run has not passed.
    async fn is_ready(&self, name: &str) -> bool {
        let check = ExecConfig {
            cmd: Some(vec![BINARY_PATH.to_owned(), "healthcheck".to_owned()]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let Ok(made) = self.docker.create_exec(name, check).await else {
            return false;
        };
        let Ok(started) = self.docker.start_exec(&made.id, None).await else {
            return false;
        };
        if let bollard::exec::StartExecResults::Attached { output, .. } = started {
            // Ends with the check.
            let _: Result<Vec<_>, _> = output.try_collect().await;
        }
        let ended = self.docker.inspect_exec(&made.id).await;
        ended.is_ok_and(|ended| ended.exit_code == Some(0))
    }

    /// The last lines of a log, each on a line of its own after a line break.
    async fn log(&self, name: &str) -> String {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(LOG_LINES)
            .build();
        let lines: Result<Vec<_>, _> = self.docker.logs(name, Some(options)).try_collect().await;
        let lines = lines.unwrap_or_default();
        let text: String = lines.iter().map(ToString::to_string).collect();
        let lines = text.lines().map(|line| format!("\n  {line}"));
        lines.collect::<Vec<_>>().concat()
    }

    async fn stop_container(&self, name: &str) -> Result<(), ContainerError> {
        let options = StopContainerOptionsBuilder::default()
            .t(STOP_SECONDS)
            .build();
        match self.docker.stop_container(name, Some(options)).await {
            // 304: it does not run.
            Ok(())
            | Err(EngineError::DockerResponseServerError {
                status_code: 304, ..
            }) => Ok(()),
            Err(error) => Err(refused(&format!("stop `{name}`"), error)),
        }
    }

    /// Removes a container, whatever it does.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(&self, name: &str) -> Result<(), ContainerError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removed = self.docker.remove_container(name, Some(options)).await;
        removed.map_err(|error| refused(&format!("remove `{name}`"), error))
    }

    async fn rename(&self, name: &str, to: &str) -> Result<(), ContainerError> {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        let renamed = self.docker.rename_container(name, options).await;
        renamed.map_err(|error| refused(&format!("rename `{name}`"), error))
    }
}

fn refused(action: &str, source: EngineError) -> ContainerError {
    DockerError::Refused {
        action: action.to_owned(),
        source: Box::new(source),
    }
    .into()
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

/// The status of a container; nothing if it is no deployment.
fn status_of(name: &str, container: ContainerInspectResponse) -> Option<ContainerStatus> {
    let config = container.config?;
    let labels = config.labels.unwrap_or_default();
    labels.get(DEPLOYMENT_LABEL)?;
    let state = container.state.unwrap_or_default();
    let ports = container.network_settings.and_then(|network| network.ports);
    let binding = ports
        .and_then(|mut ports| ports.remove(&format!("{PORT}/tcp"))?)
        .and_then(|bindings| bindings.into_iter().next());
    let address = binding.and_then(|binding| {
        let host = binding
            .host_ip
            .filter(|host| host != "0.0.0.0" && !host.is_empty());
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        Some(format!("{host}:{}", binding.host_port?))
    });
    let is_running = state.running == Some(true);
    let health = state.health.and_then(|health| health.status);
    Some(ContainerStatus {
        name: name.to_owned(),
        image: config.image.unwrap_or_default(),
        state: state
            .status
            .map(|status| status.to_string())
            .unwrap_or_default(),
        health: health
            .map(|health| health.to_string())
            .filter(|_| is_running),
        address: address.filter(|_| is_running),
        started: state.started_at,
        labels,
    })
}
