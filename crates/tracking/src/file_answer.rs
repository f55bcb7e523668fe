//! A file as an answer: its type, a range of it, or that the client has it already; and how it may be
//! shown.

use std::ops::Range;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mlrs_artifacts::{ArtifactPath, ArtifactStore, ByteStream, Stat};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::artifacts::AccessError;
use crate::state::TrackingState;

/// Extensions that are shown as text, whatever else they are; also whole names.
const TEXT: [&str; 28] = [
    "txt",
    "log",
    "err",
    "cfg",
    "conf",
    "cnf",
    "cf",
    "ini",
    "properties",
    "prop",
    "hocon",
    "toml",
    "yaml",
    "yml",
    "xml",
    "json",
    "js",
    "py",
    "py3",
    "csv",
    "tsv",
    "md",
    "rst",
    "ipynb",
    "MLmodel",
    "mlmodel",
    "MLproject",
    "mlproject",
];

/// What may stand in a file name of a header as it is (RFC 5987, `attr-char`).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// How a browser may show a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not at all, it is saved: a page among artifacts must not run as one of the server's.
    Saved,
    /// As a page of the server that may change at any time.
    Checked,
    /// As a part of the server's pages that never changes under its name.
    Kept,
}

impl Shown {
    /// For how long a browser need not ask again; 28 days are what MLflow grants.
    fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Saved => None,
            Self::Checked => Some("no-cache"),
            Self::Kept => Some("public, max-age=2419200"),
        }
    }
}

/// The file at `place`.
pub(crate) async fn of(
    state: &TrackingState,
    store: &dyn ArtifactStore,
    place: &ArtifactPath,
    request: &HeaderMap,
    shown: Shown,
) -> Result<Response, AccessError> {
    let found = store.stat(place).await?;
    if found.is_directory {
        return Err(AccessError::Store(mlrs_artifacts::StoreError::WrongKind {
            path: place.clone(),
            store: store.location().to_owned(),
            is_directory: true,
        }));
    }
    let mark = found.entity_tag.as_deref().map(|tag| format!("\"{tag}\""));
    if has_already(request, mark.as_deref()) {
        return Ok(described(
            Response::new(Body::empty()),
            StatusCode::NOT_MODIFIED,
            place,
            &found,
            shown,
        ));
    }
    let part = match range(request, found.size, mark.as_deref()) {
        Wanted::All => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => {
            let mut response = Response::new(Body::empty());
            put(
                &mut response,
                CONTENT_RANGE,
                &format!("bytes */{}", found.size),
            );
            return Ok(described(
                response,
                StatusCode::RANGE_NOT_SATISFIABLE,
                place,
                &found,
                shown,
            ));
        }
    };
    let (start, length) = part.as_ref().map_or((0, found.size), |range| {
        (range.start, range.end - range.start)
    });
    let sending = state.transfers().send(length, state.budget()).await?;
    let opened = store.open(place, start).await?;
    let skip = start.saturating_sub(opened.offset);
    // It has its place until the last piece is the client's.
    let pieces = cut(opened.stream, skip, length).inspect(move |_| {
        let _held = &sending;
    });
    let mut response = Response::new(Body::from_stream(pieces));
    put(&mut response, CONTENT_LENGTH, &length.to_string());
    let status = match &part {
        None => StatusCode::OK,
        Some(range) => {
            let part = format!("bytes {}-{}/{}", range.start, range.end - 1, found.size);
            put(&mut response, CONTENT_RANGE, &part);
            StatusCode::PARTIAL_CONTENT
        }
    };
    Ok(described(response, status, place, &found, shown))
}

fn described(
    mut response: Response,
    status: StatusCode,
    place: &ArtifactPath,
    found: &Stat,
    shown: Shown,
) -> Response {
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = place.name();
    match shown.cache_control() {
        None => {
            protect(response.headers_mut());
            put(&mut response, CONTENT_TYPE, &media_type(name));
            put(&mut response, CONTENT_DISPOSITION, &disposition(name));
        }
        Some(cache) => {
            put(&mut response, CONTENT_TYPE, &page_type(name));
            put(&mut response, CACHE_CONTROL, cache);
        }
    }
    if let Some(tag) = &found.entity_tag {
        put(&mut response, ETAG, &format!("\"{tag}\""));
    }
    if let Some(time) = found.modified {
        put(
            &mut response,
            LAST_MODIFIED,
            &httpdate::fmt_http_date(time.max(SystemTime::UNIX_EPOCH)),
        );
    }
    response
}

/// What a browser must not do with an artifact that it opens all the same, be it HTML or SVG: run a
/// script, load anything, send a form, or show it in a page of another site.
fn protect(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    );
}

/// Values are made of what headers take; one that is not is left out.
fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.')
        .map_or(name, |(_, extension)| extension)
}

/// The type of an artifact by its name, as MLflow guesses it.
fn media_type(name: &str) -> String {
    if TEXT.contains(&extension(name)) {
        return "text/plain; charset=utf-8".to_owned();
    }
    guessed(name).to_owned()
}

/// The type of a part of a page; text is UTF-8.
fn page_type(name: &str) -> String {
    match guessed(name) {
        // By its registered name, as MLflow has it.
        "image/x-icon" => "image/vnd.microsoft.icon".to_owned(),
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

/// The type of a file by its name, which is as much as its extension tells.
pub(crate) fn guessed(name: &str) -> &'static str {
    mime_guess::from_ext(extension(name))
        .first_raw()
        .unwrap_or("application/octet-stream")
}

/// `attachment` with the name, in both forms when it is not ASCII (RFC 6266, appendix D).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(|character| character.is_ascii() && !character.is_ascii_control())
        .map(|character| {
            if matches!(character, '"' | '\\') {
                '_'
            } else {
                character
            }
        })
        .collect();
    let plain = if plain.is_empty() { "download" } else { &plain };
    if name.is_ascii() {
        return format!("attachment; filename=\"{plain}\"");
    }
    let encoded = utf8_percent_encode(name, PLAIN);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn has_already(request: &HeaderMap, mark: Option<&str>) -> bool {
    let Some(mark) = mark else {
        return false;
    };
    text(request, IF_NONE_MATCH).is_some_and(|known| {
        let mut known = known
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"));
        known.any(|known| known == "*" || known == mark)
    })
}

enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// The one range that is asked for (RFC 9110, 14.1.2); several are answered with the whole file.
fn range(request: &HeaderMap, size: u64, mark: Option<&str>) -> Wanted {
    let asked = text(request, RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    if text(request, IF_RANGE).is_some_and(|known| Some(known.trim()) != mark) {
        return Wanted::All;
    }
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok();
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Wanted::All,
    };
    if part.start < part.end {
        Wanted::Part(part)
    } else {
        Wanted::Nothing
    }
}

/// `length` bytes of a stream, from byte `skip` on.
fn cut(
    stream: ByteStream,
    skip: u64,
    length: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, mlrs_artifacts::StoreError>> {
    stream
        .scan((skip, length), |(skip, left), piece| {
            let piece = piece.map(|mut bytes| {
                let dropped = bytes.len().min(*skip as usize);
                *skip -= dropped as u64;
                bytes = bytes.slice(dropped..);
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= bytes.len() as u64;
                bytes
            });
            std::future::ready(Some((piece, *left == 0)))
        })
        // The piece that completes the range is the last one.
        .scan(false, |done, (piece, last)| {
            let ended = *done;
            *done = last;
            std::future::ready((!ended).then_some(piece))
        })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn asked(range: &'static str) -> Option<Range<u64>> {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
        match super::range(&headers, 10, None) {
            Wanted::All => None,
            Wanted::Part(range) => Some(range),
            Wanted::Nothing => Some(0..0),
        }
    }

    #[test]
    fn ranges_are_those_of_the_file() {
        for (text, expected) in [
            ("bytes=0-3", Some(0..4)),
            ("bytes=4-", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=5-99", Some(5..10)),
            ("bytes=10-", Some(0..0)),
            ("bytes=-0", Some(0..0)),
            ("bytes=3-1", None),
            ("bytes=0-1,4-5", None),
            ("items=0-1", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_stream_is_cut_on_both_sides() {
        for (skip, length, expected) in
            [(0, 6, "abcdef"), (1, 3, "bcd"), (3, 3, "def"), (2, 1, "c")]
        {
            let pieces = ["abc", "def"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
            let cut = cut(stream::iter(pieces).boxed(), skip, length);
            let bytes: Vec<u8> = cut
                .map(|piece| piece.unwrap().to_vec())
                .collect::<Vec<_>>()
                .await
                .concat();
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn names_are_safe_in_headers() {
        assert_eq!(disposition("a b.txt"), "attachment; filename=\"a b.txt\"");
        assert_eq!(
            disposition("x\"y\r\n.txt"),
            "attachment; filename=\"x_y.txt\""
        );
        assert_eq!(
            disposition("ä.txt"),
            "attachment; filename=\".txt\"; filename*=UTF-8''%C3%A4.txt"
        );
    }

    #[test]
    fn texts_are_shown_as_text() {
        for name in ["MLmodel", "MLproject", "mlproject", "a.MLmodel"] {
            assert_eq!(media_type(name), "text/plain; charset=utf-8", "{name}");
        }
        assert_eq!(media_type("a.json"), "text/plain; charset=utf-8");
        assert_eq!(media_type("a.png"), "image/png");
        assert_eq!(media_type("a.pkl"), "application/octet-stream");
    }

    #[test]
    fn parts_of_pages_have_the_types_that_browsers_insist_on() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("main.c2f5f8d4.js", "text/javascript; charset=utf-8"),
            ("main.css", "text/css; charset=utf-8"),
            ("manifest.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("favicon.ico", "image/vnd.microsoft.icon"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
        ] {
            assert_eq!(page_type(name), expected);
        }
    }
}
