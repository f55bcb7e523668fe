//! Reading request bodies: admitted, limited in size and time, decompressed within the same limit.
//!
//! A body that is there already, which is what a small request looks like, is handed on without a
//! copy and without a timer.

use std::future::poll_fn;
use std::io::Read;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{ApiError, BytesInFlight, ErrorCode, Permit};

/// How much and how long a body may be.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes of the body, and of what it decompresses to.
    pub bytes: usize,
    /// Time to receive it.
    pub read_timeout: Duration,
}

/// A body in memory, with its share of the budget.
#[derive(Debug)]
pub struct AdmittedBody {
    /// The bytes, decompressed.
    pub bytes: Bytes,
    /// Held until the request is answered.
    pub permit: Permit,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than the limit, before or after decompression.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Bodies of other requests hold the budget.
    #[error("the server holds as many request bodies as it may")]
    Overloaded,
    /// It did not arrive in time.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The connection failed, or the client broke the framing.
    #[error("the request body ended early")]
    Aborted,
    /// A content encoding other than gzip.
    #[error("the content encoding of the request is not supported; use gzip or none")]
    UnknownEncoding,
    /// Not the gzip that its header promised.
    #[error("the request body is not valid gzip")]
    BadGzip,
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let bad_request = || Self::new(ErrorCode::BadRequest, error.to_string());
        match error {
            BodyError::TooLarge { .. } => bad_request().with_status(StatusCode::PAYLOAD_TOO_LARGE),
            BodyError::TimedOut => bad_request().with_status(StatusCode::REQUEST_TIMEOUT),
            BodyError::UnknownEncoding => {
                bad_request().with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            BodyError::Aborted | BodyError::BadGzip => bad_request(),
            BodyError::Overloaded => {
                Self::new(ErrorCode::TemporarilyUnavailable, error.to_string()).with_retry_after(1)
            }
        }
    }
}

/// Reads a body within its limits and the server's budget.
///
/// `Content-Length` decides first, before a byte is read. A body without one takes its share of
/// the budget as it grows.
///
/// # Errors
/// See [`BodyError`].
pub async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limits: &BodyLimits,
    budget: &BytesInFlight,
) -> Result<AdmittedBody, BodyError> {
    let outcome = match admit(headers, &body, limits, budget) {
        Ok((encoding, permit)) => receive(&mut body, permit, limits)
            .await
            .map(|read| (encoding, read)),
        Err(error) => Err(error),
    };
    match outcome {
        Ok((Encoding::Identity, read)) => Ok(read),
        Ok((Encoding::Gzip, read)) => decompress(read, limits.bytes).await,
        Err(error) => {
            if matches!(
                error,
                BodyError::TooLarge { .. } | BodyError::Overloaded | BodyError::UnknownEncoding
            ) {
                discard(headers, body).await;
            }
            Err(error)
        }
    }
}

/// Reads on for a moment and throws away what comes.
///
/// Closing a connection with unread bytes resets it, and the reset overtakes the answer: the
/// client sees a broken connection instead of the reason. A client that waits for `100 Continue`
/// has sent nothing, so nothing is to be read. Bounded in bytes and time.
pub async fn discard(headers: &HeaderMap, mut body: Body) {
    const MOST_BYTES: usize = 32 << 20;
    const LONGEST: Duration = Duration::from_secs(1);
    if headers.contains_key(EXPECT) {
        return;
    }
    let drain = async {
        let mut seen = 0;
        while seen < MOST_BYTES {
            match next_chunk(&mut body).await {
                Ok(Some(chunk)) => seen += chunk.len(),
                Ok(None) | Err(_) => break,
            }
        }
    };
    // Running out of time is as good as running out of bytes.
    let _ = timeout(LONGEST, drain).await;
}

#[derive(Clone, Copy)]
enum Encoding {
    Identity,
    Gzip,
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, BodyError> {
    let Some(value) = headers.get(CONTENT_ENCODING) else {
        return Ok(Encoding::Identity);
    };
    let value = value.as_bytes().trim_ascii();
    if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
        Ok(Encoding::Identity)
    } else if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
        Ok(Encoding::Gzip)
    } else {
        Err(BodyError::UnknownEncoding)
    }
}

fn admit(
    headers: &HeaderMap,
    body: &Body,
    limits: &BodyLimits,
    budget: &BytesInFlight,
) -> Result<(Encoding, Permit), BodyError> {
    let encoding = encoding_of(headers)?;
    let declared = body.size_hint().lower();
    if declared > limits.bytes as u64 {
        return Err(BodyError::TooLarge {
            limit: limits.bytes,
        });
    }
    let permit = budget
        .try_admit(declared as usize)
        .ok_or(BodyError::Overloaded)?;
    Ok((encoding, permit))
}

async fn receive(
    body: &mut Body,
    permit: Permit,
    limits: &BodyLimits,
) -> Result<AdmittedBody, BodyError> {
    let mut receiving = pin!(collect(body, permit, limits.bytes));
    // Most bodies came with their head: only those that did not pay for a timer.
    match poll_fn(|context| Poll::Ready(receiving.as_mut().poll(context))).await {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => timeout(limits.read_timeout, receiving)
            .await
            .unwrap_or(Err(BodyError::TimedOut)),
    }
}

async fn collect(
    body: &mut Body,
    mut permit: Permit,
    limit: usize,
) -> Result<AdmittedBody, BodyError> {
    let declared = body.size_hint().lower() as usize;
    let first = next_chunk(body).await?.unwrap_or_default();
    grow(&mut permit, first.len(), limit)?;
    if body.is_end_stream() {
        return Ok(AdmittedBody {
            bytes: first,
            permit,
        });
    }
    let mut buffer = Vec::with_capacity(declared.max(first.len()));
    buffer.extend_from_slice(&first);
    while let Some(chunk) = next_chunk(body).await? {
        grow(&mut permit, buffer.len() + chunk.len(), limit)?;
        buffer.extend_from_slice(&chunk);
    }
    Ok(AdmittedBody {
        bytes: buffer.into(),
        permit,
    })
}

fn grow(permit: &mut Permit, total: usize, limit: usize) -> Result<(), BodyError> {
    if total > limit {
        Err(BodyError::TooLarge { limit })
    } else if permit.grow_to(total) {
        Ok(())
    } else {
        Err(BodyError::Overloaded)
    }
}

/// The next data of a body; `None` at its end. Trailers are skipped.
async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| BodyError::Aborted)?.into_data() {
            Ok(data) => return Ok(Some(data)),
            Err(_trailers) => {}
        }
    }
    Ok(None)
}

/// Decompresses off the async threads: a few kilobytes can become megabytes.
async fn decompress(read: AdmittedBody, limit: usize) -> Result<AdmittedBody, BodyError> {
    tokio::task::spawn_blocking(move || gunzip(read, limit))
        .await
        .unwrap_or(Err(BodyError::BadGzip))
}

fn gunzip(read: AdmittedBody, limit: usize) -> Result<AdmittedBody, BodyError> {
    const STEP: usize = 64 << 10;
    let AdmittedBody {
        bytes: compressed,
        mut permit,
    } = read;
    let mut decoder = MultiGzDecoder::new(&compressed[..]);
    let mut plain = Vec::new();
    loop {
        let filled = plain.len();
        plain.resize(filled + STEP, 0);
        let count = decoder
            .read(&mut plain[filled..])
            .map_err(|_| BodyError::BadGzip)?;
        plain.truncate(filled + count);
        if count == 0 {
            break;
        }
        if plain.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        // The compressed bytes stay in memory until the end.
        if !permit.grow_to((compressed.len() + plain.len()).min(limit)) {
            return Err(BodyError::Overloaded);
        }
    }
    Ok(AdmittedBody {
        bytes: plain.into(),
        permit,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        bytes: 1000,
        read_timeout: Duration::from_millis(50),
    };

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn encoded(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))])
    }

    fn chunked(chunks: Vec<Vec<u8>>) -> Body {
        Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
    }

    async fn read_with(headers: HeaderMap, body: Body) -> Result<Vec<u8>, BodyError> {
        let budget = BytesInFlight::new(2000);
        let outcome = read(&headers, body, &LIMITS, &budget).await.map(|read| {
            assert!(read.permit.bytes() >= read.bytes.len());
            read.bytes.to_vec()
        });
        assert_eq!(budget.used(), 0, "everything is given back");
        outcome
    }

    #[tokio::test]
    async fn plain_bodies_are_read_up_to_the_limit() {
        assert_eq!(
            read_with(HeaderMap::new(), Body::empty()).await.unwrap(),
            b""
        );
        let full = vec![7; 1000];
        assert_eq!(
            read_with(HeaderMap::new(), full.clone().into())
                .await
                .unwrap(),
            full
        );
        let parts = chunked(vec![vec![1; 400], vec![2; 600]]);
        assert_eq!(
            read_with(HeaderMap::new(), parts).await.unwrap().len(),
            1000
        );
        assert_eq!(
            read_with(encoded("identity"), "x".into()).await.unwrap(),
            b"x"
        );
    }

    #[tokio::test]
    async fn long_bodies_are_refused_with_and_without_a_length() {
        let too_large = Err(BodyError::TooLarge { limit: 1000 });
        assert_eq!(
            read_with(HeaderMap::new(), vec![0; 1001].into()).await,
            too_large
        );
        let parts = chunked(vec![vec![1; 400], vec![2; 601]]);
        assert_eq!(read_with(HeaderMap::new(), parts).await, too_large);
    }

    #[tokio::test]
    async fn gzip_is_limited_by_what_it_decompresses_to() {
        let plain = vec![b'a'; 1000];
        assert_eq!(
            read_with(encoded("gzip"), gzip(&plain).into())
                .await
                .unwrap(),
            plain
        );
        assert_eq!(
            read_with(encoded("X-GZIP"), gzip(b"x").into())
                .await
                .unwrap(),
            b"x"
        );
        let bomb = gzip(&vec![0; 700_000]);
        assert!(bomb.len() < 1000);
        let outcome = read_with(encoded("gzip"), bomb.into()).await;
        assert_eq!(outcome, Err(BodyError::TooLarge { limit: 1000 }));
    }

    #[tokio::test]
    async fn broken_gzip_and_other_encodings_are_refused() {
        let mut cut = gzip(b"hello hello hello");
        cut.truncate(cut.len() - 5);
        assert_eq!(
            read_with(encoded("gzip"), cut.into()).await,
            Err(BodyError::BadGzip)
        );
        assert_eq!(
            read_with(encoded("gzip"), "plain".into()).await,
            Err(BodyError::BadGzip)
        );
        for other in ["br", "gzip, gzip", "deflate"] {
            let outcome = read_with(encoded(other), "x".into()).await;
            assert_eq!(outcome, Err(BodyError::UnknownEncoding), "{other}");
        }
    }

    #[tokio::test]
    async fn a_full_budget_refuses_before_and_while_reading() {
        let budget = BytesInFlight::new(1000);
        let _held = budget.try_admit(500).unwrap();
        let headers = HeaderMap::new();
        let outcome = read(&headers, vec![0; 600].into(), &LIMITS, &budget).await;
        assert_eq!(outcome.unwrap_err(), BodyError::Overloaded);
        let parts = chunked(vec![vec![1; 300], vec![2; 300]]);
        let outcome = read(&headers, parts, &LIMITS, &budget).await;
        assert_eq!(outcome.unwrap_err(), BodyError::Overloaded);
        let outcome = read(&encoded("gzip"), gzip(&[0; 900]).into(), &LIMITS, &budget).await;
        assert_eq!(outcome.unwrap_err(), BodyError::Overloaded);
        assert_eq!(budget.used(), 500);
    }

    #[tokio::test]
    async fn a_body_that_stalls_times_out() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(
            read_with(HeaderMap::new(), stalled).await,
            Err(BodyError::TimedOut)
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_apart() {
        let broken = stream::iter([
            Ok(Bytes::from_static(b"x")),
            Err(std::io::Error::other("reset")),
        ]);
        let outcome = read_with(HeaderMap::new(), Body::from_stream(broken)).await;
        assert_eq!(outcome, Err(BodyError::Aborted));
    }

    #[test]
    fn statuses() {
        let status = |error: BodyError| ApiError::from(error).status().as_u16();
        assert_eq!(status(BodyError::TooLarge { limit: 1 }), 413);
        assert_eq!(status(BodyError::Overloaded), 503);
        assert_eq!(status(BodyError::TimedOut), 408);
        assert_eq!(status(BodyError::Aborted), 400);
        assert_eq!(status(BodyError::UnknownEncoding), 415);
        assert_eq!(status(BodyError::BadGzip), 400);
    }
}
