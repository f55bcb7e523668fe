//! `POST /invocations`: admit, read, decode, predict, encode.
//!
//! The steps are those of the floors below; this module strings them together, times them, and
//! sees to it that a request is counted once whatever becomes of it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderValue;
use http::request::Parts;
use mlrs_http::{AdmittedBody, RequestId, answer, body};
use mlrs_payload::{Batch, Decoded, EncodeError, Form, Format, Output, Part, TensorData, Value};
use mlrs_runtime::Prediction;

use crate::accept::form_of;
use crate::content_type::format_of;
use crate::metrics::Reason;
use crate::outputs;
use crate::refused::Refused;
use crate::state::{Phase, ScoringState};

/// Bodies from this length are decoded on a blocking thread. Decoding runs at 0.3 to 1.5 gigabytes a
/// second, so a shorter body holds an async thread for a few milliseconds at most, and mostly for
/// less than one; a longer one does not notice what another thread and its cold cache cost.
const DECODED_ELSEWHERE_FROM: usize = 1 << 20;

/// Answers of this many values are written on a blocking thread, for the same reason.
const ENCODED_ELSEWHERE_FROM: usize = 16 << 10;

/// Bytes to reserve for each value of an answer.
const BYTES_A_VALUE: usize = 20;

/// Answers a scoring request.
pub async fn invoke(State(state): State<ScoringState>, request: Request) -> Response {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let id = RequestId::of(&head.headers);
    let unanswered = Unanswered { state: &state };
    let scored = AssertUnwindSafe(score(&state, &head, body, started))
        .catch_unwind()
        .await;
    let response = match scored.unwrap_or_else(|_| Err(Refused::panicked())) {
        Ok((content_type, bytes)) => answer::ok(&head.headers, &id, content_type, bytes).await,
        Err(refused) => {
            if let Some(reason) = refused.reason {
                state.metrics().rejected(reason);
            }
            refused.answer(id.clone())
        }
    };
    unanswered.done();
    let took = started.elapsed();
    state.metrics().answered(response.status(), took);
    tracing::debug!(
        request_id = id.as_str(),
        status = response.status().as_u16(),
        microseconds = took.as_micros() as u64,
        "scored"
    );
    response
}

async fn score(
    state: &ScoringState,
    head: &Parts,
    body: Body,
    started: Instant,
) -> Result<(HeaderValue, Vec<u8>), Refused> {
    let headers = &head.headers;
    let csv_header = state.settings().csv_header;
    let format = match format_of(headers, csv_header) {
        Ok(format) => format,
        Err(error) => {
            body::discard(headers, body).await;
            return Err(error.into());
        }
    };
    // The permit is held to the end: the decoded inputs live as long as the request.
    let AdmittedBody {
        bytes,
        permit: _permit,
    } = body::read(headers, body, state.limits(), state.budget()).await?;
    let Decoded {
        batch,
        answer: shape,
        outputs,
        ..
    } = decode_body(state, format, bytes).await?;
    let chosen = outputs::chosen(&head.uri, outputs, state.service().model().outputs())?;
    let (form, content_type) = form_of(headers, shape, csv_header);
    let prediction = predict(state, batch, started).await?;
    let wanted = Wanted { form, chosen };
    let bytes = encode_answer(state, prediction, wanted).await?;
    Ok((content_type, bytes))
}

/// What is to be written of a prediction, and how.
pub(crate) struct Wanted {
    /// The form of the response.
    pub(crate) form: Form,
    /// The places of the outputs that are asked for; all when absent.
    pub(crate) chosen: Option<Vec<usize>>,
}

async fn decode_body(
    state: &ScoringState,
    format: Format,
    bytes: Bytes,
) -> Result<Decoded, Refused> {
    let begin = Instant::now();
    let outcome = if bytes.len() < DECODED_ELSEWHERE_FROM {
        state.plan().decode(format, &bytes)
    } else {
        let state = state.clone();
        elsewhere(move || state.plan().decode(format, &bytes)).await?
    };
    let decoded = outcome?;
    let metrics = state.metrics();
    metrics
        .decode_seconds
        .observe(begin.elapsed().as_secs_f64());
    if decoded.ignored > 0 {
        metrics.ignored_columns.inc_by(decoded.ignored as u64);
    }
    Ok(decoded)
}

async fn predict(
    state: &ScoringState,
    batch: Batch,
    started: Instant,
) -> Result<Prediction, Refused> {
    let deadline = started + state.request_timeout();
    let prediction = state.service().predict(batch, deadline).await?;
    let metrics = state.metrics();
    metrics
        .wait_seconds
        .observe(prediction.waited.as_secs_f64());
    metrics
        .predict_seconds
        .observe(prediction.ran.as_secs_f64());
    metrics.batch_rows.observe(prediction.batch_rows as f64);
    Ok(prediction)
}

async fn encode_answer(
    state: &ScoringState,
    prediction: Prediction,
    wanted: Wanted,
) -> Result<Vec<u8>, Refused> {
    let begin = Instant::now();
    let values = values_of(&prediction);
    let is_json = matches!(wanted.form, Form::Json(_));
    let written = if values < ENCODED_ELSEWHERE_FROM {
        write(state, &prediction, &wanted, values)
    } else {
        let state = state.clone();
        elsewhere(move || write(&state, &prediction, &wanted, values)).await?
    };
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) if is_json => return Err(error.into()),
        Err(error) => return Err(Refused::unwritable(&error)),
    };
    state
        .metrics()
        .encode_seconds
        .observe(begin.elapsed().as_secs_f64());
    Ok(bytes)
}

/// The answer to a request, with room for `values` values reserved.
pub(crate) fn write(
    state: &ScoringState,
    prediction: &Prediction,
    wanted: &Wanted,
    values: usize,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(64 + values * BYTES_A_VALUE);
    let part = Part {
        output: &prediction.output,
        rows: prediction.rows.clone(),
        all: prediction.all,
        infos: state.service().model().outputs(),
        chosen: wanted.chosen.as_deref(),
    };
    part.write(wanted.form, state.plan().compat(), &mut bytes)?;
    Ok(bytes)
}

/// About how many values the answer to this request has.
fn values_of(prediction: &Prediction) -> usize {
    let all = values_in(&prediction.output);
    // In 128 bits, as both factors may be large.
    let own = all as u128 * prediction.rows.len() as u128 / prediction.batch_rows.max(1) as u128;
    (own as usize).min(all)
}

fn values_in(output: &Output) -> usize {
    let data = |data: &TensorData| data.len();
    output
        .values
        .iter()
        .map(|value| match value {
            Value::Tensor(tensor) => data(&tensor.data),
            Value::Maps(rows) => rows.iter().map(|row| data(&row.values)).sum(),
            Value::Sequence(tensors) => tensors.iter().map(|tensor| data(&tensor.data)).sum(),
        })
        .sum()
}

/// Runs long work on a blocking thread; a panic there costs this request only.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refused::panicked())
}

/// Counts a request that is dropped before it is answered: the client left, or the server stops.
struct Unanswered<'a> {
    state: &'a ScoringState,
}

impl Unanswered<'_> {
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let draining = self.state.phase() == Phase::Draining;
        let reason = if draining {
            Reason::Stopping
        } else {
            Reason::ClientGone
        };
        self.state.metrics().rejected(reason);
    }
}
