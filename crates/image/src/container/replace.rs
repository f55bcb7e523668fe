//! One container in the place of another, with a way back from everywhere.
//!
//! The new one is created beside the old one under a name of its own. Then the old one is stopped,
//! since it has the port, and the new one is started. Only when that is ready is the old one removed,
//! and the new one takes the name. What fails or is interrupted on the way is put back at once; what
//! is left by a command that was killed is put right by the next one.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;

use super::error::{ContainerError, in_one_line};
use super::{ContainerSettings, ContainerStatus, Containers, id_of, is_running};

/// The name of the new container until it is ready. No deployment has such a name, since there is no
/// dot in them.
pub(super) fn next_name(name: &str) -> String {
    format!("{name}.next")
}

impl Containers {
    /// Replaces the container of a deployment. Until the new one is ready, `stop` gives it up. Of two
    /// at once the later one wins: the engine has no locks, and a new container that somebody still
    /// waits for looks like one that was left.
    ///
    /// # Errors
    /// When there is none, or the new one does not become ready: the old one runs again then.
    pub async fn replace(
        &self,
        settings: &ContainerSettings,
        patience: Duration,
        stop: impl Future,
    ) -> Result<ContainerStatus, ContainerError> {
        let name = settings.name.as_str();
        self.settle(name).await?;
        let old = self.deployment(name, name).await?;
        let old = id_of(old.ok_or_else(|| ContainerError::Absent(name.to_owned()))?);
        let new = self.create(&next_name(name), settings).await?;
        let ready = async {
            self.stop_container(&old).await?;
            self.started(&new, name, patience, stop).await
        };
        if let Err(error) = ready.await {
            return Err(match self.put_back(name, &new, &old, patience).await {
                Ok(()) => error,
                Err(undoing) => half_done(name, error, &undoing),
            });
        }
        // The new one serves from here on: it stays, whatever becomes of the old one.
        self.remove(&old).await?;
        self.rename(&new, name).await?;
        self.status(name).await
    }

    /// Puts right what a command left that was killed: one container is there under the name of the
    /// deployment afterwards, the new one if it is in service, the old one otherwise.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn settle(&self, name: &str) -> Result<(), ContainerError> {
        let Some(next) = self.deployment(&next_name(name), name).await? else {
            return Ok(());
        };
        let next_runs = is_running(&next);
        let next = id_of(next);
        let Some(old) = self.deployment(name, name).await? else {
            return self.rename(&next, name).await;
        };
        let old_runs = is_running(&old);
        let old = id_of(old);
        if !old_runs && next_runs && self.is_ready(&next).await {
            self.remove(&old).await?;
            return self.rename(&next, name).await;
        }
        self.remove(&next).await?;
        if old_runs {
            return Ok(());
        }
        self.start(&old, name).await
    }

    /// Removes the new container, and starts the old one again.
    async fn put_back(
        &self,
        name: &str,
        new: &str,
        old: &str,
        patience: Duration,
    ) -> Result<(), ContainerError> {
        // The old one is tried even if the new one stays: it may not have the port.
        let removed = self.remove(new).await;
        let again = self.started(old, name, patience, std::future::pending::<()>());
        again.await?;
        removed
    }

    /// The containers of a deployment: the one of its name, and the one that is to replace it.
    pub(super) async fn both(
        &self,
        name: &str,
    ) -> Result<Vec<ContainerInspectResponse>, ContainerError> {
        let own = self.deployment(name, name).await?;
        let next = self.deployment(&next_name(name), name).await?;
        Ok(own.into_iter().chain(next).collect())
    }
}

/// An error, when what was done could not be undone.
pub(super) fn half_done(
    name: &str,
    error: ContainerError,
    undoing: &ContainerError,
) -> ContainerError {
    ContainerError::HalfDone {
        name: name.to_owned(),
        undoing: in_one_line(undoing),
        source: Box::new(error),
    }
}
