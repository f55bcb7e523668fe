//! Answers from bytes: content type, request id, and gzip for those who ask for it.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};

use crate::RequestId;

/// `application/json`.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Shorter answers are never compressed: the header alone would cost what is saved.
const COMPRESSED_FROM: usize = 1 << 10;

/// Longer answers are compressed off the async threads; about a millisecond of work.
const COMPRESSED_ELSEWHERE_FROM: usize = 64 << 10;

/// A `200` answer of `body`, compressed when the request accepts gzip and the body is worth it.
pub async fn ok(
    request: &HeaderMap,
    id: &RequestId,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response {
    let body = body.into();
    if body.len() < COMPRESSED_FROM {
        return plain(id, content_type, body);
    }
    let mut response = if accepts_gzip(request) {
        compressed(id, content_type, body).await
    } else {
        plain(id, content_type, body)
    };
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// A `200` answer of `body` as it is.
pub fn plain(id: &RequestId, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    id.tag(response)
}

async fn compressed(id: &RequestId, content_type: HeaderValue, body: Bytes) -> Response {
    let squeezed = if body.len() < COMPRESSED_ELSEWHERE_FROM {
        gzip(&body)
    } else {
        let copy = body.clone();
        tokio::task::spawn_blocking(move || gzip(&copy))
            .await
            .ok()
            .flatten()
    };
    let Some(squeezed) = squeezed else {
        return plain(id, content_type, body);
    };
    let mut response = plain(id, content_type, squeezed.into());
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// Writing to memory does not fail; should it ever, the answer goes out as it is.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110, 12.5.3): named, or by `*`, with a weight above 0.
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    let mut by_name = None;
    let mut by_star = None;
    for value in request.get_all(ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
            let coding = coding.trim();
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                by_name = Some(is_wanted(parameters));
            } else if coding == "*" {
                by_star = Some(is_wanted(parameters));
            }
        }
    }
    by_name.or(by_star).unwrap_or(false)
}

fn is_wanted(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .all(|(_, weight)| {
            weight
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight > 0.0)
        })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt;

    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn weights_decide() {
        for yes in [
            "gzip",
            "deflate, GZIP;q=0.5",
            "*",
            "br, *;q=0.1",
            "x-gzip",
            "gzip ; q=1",
        ] {
            assert!(accepts_gzip(&accepting(yes)), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "identity",
            "gzip;q=no",
        ] {
            assert!(!accepts_gzip(&accepting(no)), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn long_answers_are_compressed_for_those_who_ask() {
        for length in [COMPRESSED_FROM, COMPRESSED_ELSEWHERE_FROM + 1] {
            let body = "x".repeat(length);
            let id = RequestId::generate();
            let response = ok(&accepting("gzip"), &id, JSON, body.clone()).await;
            assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
            assert_eq!(response.headers()[VARY], "accept-encoding");
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let mut plain = String::new();
            GzDecoder::new(&bytes[..])
                .read_to_string(&mut plain)
                .unwrap();
            assert_eq!(plain, body);
        }
    }

    #[tokio::test]
    async fn short_answers_and_other_clients_get_plain_bytes() {
        let id = RequestId::generate();
        let short = ok(&accepting("gzip"), &id, JSON, "{}").await;
        assert!(!short.headers().contains_key(CONTENT_ENCODING));
        let long = ok(&HeaderMap::new(), &id, JSON, "x".repeat(2000)).await;
        assert!(!long.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(long.headers()[VARY], "accept-encoding");
    }
}
