//! Where artifacts are: addresses put together, and those that are refused.

use mlrs_api::endpoints::LIST_PROXIED_ARTIFACTS;
use percent_encoding::percent_decode_str;

use crate::error::StoreError;
use crate::rules::hosts::HostPolicy;
use crate::rules::limits;

/// The scheme of a URI in lower case; none for a path.
pub fn scheme_of(uri: &str) -> Option<String> {
    let (scheme, _) = uri.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|other| other.is_ascii_alphanumeric() || matches!(other, '+' | '-' | '.'));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Checks the root that a client gives an experiment.
///
/// # Errors
/// When it names a host that is not taken, another run, a fragment or a step back, or is too long.
pub fn check_root(uri: &str, hosts: &HostPolicy) -> Result<(), StoreError> {
    let refused = |reason: &str| Err(StoreError::invalid(reason.to_owned()));
    // Python's parser leaves these out before it looks.
    let plain = uri.trim_start_matches(|letter| letter <= ' ');
    let plain = plain.replace(['\t', '\r', '\n'], "");
    let parts = UriParts::of(&plain);
    if !parts.fragment.is_empty() || !parts.params.is_empty() {
        return refused("'artifact_location' URL can't include fragments or params.");
    }
    if steps_back(parts.query) {
        return refused("Invalid query string");
    }
    hosts.check_field(uri, "artifact_location")?;
    if uri.starts_with("runs:") {
        return refused(&format!(
            "Artifact location cannot be a runs:/ URI. Given: '{uri}'"
        ));
    }
    check_length(uri)
}

/// Refuses a location that is longer than MLflow takes.
///
/// # Errors
/// When it is too long.
pub(crate) fn check_length(uri: &str) -> Result<(), StoreError> {
    let length = uri.chars().count();
    if length > limits::ARTIFACT_LOCATION {
        return Err(StoreError::invalid(format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than \
             {}. To configure this limit, please set the MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH \
             environment variable.",
            limits::ARTIFACT_LOCATION
        )));
    }
    Ok(())
}

/// The parts of a URI as Python's `urllib.parse.urlparse` finds them, by which MLflow decides.
struct UriParts<'a> {
    /// Everything before `params`: scheme, host and path.
    place: &'a str,
    /// The scheme as it is written; empty for a path.
    scheme: &'a str,
    /// What follows the first `;` of the last segment, for schemes that have such parameters.
    params: &'a str,
    /// What follows the first `?`.
    query: &'a str,
    /// What follows the first `#`.
    fragment: &'a str,
}

impl<'a> UriParts<'a> {
    /// Schemes whose last segment may have parameters: `uses_params` of `urllib.parse`. An address
    /// without a scheme may have them as well.
    const WITH_PARAMS: [&'static str; 14] = [
        "", "ftp", "hdfs", "prospero", "http", "https", "shttp", "rtsp", "rtspu", "sip", "sips",
        "mms", "sftp", "tel",
    ];

    fn of(uri: &'a str) -> Self {
        let is_scheme = |scheme: &&str| {
            scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|other| other.is_ascii_alphanumeric() || matches!(other, '+' | '-' | '.'))
        };
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
        let scheme = scheme.filter(is_scheme).unwrap_or_default();
        let (rest, fragment) = uri.split_once('#').unwrap_or((uri, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let segment = rest.rfind('/').map_or(0, |slash| slash + 1);
        // A host has no parameters.
        let is_host = rest[..segment].ends_with("//") && rest[..segment].len() <= scheme.len() + 3;
        let lower = scheme.to_ascii_lowercase();
        let takes_params = !is_host && Self::WITH_PARAMS.contains(&lower.as_str());
        let params = rest[segment..].find(';').filter(|_| takes_params);
        let (place, params) = match params {
            Some(start) => (&rest[..segment + start], &rest[segment + start + 1..]),
            None => (rest, ""),
        };
        Self {
            place,
            scheme,
            params,
            query,
            fragment,
        }
    }
}

/// Whether a query has `..` in it once it is decoded, however often it was encoded.
fn steps_back(query: &str) -> bool {
    let mut query = query.to_owned();
    for _ in 0..10 {
        let decoded = percent_decode_str(&query).decode_utf8_lossy().into_owned();
        if decoded == query {
            break;
        }
        query = decoded;
    }
    query.contains("..")
}

/// The path within the artifact proxy of a tracking server that an address means, if it is one of
/// the proxy.
pub fn proxied_path(uri: &str) -> Option<&str> {
    let scheme = scheme_of(uri)?;
    let rest = &uri[scheme.len() + 1..];
    match scheme.as_str() {
        "mlflow-artifacts" => match rest.strip_prefix("//") {
            Some(rest) => Some(&rest[rest.find('/').unwrap_or(rest.len())..]),
            None => Some(rest),
        },
        // Under either prefix of the API.
        "http" | "https" => rest
            .split_once(LIST_PROXIED_ARTIFACTS.template)
            .map(|(_, path)| path),
        _ => None,
    }
}

/// Whether an address is one of the artifact proxy of a tracking server.
pub fn is_proxied(uri: &str) -> bool {
    proxied_path(uri).is_some()
}

/// Whether an address lies within a root of the same scheme and host, part by part.
pub fn is_within(uri: &str, root: &str) -> bool {
    let (Some(one), Some(other)) = (parts(uri), parts(root)) else {
        return false;
    };
    one.0 == other.0 && one.1 == other.1 && !other.2.is_empty() && one.2.starts_with(&other.2)
}

/// Scheme, host and path of an address.
fn parts(uri: &str) -> Option<(String, String, Vec<String>)> {
    let scheme = scheme_of(uri)?;
    let rest = &uri[scheme.len() + 1..];
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let path = path.split('/').filter(|part| !part.is_empty());
    Some((
        scheme,
        host.to_lowercase(),
        path.map(str::to_owned).collect(),
    ))
}

/// `uri` with more parts of its path; parameters, a query and a fragment stay at the end. In a path
/// without a scheme nothing is one of these.
pub fn append(uri: &str, parts: &[&str]) -> String {
    let known = UriParts::of(uri);
    let end = if known.scheme.is_empty() {
        uri.len()
    } else {
        known.place.len()
    };
    let (path, rest) = uri.split_at(end);
    let mut joined = match path.strip_prefix("file:") {
        // As `urlunparse` of Python's library writes it.
        Some(path) if path.starts_with('/') && !path.starts_with("//") => format!("file://{path}"),
        _ => path.to_owned(),
    };
    for part in parts {
        if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.push_str(part);
    }
    joined.push_str(rest);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_plain_addresses() {
        let check = |uri: &str| check_root(uri, &HostPolicy::default());
        for refused in [
            "ftp://h/x",
            "runs:/r/x",
            "s3://box/x#f",
            "s3://box/x?a=../b",
            "s3://box/x?a=%252e%252e/b",
            "/srv/x?a=..",
            "/srv/x#f",
            "/srv/x;p",
            "x;p",
            "/srv/a;b;c",
            "\n/srv/x#f",
        ] {
            assert!(check(refused).is_err(), "{refused}");
        }
        for taken in [
            "s3://box/x",
            "mlflow-artifacts:/x",
            "/srv/x",
            "s3://box/x;p",
            "s3://box;p/x",
            "file:///srv/x;p",
            "mlflow-artifacts:/x;p",
            "dbfs:/x;p",
            "/srv/a;b/c",
            "/srv/x;",
            "/srv/x#",
            "/srv/x?a=b",
        ] {
            check(taken).unwrap();
        }
        assert!(check(&format!("s3://box/{}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn a_place_lies_within_a_root_part_by_part() {
        let root = "mlflow-artifacts:/1/r/artifacts";
        assert!(is_within("mlflow-artifacts:/1/r/artifacts/model", root));
        for outside in [
            "mlflow-artifacts:/1/r/artifacts2",
            "mlflow-artifacts:/1/r",
            "mlflow-artifacts://h/1/r/artifacts/model",
            "s3://box/1/r/artifacts/model",
        ] {
            assert!(!is_within(outside, root), "{outside}");
        }
        assert!(!is_within("mlflow-artifacts:/x", "mlflow-artifacts:/"));
    }

    #[test]
    fn an_address_of_the_proxy_is_known_in_every_form() {
        for (uri, path) in [
            ("mlflow-artifacts:/1/r", "/1/r"),
            ("MLflow-Artifacts://host:5000/1/r", "/1/r"),
            ("http://h/api/2.0/mlflow-artifacts/artifacts/1/r", "/1/r"),
            (
                "https://h/ajax-api/2.0/mlflow-artifacts/artifacts/1/r",
                "/1/r",
            ),
        ] {
            assert_eq!(proxied_path(uri), Some(path), "{uri}");
        }
        for uri in ["s3://box/1/r", "/1/r", "http://h/1/r"] {
            assert!(!is_proxied(uri), "{uri}");
        }
    }

    #[test]
    fn paths_grow_and_queries_stay() {
        for (uri, expected) in [
            ("mlflow-artifacts:/", "mlflow-artifacts:/1/a"),
            ("s3://box/root", "s3://box/root/1/a"),
            ("s3://box", "s3://box/1/a"),
            ("/var/runs/", "/var/runs/1/a"),
            ("./mlruns", "./mlruns/1/a"),
            ("file:/var/runs", "file:///var/runs/1/a"),
            ("file:///var/runs", "file:///var/runs/1/a"),
            ("dbfs:/x?y=z#f", "dbfs:/x/1/a?y=z#f"),
            ("s3://box/p;x", "s3://box/p;x/1/a"),
            ("s3://box/a;b;c/", "s3://box/a;b;c/1/a"),
            ("s3://box;x/y", "s3://box;x/y/1/a"),
            ("ftp://h/x;p", "ftp://h/x/1/a;p"),
            ("ftp://h;x", "ftp://h;x/1/a"),
            ("/a;b/c", "/a;b/c/1/a"),
            ("/a;", "/a;/1/a"),
            ("/a?b=c", "/a?b=c/1/a"),
            ("/a#b", "/a#b/1/a"),
        ] {
            assert_eq!(append(uri, &["1", "a"]), expected);
        }
    }
}
