//! From an artifact URI to the store behind it.
//!
//! [`StoreSettings::open`] decides by scheme. A scheme that it does not know is an error that names
//! the known ones. It does not resolve `models:` or `runs:`; that needs the registry.

use std::path::PathBuf;
use std::sync::Arc;

use mlrs_api::endpoints::LIST_PROXIED_ARTIFACTS;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::local::LocalStore;
use crate::object::ObjectArtifacts;
use crate::path::{ArtifactPath, PathError};
use crate::place::{ObjectPlace, Place};
use crate::proxy::ProxyStore;
use crate::settings::CloudSettings;
use crate::store::ArtifactStore;
use crate::transport::{Transport, without_secrets};

/// The schemes that artifacts can be read from, for messages.
pub const KNOWN_SCHEMES: &[&str] = &[
    "file",
    "mlflow-artifacts",
    "http",
    "https",
    "s3",
    "gs",
    "abfss",
    "wasbs",
];

/// The tracking server whose proxy serves `mlflow-artifacts:`.
#[derive(Debug, Clone)]
pub struct Server {
    /// How to talk to it.
    pub transport: Transport,
    /// Its address, with its path prefix if it has one; none when there is no server.
    pub address: Option<Url>,
}

/// What is needed to open stores.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The tracking server.
    pub server: Server,
    /// Credentials and addresses of the object stores.
    pub cloud: CloudSettings,
}

/// Why there is no store for a URI.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Nothing here reads this scheme.
    #[error("artifacts cannot be read from `{uri}`: the scheme `{scheme}` is not one of {}", KNOWN_SCHEMES.join(", "))]
    UnknownScheme {
        /// The URI without secrets.
        uri: String,
        /// Its scheme.
        scheme: String,
    },
    /// The URI does not follow the rules of its scheme.
    #[error("`{uri}` is not a valid artifact URI: {reason}")]
    Malformed {
        /// The URI without secrets.
        uri: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The path in the URI could lead out of the store.
    #[error("`{uri}` is not a valid artifact URI")]
    Path {
        /// The URI without secrets.
        uri: String,
        /// The rule that it breaks.
        #[source]
        source: PathError,
    },
    /// `mlflow-artifacts:` without a tracking server.
    #[error("`{uri}` is served by a tracking server, and none is set")]
    NoServer {
        /// The URI without secrets.
        uri: String,
    },
    /// The settings do not make a client for this store.
    #[error("cannot set up access to `{uri}`")]
    Setup {
        /// The URI without secrets.
        uri: String,
        /// What is missing or wrong.
        #[source]
        source: object_store::Error,
    },
}

impl OpenStoreError {
    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoServer { .. } => {
                Some("set MLFLOW_TRACKING_URI to the address of the server".to_owned())
            }
            Self::UnknownScheme { .. } => {
                Some("write a local path that holds a colon with `./` before it".to_owned())
            }
            _ => None,
        }
    }
}

impl StoreSettings {
    /// The store behind an artifact URI or a local path.
    ///
    /// # Errors
    /// When the scheme is unknown, the URI is malformed, or the settings do not suffice.
    pub fn open(&self, uri: &str) -> Result<Arc<dyn ArtifactStore>, OpenStoreError> {
        match scheme_of(uri).as_deref().unwrap_or_default() {
            "mlflow-artifacts" => self.proxy(uri),
            "http" | "https" => self.proxy_address(uri),
            _ => open_direct(uri, &self.cloud),
        }
    }

    /// `mlflow-artifacts:/path`, or `mlflow-artifacts://host:port/path` for another host.
    fn proxy(&self, uri: &str) -> Result<Arc<dyn ArtifactStore>, OpenStoreError> {
        let shown = || without_secrets(uri);
        let malformed = |reason| OpenStoreError::Malformed {
            uri: shown(),
            reason,
        };
        let Some(address) = &self.server.address else {
            return Err(OpenStoreError::NoServer { uri: shown() });
        };
        let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let mut server = address.clone();
        if !authority.is_empty() {
            if authority.parse::<f64>().is_ok() {
                return Err(malformed("it has a port but no host"));
            }
            let other = Url::parse(&format!("{}://{authority}", address.scheme()))
                .map_err(|_| malformed("its host is not valid"))?;
            let host = other
                .host_str()
                .ok_or_else(|| malformed("its host is not valid"))?;
            server
                .set_host(Some(host))
                .map_err(|_| malformed("its host is not valid"))?;
            server
                .set_port(other.port())
                .map_err(|()| malformed("its port is not valid"))?;
        }
        let root = path_of(uri, path)?;
        Ok(Arc::new(ProxyStore::new(
            self.server.transport.clone(),
            server,
            root,
        )))
    }

    /// The address of an artifact on a server's proxy, as in
    /// `https://host/prefix/api/2.0/mlflow-artifacts/artifacts/path`.
    fn proxy_address(&self, uri: &str) -> Result<Arc<dyn ArtifactStore>, OpenStoreError> {
        let endpoint = LIST_PROXIED_ARTIFACTS.path(&[]);
        let malformed = |reason| OpenStoreError::Malformed {
            uri: without_secrets(uri),
            reason,
        };
        let mut server = Url::parse(uri).map_err(|_| malformed("it is not a URL"))?;
        server.set_query(None);
        server.set_fragment(None);
        let decoded = percent_decode_str(server.path())
            .decode_utf8_lossy()
            .into_owned();
        let Some((prefix, path)) = decoded.split_once(endpoint.as_str()) else {
            return Err(malformed(
                "an HTTP address must be one of a tracking server's artifact proxy, with \
                 `/api/2.0/mlflow-artifacts/artifacts/` in its path",
            ));
        };
        let root = path_of(uri, path)?;
        server.set_path(prefix);
        Ok(Arc::new(ProxyStore::new(
            self.server.transport.clone(),
            server,
            root,
        )))
    }
}

/// The store behind a local path or a URI that no tracking server is asked for.
///
/// # Errors
/// When the scheme is unknown, the URI is malformed, or the settings do not suffice.
pub fn open_direct(
    uri: &str,
    cloud: &CloudSettings,
) -> Result<Arc<dyn ArtifactStore>, OpenStoreError> {
    match Place::parse(uri)? {
        Place::Local(path) => Ok(Arc::new(LocalStore::new(path))),
        Place::Object(place) => ObjectArtifacts::from_uri(&place.address, place.prefix, cloud)
            .map(|store| Arc::new(store) as Arc<dyn ArtifactStore>)
            .map_err(|source| OpenStoreError::Setup {
                uri: without_secrets(uri),
                source,
            }),
    }
}

/// The place that a URI of an object store means.
pub(crate) fn object_place(uri: &str) -> Result<ObjectPlace, OpenStoreError> {
    let shown = || without_secrets(uri);
    let malformed = |reason| OpenStoreError::Malformed {
        uri: shown(),
        reason,
    };
    let rest = uri.split_once("://").map(|(_, rest)| rest);
    let rest = rest.ok_or_else(|| malformed("it has no `//`"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err(malformed("it names no bucket"));
    }
    // The key is what the URI says, letter by letter; it is not percent-decoded.
    let prefix = path_of(uri, path)?;
    let scheme = uri
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let parsed = Url::parse(&format!("{scheme}://{authority}"))
        .map_err(|_| malformed("its bucket is not valid"))?;
    let is_azure = matches!(scheme.as_str(), "abfss" | "abfs" | "wasbs");
    if is_azure && parsed.username().is_empty() {
        return Err(malformed("it must begin with `<container>@<account>.`"));
    }
    Ok(ObjectPlace {
        address: parsed,
        prefix,
    })
}

/// The path part of a URI as a checked path; slashes at both ends do not count.
fn path_of(uri: &str, path: &str) -> Result<ArtifactPath, OpenStoreError> {
    ArtifactPath::parse(path.trim_matches('/')).map_err(|source| OpenStoreError::Path {
        uri: without_secrets(uri),
        source,
    })
}

/// The scheme of a URI in lower case; none for a path. A single letter is a Windows drive.
pub(crate) fn scheme_of(uri: &str) -> Option<String> {
    let (scheme, _) = uri.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// The path that a `file:` URI means; percent-encoding is undone.
///
/// # Errors
/// With a reason when the URI names another host or nothing at all.
pub fn local_path_of_file_uri(uri: &str) -> Result<PathBuf, &'static str> {
    let rest = match uri.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file:") => &uri[5..],
        _ => return Err("it does not begin with `file:`"),
    };
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("it names another host; write `file:///` and an absolute path");
            }
            path
        }
        None => rest,
    };
    let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
    if decoded.is_empty() || decoded.contains('\0') {
        return Err("it has no path");
    }
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::transport::TransportSettings;

    fn settings(address: Option<&str>) -> StoreSettings {
        let transport = Transport::new(TransportSettings::default()).unwrap();
        let address = address.map(|address| Url::parse(address).unwrap());
        StoreSettings {
            server: Server { transport, address },
            cloud: CloudSettings::from_variables(|name| {
                name.starts_with("AWS_")
                    .then(|| "1".to_owned())
                    .filter(|_| name.ends_with("_ID"))
            }),
        }
    }

    fn location(address: &str, uri: &str) -> String {
        settings(Some(address))
            .open(uri)
            .unwrap()
            .location()
            .to_owned()
    }

    #[test]
    fn the_proxy_is_found_like_mlflow_finds_it() {
        let base = "api/2.0/mlflow-artifacts/artifacts";
        let server = "http://host:5000";
        for (tracking, uri, expected) in [
            (
                server,
                "mlflow-artifacts:/1/a",
                format!("{server}/{base}/1/a"),
            ),
            (server, "mlflow-artifacts:/", format!("{server}/{base}/")),
            (
                server,
                "mlflow-artifacts:///1/a",
                format!("{server}/{base}/1/a"),
            ),
            (
                server,
                "mlflow-artifacts://other:6000/1/a",
                format!("http://other:6000/{base}/1/a"),
            ),
            (
                "https://h/p/",
                "mlflow-artifacts:/1/a/",
                format!("https://h/p/{base}/1/a"),
            ),
            (
                "https://h/p",
                "mlflow-artifacts://o/1",
                format!("https://o/p/{base}/1"),
            ),
            (
                server,
                &format!("https://x/p/{base}/1/b%20c"),
                format!("https://x/p/{base}/1/b c"),
            ),
        ] {
            assert_eq!(location(tracking, uri), expected, "{tracking} {uri}");
        }
    }

    #[test]
    fn what_has_no_store_says_why() {
        let open = |uri: &str| settings(None).open(uri).unwrap_err().to_string();
        assert!(open("dbfs:/x").contains("`dbfs` is not one of file, mlflow-artifacts"));
        assert!(open("mlflow-artifacts:/1").contains("none is set"));
        assert!(open("https://host/model.zip").contains("artifact proxy"));
        assert!(open("s3:/x").contains("no `//`"));
        assert!(open("s3:///x").contains("names no bucket"));
        assert!(open("s3://b/../x").contains("not a valid artifact URI"));
        assert!(open("abfss://account.dfs.core.windows.net/x").contains("<container>@"));
        assert!(open("file://nas/x").contains("another host"));
        let secret = open("https://user:geheim@host/x?sig=geheim");
        assert!(!secret.contains("geheim"), "{secret}");
        let port = settings(Some("http://h"))
            .open("mlflow-artifacts://5000/x")
            .unwrap_err();
        assert!(port.to_string().contains("port but no host"));
        let escape = settings(Some("http://h"))
            .open("mlflow-artifacts:/1/%2e%2e/2")
            .unwrap_err();
        assert!(matches!(escape, OpenStoreError::Path { .. }));
    }

    #[test]
    fn file_uris_and_plain_paths_are_local() {
        for (uri, path) in [
            ("file:///a/b%20c", "/a/b c"),
            ("file:/a", "/a"),
            ("FILE://localhost/a", "/a"),
            ("file:rel/x", "rel/x"),
            ("/a/b", "/a/b"),
            ("rel/x", "rel/x"),
            ("C:/x", "C:/x"),
        ] {
            let store = settings(None).open(uri).unwrap();
            assert_eq!(store.local_folder(), Some(Path::new(path)), "{uri}");
        }
        assert!(local_path_of_file_uri("file:").is_err());
    }
}
