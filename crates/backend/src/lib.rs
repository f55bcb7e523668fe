//! The contract of a flavor backend: kind of engine, loaded model, running session.
//!
//! Three traits, after the lifetimes they have: a [`Backend`] lives as long as the process, a
//! [`Model`] as long as it is served, a [`Session`] as long as its worker. No async and no engine
//! in here: an implementation is a leaf crate under `flavors/`, and only the command line knows it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "contract")]
pub mod contract;
mod files;
mod inputs;

pub use inputs::check_inputs;
pub use mlrs_payload::{Batch, Output, TensorInfo, ValueInfo};
use mlrs_payload::{Dim, ValueKind};

/// A kind of engine.
pub trait Backend: Send + Sync {
    /// Its name, as `--backend` takes it: `onnxruntime`, `tract`.
    fn name(&self) -> &'static str;

    /// The flavor keys of `MLmodel` that it serves: `onnx`.
    fn flavors(&self) -> &'static [&'static str];

    /// Loads a model.
    ///
    /// # Errors
    /// Says why this backend does not serve that model, or cannot be used on this machine. The next
    /// candidate may.
    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Box<dyn Model>, Refusal>;
}

/// A loaded model: immutable, shared between sessions.
pub trait Model: Send + Sync {
    /// The inputs that the loaded model really has, in its order.
    fn inputs(&self) -> &[TensorInfo];

    /// The outputs that the loaded model really has, in its order.
    fn outputs(&self) -> &[ValueInfo];

    /// Whether requests may be merged into one batch, as far as the loaded model tells.
    fn batching(&self) -> Batching;

    /// What the cost of a prediction depends on.
    fn cost(&self) -> Cost;

    /// Facts for the start-up log and `mlrs inspect`: version of the engine, provider, threads.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// A session with scratch memory of its own, for one thread.
    ///
    /// # Errors
    /// When the engine cannot make one more.
    fn session(&self) -> Result<Box<dyn Session>, Refusal>;
}

/// A running instance of a model, used by one thread at a time.
pub trait Session: Send {
    /// Runs the model. Takes the batch by value, so that an engine can adopt its buffers.
    ///
    /// The tensors are in the order of [`Model::inputs`] and of the declared types; the outputs
    /// come in the order of [`Model::outputs`].
    ///
    /// # Errors
    /// When the engine refuses the shapes, fails, was interrupted, or gives more than is allowed.
    fn predict(&mut self, batch: Batch) -> Result<Output, PredictError>;

    /// What ends a running [`Session::predict`] from another thread, where the engine can.
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>>;
}

/// Ends the prediction that a session runs.
pub trait Interrupt: Send + Sync {
    /// Has the running prediction end with [`PredictError::Interrupted`] soon. Called only while one
    /// runs; the next one is not touched.
    fn interrupt(&self);
}

/// Where a model lies and what `MLmodel` says of the flavor that is to be loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// The model directory.
    pub directory: PathBuf,
    /// The flavor key that the backend was chosen for.
    pub flavor: String,
    /// The configuration under that key.
    pub configuration: serde_json::Map<String, serde_json::Value>,
}

impl ModelSource {
    /// The model directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// How a model is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Sessions that will run at the same time; at least 1.
    pub sessions: usize,
    /// Threads that one prediction may use inside the engine; at least 1.
    pub threads_per_session: usize,
    /// What to do when the model asks for an execution provider that is not there.
    pub missing_provider: MissingProvider,
    /// Bytes that the outputs of one prediction may take; more is
    /// [`PredictError::OutputTooLarge`].
    pub output_bytes: usize,
}

/// What to do when an execution provider that the model asks for is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingProvider {
    /// Run on the CPU, and say so.
    #[default]
    UseCpu,
    /// Refuse the model.
    Refuse,
}

/// Whether requests may be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// Each row of the outputs depends on the same row of the inputs only: every input and output has
    /// a variable leading dimension, and the model shows that it treats rows apart.
    RowWise,
    /// Each request runs alone: the default for what cannot be shown.
    Alone,
}

/// What time and memory of a prediction depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The shapes of the inputs alone: what was measured once holds for the next request.
    ByShapes,
    /// Values of the inputs, as with a loop whose turns are an input. Such a model never runs in the
    /// caller's thread.
    ByValues,
}

impl Batching {
    /// The most that the declared shapes allow: [`Batching::RowWise`] when every input and every output is a
    /// tensor whose leading dimension is not fixed, or a map for each row.
    pub fn of(inputs: &[TensorInfo], outputs: &[ValueInfo]) -> Self {
        let variable = |shape: &Option<Vec<Dim>>| {
            shape
                .as_ref()
                .and_then(|dims| dims.first())
                .is_some_and(|dim| !matches!(dim, Dim::Fixed(_)))
        };
        let rows = inputs.iter().all(|input| variable(&input.shape))
            && outputs.iter().all(|output| match &output.kind {
                ValueKind::Tensor { shape, .. } => variable(shape),
                ValueKind::Maps => true,
                ValueKind::Sequence => false,
            });
        if rows && !inputs.is_empty() {
            Self::RowWise
        } else {
            Self::Alone
        }
    }
}

/// Why a backend does not serve a model, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What is in the way.
    pub reason: String,
    /// What the user can do, where there is something.
    pub hint: Option<String>,
    /// The cause underneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
            source: None,
        }
    }

    /// The same refusal with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same refusal with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Why a prediction failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PredictError {
    /// The engine found the inputs unfit: the client's fault.
    #[error("the model refused its inputs: {0}")]
    Inputs(String),
    /// The engine failed: nobody's fault that a client could mend.
    #[error("the model failed: {0}")]
    Engine(String),
    /// It was ended by [`Interrupt::interrupt`].
    #[error("the prediction was interrupted")]
    Interrupted,
    /// Its outputs are larger than [`LoadOptions::output_bytes`].
    #[error("the outputs of the model take {bytes} bytes, more than the {limit} that are allowed")]
    OutputTooLarge {
        /// What they take.
        bytes: usize,
        /// What they may take.
        limit: usize,
    },
}
