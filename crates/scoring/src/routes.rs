//! The routes of a scoring server.

use axum::Router;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use mlrs_http::browser::share;
use mlrs_http::{ApiError, BrowserGuard, ErrorCode, RequestId, answer, metrics};

use crate::invocations::invoke;
use crate::state::{Phase, ScoringState};

/// The MLflow version whose scoring protocol is spoken; `/version` answers it.
pub const MLFLOW_VERSION: &str = "3.17.2";

/// The paths of the routes.
const PATHS: [&str; 8] = [
    "/invocations",
    "/ping",
    "/health",
    "/version",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
];

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The routes of a scoring server.
///
/// `POST /invocations`; `GET /ping`, `/health`, `/version` as MLflow has them; `GET /ready`,
/// `/metrics`, `/openapi.json`, `/docs` of mlrs. Errors are JSON on every route.
///
/// Behind a proxy that puts [`ScoringSettings::root_path`](crate::ScoringSettings) before every path,
/// the routes are found with and without it.
pub fn router(state: ScoringState) -> Router {
    let settings = state.settings().clone();
    let routes = routes(state);
    let routes = match settings.root_path.as_str() {
        "" => routes,
        root => Router::new().nest(root, routes.clone()).merge(routes),
    };
    let routes = match settings.allowed_hosts.as_slice() {
        [] => routes,
        hosts => {
            let guard = Arc::new(BrowserGuard {
                allowed_hosts: hosts.to_vec(),
                ..BrowserGuard::default()
            });
            routes.layer(from_fn_with_state(guard, only_named))
        }
    };
    if settings.allowed_origins.is_empty() {
        return routes;
    }
    let guard = Arc::new(BrowserGuard {
        allowed_origins: settings.allowed_origins,
        ..BrowserGuard::default()
    });
    routes.layer(from_fn_with_state(guard, share))
}

/// Lets a request through that names this server as it may be called. Health checks may use any name.
async fn only_named(
    State(guard): State<Arc<BrowserGuard>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(HOST);
    // HTTP/2 has it in the URI.
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = host.and_then(|host| host.to_str().ok()).or(authority);
    let path = request.uri().path();
    let mut checks = ["/ping", "/health", "/ready", "/version"].iter();
    if guard.takes_host(host.unwrap_or_default()) || checks.any(|check| path.ends_with(check)) {
        return next.run(request).await;
    }
    let refused = ApiError::new(
        ErrorCode::PermissionDenied,
        "the `Host` header names another server; if it is a name of this one, start it with \
         --allowed-hosts and the name",
    );
    refused
        .with_request_id(RequestId::of(request.headers()))
        .into_response()
}

fn routes(state: ScoringState) -> Router {
    Router::new()
        .route("/invocations", post(invoke).fallback(not_post))
        .route("/ping", reading(get(alive)))
        .route("/health", reading(get(alive)))
        .route("/version", reading(get(version)))
        .route("/ready", reading(get(ready)))
        .route("/metrics", reading(get(scrape)))
        .route("/openapi.json", reading(get(openapi)))
        .route("/docs", reading(get(docs)))
        .fallback(unknown)
        .with_state(state)
}

fn reading(route: MethodRouter<ScoringState>) -> MethodRouter<ScoringState> {
    route.fallback(not_get)
}

async fn alive(id: RequestId) -> Response {
    answer::plain(&id, answer::JSON, Bytes::from_static(b"\n"))
}

/// Bare text under a JSON content type: that is how MLflow answers.
async fn version(id: RequestId) -> Response {
    answer::plain(
        &id,
        answer::JSON,
        Bytes::from_static(MLFLOW_VERSION.as_bytes()),
    )
}

async fn ready(State(state): State<ScoringState>, id: RequestId) -> Response {
    let refuse = |message: &'static str| {
        let error = ApiError::new(ErrorCode::TemporarilyUnavailable, message);
        error
            .with_retry_after(1)
            .with_request_id(id.clone())
            .into_response()
    };
    match state.phase() {
        Phase::Starting => refuse("the model is loading"),
        Phase::Ready => answer::plain(
            &id,
            answer::JSON,
            Bytes::from_static(b"{\"ready\": true}\n"),
        ),
        Phase::Draining => refuse("the server is stopping"),
    }
}

async fn scrape(State(state): State<ScoringState>, headers: HeaderMap, id: RequestId) -> Response {
    match state.scrape() {
        Ok(text) => answer::ok(&headers, &id, metrics::TEXT, text).await,
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            ApiError::new(ErrorCode::InternalError, "the metrics cannot be written")
                .with_request_id(id)
                .into_response()
        }
    }
}

async fn openapi(State(state): State<ScoringState>, headers: HeaderMap, id: RequestId) -> Response {
    answer::ok(&headers, &id, answer::JSON, state.openapi()).await
}

async fn docs(State(state): State<ScoringState>, headers: HeaderMap, id: RequestId) -> Response {
    let page = state.docs();
    let mut response = answer::ok(&headers, &id, HTML, page.html.clone()).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A path with slashes at its end is sent to the one without, as MLflow's server does.
async fn unknown(State(state): State<ScoringState>, id: RequestId, request: Request) -> Response {
    let root = &state.settings().root_path;
    if let Some(location) = without_slashes(root, request.uri()) {
        let (head, body) = request.into_parts();
        mlrs_http::body::discard(&head.headers, body).await;
        let redirect = (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]);
        return id.tag(redirect.into_response());
    }
    let error = ApiError::not_found(
        "there is no such route; POST /invocations predicts, and GET /openapi.json lists the others",
    );
    refuse(&state, error, id)
}

/// Where a route with slashes behind it is to be found, from outside.
fn without_slashes(root: &str, uri: &Uri) -> Option<String> {
    let path = uri.path().strip_suffix('/')?.trim_end_matches('/');
    if !PATHS.contains(&path) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    Some(format!("{root}{path}{}", query.unwrap_or_default()))
}

async fn not_post(State(state): State<ScoringState>, id: RequestId) -> Response {
    refuse(&state, ApiError::method_not_allowed("POST"), id)
}

async fn not_get(State(state): State<ScoringState>, id: RequestId) -> Response {
    refuse(&state, ApiError::method_not_allowed("GET, HEAD"), id)
}

fn refuse(state: &ScoringState, error: ApiError, id: RequestId) -> Response {
    state.metrics().count(error.status());
    error.with_request_id(id).into_response()
}
