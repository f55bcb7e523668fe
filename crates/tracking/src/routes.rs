//! The routes of a tracking server: the endpoint table, each endpoint under both prefixes, and what
//! stands beside it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use mlrs_api::Method;
use mlrs_api::endpoints;
use mlrs_http::body::discard;
use mlrs_http::{ApiError, BrowserGuard, ErrorCode, RequestId, answer, browser};
use serde::de::IgnoredAny;

use crate::call::{Refused, finish};
use crate::graphql;
use crate::handlers::{
    absent, artifacts, experiments, lineage, logged_models, metrics, model_versions, pages,
    registered_models, runs, server_info, transfers,
};
use crate::routing::{Routes, ajax_path, paths, template};
use crate::state::TrackingState;

/// The MLflow version whose API is spoken; `/version` answers it.
pub const MLFLOW_VERSION: &str = "3.17.2";

/// How long the databases may take to show that they can be read: who asks waits a few seconds.
const READY_WITHIN: Duration = Duration::from_secs(2);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The routes of a tracking server. Errors are JSON on every route; an endpoint that is not there is
/// `ENDPOINT_NOT_FOUND`, on which clients take another way.
///
/// Every path begins with `prefix`, which is empty or begins with `/` and does not end with it. More
/// slashes before a path, or between prefix and path, are one: some clients join an address that ends
/// with a slash and a path that begins with one.
/// `guard` keeps pages of other sites out; without one, anybody's page may use the server.
pub fn router(state: TrackingState, prefix: &str, guard: Option<BrowserGuard>) -> Router {
    let table = experiments_and_runs(Routes::new(state.metrics().endpoints()));
    let table = registry(direct(files(logged_models_and_lineage(table))));
    let table = web_pages(table);
    let router = table
        .into_router()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/version", get(version))
        .route("/metrics", get(scrape))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed);
    let router = match prefix {
        "" => router,
        prefix => {
            let first_page = format!("{prefix}/");
            let to_first_page = Redirect::permanent(&first_page);
            Router::new()
                .nest(&first_page, router)
                .route(prefix, get(async || to_first_page))
                .fallback(unknown)
        }
    };
    let router = match guard {
        Some(guard) => router.layer(from_fn_with_state(Arc::new(guard), browser::guard)),
        None => router,
    };
    let router = router.with_state(state);
    let prefix = prefix.to_owned();
    Router::new()
        .fallback_service(router)
        .layer(map_request(move |request| {
            std::future::ready(with_single_slash(request, &prefix))
        }))
}

/// The request with one slash before its path, and one after the prefix.
fn with_single_slash(mut request: Request, prefix: &str) -> Request {
    let path = request.uri().path();
    let begins = |path: &str| path.starts_with("//");
    let has_more = begins(path) || path.strip_prefix(prefix).is_some_and(begins);
    if has_more && let Some(uri) = single_slash(request.uri(), prefix) {
        *request.uri_mut() = uri;
    }
    request
}

fn single_slash(uri: &Uri, prefix: &str) -> Option<Uri> {
    let target = uri.path_and_query()?.as_str();
    let mut rest = target.trim_start_matches('/');
    let mut single = String::with_capacity(target.len());
    let begin = prefix.trim_start_matches('/');
    if let Some(behind) = rest.strip_prefix(begin).filter(|_| !begin.is_empty())
        && behind.starts_with('/')
    {
        single.push_str(prefix);
        rest = behind.trim_start_matches('/');
    }
    single.push('/');
    single.push_str(rest);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(single.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn experiments_and_runs(routes: Routes) -> Routes {
    routes
        .json(endpoints::CREATE_EXPERIMENT, experiments::create)
        .json(endpoints::SEARCH_EXPERIMENTS, experiments::search)
        .json(endpoints::SEARCH_EXPERIMENTS_BY_QUERY, experiments::search)
        .json(endpoints::LIST_EXPERIMENTS, experiments::list)
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
        .json(endpoints::GET_SERVER_INFO, server_info::get)
}

fn logged_models_and_lineage(routes: Routes) -> Routes {
    routes
        .json(endpoints::LOG_INPUTS, lineage::log_inputs)
        .json(endpoints::LOG_OUTPUTS, lineage::log_outputs)
        .json(endpoints::LOG_MODEL, lineage::log_model)
        .ajax(endpoints::SEARCH_DATASETS, lineage::search_datasets)
        .json(endpoints::CREATE_LOGGED_MODEL, logged_models::create)
        .json(endpoints::SEARCH_LOGGED_MODELS, logged_models::search)
        .named(endpoints::GET_LOGGED_MODEL, logged_models::get)
        .named(endpoints::FINALIZE_LOGGED_MODEL, logged_models::finalize)
        .named(endpoints::DELETE_LOGGED_MODEL, logged_models::delete)
        .named(endpoints::SET_LOGGED_MODEL_TAGS, logged_models::set_tags)
        .named(
            endpoints::DELETE_LOGGED_MODEL_TAG,
            logged_models::delete_tag,
        )
        .named(
            endpoints::LOG_LOGGED_MODEL_PARAMS,
            logged_models::log_params,
        )
}

fn files(routes: Routes) -> Routes {
    routes
        .json(endpoints::LIST_RUN_ARTIFACTS, artifacts::list_of_run)
        .named(
            endpoints::LIST_LOGGED_MODEL_ARTIFACTS,
            artifacts::list_of_model,
        )
        .json(endpoints::LIST_PROXIED_ARTIFACTS, artifacts::list_proxied)
        .named(
            endpoints::DELETE_PROXIED_ARTIFACT,
            artifacts::delete_proxied,
        )
        .file(
            &template(endpoints::DOWNLOAD_PROXIED_ARTIFACT),
            &paths(endpoints::DOWNLOAD_PROXIED_ARTIFACT),
            artifacts::download_proxied,
        )
        .upload(
            endpoints::UPLOAD_PROXIED_ARTIFACT,
            &paths(endpoints::UPLOAD_PROXIED_ARTIFACT),
            artifacts::upload_proxied,
        )
        .upload(
            endpoints::UPLOAD_ARTIFACT,
            &[ajax_path(endpoints::UPLOAD_ARTIFACT)],
            artifacts::upload_to_run,
        )
        .file(
            endpoints::GET_LOGGED_MODEL_ARTIFACT.template,
            &[ajax_path(endpoints::GET_LOGGED_MODEL_ARTIFACT)],
            artifacts::download_of_model,
        )
        .page("/get-artifact", artifacts::download_of_run)
        .page(
            "/model-versions/get-artifact",
            model_versions::download_file,
        )
}

/// Transfers that do not go through this server.
fn direct(routes: Routes) -> Routes {
    routes
        .named(endpoints::CREATE_MULTIPART_UPLOAD, transfers::create)
        .named(endpoints::COMPLETE_MULTIPART_UPLOAD, transfers::complete)
        .named(endpoints::ABORT_MULTIPART_UPLOAD, transfers::abort)
        .named(
            endpoints::PRESIGN_PROXIED_DOWNLOAD,
            transfers::presign_proxied,
        )
        .json(endpoints::PRESIGN_UPLOAD, transfers::presign_upload)
        .json(endpoints::PRESIGN_DOWNLOAD, transfers::presign_download)
}

fn registry(routes: Routes) -> Routes {
    routes
        .json(
            endpoints::CREATE_REGISTERED_MODEL,
            registered_models::create,
        )
        .json(
            endpoints::RENAME_REGISTERED_MODEL,
            registered_models::rename,
        )
        .json(
            endpoints::UPDATE_REGISTERED_MODEL,
            registered_models::update,
        )
        .json(
            endpoints::DELETE_REGISTERED_MODEL,
            registered_models::delete,
        )
        .json(endpoints::GET_REGISTERED_MODEL, registered_models::get)
        .json(endpoints::LIST_REGISTERED_MODELS, registered_models::list)
        .json(
            endpoints::SEARCH_REGISTERED_MODELS,
            registered_models::search,
        )
        .json(
            endpoints::SET_REGISTERED_MODEL_TAG,
            registered_models::set_tag,
        )
        .json(
            endpoints::DELETE_REGISTERED_MODEL_TAG,
            registered_models::delete_tag,
        )
        .json(
            endpoints::SET_REGISTERED_MODEL_ALIAS,
            registered_models::set_alias,
        )
        .json(
            endpoints::DELETE_REGISTERED_MODEL_ALIAS,
            registered_models::delete_alias,
        )
        .json(
            endpoints::GET_MODEL_VERSION_BY_ALIAS,
            registered_models::version_by_alias,
        )
        .json(
            endpoints::GET_LATEST_VERSIONS,
            registered_models::latest_versions,
        )
        .json(
            endpoints::GET_LATEST_VERSIONS_BY_QUERY,
            registered_models::latest_versions,
        )
        .json(endpoints::CREATE_MODEL_VERSION, model_versions::create)
        .json(endpoints::UPDATE_MODEL_VERSION, model_versions::update)
        .json(
            endpoints::TRANSITION_MODEL_VERSION_STAGE,
            model_versions::transition,
        )
        .json(endpoints::DELETE_MODEL_VERSION, model_versions::delete)
        .json(endpoints::GET_MODEL_VERSION, model_versions::get)
        .json(endpoints::SEARCH_MODEL_VERSIONS, model_versions::search)
        .json(
            endpoints::GET_MODEL_VERSION_DOWNLOAD_URI,
            model_versions::download_uri,
        )
        .json(endpoints::SET_MODEL_VERSION_TAG, model_versions::set_tag)
        .json(
            endpoints::DELETE_MODEL_VERSION_TAG,
            model_versions::delete_tag,
        )
}

/// MLflow's web pages, and what only they ask for.
fn web_pages(routes: Routes) -> Routes {
    let routes = routes
        .page("/", pages::first)
        .page("/static-files/{*path}", pages::file)
        .at("/graphql", Method::Post, |state, _, request| {
            graphql::handle(state, request)
        });
    let routes = absent::ANSWERS.iter().fold(routes, |routes, known| {
        routes.at(known.path, known.method, |_, _, _: IgnoredAny| {
            std::future::ready(known.answer())
        })
    });
    absent::REFUSED.iter().fold(routes, |routes, missing| {
        routes.at(missing.path, Method::Post, |_, _, _: IgnoredAny| {
            std::future::ready(missing.refused())
        })
    })
}

async fn health(id: RequestId) -> Response {
    answer::plain(&id, TEXT, Bytes::from_static(b"OK"))
}

/// Whether the server can do its work: MLflow has no such endpoint, and its `/health` knows only that
/// there is a process.
async fn ready(State(state): State<TrackingState>, id: RequestId) -> Response {
    let checked = tokio::time::timeout(READY_WITHIN, state.check_stores()).await;
    let cause = match checked {
        Ok(Ok(())) => {
            return answer::plain(
                &id,
                answer::JSON,
                Bytes::from_static(b"{\"ready\": true}\n"),
            );
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer in time".to_owned(),
    };
    tracing::warn!(cause, "the server is not ready");
    ApiError::new(
        ErrorCode::TemporarilyUnavailable,
        "the database cannot be used at the moment",
    )
    .with_retry_after(1)
    .with_request_id(id)
    .into_response()
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

async fn unknown(State(state): State<TrackingState>, request: Request) -> Response {
    let error = ApiError::not_found("There is no such endpoint on this server.");
    refuse(&state, request, error).await
}

async fn not_allowed(State(state): State<TrackingState>, request: Request) -> Response {
    let message = "This endpoint does not take this method.";
    let error = ApiError::new(ErrorCode::BadRequest, message);
    let error = error.with_status(StatusCode::METHOD_NOT_ALLOWED);
    refuse(&state, request, error).await
}

async fn refuse(state: &TrackingState, request: Request, error: ApiError) -> Response {
    let (head, body) = request.into_parts();
    let refusal = async |_: &RequestId| {
        discard(&head.headers, body).await;
        Err(Refused::Http(error))
    };
    finish(state.metrics().unknown(), &head, refusal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_before_a_path_are_one() {
        for (prefix, sent, expected) in [
            ("", "//health", "/health"),
            ("", "///api/2.0/x?a=//b", "/api/2.0/x?a=//b"),
            ("", "/api/a//b", "/api/a//b"),
            ("", "//", "/"),
            ("/ml", "/ml//api/x", "/ml/api/x"),
            ("/ml", "//ml///api//x?y", "/ml/api//x?y"),
            ("/ml", "//mlx//y", "/mlx//y"),
            ("/ml", "/ml", "/ml"),
        ] {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = sent.parse().unwrap();
            let request = with_single_slash(request, prefix);
            assert_eq!(request.uri(), expected, "{sent}");
        }
    }
}
