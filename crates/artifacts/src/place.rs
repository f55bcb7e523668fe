//! The place that a URI of artifacts means: what a store is opened at, and what an allow-list compares.
//!
//! Both use the same reading of a URI, so that nothing is opened that was not compared. [`Place`] is
//! for stores that are reached directly; the proxy of a tracking server is none.

use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::path::ArtifactPath;
use crate::resolver::{OpenStoreError, local_path_of_file_uri, object_place, scheme_of};
use crate::transport::without_secrets;

/// Where artifacts are, by the parts of their URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine.
    Local(PathBuf),
    /// Keys of an object store.
    Object(ObjectPlace),
}

/// A prefix of the keys in a bucket, or in a container of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPlace {
    /// Scheme and authority of the URI.
    pub(crate) address: Url,
    /// The beginning of all keys.
    pub(crate) prefix: ArtifactPath,
}

impl Place {
    /// Reads a URI, or a local path.
    ///
    /// # Errors
    /// When its scheme is unknown or one of a proxy, or it is malformed.
    pub fn parse(uri: &str) -> Result<Self, OpenStoreError> {
        let Some(scheme) = scheme_of(uri) else {
            return Ok(Self::Local(uri.into()));
        };
        match scheme.as_str() {
            "file" => local_path_of_file_uri(uri)
                .map(Self::Local)
                .map_err(|reason| OpenStoreError::Malformed {
                    uri: without_secrets(uri),
                    reason,
                }),
            _ if Provider::of_scheme(&scheme).is_some() => object_place(uri).map(Self::Object),
            _ => Err(OpenStoreError::UnknownScheme {
                uri: without_secrets(uri),
                scheme,
            }),
        }
    }

    /// Whether this is `root` or lies below it, part by part. A local path with a step back lies
    /// nowhere. Links of the file system are not looked at.
    pub fn is_within(&self, root: &Self) -> bool {
        match (self, root) {
            (Self::Local(path), Self::Local(root)) => {
                let path = absolute(path);
                let steps_back = |part: Component<'_>| part == Component::ParentDir;
                !path.components().any(steps_back) && path.starts_with(absolute(root))
            }
            (Self::Object(place), Self::Object(root)) => {
                place.store() == root.store() && place.prefix.relative_to(&root.prefix).is_some()
            }
            _ => false,
        }
    }
}

/// Whose object store it is. Several schemes of one provider reach the same objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    S3,
    Google,
    Azure,
}

impl Provider {
    /// That of a scheme in lower case.
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "abfss" | "abfs" | "wasbs" => Some(Self::Azure),
            _ => None,
        }
    }
}

impl ObjectPlace {
    fn provider(&self) -> Option<Provider> {
        Provider::of_scheme(self.address.scheme())
    }

    /// What the client of the object store is made with: the account of Azure, and the bucket or
    /// container.
    fn store(&self) -> (Option<Provider>, &str, &str) {
        let host = self.address.host_str().unwrap_or_default();
        match self.provider() {
            Some(Provider::Azure) => {
                let account = host.split('.').next().unwrap_or_default();
                (Some(Provider::Azure), account, self.address.username())
            }
            provider => (provider, "", host),
        }
    }
}

/// The places that a server reaches for its clients with its own permissions. A client chooses the
/// root of an experiment, and could name any directory of the machine and any bucket that the
/// server's credentials open.
#[derive(Debug, Clone, Default)]
pub struct AllowedRoots {
    places: Vec<Place>,
    providers: Vec<Provider>,
}

impl AllowedRoots {
    /// Allows what lies below a root: a URI or a local path. `s3://`, and likewise the other schemes
    /// of object stores, allows every bucket that the server's credentials open.
    ///
    /// # Errors
    /// When no store is reached by it.
    pub fn allow(&mut self, root: &str) -> Result<(), OpenStoreError> {
        let scheme = root.strip_suffix("://").map(str::to_ascii_lowercase);
        match scheme.as_deref().and_then(Provider::of_scheme) {
            Some(provider) => self.providers.push(provider),
            None => self.places.push(Place::parse(root)?),
        }
        Ok(())
    }

    /// The roots that are directories of this machine, as absolute paths.
    pub fn directories(&self) -> Vec<PathBuf> {
        let directory = |place: &Place| match place {
            Place::Local(path) => Some(absolute(path)),
            Place::Object(_) => None,
        };
        self.places.iter().filter_map(directory).collect()
    }

    /// Whether a place lies below one of the roots.
    pub fn contains(&self, place: &Place) -> bool {
        let of_provider = match place {
            Place::Local(_) => false,
            Place::Object(place) => place
                .provider()
                .is_some_and(|provider| self.providers.contains(&provider)),
        };
        of_provider || self.places.iter().any(|root| place.is_within(root))
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_of_one_provider_can_be_allowed() {
        let mut roots = AllowedRoots::default();
        let contains = |roots: &AllowedRoots, uri| roots.contains(&Place::parse(uri).unwrap());
        assert!(!contains(&roots, "s3://box/a"));
        assert!(!contains(&roots, "/srv"));
        roots.allow("S3://").unwrap();
        roots.allow("/srv/art").unwrap();
        for uri in ["s3://box/a", "s3a://payroll", "/srv/art/1"] {
            assert!(contains(&roots, uri), "{uri}");
        }
        for uri in ["gs://box/a", "/srv"] {
            assert!(!contains(&roots, uri), "{uri}");
        }
        for root in [
            "hdfs://",
            "s3:",
            "mlflow-artifacts:/",
            "abfss://account.x/y",
        ] {
            assert!(roots.allow(root).is_err(), "{root}");
        }
    }

    fn is_within(uri: &str, root: &str) -> bool {
        Place::parse(uri)
            .unwrap()
            .is_within(&Place::parse(root).unwrap())
    }

    #[test]
    fn places_lie_within_each_other_part_by_part() {
        for (uri, root) in [
            ("s3://box/a", "s3://box/a"),
            ("s3://box/a/b", "s3://box/a"),
            ("s3://box/a/b", "s3://box"),
            ("s3a://box/a/b", "S3://box/a/"),
            ("s3://key:secret@box:80/a/b", "s3://box/a"),
            ("gs://box/a", "gs://box/"),
            (
                "wasbs://box@account.blob.core.windows.net/a",
                "abfss://box@account.dfs.core.windows.net/",
            ),
            ("/srv/art/1", "/srv/art"),
            ("file:///srv/art/1", "/srv/art/"),
            ("/srv/art", "file:/srv/art"),
            ("/etc", "/"),
        ] {
            assert!(is_within(uri, root), "{uri} {root}");
        }
        for (uri, root) in [
            ("s3://payroll/a", "s3://box/a"),
            ("s3://box/ab", "s3://box/a"),
            ("s3://box", "s3://box/a"),
            ("s3://box@payroll/a", "s3://box/a"),
            ("s3://payroll?box/a", "s3://box/a"),
            ("s3://BOX/a", "s3://box/a"),
            ("gs://box/a", "s3://box/a"),
            ("s3://box/%61/b", "s3://box/a"),
            (
                "abfss://box@other.dfs.core.windows.net/a",
                "abfss://box@account.dfs.core.windows.net/a",
            ),
            (
                "abfss://payroll@account.dfs.core.windows.net/a",
                "abfss://box@account.dfs.core.windows.net/a",
            ),
            ("/etc", "/srv/art"),
            ("/srv/artificial", "/srv/art"),
            ("/srv/art/../../etc", "/srv/art"),
            ("file:///srv/art/%2e%2e/x", "/srv/art"),
            ("s3://box/a", "/"),
            ("/box/a", "s3://box"),
        ] {
            assert!(!is_within(uri, root), "{uri} {root}");
        }
        for uri in [
            "s3://box/../payroll",
            "s3:///a",
            "dbfs:/a",
            "mlflow-artifacts:/",
        ] {
            assert!(Place::parse(uri).is_err(), "{uri}");
        }
    }
}
