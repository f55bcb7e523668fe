//! How a route is made of an endpoint and its handler.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use http::HeaderMap;
use mlrs_api::endpoints::{AJAX, PREVIEW};
use mlrs_api::{Endpoint, Method};
use mlrs_http::EndpointMetrics;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Named, Refused, call, finish};
use crate::state::TrackingState;

/// A router that is filled from the endpoint table. Requests are counted by the template of their
/// endpoint, which is the same under both prefixes.
pub(crate) struct Routes {
    router: Router<TrackingState>,
    counted: EndpointMetrics,
}

impl Routes {
    /// No route yet.
    pub(crate) fn new(counted: &EndpointMetrics) -> Self {
        Self {
            router: Router::new(),
            counted: counted.clone(),
        }
    }

    /// The router as it is filled.
    pub(crate) fn into_router(self) -> Router<TrackingState> {
        self.router
    }

    /// An endpoint under its prefixes.
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
        let name = template(endpoint);
        let routes = paths(endpoint);
        routes.iter().fold(self, |routes, path| {
            routes.under(&name, path, endpoint.method, handler.clone())
        })
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
        let path = ajax_path(endpoint);
        self.under(&template(endpoint), &path, endpoint.method, handler)
    }

    /// An endpoint at this path, which is its name as well.
    pub(crate) fn at<T, U, E, F, H>(self, path: &str, method: Method, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, Named, T) -> F + Clone + Send + Sync + 'static,
    {
        self.under(path, path, method, handler)
    }

    /// An endpoint at this path, counted under this name.
    fn under<T, U, E, F, H>(self, name: &str, path: &str, method: Method, handler: H) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        U: Serialize + 'static,
        E: Into<Refused> + 'static,
        F: Future<Output = Result<U, E>> + Send + 'static,
        H: Fn(TrackingState, Named, T) -> F + Clone + Send + Sync + 'static,
    {
        let counted = self.counted.endpoint(name, label(method));
        let answer =
            move |State(state): State<TrackingState>, parts: RawPathParams, request: Request| {
                let named = Named::new(&parts);
                let handler = handler.clone();
                let counted = Arc::clone(&counted);
                async move {
                    let handler = move |state, request| handler(state, named, request);
                    call(state, &counted, request, handler).await
                }
            };
        self.routed(path, on(filter(method), answer))
    }
}

impl Routes {
    /// Paths of one name that answer GET with a file. The handler gets the headers and the query.
    pub(crate) fn file<F, H>(self, name: &str, paths: &[String], handler: H) -> Self
    where
        F: Future<Output = Result<Response, Refused>> + Send + 'static,
        H: Fn(TrackingState, Named, HeaderMap, String) -> F + Clone + Send + Sync + 'static,
    {
        let counted = self.counted.endpoint(name, label(Method::Get));
        let answer = async move |State(state): State<TrackingState>,
                                 parts: RawPathParams,
                                 request: Request| {
            let (head, _) = request.into_parts();
            let named = Named::new(&parts);
            let query = head.uri.query().unwrap_or_default().to_owned();
            let file = handler(state, named, head.headers.clone(), query);
            finish(&counted, &head, async |_| file.await).await
        };
        let route = |routes: Self, path: &String| routes.routed(path, get(answer.clone()));
        paths.iter().fold(self, route)
    }

    /// A path that answers GET with a file, and is its own name.
    pub(crate) fn page<F, H>(self, path: &str, handler: H) -> Self
    where
        F: Future<Output = Result<Response, Refused>> + Send + 'static,
        H: Fn(TrackingState, Named, HeaderMap, String) -> F + Clone + Send + Sync + 'static,
    {
        self.file(path, &[path.to_owned()], handler)
    }

    /// Paths of an endpoint that takes a file. The handler gets the headers, the query and the body.
    pub(crate) fn upload<F, H>(self, endpoint: Endpoint, paths: &[String], handler: H) -> Self
    where
        F: Future<Output = Result<Response, Refused>> + Send + 'static,
        H: Fn(TrackingState, Named, HeaderMap, String, Body) -> F + Clone + Send + Sync + 'static,
    {
        let counted = (self.counted).endpoint(&template(endpoint), label(endpoint.method));
        let answer = async move |State(state): State<TrackingState>,
                                 parts: RawPathParams,
                                 request: Request| {
            let (head, body) = request.into_parts();
            let headers = head.headers.clone();
            let query = head.uri.query().unwrap_or_default().to_owned();
            let taken = handler(state, Named::new(&parts), headers, query, body);
            finish(&counted, &head, async |_| taken.await).await
        };
        let method = filter(endpoint.method);
        let route = |routes: Self, path: &String| routes.routed(path, on(method, answer.clone()));
        paths.iter().fold(self, route)
    }

    fn routed(self, path: &str, route: MethodRouter<TrackingState>) -> Self {
        Self {
            router: self.router.route(path, route),
            ..self
        }
    }
}

/// The paths of an endpoint under `/api` and under `/ajax-api`, and where it was before MLflow 2.0.
pub(crate) fn paths(endpoint: Endpoint) -> Vec<String> {
    let template = template(endpoint);
    let path = format!("{}{template}", endpoint.version.prefix());
    let mut paths = vec![path, ajax_path(endpoint)];
    if PREVIEW.contains(&endpoint) {
        let version = endpoint.version.prefix().trim_start_matches("/api");
        paths.push(format!("/api{version}/preview{template}"));
        paths.push(format!("{AJAX}{version}/preview{template}"));
    }
    paths
}

/// The path of an endpoint under `/ajax-api`.
pub(crate) fn ajax_path(endpoint: Endpoint) -> String {
    let version = endpoint.version.prefix().trim_start_matches("/api");
    format!("{AJAX}{version}{}", template(endpoint))
}

/// A template as the router writes it: `<path:name>` takes the rest of the path.
pub(crate) fn template(endpoint: Endpoint) -> String {
    let whole = endpoint.template;
    match whole.split_once("<path:") {
        Some((before, name)) => format!("{before}{{*{}}}", name.trim_end_matches('>')),
        None => whole.to_owned(),
    }
}

/// A method as the label of a metric.
const fn label(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Put => "PUT",
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
