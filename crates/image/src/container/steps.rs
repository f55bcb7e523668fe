//! The steps of a deployment, one request to the engine each. Containers are meant by their ids, so
//! that nobody else's is touched who took the name meanwhile.

use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ExecConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt as _;

use super::error::{ContainerError, not_created, not_started, refused, status};
use super::{ContainerSettings, Containers, body};
use crate::parts::BINARY_PATH;

/// Seconds after which a container that does not stop is ended: longer than a server drains.
const STOP_SECONDS: i32 = 40;

/// How much of the log of a container that failed is told.
const LOG_LINES: &str = "20";

impl Containers {
    pub(super) async fn inspect(
        &self,
        name: &str,
    ) -> Result<Option<ContainerInspectResponse>, ContainerError> {
        match self.docker.inspect_container(name, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(refused(&format!("look at `{name}`"), error)),
        }
    }

    /// Creates a container of this name, and gives its id. It takes no port until it is started.
    pub(super) async fn create(
        &self,
        container: &str,
        settings: &ContainerSettings,
    ) -> Result<String, ContainerError> {
        let options = CreateContainerOptionsBuilder::default().name(container);
        let created = self
            .docker
            .create_container(Some(options.build()), body(settings));
        match created.await {
            Ok(created) => Ok(created.id),
            Err(error) => Err(not_created(
                &settings.name,
                container,
                &settings.image,
                error,
            )),
        }
    }

    /// Starts a container that is there, and waits until it is ready, or `stop` comes.
    pub(super) async fn started(
        &self,
        id: &str,
        name: &str,
        patience: Duration,
        stop: impl Future,
    ) -> Result<(), ContainerError> {
        let started = async {
            self.start(id, name).await?;
            self.wait_until_ready(id, name, patience).await
        };
        tokio::select! {
            started = started => started,
            _ = stop => Err(ContainerError::Interrupted(name.to_owned())),
        }
    }

    /// Starts a container; one that runs stays as it is.
    pub(super) async fn start(&self, id: &str, name: &str) -> Result<(), ContainerError> {
        match self.docker.start_container(id, None).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(304) => Ok(()),
            Err(error) => Err(not_started(name, error)),
        }
    }

    async fn wait_until_ready(
        &self,
        id: &str,
        name: &str,
        patience: Duration,
    ) -> Result<(), ContainerError> {
        let deadline = Instant::now() + patience;
        while !self.is_ready(id).await {
            let found = self.inspect(id).await?;
            let found = found.ok_or_else(|| ContainerError::Absent(name.to_owned()))?;
            let state = found.state.unwrap_or_default();
            if state.running != Some(true) || state.restarting == Some(true) {
                return Err(ContainerError::Ended {
                    name: name.to_owned(),
                    status: state.exit_code.unwrap_or_default(),
                    log: self.log(id).await,
                });
            }
            if Instant::now() > deadline {
                return Err(ContainerError::NotReady {
                    name: name.to_owned(),
                    patience,
                    log: self.log(id).await,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs the health check inside; one that cannot be run has not passed.
    pub(super) async fn is_ready(&self, id: &str) -> bool {
        let check = ExecConfig {
            cmd: Some(vec![BINARY_PATH.to_owned(), "healthcheck".to_owned()]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let Ok(made) = self.docker.create_exec(id, check).await else {
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
    async fn log(&self, id: &str) -> String {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(LOG_LINES)
            .build();
        let lines: Result<Vec<_>, _> = self.docker.logs(id, Some(options)).try_collect().await;
        let lines = lines.unwrap_or_default();
        let text: String = lines.iter().map(ToString::to_string).collect();
        let lines = text.lines().map(|line| format!("\n  {line}"));
        lines.collect::<Vec<_>>().concat()
    }

    /// Stops a container; one that does not run stays as it is.
    pub(super) async fn stop_container(&self, id: &str) -> Result<(), ContainerError> {
        let options = StopContainerOptionsBuilder::default().t(STOP_SECONDS);
        match self.docker.stop_container(id, Some(options.build())).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(304) => Ok(()),
            Err(error) => Err(refused(&format!("stop `{id}`"), error)),
        }
    }

    /// Removes a container, whatever it does; one that is gone is no error.
    pub(super) async fn remove(&self, id: &str) -> Result<(), ContainerError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true);
        match self
            .docker
            .remove_container(id, Some(options.build()))
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(refused(&format!("remove `{id}`"), error)),
        }
    }

    pub(super) async fn rename(&self, id: &str, to: &str) -> Result<(), ContainerError> {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        let renamed = self.docker.rename_container(id, options).await;
        renamed.map_err(|error| refused(&format!("rename a container to `{to}`"), error))
    }
}
