//! What the handlers share: the stores, the limits, the clock.

use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use mlrs_http::{BodyLimits, BytesInFlight};
use mlrs_store::rules::{Names, SourcePattern, Truncate};
use mlrs_store::{RegistryStore, StoreError, TrackingStore};

use crate::artifacts::Artifacts;
use crate::graphql::{self, GraphqlLimits};
use crate::metrics::TrackingMetrics;
use crate::pages::Pages;
use crate::transfers::Transfers;

/// The limits of a tracking server.
#[derive(Clone, Debug)]
pub struct TrackingSettings {
    /// Bytes of one request body, decompressed.
    pub body_bytes: usize,
    /// Bytes of all request bodies at the same time.
    pub bytes_in_flight: usize,
    /// Time to receive a body.
    pub read_timeout: Duration,
    /// What becomes of values that are too long: `MLFLOW_TRUNCATE_LONG_VALUES`.
    pub truncate: Truncate,
    /// Which characters names of metrics and params may have.
    pub names: Names,
    /// What sources of model versions must look like.
    pub source_pattern: SourcePattern,
    /// Limits on GraphQL documents.
    pub graphql: GraphqlLimits,
    /// Seconds that an address for a download is good for when the request does not say:
    /// `MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS`, from 1 to 604,800.
    pub download_seconds: u32,
    /// Artifacts that are sent, and as many that are received, at the same time. Each has a file open.
    pub transfers: usize,
}

impl Default for TrackingSettings {
    /// 128 MiB a body, 256 MiB together, 30 s to receive; values are cut, any source is taken;
    /// addresses are good for 5 min; 256 artifacts are sent at the same time.
    ///
    /// MLflow's longest value is the profile of a dataset: 16,777,215 characters, each of them up to
    /// six bytes as Python writes JSON (`\u00e4`).
    fn default() -> Self {
        Self {
            body_bytes: 128 << 20,
            bytes_in_flight: 256 << 20,
            read_timeout: Duration::from_secs(30),
            truncate: Truncate::Cut,
            names: Names::Mlflow,
            source_pattern: SourcePattern::default(),
            graphql: GraphqlLimits::default(),
            download_seconds: 300,
            transfers: 256,
        }
    }
}

/// Why a server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two metrics have one name.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The schema of GraphQL is none.
    #[error("the GraphQL schema is not valid: {0}")]
    Schema(String),
}

/// Where everything but artifacts is kept.
#[derive(Clone)]
pub struct Stores {
    /// Experiments, runs and logged models.
    pub tracking: Arc<dyn TrackingStore>,
    /// Registered models.
    pub registry: Arc<dyn RegistryStore>,
}

/// What the handlers share; a clone is another handle on the same.
#[derive(Clone)]
pub struct TrackingState(Arc<Shared>);

struct Shared {
    stores: Option<Stores>,
    artifacts: Artifacts,
    pages: Option<Pages>,
    graphql: Valid<Schema>,
    settings: TrackingSettings,
    limits: BodyLimits,
    budget: BytesInFlight,
    transfers: Transfers,
    metrics: TrackingMetrics,
}

impl TrackingState {
    /// The state of a server over these stores, with MLflow's web pages if there are some. Without
    /// stores it serves artifacts only.
    ///
    /// # Errors
    /// When the metrics cannot be registered or the GraphQL schema is not valid: mistakes in this
    /// crate.
    pub fn new(
        stores: Option<Stores>,
        artifacts: Artifacts,
        pages: Option<Pages>,
        settings: TrackingSettings,
    ) -> Result<Self, StartError> {
        Ok(Self(Arc::new(Shared {
            stores,
            artifacts,
            pages,
            graphql: graphql::schema().map_err(StartError::Schema)?,
            limits: BodyLimits {
                bytes: settings.body_bytes,
                read_timeout: settings.read_timeout,
            },
            budget: BytesInFlight::new(settings.bytes_in_flight.max(settings.body_bytes)),
            transfers: Transfers::new(settings.transfers),
            metrics: TrackingMetrics::new()?,
            settings,
        })))
    }

    pub(crate) fn store(&self) -> Result<&dyn TrackingStore, StoreError> {
        Ok(&*self.stores()?.tracking)
    }

    pub(crate) fn registry(&self) -> Result<&dyn RegistryStore, StoreError> {
        Ok(&*self.stores()?.registry)
    }

    /// Reads a little of each database; a server of artifacts alone has none.
    pub(crate) async fn check_stores(&self) -> Result<(), StoreError> {
        let Some(stores) = &self.0.stores else {
            return Ok(());
        };
        stores.tracking.check_readable().await?;
        stores.registry.check_readable().await
    }

    fn stores(&self) -> Result<&Stores, StoreError> {
        self.0.stores.as_ref().ok_or(StoreError::ArtifactsOnly)
    }

    pub(crate) fn artifacts(&self) -> &Artifacts {
        &self.0.artifacts
    }

    pub(crate) fn pages(&self) -> Option<&Pages> {
        self.0.pages.as_ref()
    }

    pub(crate) fn graphql_schema(&self) -> &Valid<Schema> {
        &self.0.graphql
    }

    pub(crate) fn graphql_limits(&self) -> GraphqlLimits {
        self.0.settings.graphql
    }

    pub(crate) fn truncate(&self) -> Truncate {
        self.0.settings.truncate
    }

    pub(crate) fn names(&self) -> Names {
        self.0.settings.names
    }

    pub(crate) fn source_pattern(&self) -> &SourcePattern {
        &self.0.settings.source_pattern
    }

    pub(crate) fn download_seconds(&self) -> i64 {
        i64::from(self.0.settings.download_seconds)
    }

    pub(crate) fn limits(&self) -> &BodyLimits {
        &self.0.limits
    }

    pub(crate) fn budget(&self) -> &BytesInFlight {
        &self.0.budget
    }

    pub(crate) fn transfers(&self) -> &Transfers {
        &self.0.transfers
    }

    pub(crate) fn metrics(&self) -> &TrackingMetrics {
        &self.0.metrics
    }
}
