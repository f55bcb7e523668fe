//! The head of a request: how large it may be.
//!
//! hyper refuses a head that is too large with a bare status. So it is given twice as much room,
//! and what lies between is refused here, with words. What is beyond that still gets the status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;

use crate::{ApiError, ErrorCode, RequestId, ServerSettings, body};

/// How much more hyper takes than is allowed.
const ROOM: usize = 2;

/// Has hyper take heads that this module can refuse with words.
pub(super) fn allow(builder: &mut Builder, settings: &ServerSettings) {
    builder
        .max_headers(settings.headers.saturating_mul(ROOM))
        .max_header_size(settings.header_bytes.saturating_mul(ROOM));
}

/// Why the head of a request is too large, if it is.
fn refusal<B>(request: &Request<B>, settings: &ServerSettings) -> Option<String> {
    let headers = request.headers();
    if headers.len() > settings.headers {
        return Some(format!(
            "the request has {} headers, more than the {} that are allowed",
            headers.len(),
            settings.headers
        ));
    }
    let line = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    // A colon, a space and the end of the line go with each.
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    let bytes: usize = line + lines.sum::<usize>();
    (bytes > settings.header_bytes).then(|| {
        format!(
            "the head of the request has {bytes} bytes, more than the {} that are allowed",
            settings.header_bytes
        )
    })
}

/// The request, or `431` when its head is too large.
pub(super) async fn check(
    request: Request<Incoming>,
    settings: &ServerSettings,
) -> Result<Request<Incoming>, Response> {
    let Some(message) = refusal(&request, settings) else {
        return Ok(request);
    };
    let (head, rest) = request.into_parts();
    let id = RequestId::of(&head.headers);
    body::discard(&head.headers, Body::new(rest)).await;
    let error = ApiError::new(ErrorCode::BadRequest, message)
        .with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    Err(error.with_request_id(id).into_response())
}
