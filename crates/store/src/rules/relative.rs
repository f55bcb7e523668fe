//! Locations of artifacts that are relative local paths, and how the server makes them absolute.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::error::StoreError;
use crate::rules::locations::{check_length, scheme_of};

/// Whether a URI means a local path that depends on the working directory of whoever reads it.
/// A drive letter of Windows is a path of another machine, not a relative one.
pub fn is_relative(uri: &str) -> bool {
    match scheme_of(uri).as_deref() {
        None => !uri.starts_with('/') && !has_drive(uri),
        Some("file") => !uri["file:".len()..].starts_with('/'),
        Some(_) => false,
    }
}

fn has_drive(uri: &str) -> bool {
    let bytes = uri.as_bytes();
    bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

/// `uri` as the server stores it: a relative local path is made absolute from the working directory
/// `base`, anything else stays as it is. What is stored must mean the same place to every client.
///
/// This is `resolve_uri_if_local` in MLflow's `mlflow/utils/uri.py`, which decodes percent codes of
/// relative paths.
///
/// # Errors
/// When a `file:` URI names another host, or the result is too long.
pub fn resolve(uri: &str, base: &Path) -> Result<String, StoreError> {
    check_file_host(uri)?;
    if !is_relative(uri) {
        return Ok(uri.to_owned());
    }
    let resolved = match scheme_of(uri) {
        None => join(base, uri)?,
        Some(scheme) => {
            let rest = &uri[scheme.len() + 1..];
            let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
            format!("file://{}{query}", join(base, path)?)
        }
    };
    check_length(&resolved)?;
    Ok(resolved)
}

/// A path below a working directory, without empty parts and those that stay where they are.
fn join(base: &Path, path: &str) -> Result<String, StoreError> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let joined: PathBuf = base.join(decoded.as_ref()).components().collect();
    joined.into_os_string().into_string().map_err(|_| {
        StoreError::invalid(format!(
            "The artifact location '{path}' is relative, and the server's working directory has no \
             UTF-8 name. Give an absolute location."
        ))
    })
}

/// Refuses a `file:` URI with a host other than this machine.
fn check_file_host(uri: &str) -> Result<(), StoreError> {
    let rest = match scheme_of(uri).as_deref() {
        Some("file") => uri["file:".len()..].strip_prefix("//").unwrap_or_default(),
        _ => return Ok(()),
    };
    let host = rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())].to_ascii_lowercase();
    let is_here = matches!(host.as_str(), "" | ".")
        || host.starts_with("localhost")
        || host.starts_with("127.0.0.1");
    if is_here {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "{uri} is not a valid remote uri. For remote access on windows, please consider using a \
         different scheme such as SMB (e.g. smb://<hostname>/<path>)."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MLflow 3.17.2's `resolve_uri_if_local` gives in the directory `/srv/a b`.
    #[test]
    fn relative_locations_are_resolved_as_mlflow_resolves_them() {
        let base = Path::new("/srv/a b");
        for (uri, expected) in [
            ("./mlruns", "/srv/a b/mlruns"),
            ("mlruns", "/srv/a b/mlruns"),
            (".", "/srv/a b"),
            ("../x", "/srv/a b/../x"),
            ("./a/./b/", "/srv/a b/a/b"),
            ("x//y", "/srv/a b/x/y"),
            ("a%20b", "/srv/a b/a b"),
            ("~/x", "/srv/a b/~/x"),
            ("x?y=z", "/srv/a b/x?y=z"),
            ("1x:y", "/srv/a b/1x:y"),
            ("file:x", "file:///srv/a b/x"),
            ("file:./x?y=z", "file:///srv/a b/x?y=z"),
        ] {
            assert!(is_relative(uri), "{uri}");
            let resolved = resolve(uri, base).unwrap();
            assert_eq!(resolved, expected, "{uri}");
            assert!(!is_relative(&resolved), "{uri}");
        }
        for uri in [
            "/abs/a%20b",
            "//h/x",
            "file:///abs/x",
            "file:/abs/x",
            "file://localhost/abs",
            "file://./x",
            "s3://b/x",
            "mlflow-artifacts:/",
            "dbfs:/x",
            "a:b",
            "C:/x",
        ] {
            assert!(!is_relative(uri), "{uri}");
            assert_eq!(resolve(uri, base).unwrap(), uri);
        }
        let host = resolve("file://nas/x", base).unwrap_err().to_string();
        assert!(host.contains("is not a valid remote uri"), "{host}");
        let long = resolve("x", Path::new(&format!("/{}", "x".repeat(2048))));
        assert!(long.is_err());
    }
}
