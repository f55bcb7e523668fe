//! What is tried once, before a model takes requests: what a prediction costs, and whether rows are
//! independent of each other.
//!
//! Declared shapes cannot tell the second: a softmax over the batch has them, too. So a batch is
//! run alone, a batch of zeros is run alone, and both together; only if each gets its own answer
//! again are requests ever merged.

use std::time::{Duration, Instant};

use mlrs_backend::{Batching, Model, PredictError, Session};
use mlrs_payload::{Batch, DType, Dim, Tensor, TensorData, TensorInfo};

use crate::batching::{has_rows, join, may_join, same_rows, splits_into};
use crate::cost::Costs;

/// What the warm-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// How long the first prediction took; engines set themselves up in it.
    pub first: Duration,
    /// How long the predictions after it took at best.
    pub then: Duration,
    /// Rows of that prediction.
    pub rows: usize,
    /// Whether requests will share batches.
    pub merges: bool,
}

/// Predictions after the first, of which the fastest counts.
const REPEATS: usize = 3;

/// Runs the warm-up on one session.
pub(crate) fn run(
    model: &dyn Model,
    session: &mut dyn Session,
    example: Option<&Batch>,
    costs: &Costs,
) -> Result<WarmUp, PredictError> {
    let synthetic = || zeros(model.inputs(), 1);
    let Some(batch) = example.cloned().or_else(synthetic) else {
        return Ok(WarmUp {
            first: Duration::ZERO,
            then: Duration::ZERO,
            rows: 0,
            merges: false,
        });
    };
    let started = Instant::now();
    let alone = session.predict(batch.clone())?;
    let first = started.elapsed();
    let mut then = first;
    for _ in 0..REPEATS {
        let started = Instant::now();
        session.predict(batch.clone())?;
        then = then.min(started.elapsed());
    }
    costs.record(batch.rows, then);
    let merges = model.batching() == Batching::RowWise
        && has_rows(&batch)
        && rows_are_independent(session, &batch, &alone);
    Ok(WarmUp {
        first,
        then,
        rows: batch.rows,
        merges,
    })
}

/// Whether a batch beside another one keeps its answer, and the other one, too.
fn rows_are_independent(
    session: &mut dyn Session,
    batch: &Batch,
    alone: &mlrs_payload::Output,
) -> bool {
    let other = Batch {
        inputs: batch
            .inputs
            .iter()
            .map(|tensor| Tensor {
                shape: tensor.shape.clone(),
                data: zero_data(tensor.data.dtype(), tensor.data.len()),
            })
            .collect(),
        rows: batch.rows,
    };
    if !may_join(batch, &other) {
        return false;
    }
    let rows = batch.rows;
    let Ok(other_alone) = session.predict(other.clone()) else {
        return false;
    };
    // Zeros between two copies: what depends on the order or the neighbours shows.
    let Ok(together) = session.predict(join([batch, &other, batch].into_iter())) else {
        return false;
    };
    splits_into(&together, 3 * rows)
        && same_rows(&together, &(0..rows), alone)
        && same_rows(&together, &(rows..2 * rows), &other_alone)
        && same_rows(&together, &(2 * rows..3 * rows), alone)
}

/// A batch of zeros for a model that brought no example; `None` where its shapes do not say how
/// long a row is.
fn zeros(inputs: &[TensorInfo], rows: usize) -> Option<Batch> {
    let tensor = |input: &TensorInfo| {
        let shape = input.shape.as_ref()?;
        let mut lengths = Vec::with_capacity(shape.len());
        for (index, dimension) in shape.iter().enumerate() {
            lengths.push(match dimension {
                Dim::Fixed(length) => *length,
                _ if index == 0 => rows,
                _ => return None,
            });
        }
        let data = zero_data(input.dtype, lengths.iter().product());
        Some(Tensor {
            shape: lengths,
            data,
        })
    };
    Some(Batch {
        inputs: inputs.iter().map(tensor).collect::<Option<_>>()?,
        rows,
    })
}

fn zero_data(dtype: DType, length: usize) -> TensorData {
    let mut data = TensorData::with_capacity(dtype, length);
    data.resize(length);
    data
}
