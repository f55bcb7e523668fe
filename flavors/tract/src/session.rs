//! A running session: a state of tract for the shapes that came last.

use std::sync::Arc;

use mlrs_backend::{Batch, Interrupt, Output, PredictError, Session, check_inputs};
use mlrs_payload::{Value, ValueKind};
use tract_onnx::prelude::{TValue, TVec, TractError, TractResult};
use tract_onnx::tract_core::prelude::TypedSimpleState;

use crate::catch::caught;
use crate::model::Shared;
use crate::plan::Shapes;
use crate::values::{self, Finish};

/// A session of a model on tract.
pub(crate) struct TractSession {
    shared: Arc<Shared>,
    /// The state of the last run, with the shapes it is for; one plan for all shapes has none. Gone
    /// after an error, since tract leaves a failed run half-way, and where the plan has operators
    /// that keep something between runs: a request must not see the one before.
    state: Option<(Shapes, TypedSimpleState)>,
}

impl TractSession {
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            state: None,
        }
    }

    fn run(&mut self, batch: &Batch) -> TractResult<Result<Output, PredictError>> {
        let (shapes, mut state, again) = self.state_for(batch)?;
        let shared = &self.shared;
        let output = caught(|| {
            let inputs: TVec<TValue> = batch
                .inputs
                .iter()
                .map(values::engine_tensor)
                .collect::<TractResult<_>>()?;
            shared.output(&state.run(inputs)?)
        });
        if output.is_ok() && again {
            self.state = Some((shapes, state));
        }
        output
    }

    /// A state for the shapes of a batch, and whether it may run again.
    fn state_for(&mut self, batch: &Batch) -> TractResult<(Shapes, TypedSimpleState, bool)> {
        let plans = &self.shared.plans;
        let shapes: Shapes = if plans.is_symbolic() {
            Shapes::new()
        } else {
            batch
                .inputs
                .iter()
                .map(|tensor| tensor.shape.clone())
                .collect()
        };
        match self.state.take() {
            Some((known, state)) if known == shapes => Ok((shapes, state, true)),
            _ => {
                let plan = plans.for_shapes(&shapes)?;
                let state = plan.spawn()?;
                Ok((shapes, state, !plan.keeps_state()))
            }
        }
    }
}

impl Session for TractSession {
    fn predict(&mut self, batch: Batch) -> Result<Output, PredictError> {
        check_inputs(&self.shared.inputs, &batch)?;
        self.shared.plans.check(&batch)?;
        self.run(&batch)
            .unwrap_or_else(|error| Err(PredictError::Engine(words(&error))))
    }

    /// tract runs to its end.
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        None
    }
}

/// The outermost words of an error. Those inside may show tensors, and so data of a request.
fn words(error: &TractError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

impl Shared {
    fn output(&self, found: &[TValue]) -> TractResult<Result<Output, PredictError>> {
        if found.len() != self.outputs.len() {
            return Err(TractError::msg(
                "tract gave another number of outputs than the graph declares",
            ));
        }
        let bytes = found
            .iter()
            .map(|value| value.len() * value.datum_type().size_of());
        let bytes = bytes.fold(0, usize::saturating_add);
        if bytes > self.output_bytes {
            let limit = self.output_bytes;
            return Ok(Err(PredictError::OutputTooLarge { bytes, limit }));
        }
        let each = found.iter().zip(&self.outputs).zip(&self.finishes);
        let values = each.map(|((found, info), finish)| match (finish, &info.kind) {
            (Finish::Maps(labels), _) => values::maps(found, labels),
            (Finish::Names(names), _) => values::names(found, names),
            (Finish::Plain, ValueKind::Tensor { dtype, .. }) => {
                values::tensor(found, *dtype).map(Value::Tensor)
            }
            (Finish::Plain, ValueKind::Maps | ValueKind::Sequence) => Err(TractError::msg(
                "an output is not the tensor that tract gives",
            )),
        });
        Ok(Ok(Output {
            values: values.collect::<TractResult<_>>()?,
        }))
    }
}
