//! Request ids: taken from the client when sane, else made from a random prefix and a counter.
//!
//! Making one costs an addition and sixteen hex digits; no random numbers are drawn per request.

use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries a request id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client, in bytes.
const LONGEST: usize = 128;

/// Random for each process, so that ids of replicas and restarts differ.
static PREFIX: LazyLock<u64> = LazyLock::new(|| {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
});

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The id of a request: visible ASCII, at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the request carries, when it is 1 to 128 visible ASCII characters; else a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(REQUEST_ID) {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::generate(),
        }
    }

    /// A new id: 32 hex digits.
    pub fn generate() -> Self {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut text = [0u8; 32];
        write_hex(*PREFIX, &mut text[..16]);
        write_hex(count, &mut text[16..]);
        // Hex digits are always a valid header value; the fallback only keeps this total.
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Puts the id into the headers of an answer.
    #[must_use]
    pub fn tag(&self, mut response: Response) -> Response {
        response.headers_mut().insert(REQUEST_ID, self.0.clone());
        response
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

fn is_sane(text: &[u8]) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

fn write_hex(mut number: u64, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn sane_ids_are_kept() {
        assert_eq!(id_for(b"abc-123"), "abc-123");
        assert_eq!(id_for(&[b'x'; 128]), "x".repeat(128));
    }

    #[test]
    fn other_ids_are_replaced() {
        for value in [&b""[..], b"a b", b"caf\xc3\xa9", &[b'x'; 129], b"tab\there"] {
            let id = id_for(value);
            assert_eq!(id.len(), 32, "{id}");
            assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn new_ids_differ_and_share_the_prefix() {
        let (first, second) = (RequestId::generate(), RequestId::generate());
        assert_ne!(first, second);
        assert_eq!(first.as_str()[..16], second.as_str()[..16]);
    }
}
