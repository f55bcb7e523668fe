//! A running session: one ONNX Runtime session, used by one thread at a time.

use std::sync::Arc;

use mlrs_backend::{Batch, Output, PredictError, Session, TensorInfo, check_inputs};
use ort::session::SessionInputValue;
use ort::{Error, ErrorCode};

use crate::values;

/// An ONNX Runtime session, and the inputs to check requests against.
pub(crate) struct OnnxSession {
    session: ort::session::Session,
    declared: Arc<[TensorInfo]>,
    /// Kept, so that a prediction does not allocate it again; empty between predictions.
    inputs: Vec<SessionInputValue<'static>>,
}

impl OnnxSession {
    pub fn new(session: ort::session::Session, declared: Arc<[TensorInfo]>) -> Self {
        let inputs = Vec::with_capacity(declared.len());
        Self {
            session,
            declared,
            inputs,
        }
    }

    fn run(&mut self) -> Result<Output, Error> {
        let outputs = self.session.run(self.inputs.as_slice())?;
        let values = (0..outputs.len())
            .map(|index| values::copy(&outputs[index]))
            .collect::<Result<_, _>>()?;
        Ok(Output { values })
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
        result.map_err(|error| refused(&error))
    }
}

/// Sorts errors of the engine by whose fault they are. Its messages name shapes and nodes, no data.
fn refused(error: &Error) -> PredictError {
    let text = error.message().to_owned();
    match error.code() {
        ErrorCode::InvalidArgument => PredictError::Inputs(text),
        _ => PredictError::Engine(text),
    }
}
