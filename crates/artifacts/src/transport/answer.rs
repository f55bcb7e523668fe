//! Answers: bounded bodies, and errors that say what the server said, in one plain line.

use std::time::Duration;

use futures_util::StreamExt as _;
use mlrs_api::ErrorBody;
use reqwest::header::RETRY_AFTER;
use url::Url;

use super::request::HttpRequest;
use crate::transport_error::TransportError;

/// Largest error answer that is read, in bytes; the rest is not needed for a message.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The answer, if it is a good one.
pub(super) async fn check(
    request: &HttpRequest,
    answer: reqwest::Response,
) -> Result<reqwest::Response, TransportError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    let body = read_bounded(answer, MAX_ERROR_BYTES)
        .await
        .map(|(body, _)| body);
    let body = body.unwrap_or_default();
    let (code, message) = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) => (Some(error.error_code), excerpt(error.message.as_bytes())),
        Err(_) => (None, excerpt(&body)),
    };
    let server = server_of(&request.url);
    Err(TransportError::Answer {
        server,
        status,
        code,
        message,
        retry_after,
    })
}

/// Reads a body up to `limit` bytes; the flag says whether that was all of it.
pub(super) async fn read_bounded(
    answer: reqwest::Response,
    limit: usize,
) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if body.len() + piece.len() > limit {
            body.extend_from_slice(&piece[..limit - body.len()]);
            return Ok((body, false));
        }
        body.extend_from_slice(&piece);
    }
    Ok((body, true))
}

/// Scheme, host and port of an address, for messages.
pub(super) fn server_of(url: &Url) -> String {
    let mut server = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        server.push(':');
        server.push_str(&port.to_string());
    }
    server
}

/// A URI without user name, password, query and fragment, for messages and keys.
pub fn without_secrets(uri: &str) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let uri = &uri[..end];
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    // What stands before the `@` of an Azure URI is its container, no secret.
    if matches!(scheme, "abfss" | "abfs" | "wasbs") {
        return uri.to_owned();
    }
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => uri.to_owned(),
    }
}

/// The beginning of a text from a server: one line, nothing that could drive a terminal.
pub(super) fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 600;
    let text = String::from_utf8_lossy(body);
    let mut shown = String::new();
    for word in text.split_whitespace() {
        if shown.len() + word.len() > LONGEST {
            let rest = word.chars().filter(|letter| !letter.is_control());
            shown.extend(rest.take(LONGEST.saturating_sub(shown.len())));
            shown.push('…');
            break;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.extend(word.chars().filter(|letter| !letter.is_control()));
    }
    if shown.is_empty() {
        "(nothing)".to_owned()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_a_uri() {
        for (uri, shown) in [
            (
                "http://user:pass@host:5000/p?token=1#x",
                "http://host:5000/p",
            ),
            ("postgresql://u:p@db/mlflow", "postgresql://db/mlflow"),
            ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
            (
                "abfss://box@account.dfs.core.windows.net/x",
                "abfss://box@account.dfs.core.windows.net/x",
            ),
            ("./mlruns", "./mlruns"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }

    #[test]
    fn an_excerpt_is_short_and_plain() {
        assert_eq!(excerpt(b"a\n\x1b[31mb  c"), "a [31mb c");
        assert_eq!(excerpt(b"  "), "(nothing)");
        assert!(excerpt("wort ".repeat(1000).as_bytes()).len() < 700);
    }
}
