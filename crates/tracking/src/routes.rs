//! The routes of a tracking server: the endpoint table, each endpoint under both prefixes, and what
//! stands beside it.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use mlrs_api::endpoints::{self, AJAX};
use mlrs_api::server_info::ServerInfo;
use mlrs_api::{Endpoint, Method};
use mlrs_http::{ApiError, ErrorCode, RequestId, answer};
use mlrs_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::call;
use crate::handlers::{experiments, metrics, runs};
use crate::state::TrackingState;

/// The MLflow version whose API is spoken; `/version` answers it.
pub const MLFLOW_VERSION: &str = "3.17.2";

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The routes of a tracking server. Errors are JSON on every route; an endpoint that is not there is
/// `ENDPOINT_NOT_FOUND`, on which clients take another way.
pub fn router(state: TrackingState) -> Router {
    let routes = Routes(Router::new())
        .json(endpoints::CREATE_EXPERIMENT, experiments::create)
        .json(endpoints::SEARCH_EXPERIMENTS, experiments::search)
        .json(endpoints::SEARCH_EXPERIMENTS_BY_QUERY, experiments::search)
        .json(endpoints::GET_EXPERIMENT, experiments::get)
        .json(endpoints::GET_EXPERIMENT_BY_NAME, experiments::get_by_name)
        .json(endpoints::DELETE_EXPERIMENT, experiments::delete)
        .json(endpoints::RESTORE_EXPERIMENT, experiments::restore)
        .json(endpoints::UPDATE_EXPERIMENT, experiments::update)
        .json(endpoints::SET_EXPERIMENT_TAG, experiments::set_tag)
        .json(endpoints::DELETE_EXPERIMENT_TAG, experiments::delete_tag)
        .json(endpoints::CREATE_RUN, runs::create)
        .json(endpoints::UPDATE_RUN, runs::update)
        .json(endpoints::DELETE_RUN, runs::delete)
        .json(endpoints::RESTORE_RUN, runs::restore)
        .json(endpoints::GET_RUN, runs::get)
        .json(endpoints::SEARCH_RUNS, runs::search)
        .json(endpoints::LOG_METRIC, runs::log_metric)
        .json(endpoints::LOG_PARAM, runs::log_param)
        .json(endpoints::SET_TAG, runs::set_tag)
        .json(endpoints::DELETE_TAG, runs::delete_tag)
        .json(endpoints::LOG_BATCH, runs::log_batch)
        .json(endpoints::GET_METRIC_HISTORY, metrics::history)
        .json(
            endpoints::GET_METRIC_HISTORY_BULK_INTERVAL,
            metrics::sampled_history,
        )
        .ajax(endpoints::GET_METRIC_HISTORY_BULK, metrics::history_of_runs)
        .json(endpoints::GET_SERVER_INFO, server_info);
    routes
        .0
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/metrics", get(scrape))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(state)
}

/// A router that is filled from the endpoint table.
struct Routes(Router<TrackingState>);

impl Routes {
    /// An endpoint under both prefixes.
    fn json<T, U, F, H>(self, endpoint: Endpoint, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        F: Future<Output = Result<U, StoreError>> + Send + 'static,
        H: Fn(TrackingState, T) -> F + Clone + Send + Sync + 'static,
    {
        let path = format!("{}{}", endpoint.version.prefix(), endpoint.template);
        self.at(&path, endpoint.method, handler.clone())
            .ajax(endpoint, handler)
    }

    /// An endpoint of MLflow's pages only.
    fn ajax<T, U, F, H>(self, endpoint: Endpoint, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        F: Future<Output = Result<U, StoreError>> + Send + 'static,
        H: Fn(TrackingState, T) -> F + Clone + Send + Sync + 'static,
    {
        let version = endpoint.version.prefix().trim_start_matches("/api");
        let path = format!("{AJAX}{version}{}", endpoint.template);
        self.at(&path, endpoint.method, handler)
    }

    fn at<T, U, F, H>(self, path: &str, method: Method, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        F: Future<Output = Result<U, StoreError>> + Send + 'static,
        H: Fn(TrackingState, T) -> F + Clone + Send + Sync + 'static,
    {
        let answer = move |State(state): State<TrackingState>, request: Request| {
            call(state, request, handler.clone())
        };
        Self(self.0.route(path, on(filter(method), answer)))
    }
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
        Method::Put => MethodFilter::PUT,
    }
}

async fn server_info(
    _state: TrackingState,
    _request: serde::de::IgnoredAny,
) -> Result<ServerInfo, StoreError> {
    Ok(ServerInfo {
        store_type: Some("SqlStore".to_owned()),
        ..ServerInfo::default()
    })
}

async fn health(id: RequestId) -> Response {
    answer::plain(&id, TEXT, Bytes::from_static(b"OK"))
}

async fn version(id: RequestId) -> Response {
    answer::plain(&id, HTML, Bytes::from_static(MLFLOW_VERSION.as_bytes()))
}

async fn scrape(State(state): State<TrackingState>, headers: HeaderMap, id: RequestId) -> Response {
    match state.metrics().encode(state.budget().used()) {
        Ok(text) => answer::ok(&headers, &id, mlrs_http::metrics::TEXT, text).await,
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            ApiError::new(ErrorCode::InternalError, "the metrics cannot be written")
                .with_request_id(id)
                .into_response()
        }
    }
}

async fn unknown(id: RequestId) -> Response {
    ApiError::not_found("There is no such endpoint on this server.")
        .with_request_id(id)
        .into_response()
}

async fn not_allowed(id: RequestId) -> Response {
    ApiError::new(
        ErrorCode::BadRequest,
        "This endpoint does not take this method.",
    )
    .with_status(http::StatusCode::METHOD_NOT_ALLOWED)
    .with_request_id(id)
    .into_response()
}
