//! One worker's way to run a model: its inputs, and how its run is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlrs_backend::{Batch, Interrupt, Output, PredictError, Session, TensorInfo, check_inputs};
use ort::session::{RunOptions, SessionInputValue};
use ort::{Error, ErrorCode};

use crate::shared::SharedSession;
use crate::values;

/// An ONNX Runtime session, and the inputs to check requests against.
pub(crate) struct OnnxSession {
    session: Arc<SharedSession>,
    declared: Arc<[TensorInfo]>,
    output_bytes: usize,
    stop: Arc<Stop>,
    /// Kept, so that a prediction does not allocate it again; empty between predictions.
    inputs: Vec<SessionInputValue<'static>>,
}

/// Ends a run from another thread.
struct Stop {
    options: RunOptions,
    asked: AtomicBool,
}

impl Interrupt for Stop {
    fn interrupt(&self) {
        self.asked.store(true, Ordering::Release);
        if let Err(error) = self.options.terminate() {
            tracing::warn!(
                error = error.message(),
                "a prediction cannot be interrupted"
            );
        }
    }
}

impl OnnxSession {
    pub fn new(
        session: Arc<SharedSession>,
        declared: Arc<[TensorInfo]>,
        output_bytes: usize,
    ) -> ort::Result<Self> {
        let inputs = Vec::with_capacity(declared.len());
        let stop = Arc::new(Stop {
            options: RunOptions::new()?,
            asked: AtomicBool::new(false),
        });
        Ok(Self {
            session,
            declared,
            output_bytes,
            stop,
            inputs,
        })
    }

    fn run(&self) -> Result<Output, PredictError> {
        // What was asked of a run before does not end this one.
        if self.stop.asked.swap(false, Ordering::AcqRel) {
            let cleared = self.stop.options.unterminate();
            cleared.map_err(|error| self.failed(&error))?;
        }
        let outputs = self.session.run(&self.stop.options, &self.inputs);
        let outputs = outputs.map_err(|error| self.failed(&error))?;
        let bytes = outputs
            .iter()
            .map(values::bytes)
            .fold(0, usize::saturating_add);
        if bytes > self.output_bytes {
            return Err(PredictError::OutputTooLarge {
                bytes,
                limit: self.output_bytes,
            });
        }
        let values = outputs.iter().map(values::copy).collect::<Result<_, _>>();
        let values = values.map_err(|error| self.failed(&error))?;
        Ok(Output { values })
    }

    /// Sorts errors of the engine by whose fault they are. Its messages name shapes and nodes, no
    /// data.
    fn failed(&self, error: &Error) -> PredictError {
        if self.stop.asked.load(Ordering::Acquire) {
            return PredictError::Interrupted;
        }
        let text = error.message().to_owned();
        match error.code() {
            ErrorCode::InvalidArgument => PredictError::Inputs(text),
            _ => PredictError::Engine(text),
        }
    }
}

impl Session for OnnxSession {
    fn predict(&mut self, batch: Batch) -> Result<Output, PredictError> {
        check_inputs(&self.declared, &batch)?;
        self.inputs.clear();
        for tensor in batch.inputs {
            let adopted = values::adopt(tensor)
                .map_err(|error| PredictError::Inputs(error.message().to_owned()))?;
            self.inputs.push(adopted);
        }
        let result = self.run();
        self.inputs.clear();
        result
    }

    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        Some(Arc::clone(&self.stop) as Arc<dyn Interrupt>)
    }
}
