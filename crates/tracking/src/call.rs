//! One call of the API: read, handle, answer, count, log.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Method, StatusCode};
use mlrs_http::{ApiError, BodyError, EndpointAnswers, ErrorCode, Permit, RequestId, answer, body};
use mlrs_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::artifacts::AccessError;
use crate::sent;
use crate::state::TrackingState;

/// What the path of a call names, such as `model_id`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named(Vec<(String, String)>);

impl Named {
    /// The parts of the path, percent-decoded.
    pub(crate) fn new(parts: &RawPathParams) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(parts.iter().map(owned).collect())
    }

    /// A part of the path.
    pub(crate) fn part(&self, name: &str) -> String {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Why a call is not answered with what was asked for.
pub(crate) enum Refused {
    /// A rule or the store refuses.
    Store(StoreError),
    /// Artifacts cannot be reached.
    Artifacts(AccessError),
    /// The body could not be read.
    Http(ApiError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        Self::Artifacts(error)
    }
}

impl Refused {
    /// What the client is told, where an answer has only room for a text.
    pub(crate) fn into_message(self) -> String {
        self.into_error(None).message().to_owned()
    }

    /// The error for the client; its cause goes to the log, with the request's id.
    fn into_error(self, id: Option<&RequestId>) -> ApiError {
        match self {
            Self::Http(error) => error,
            Self::Store(error) => {
                log(&error, id);
                let refused = ApiError::new(error.code(), error.to_string());
                match error.code() {
                    ErrorCode::TemporarilyUnavailable => refused.with_retry_after(1),
                    _ => refused,
                }
            }
            Self::Artifacts(error) => of_artifacts(&error, id),
        }
    }
}

/// What a client is told of artifacts that cannot be reached.
fn of_artifacts(error: &AccessError, id: Option<&RequestId>) -> ApiError {
    use mlrs_artifacts::{OpenStoreError as Open, StoreError as Store};
    match error {
        AccessError::NotServed | AccessError::Unsupported(_) => {
            ApiError::new(ErrorCode::NotImplemented, error.to_string())
        }
        AccessError::Foreign | AccessError::Host(_) | AccessError::Path(_) => {
            ApiError::new(ErrorCode::InvalidParameterValue, error.to_string())
        }
        AccessError::Store(Store::NotFound { path, .. }) => ApiError::new(
            ErrorCode::ResourceDoesNotExist,
            format!("No such artifact: '{path}'"),
        ),
        AccessError::Store(Store::WrongKind {
            path,
            is_directory: false,
            ..
        }) => ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("A part of the artifact path is a file, not a directory: '{path}'"),
        ),
        AccessError::Store(Store::WrongKind { path, .. }) => ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("Artifact path refers to a directory, not a file: '{path}'"),
        ),
        AccessError::Store(Store::Outside { .. }) => ApiError::new(
            ErrorCode::InvalidParameterValue,
            "Invalid path: resolved path is outside the artifact directory",
        ),
        AccessError::Store(Store::Reserved { path, name, .. }) => ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("Invalid artifact path: '{path}'. The name '{name}' is reserved."),
        ),
        AccessError::Store(Store::NoBucket { path, .. }) => {
            log(error, id);
            ApiError::new(
                ErrorCode::ResourceDoesNotExist,
                format!(
                    "The bucket or container of the artifact store does not exist, so '{path}' was not written"
                ),
            )
        }
        AccessError::Store(Store::NoSuchUpload { path, .. }) => ApiError::new(
            ErrorCode::ResourceDoesNotExist,
            format!("No such multipart upload of '{path}'"),
        ),
        AccessError::Store(Store::PartsRefused { path, .. }) => {
            log(error, id);
            ApiError::new(
                ErrorCode::InvalidParameterValue,
                format!(
                    "The artifact store does not make '{path}' of these parts: one is missing, too small or not the one that was sent"
                ),
            )
        }
        AccessError::Store(Store::Content { .. }) => {
            log(error, id);
            ApiError::new(
                ErrorCode::BadRequest,
                "the upload ended early; nothing was kept",
            )
        }
        AccessError::Busy => {
            ApiError::new(ErrorCode::TemporarilyUnavailable, error.to_string()).with_retry_after(1)
        }
        AccessError::Open(
            reason @ (Open::UnknownScheme { .. } | Open::Malformed { .. } | Open::Path { .. }),
        ) => ApiError::new(ErrorCode::InvalidParameterValue, reason.to_string()),
        AccessError::Store(source) if source.is_transient() => {
            log(error, id);
            ApiError::new(ErrorCode::TemporarilyUnavailable, error.to_string()).with_retry_after(1)
        }
        AccessError::Open(_) | AccessError::Store(_) => {
            log(error, id);
            ApiError::new(ErrorCode::InternalError, error.to_string())
        }
    }
}

/// The cause of a failure is for the log, not for the client.
fn log(error: &dyn Error, id: Option<&RequestId>) {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(found) = cause {
        causes.push(found.to_string());
        cause = found.source();
    }
    if !causes.is_empty() {
        let request_id = id.map(RequestId::as_str);
        tracing::error!(request_id, %error, cause = causes.join(": "), "a request failed");
    }
}

/// Answers a request with what `handler` makes of it, as JSON.
pub(crate) async fn call<T, U, E, F>(
    state: TrackingState,
    counted: &EndpointAnswers,
    request: Request,
    handler: impl FnOnce(TrackingState, T) -> F,
) -> Response
where
    T: DeserializeOwned,
    U: Serialize,
    E: Into<Refused>,
    F: Future<Output = Result<U, E>>,
{
    let (head, sent) = request.into_parts();
    let work = async {
        // The body counts until the request is done: what waits for the database holds its content.
        let (request, permit) = read(&state, &head, sent).await?;
        let answered = handler(state.clone(), request).await.map_err(Into::into)?;
        let json = serde_json::to_vec(&answered)
            .map_err(|error| Refused::Store(StoreError::Internal(Box::new(error))))?;
        drop(permit);
        counted_in(&state, json)
    };
    let answer = async |id: &RequestId| {
        let json = work.await?;
        Ok(answer::ok(&head.headers, id, answer::JSON, json).await)
    };
    finish(counted, &head, answer).await
}

/// A response's bytes, which count as bytes in flight until the client has them: one that does not read
/// must not fill the memory. A single one may have the whole budget.
fn counted_in(state: &TrackingState, json: Vec<u8>) -> Result<Bytes, Refused> {
    let budget = state.budget();
    let permit = budget.try_admit(json.len().min(budget.capacity()));
    let permit = permit.ok_or_else(|| Refused::Http(BodyError::Overloaded.into()))?;
    Ok(permit.attached_to(json))
}

/// Answers a request with what `work` makes, counts it and logs it. A panic costs one request.
pub(crate) async fn finish(
    counted: &EndpointAnswers,
    head: &Parts,
    work: impl AsyncFnOnce(&RequestId) -> Result<Response, Refused>,
) -> Response {
    let begin = Instant::now();
    let id = RequestId::of(&head.headers);
    let outcome = AssertUnwindSafe(work(&id)).catch_unwind().await;
    let panicked = |_| Err(StoreError::Internal("the handler panicked".into()).into());
    let response = match outcome.unwrap_or_else(panicked) {
        Ok(response) => id.tag(response),
        Err(refused) => refused
            .into_error(Some(&id))
            .with_request_id(id.clone())
            .into_response(),
    };
    let took = begin.elapsed();
    counted.answered(response.status(), took);
    tracing::debug!(
        request_id = id.as_str(),
        method = %head.method,
        path = head.uri.path(),
        status = response.status().as_u16(),
        microseconds = took.as_micros() as u64,
        "answered"
    );
    response
}

/// Reads what a request asks for. The parameters of a GET are its query; without one they may be its
/// body, as with MLflow.
async fn read<T: DeserializeOwned>(
    state: &TrackingState,
    head: &Parts,
    sent: axum::body::Body,
) -> Result<(T, Option<Permit>), Refused> {
    let query = head.uri.query().unwrap_or_default();
    if head.method == Method::HEAD || (head.method == Method::GET && !query.is_empty()) {
        return Ok((sent::query(query)?, None));
    }
    if let Err(error) = sent::check_content_type(&head.method, &head.headers) {
        body::discard(&head.headers, sent).await;
        return Err(error.into());
    }
    let read = body::read(&head.headers, sent, state.limits(), state.budget()).await;
    let admitted = read.map_err(|error| Refused::Http(of_body(error)))?;
    Ok((sent::body(&admitted.bytes)?, Some(admitted.permit)))
}

/// What a client is told of a body that is not read. One that is too long is MLflow's
/// `INVALID_PARAMETER_VALUE`, as its own limits on requests are.
fn of_body(error: BodyError) -> ApiError {
    match error {
        BodyError::TooLarge { .. } => ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("{error}; the server's option --body-limit sets this limit"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE),
        other => other.into(),
    }
}
