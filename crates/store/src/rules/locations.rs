//! Where artifacts are: addresses put together, and those that are refused.

use mlrs_api::endpoints::LIST_PROXIED_ARTIFACTS;
use url::Url;

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
    if scheme_of(uri).is_some()
        && let Ok(url) = Url::parse(uri)
    {
        if url.fragment().is_some() || url.path().contains(';') {
            return refused("'artifact_location' URL can't include fragments or params.");
        }
        if url.query().is_some_and(|query| query.contains("..")) {
            return refused("Invalid query string");
        }
    }
    hosts.check_field(uri, "artifact_location")?;
    if uri.starts_with("runs:") {
        return refused(&format!(
            "Artifact location cannot be a runs:/ URI. Given: '{uri}'"
        ));
    }
    let length = uri.chars().count();
    if length > limits::ARTIFACT_LOCATION {
        return refused(&format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than \
             {}. To configure this limit, please set the MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH \
             environment variable.",
            limits::ARTIFACT_LOCATION
        ));
    }
    Ok(())
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

/// `uri` with more parts of its path; a query or fragment stays at the end.
pub fn append(uri: &str, parts: &[&str]) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let (path, rest) = uri.split_at(end);
    let mut joined = path.to_owned();
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
        ] {
            assert!(check(refused).is_err(), "{refused}");
        }
        for taken in ["s3://box/x", "mlflow-artifacts:/x", "/srv/x"] {
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
            ("dbfs:/x?y=z#f", "dbfs:/x/1/a?y=z#f"),
        ] {
            assert_eq!(append(uri, &["1", "a"]), expected);
        }
    }
}
