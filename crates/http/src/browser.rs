//! What keeps a web page of somebody else from using a server through its visitor's browser.
//!
//! Two checks, as MLflow has them. The `Host` of a request must be one of this server: a name that a
//! page made to point here (DNS rebinding) is not. And a request that changes something must not
//! come from a page of another origin, unless that origin is allowed. Plus the headers that keep a
//! browser from guessing types and from showing the server's pages in a frame.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_TYPE, HOST, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const WRONG_HOST: &str = "Invalid Host header - possible DNS rebinding attack detected. \
     If this name is one of the server, start it with --allowed-hosts and the name.";
const WRONG_ORIGIN: &str = "Cross-origin request blocked. \
     If pages of that origin may use the server, start it with --cors-allowed-origins and the origin.";

/// Paths that anybody may ask for: load balancers use names of their own.
const OPEN: [&str; 3] = ["/health", "/ready", "/version"];

/// Which hosts and origins a server takes.
#[derive(Clone, Debug)]
pub struct BrowserGuard {
    /// Names of the server, with `*` for any text; when empty, this machine and private networks.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may change something, with `*` for any text. Pages of this machine may.
    pub allowed_origins: Vec<String>,
    /// `X-Frame-Options` of every answer; none when absent.
    pub frame_options: Option<HeaderValue>,
}

impl Default for BrowserGuard {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            frame_options: Some(HeaderValue::from_static("SAMEORIGIN")),
        }
    }
}

impl BrowserGuard {
    /// Whether a `Host` header is one of this server.
    pub fn takes_host(&self, host: &str) -> bool {
        let name = without_port(host);
        if self.allowed_hosts.is_empty() {
            return is_near(name);
        }
        let mut allowed = self.allowed_hosts.iter();
        allowed.any(|allowed| matches(allowed, host) || matches(allowed, name))
    }

    fn takes_origin(&self, origin: &str) -> bool {
        let name = origin.split_once("://").map_or(origin, |(_, host)| host);
        is_loopback(without_port(name)) || self.allows(origin)
    }

    fn allows(&self, origin: &str) -> bool {
        let mut allowed = self.allowed_origins.iter();
        allowed.any(|allowed| matches(allowed, origin))
    }

    /// Why a request is not let through.
    fn refuses(&self, path: &str, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
        if !OPEN.contains(&path) && !self.takes_host(text(headers, HOST)) {
            return Some(WRONG_HOST);
        }
        let changes = matches!(
            *method,
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        let origin = text(headers, ORIGIN);
        (changes && !origin.is_empty() && !self.takes_origin(origin)).then_some(WRONG_ORIGIN)
    }

    /// The headers that let a page of an allowed origin read an answer.
    fn share(&self, origin: &str, request: &HeaderMap, answer: &mut HeaderMap) {
        if origin.is_empty() || !self.takes_origin(origin) {
            return;
        }
        let Ok(value) = HeaderValue::from_str(origin) else {
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        answer.append(VARY, HeaderValue::from_static("origin"));
        // With a wildcard nobody has vouched for the origin: no cookies then.
        if !self.allowed_origins.iter().any(|allowed| allowed == "*") {
            answer.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
        if let Some(headers) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
    }
}

/// Lets a request through, or not; for `axum::middleware::from_fn_with_state`.
pub async fn guard(
    State(guard): State<Arc<BrowserGuard>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers().clone();
    let origin = text(&headers, ORIGIN);
    let refused = guard.refuses(request.uri().path(), request.method(), &headers);
    let mut response = if let Some(reason) = refused {
        tracing::warn!(reason, "a request was refused");
        plain(StatusCode::FORBIDDEN, reason)
    } else if request.method() == Method::OPTIONS {
        plain(StatusCode::NO_CONTENT, "")
    } else {
        next.run(request).await
    };
    let answer = response.headers_mut();
    if refused.is_none() {
        guard.share(origin, &headers, answer);
    }
    answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(value) = &guard.frame_options {
        answer.insert(X_FRAME_OPTIONS, value.clone());
    }
    response
}

/// Lets pages of the allowed origins read responses, and no others; refuses nothing. For
/// `axum::middleware::from_fn_with_state`.
pub async fn share(
    State(guard): State<Arc<BrowserGuard>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers().clone();
    let origin = text(&headers, ORIGIN);
    let asks_first = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if request.method() == Method::OPTIONS && asks_first {
        plain(StatusCode::NO_CONTENT, "")
    } else {
        next.run(request).await
    };
    if guard.allows(origin) {
        guard.share(origin, &headers, response.headers_mut());
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// The name in `name:port` or `[address]:port`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether a name is of this machine or an address of a private network.
fn is_near(name: &str) -> bool {
    let private = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_private() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unique_local(),
    };
    is_loopback(name) || name.parse().is_ok_and(private)
}

/// Whether a text has the form of a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern.eq_ignore_ascii_case(text);
    };
    let Some(mut left) = strip_prefix_ignoring_case(text, first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left
                .to_ascii_lowercase()
                .ends_with(&part.to_ascii_lowercase());
        }
        let found = left.to_ascii_lowercase().find(&part.to_ascii_lowercase());
        match found {
            Some(place) => left = &left[place + part.len()..],
            None => return false,
        }
    }
    true
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(
        guard: &BrowserGuard,
        method: &Method,
        host: &'static str,
        origin: &'static str,
    ) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if !origin.is_empty() {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        guard.refuses("/api/2.0/x", method, &headers).is_some()
    }

    #[test]
    fn by_default_only_near_hosts_are_taken() {
        let guard = BrowserGuard::default();
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "10.1.2.3",
            "192.168.0.1:80",
            "172.20.0.1",
            "0.0.0.0:5000",
        ] {
            assert!(!refused(&guard, &Method::GET, host, ""), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "192.168.evil.example",
            "172.32.0.1",
            "8.8.8.8",
            "localhost.evil.example",
        ] {
            assert!(refused(&guard, &Method::GET, host, ""), "{host}");
        }
        let open = guard.refuses("/health", &Method::GET, &HeaderMap::new());
        assert_eq!(open, None);
    }

    #[test]
    fn named_hosts_take_their_place() {
        let guard = BrowserGuard {
            allowed_hosts: vec!["mlflow.example".to_owned(), "*.team.example".to_owned()],
            ..BrowserGuard::default()
        };
        for host in ["mlflow.example", "MLflow.example:443", "a.team.example"] {
            assert!(!refused(&guard, &Method::GET, host, ""), "{host}");
        }
        assert!(refused(&guard, &Method::GET, "localhost:5000", ""));
        assert!(refused(&guard, &Method::GET, "mlflow.example.evil", ""));
    }

    #[test]
    fn other_origins_may_read_and_not_change() {
        let guard = BrowserGuard {
            allowed_origins: vec!["https://*.good.example".to_owned()],
            ..BrowserGuard::default()
        };
        let asks = |method: &Method, origin| refused(&guard, method, "localhost", origin);
        assert!(asks(&Method::POST, "https://evil.example"));
        assert!(asks(&Method::DELETE, "null"));
        assert!(!asks(&Method::GET, "https://evil.example"));
        assert!(!asks(&Method::POST, "https://a.good.example"));
        assert!(!asks(&Method::POST, "http://localhost:3000"));
        assert!(!asks(&Method::POST, ""));
    }

    #[test]
    fn a_star_is_any_text() {
        assert!(matches("*", "anything"));
        assert!(matches("a*c*e", "abcde"));
        assert!(!matches("a*c*e", "abde"));
        assert!(!matches("a*", "b"));
    }
}
