//! What is tried once, before a model takes requests: what a prediction costs, and whether rows are
//! independent of each other.
//!
//! The model says the second from its graph; here it is tried as well. Some different batches, of
//! rows of different scale, are run alone and then beside each other in several orders; only if each
//! gets its own response again are requests ever merged.

use std::time::{Duration, Instant};

use mlrs_backend::{Batching, Model, PredictError, Session};
use mlrs_payload::{Batch, DType, Dim, Output, Tensor, TensorData, TensorInfo};

use crate::batching::{first_rows, has_rows, join, same_rows, splits_into};
use crate::cost::Costs;
use crate::samples::varied;

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
    session.predict(batch.clone())?;
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
        && rows_are_independent(session, &batch);
    Ok(WarmUp {
        first,
        then,
        rows: batch.rows,
        merges,
    })
}

/// Rows of the example that are tried beside others.
const TRIED_ROWS: usize = 4;

/// Batches that are made to be tried, and those that the model must accept: one that it refuses is
/// none of its domain.
const MADE: usize = 6;
const ACCEPTED: usize = 2;

/// Whether different batches keep their responses beside each other.
fn rows_are_independent(session: &mut dyn Session, batch: &Batch) -> bool {
    let base = first_rows(batch, TRIED_ROWS);
    let mut tried: Vec<(Batch, Output)> = Vec::new();
    let made = (0..MADE).map(|sample| varied(&base, sample));
    for sample in std::iter::once(base.clone()).chain(made) {
        if tried.iter().any(|(known, _)| *known == sample) {
            continue;
        }
        if let Ok(output) = session.predict(sample.clone()) {
            tried.push((sample, output));
        }
    }
    // The first is the example itself, which the model has accepted before.
    if tried.len() <= ACCEPTED {
        return false;
    }
    let forward: Vec<usize> = (0..tried.len()).chain([0]).collect();
    let backward: Vec<usize> = forward.iter().rev().copied().skip(1).collect();
    let pair = [tried.len() - 1, 0];
    [forward.as_slice(), &backward, &pair]
        .into_iter()
        .all(|order| keep_their_rows(session, &tried, order))
}

/// Runs batches beside each other in an order, and compares with what each gave alone.
fn keep_their_rows(session: &mut dyn Session, tried: &[(Batch, Output)], order: &[usize]) -> bool {
    let joined = join(order.iter().map(|index| &tried[*index].0));
    let rows = joined.rows;
    let Ok(together) = session.predict(joined) else {
        return false;
    };
    let mut first = 0;
    splits_into(&together, rows)
        && order.iter().all(|index| {
            let (batch, alone) = &tried[*index];
            let range = first..first + batch.rows;
            first = range.end;
            same_rows(&together, &range, alone)
        })
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
