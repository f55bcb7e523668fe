//! Tracking: experiments, runs, what they log, their artifacts, and the model registry.
//!
//! [`TrackingClient`] has one method for each thing that a server does. [`ActiveRun`], which
//! [`TrackingClient::start_run`] gives, logs in the background while the program computes:
//!
//! ```no_run
//! use mlrs_client::tracking::{RunStatus, StartRun, TrackingClient, TrackingError};
//!
//! # async fn example() -> Result<(), TrackingError> {
//! let client = TrackingClient::connect("http://localhost:5000")?;
//! let experiment = client.get_or_create_experiment("iris").await?;
//! let run = client.start_run(StartRun::in_experiment(experiment).name("baseline")).await?;
//! run.log_param("learning_rate", 0.1);
//! for epoch in 0..100 {
//!     let loss = 1.0 / f64::from(epoch + 1);
//!     run.log_metric("loss", loss, epoch);
//! }
//! run.log_artifact("notes.txt", None).await?;
//! run.finish(RunStatus::Finished).await?;
//! # Ok(())
//! # }
//! ```

mod active_run;
mod artifacts;
mod background;
mod batch;
mod datasets;
mod error;
mod experiments;
mod logged_models;
mod models;
mod pages;
mod points;
mod queue;
mod registry;
mod runs;
mod values;

use std::sync::Arc;

use mlrs_api::endpoints::Endpoint;
use mlrs_artifacts::{HttpRequest, Server, StoreSettings, Transport};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::connection::ConnectionSettings;
use crate::registry::Registry;
use crate::servers::{NoServer, Servers, Side};

pub use active_run::{ActiveRun, LoggingSettings, StartRun};
pub use artifacts::{Artifact, Artifacts, paths_below};
pub use datasets::InputDataset;
pub use error::TrackingError;
pub use experiments::ExperimentSearch;
pub use logged_models::{LoggedModelSearch, NewLoggedModel};
pub use mlrs_api::datasets::{
    Dataset, DatasetInput, ModelInput, ModelOutput, RunInputs, RunOutputs,
};
pub use mlrs_api::enums::{LifecycleStage, LoggedModelStatus, RunStatus, ViewType};
pub use mlrs_api::experiments::Experiment;
pub use mlrs_api::logged_models::{LoggedModel, LoggedModelData, LoggedModelInfo};
pub use mlrs_api::metrics::{Metric, Param};
pub use mlrs_api::registry::{ModelVersion, RegisteredModel};
pub use mlrs_api::runs::{Run, RunData, RunInfo};
pub use mlrs_api::server_info::ServerInfo;
pub use mlrs_api::{ErrorCode, Tag};
pub use mlrs_artifacts::ArtifactPath;
pub use models::{ModelOwner, SavedModel};
pub use pages::Pages;
pub use points::Point;
pub use registry::{NewVersion, RegistrySearch};
pub use runs::RunSearch;
pub use values::Step;

/// A client of a tracking server and its registry; cheap to clone.
///
/// A tokio runtime with time and I/O must be running where its methods are awaited.
#[derive(Debug, Clone)]
pub struct TrackingClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    servers: Servers,
    stores: StoreSettings,
    lookups: Registry,
}

impl TrackingClient {
    /// A client with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// When a certificate cannot be used.
    pub fn new(settings: ConnectionSettings) -> Result<Self, TrackingError> {
        Ok(Self::with(
            Transport::new(settings.transport.clone())?,
            settings,
        ))
    }

    /// A client of the server at an address, with MLflow's defaults for everything else.
    ///
    /// For what MLflow's environment variables say, make [`ConnectionSettings::from_variables`]
    /// look them up and use [`Self::new`].
    ///
    /// # Errors
    /// When the address is no URL: then the first call would fail, too.
    pub fn connect(address: &str) -> Result<Self, TrackingError> {
        Self::new(ConnectionSettings::for_server(address)?)
    }

    fn with(transport: Transport, settings: ConnectionSettings) -> Self {
        let address = settings.tracking.address().cloned();
        let server = Server {
            transport: transport.clone(),
            address,
        };
        let lookups = Registry::new(
            transport.clone(),
            settings.tracking.clone(),
            settings.registry.clone(),
        );
        Self {
            inner: Arc::new(Inner {
                transport,
                lookups,
                servers: Servers {
                    tracking: settings.tracking,
                    registry: settings.registry,
                },
                stores: StoreSettings {
                    server,
                    cloud: settings.cloud,
                },
            }),
        }
    }

    /// The version of MLflow that the tracking server is of, or speaks for. `GET /version`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or answers something else.
    pub async fn server_version(&self) -> Result<String, TrackingError> {
        let action = "ask the tracking server for its version";
        let base = self.inner.servers.base(Side::Tracking);
        let mut address = base.cloned().map_err(|error| no_server(error, action))?;
        let prefix = address.path().trim_end_matches('/').to_owned();
        address.set_path(&format!("{prefix}/version"));
        let answer = self.inner.transport.text(&HttpRequest::get(address)).await;
        let answer = answer.map_err(|source| TrackingError::Call {
            action: action.to_owned(),
            source,
        })?;
        let version = answer.trim();
        let is_version =
            version.len() < 64 && version.starts_with(|digit: char| digit.is_ascii_digit());
        is_version
            .then(|| version.to_owned())
            .ok_or_else(|| TrackingError::NotMlflow(action.to_owned()))
    }

    /// What the tracking server says about itself; defaults for servers that do not.
    ///
    /// # Errors
    /// When there is no server, or it does not answer.
    pub async fn server_info(&self) -> Result<ServerInfo, TrackingError> {
        Ok(self.lookups().server_info().await?)
    }

    /// The same client with connections of its own, for another runtime.
    fn separate(&self) -> Result<Self, TrackingError> {
        Ok(Self::with(
            self.inner.transport.separate()?,
            self.settings(),
        ))
    }

    /// The same client, which sends nothing twice.
    fn without_retries(&self) -> Self {
        Self::with(self.inner.transport.without_retries(), self.settings())
    }

    fn settings(&self) -> ConnectionSettings {
        let inner = &self.inner;
        ConnectionSettings {
            tracking: inner.servers.tracking.clone(),
            registry: inner.servers.registry.clone(),
            // Those of the transport count.
            transport: mlrs_artifacts::TransportSettings::default(),
            cloud: inner.stores.cloud.clone(),
        }
    }

    /// The look-ups that finding a model needs.
    pub(crate) fn lookups(&self) -> &Registry {
        &self.inner.lookups
    }

    /// Sends a call with its parameters in a JSON body.
    async fn call<T: DeserializeOwned>(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        body: &(impl Serialize + Sync),
        action: &str,
    ) -> Result<T, TrackingError> {
        let address = self.address(side, endpoint, parts, action)?;
        // The wire types have text keys and finite trees only: they always become JSON.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.ask(
            &HttpRequest::with_json(endpoint.method, address, body),
            action,
        )
        .await
    }

    /// Sends a call whose answer says nothing.
    async fn order(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        body: &(impl Serialize + Sync),
        action: &str,
    ) -> Result<(), TrackingError> {
        let _: IgnoredAny = self.call(side, endpoint, parts, body, action).await?;
        Ok(())
    }

    /// Sends a call with its parameters in the query.
    async fn query<T: DeserializeOwned>(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        query: &[(&str, &str)],
        action: &str,
    ) -> Result<T, TrackingError> {
        let mut address = self.address(side, endpoint, parts, action)?;
        if !query.is_empty() {
            // Otherwise the address would end in a question mark.
            address.query_pairs_mut().extend_pairs(query);
        }
        self.ask(&HttpRequest::get(address), action).await
    }

    fn address(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        action: &str,
    ) -> Result<url::Url, TrackingError> {
        let address = self.inner.servers.address(side, endpoint, parts);
        address.map_err(|error| no_server(error, action))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        action: &str,
    ) -> Result<T, TrackingError> {
        let answer = self.inner.transport.json(request).await;
        answer.map_err(|source| TrackingError::Call {
            action: action.to_owned(),
            source,
        })
    }
}

fn no_server(error: NoServer, action: &str) -> TrackingError {
    TrackingError::NoServer {
        action: action.to_owned(),
        found: error.found,
        variable: error.variable,
    }
}
