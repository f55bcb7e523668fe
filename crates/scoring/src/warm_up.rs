//! The warm-up: the model's own serving example, sent once before the server is ready.
//!
//! The runtime finds out what a prediction costs and whether requests may be merged; here the
//! example goes the whole way of a request, from text to text.

use std::time::Instant;

use mlrs_payload::{Batch, DecodeError, Decoded, EncodeError, Form, Format};
use mlrs_runtime::Rejection;

use crate::invocations::{Wanted, write};
use crate::state::ScoringState;

/// What the warm-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// What the runtime found out about the engine.
    pub engine: mlrs_runtime::WarmUp,
    /// What became of the serving example.
    pub example: ExampleOutcome,
}

/// What became of the serving example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExampleOutcome {
    /// It was answered.
    Answered,
    /// The model has none; the engine was tried on zeros.
    Absent,
    /// It is not a request that the model takes; the engine was tried on zeros.
    Refused(DecodeError),
}

/// Why the warm-up failed.
#[derive(Debug, thiserror::Error)]
pub enum WarmUpError {
    /// The model gave no prediction.
    #[error("the model gave no prediction in its warm-up")]
    Predict(#[source] Rejection),
    /// The answer cannot be written.
    #[error("the answer to the serving example cannot be written")]
    Encode(#[source] EncodeError),
}

impl ScoringState {
    /// Tries the model on its serving example. Whether a failure keeps the server from being
    /// ready is the caller's choice; see [`ScoringState::mark_ready`].
    ///
    /// # Errors
    /// When the model or the writing of its answer fails.
    pub async fn warm_up(&self) -> Result<WarmUp, WarmUpError> {
        let decode = |text| self.plan().decode(Format::Json, text);
        let (decoded, example) = match self.serving_example().map(decode) {
            None => (None, ExampleOutcome::Absent),
            Some(Err(error)) => (None, ExampleOutcome::Refused(error)),
            Some(Ok(decoded)) => (Some(decoded), ExampleOutcome::Answered),
        };
        let batch = decoded.as_ref().map(|decoded| decoded.batch.clone());
        let engine = self.try_engine(batch).await.map_err(WarmUpError::Predict)?;
        if let Some(decoded) = decoded {
            self.answer_once(decoded).await?;
        }
        Ok(WarmUp { engine, example })
    }

    /// The runtime's warm-up, on a blocking thread: a first prediction may take seconds.
    async fn try_engine(&self, batch: Option<Batch>) -> Result<mlrs_runtime::WarmUp, Rejection> {
        let state = self.clone();
        let work = move || state.service().warm_up(batch.as_ref());
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or(Err(Rejection::Panicked))
    }

    async fn answer_once(&self, decoded: Decoded) -> Result<(), WarmUpError> {
        let deadline = Instant::now() + self.request_timeout();
        let predicting = self.service().predict(decoded.batch, deadline);
        let prediction = predicting.await.map_err(WarmUpError::Predict)?;
        let wanted = Wanted {
            form: Form::Json(decoded.answer),
            chosen: None,
        };
        write(self, &prediction, &wanted, 0).map_err(WarmUpError::Encode)?;
        Ok(())
    }
}
