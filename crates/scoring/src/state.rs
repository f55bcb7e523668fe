//! What the routes share: the model in service, its limits, metrics, and the pages made at start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mlrs_http::{BodyLimits, BytesInFlight};
use mlrs_mlmodel::signature::Signature;
use mlrs_payload::InputPlan;
use mlrs_runtime::InService;

use crate::docs::Page;
use crate::metrics::ScoringMetrics;
use crate::{docs, openapi};

/// What is known of the model beside the engine.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// The name to show: of the registered model, or of its directory.
    pub name: String,
    /// The version in the registry.
    pub version: Option<String>,
    /// The run that logged it.
    pub run_id: Option<String>,
    /// The id of the logged model: `m-` and 32 hex digits.
    pub model_id: Option<String>,
    /// The flavor that is served: a key of `flavors` in `MLmodel`.
    pub flavor: String,
    /// The backend that serves it.
    pub backend: String,
    /// Its signature.
    pub signature: Option<Signature>,
    /// The text of `serving_input_example.json`.
    pub serving_example: Option<Vec<u8>>,
}

/// The limits of a scoring server, and how it is reached.
#[derive(Clone, Debug)]
pub struct ScoringSettings {
    /// Bytes of one request body, decompressed.
    pub body_bytes: usize,
    /// Bytes of all request bodies at the same time; at least one body is always admitted.
    pub bytes_in_flight: usize,
    /// Time to receive a body.
    pub read_timeout: Duration,
    /// Time from the head of a request to its answer.
    pub request_timeout: Duration,
    /// Whether CSV has a line that names the columns, where its content type does not say.
    pub csv_header: bool,
    /// What a proxy puts before every path, and may or may not take away again: empty, or with a
    /// slash before and none behind.
    pub root_path: String,
    /// Origins whose web pages may read responses, with `*` for any text.
    pub allowed_origins: Vec<String>,
    /// Names of the server in a `Host` header, with `*` for any text; any name when empty.
    pub allowed_hosts: Vec<String>,
}

impl Default for ScoringSettings {
    /// 100 MiB a body, 400 MiB together, 30 s to receive, and MLflow's 60 s for the whole.
    fn default() -> Self {
        Self {
            body_bytes: 100 << 20,
            bytes_in_flight: 400 << 20,
            read_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_mins(1),
            csv_header: true,
            root_path: String::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
        }
    }
}

/// Where a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The warm-up request has not been answered yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It is about to stop; requests in flight finish.
    Draining,
}

/// The state that all routes share; a clone is another handle on the same.
#[derive(Clone)]
pub struct ScoringState(Arc<Shared>);

struct Shared {
    service: Arc<InService>,
    plan: InputPlan,
    settings: ScoringSettings,
    limits: BodyLimits,
    budget: BytesInFlight,
    phase: AtomicU8,
    metrics: ScoringMetrics,
    serving_example: Option<Vec<u8>>,
    openapi: Bytes,
    docs: Page,
}

impl ScoringState {
    /// The state of a server for a model in service. It is not ready until [`Self::mark_ready`].
    ///
    /// # Errors
    /// When the metrics cannot be registered, which no model name can cause.
    pub fn new(
        info: ModelInfo,
        service: Arc<InService>,
        plan: InputPlan,
        settings: ScoringSettings,
    ) -> Result<Self, prometheus::Error> {
        let metrics = ScoringMetrics::new(&info)?;
        let inputs = service.model().inputs();
        let openapi = openapi::document(&info, inputs, &settings.root_path);
        let docs = docs::page(&info, inputs, service.model().outputs());
        Ok(Self(Arc::new(Shared {
            limits: BodyLimits {
                bytes: settings.body_bytes,
                read_timeout: settings.read_timeout,
            },
            budget: BytesInFlight::new(settings.bytes_in_flight.max(settings.body_bytes)),
            phase: AtomicU8::new(Phase::Starting as u8),
            serving_example: info.serving_example,
            openapi: openapi.to_string().into(),
            service,
            plan,
            settings,
            metrics,
            docs,
        })))
    }

    /// Takes requests from now on, unless the server is stopping already.
    pub fn mark_ready(&self) {
        let (starting, ready) = (Phase::Starting as u8, Phase::Ready as u8);
        // Losing the race means that the server drains or is ready already: both stand.
        let _ = self
            .0
            .phase
            .compare_exchange(starting, ready, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Answers `/ready` with 503 from now on, so that load balancers look elsewhere; everything
    /// else goes on until the listener closes.
    pub fn begin_drain(&self) {
        self.0.phase.store(Phase::Draining as u8, Ordering::Release);
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// The model in service.
    pub fn service(&self) -> &InService {
        &self.0.service
    }

    /// The metrics as text for Prometheus, with gauges as of now.
    ///
    /// # Errors
    /// When a metric is not well-formed.
    pub fn scrape(&self) -> Result<String, prometheus::Error> {
        let metrics = self.metrics();
        metrics.queue_rows.set(self.service().queued_rows() as i64);
        metrics.bytes_in_flight.set(self.budget().used() as i64);
        metrics.ready.set(i64::from(self.phase() == Phase::Ready));
        metrics.encode()
    }

    pub(crate) fn plan(&self) -> &InputPlan {
        &self.0.plan
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.settings.request_timeout
    }

    pub(crate) fn settings(&self) -> &ScoringSettings {
        &self.0.settings
    }

    pub(crate) fn limits(&self) -> &BodyLimits {
        &self.0.limits
    }

    pub(crate) fn budget(&self) -> &BytesInFlight {
        &self.0.budget
    }

    pub(crate) fn metrics(&self) -> &ScoringMetrics {
        &self.0.metrics
    }

    pub(crate) fn serving_example(&self) -> Option<&[u8]> {
        self.0.serving_example.as_deref()
    }

    pub(crate) fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }

    pub(crate) fn docs(&self) -> &Page {
        &self.0.docs
    }
}
