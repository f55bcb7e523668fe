//! How a route is made of an endpoint and its handler.

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, get, on};
use http::HeaderMap;
use mlrs_api::endpoints::AJAX;
use mlrs_api::{Endpoint, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Named, Refused, call, finish};
use crate::state::TrackingState;

/// A router that is filled from the endpoint table.
pub(crate) struct Routes(pub(crate) Router<TrackingState>);

impl Routes {
    /// An endpoint under both prefixes.
    pub(crate) fn json<T, U, E, F, H>(self, endpoint: Endpoint, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, T) -> F + Clone + Send + Sync + 'static,
    {
        self.named(endpoint, move |state, _, request| handler(state, request))
    }

    /// An endpoint under both prefixes whose path names something.
    pub(crate) fn named<T, U, E, F, H>(self, endpoint: Endpoint, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, Named, T) -> F + Clone + Send + Sync + 'static,
    {
        let [api, ajax] = paths(endpoint);
        self.at(&api, endpoint.method, handler.clone())
            .at(&ajax, endpoint.method, handler)
    }

    /// An endpoint of MLflow's pages only.
    pub(crate) fn ajax<T, U, E, F, H>(self, endpoint: Endpoint, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, T) -> F + Clone + Send + Sync + 'static,
    {
        let handler = move |state, _, request| handler(state, request);
        self.at(&ajax_path(endpoint), endpoint.method, handler)
    }

    /// An endpoint at this path.
    pub(crate) fn at<T, U, E, F, H>(self, path: &str, method: Method, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, Named, T) -> F + Clone + Send + Sync + 'static,
    {
        let answer =
            move |State(state): State<TrackingState>, parts: RawPathParams, request: Request| {
                let named = Named::new(&parts);
                let handler = handler.clone();
                call(state, request, move |state, request| {
                    handler(state, named, request)
                })
            };
        Self(self.0.route(path, on(filter(method), answer)))
    }
}

impl Routes {
    /// Paths that answer GET with a file. The handler gets the headers and the query.
    pub(crate) fn file<F, H>(self, paths: &[String], handler: H) -> Self
    where
        F: Future<Output = Result<Response, Refused>> + Send + 'static,
        H: Fn(TrackingState, Named, HeaderMap, String) -> F + Clone + Send + Sync + 'static,
    {
        let answer = async move |State(state): State<TrackingState>,
                                 parts: RawPathParams,
                                 request: Request| {
            let (head, _) = request.into_parts();
            let named = Named::new(&parts);
            let query = head.uri.query().unwrap_or_default().to_owned();
            let file = handler(state.clone(), named, head.headers.clone(), query);
            finish(&state, &head, async |_| file.await).await
        };
        let route =
            |router: Router<TrackingState>, path: &String| router.route(path, get(answer.clone()));
        Self(paths.iter().fold(self.0, route))
    }

    /// Paths that take a file. The handler gets the headers, the query and the body.
    pub(crate) fn upload<F, H>(self, method: Method, paths: &[String], handler: H) -> Self
    where
        F: Future<Output = Result<Response, Refused>> + Send + 'static,
        H: Fn(TrackingState, Named, HeaderMap, String, Body) -> F + Clone + Send + Sync + 'static,
    {
        let answer = async move |State(state): State<TrackingState>,
                                 parts: RawPathParams,
                                 request: Request| {
            let (head, body) = request.into_parts();
            let headers = head.headers.clone();
            let query = head.uri.query().unwrap_or_default().to_owned();
            let taken = handler(state.clone(), Named::new(&parts), headers, query, body);
            finish(&state, &head, async |_| taken.await).await
        };
        let route = |router: Router<TrackingState>, path: &String| {
            router.route(path, on(filter(method), answer.clone()))
        };
        Self(paths.iter().fold(self.0, route))
    }
}

/// The path of an endpoint under `/api` and under `/ajax-api`.
pub(crate) fn paths(endpoint: Endpoint) -> [String; 2] {
    let template = template(endpoint);
    [
        format!("{}{template}", endpoint.version.prefix()),
        ajax_path(endpoint),
    ]
}

/// The path of an endpoint under `/ajax-api`.
pub(crate) fn ajax_path(endpoint: Endpoint) -> String {
    let version = endpoint.version.prefix().trim_start_matches("/api");
    format!("{AJAX}{version}{}", template(endpoint))
}

/// A template as the router writes it: `<path:name>` takes the rest of the path.
fn template(endpoint: Endpoint) -> String {
    let whole = endpoint.template;
    match whole.split_once("<path:") {
        Some((before, name)) => format!("{before}{{*{}}}", name.trim_end_matches('>')),
        None => whole.to_owned(),
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
