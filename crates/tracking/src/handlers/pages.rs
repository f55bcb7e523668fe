//! MLflow's web pages: the first page and the files that it needs.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use mlrs_http::ApiError;

use crate::call::{Named, Refused};
use crate::file_answer::{self, Shown};
use crate::pages::INDEX;
use crate::state::TrackingState;

/// What `/` says when the server has no pages.
const NO_PAGES: &str = include_str!("no_pages.html");

/// `/`: the page that loads all others, or one that says how to get them.
pub(crate) async fn first(
    state: TrackingState,
    _named: Named,
    headers: HeaderMap,
    _query: String,
) -> Result<Response, Refused> {
    if state.pages().is_some() {
        return of(&state, INDEX, &headers, Shown::Checked).await;
    }
    let mut response = Response::new(Body::from(NO_PAGES));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    Ok(response)
}

/// `/static-files/…`: a file whose name changes with its content.
pub(crate) async fn file(
    state: TrackingState,
    named: Named,
    headers: HeaderMap,
    _query: String,
) -> Result<Response, Refused> {
    of(&state, &named.part("path"), &headers, Shown::Kept).await
}

async fn of(
    state: &TrackingState,
    path: &str,
    headers: &HeaderMap,
    shown: Shown,
) -> Result<Response, Refused> {
    let missing = || Refused::Http(ApiError::not_found("There is no such page on this server."));
    let pages = state.pages().ok_or_else(missing)?;
    let place = pages.find(path).await.ok_or_else(missing)?;
    Ok(file_answer::of(state, pages.store(), &place, headers, shown).await?)
}
