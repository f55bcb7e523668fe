//! The artifact proxy of a tracking server: `mlflow-artifacts:` and its plain HTTP address.
//!
//! Listing is `GET …/mlflow-artifacts/artifacts?path=<folder>`, one level with paths relative to
//! the folder; a file is the same address with its path behind it and answers `Range`. Presigned
//! downloads are not used.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use mlrs_api::artifacts::ListProxiedArtifactsResponse;
use mlrs_api::endpoints::LIST_PROXIED_ARTIFACTS;
use reqwest::header::{CONTENT_RANGE, ETAG};
use url::Url;

use crate::path::ArtifactPath;
use crate::source::Source;
use crate::store::{ArtifactStore, Entry, Opened, StoreError};
use crate::transport::{HttpRequest, Transport};
use crate::transport_error::TransportError;

/// The artifacts below one path of a server's proxy.
#[derive(Debug, Clone)]
pub struct ProxyStore {
    transport: Transport,
    server: Url,
    root: ArtifactPath,
    location: Arc<str>,
}

impl ProxyStore {
    /// The store below `root` on `server`, the address that the API paths are appended to.
    pub fn new(transport: Transport, server: Url, root: ArtifactPath) -> Self {
        let mut shown = server.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let base = shown.as_str().trim_end_matches('/');
        let location = format!("{base}{}/{root}", LIST_PROXIED_ARTIFACTS.path(&[])).into();
        Self {
            transport,
            server,
            root,
            location,
        }
    }

    /// The address of a file, or of the listing for the root. Segments are percent-encoded.
    fn address(&self, path: &ArtifactPath) -> Url {
        let mut address = self.server.clone();
        address.set_query(None);
        address.set_fragment(None);
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty();
            segments.extend(LIST_PROXIED_ARTIFACTS.path(&[]).split('/').skip(1));
            segments.extend(path.segments());
        }
        address
    }

    fn full(&self, path: &ArtifactPath) -> Result<ArtifactPath, StoreError> {
        self.root.join(path).map_err(|source| self.hostile(source))
    }

    fn hostile(&self, source: crate::path::PathError) -> StoreError {
        StoreError::HostilePath {
            store: self.location.to_string(),
            source,
        }
    }

    fn failed(&self, path: &ArtifactPath, source: TransportError) -> StoreError {
        match source.status() {
            // A page that is not MLflow's means a wrong address, not an absent artifact.
            Some(404) if source.code().is_some() => StoreError::NotFound {
                path: path.clone(),
                store: self.location.to_string(),
            },
            _ => StoreError::Server {
                path: path.clone(),
                source,
            },
        }
    }

    fn not_written(&self, path: &ArtifactPath, source: TransportError) -> StoreError {
        match source {
            TransportError::Content { source } => StoreError::Content {
                path: path.clone(),
                source: source.into(),
            },
            source => StoreError::NotWritten {
                path: path.clone(),
                store: self.location.to_string(),
                source,
            },
        }
    }

    async fn list_folder(&self, path: &ArtifactPath) -> Result<Vec<Entry>, StoreError> {
        let mut address = self.address(&ArtifactPath::root());
        address
            .query_pairs_mut()
            .append_pair("path", self.full(path)?.as_str());
        let listing: ListProxiedArtifactsResponse = self
            .transport
            .json(&HttpRequest::get(address))
            .await
            .map_err(|error| self.failed(path, error))?;
        let mut entries = Vec::with_capacity(listing.files.len());
        for file in listing.files {
            let name = ArtifactPath::parse(&file.path).map_err(|error| self.hostile(error))?;
            if name.is_root() {
                continue;
            }
            let size = file.file_size.and_then(|size| u64::try_from(size).ok());
            entries.push(Entry {
                path: path.join(&name).map_err(|error| self.hostile(error))?,
                is_directory: file.is_dir,
                size: size.filter(|_| !file.is_dir),
            });
        }
        if is_own_listing(path, &entries) {
            entries.clear();
        }
        Ok(entries)
    }

    async fn open_file(&self, path: &ArtifactPath, offset: u64) -> Result<Opened, StoreError> {
        let address = self.address(&self.full(path)?);
        let request = HttpRequest::get(address.clone()).from_byte(offset, None);
        let answer = match self.transport.open(&request).await {
            Ok(answer) => answer,
            // Nothing is left behind this offset: ask for the whole to learn its size.
            Err(error) if error.status() == Some(416) && offset > 0 => {
                let request = HttpRequest::get(address.clone());
                self.transport
                    .open(&request)
                    .await
                    .map_err(|error| self.failed(path, error))?
            }
            Err(error) => return Err(self.failed(path, error)),
        };
        let header = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let (start, length) = match header(CONTENT_RANGE).as_deref().and_then(content_range) {
            Some(range) if answer.status().as_u16() == 206 => range,
            _ => (0, answer.content_length()),
        };
        let entity_tag = header(ETAG);
        let (transport, place) = (self.transport.clone(), path.clone());
        let stream = answer
            .bytes_stream()
            .map(move |piece| {
                piece.map_err(|error| StoreError::Server {
                    path: place.clone(),
                    source: transport.interrupted(&address, error),
                })
            })
            .boxed();
        Ok(Opened {
            offset: start,
            length,
            entity_tag,
            stream,
        })
    }
}

/// Whether the listing of `path` is that of a file: one file of the same name. MLflow's client
/// takes it so too, which makes a folder with a single file of its own name unreadable.
fn is_own_listing(path: &ArtifactPath, entries: &[Entry]) -> bool {
    match entries {
        [only] => !only.is_directory && !path.is_root() && only.path.name() == path.name(),
        _ => false,
    }
}

/// Start and total size in `bytes 5-9/10` (RFC 9110, 14.4).
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

impl ArtifactStore for ProxyStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn list<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.list_folder(path))
    }

    fn open<'a>(
        &'a self,
        path: &'a ArtifactPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Opened, StoreError>> {
        Box::pin(self.open_file(path, offset))
    }

    fn upload<'a>(
        &'a self,
        path: &'a ArtifactPath,
        source: &'a Source,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let address = self.address(&self.full(path)?);
            let sent = self.transport.upload(address, source).await;
            sent.map_err(|error| self.not_written(path, error))
        })
    }

    fn delete<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let request = HttpRequest::delete(self.address(&self.full(path)?));
            let done: Result<serde::de::IgnoredAny, _> = self.transport.json(&request).await;
            done.map(drop)
                .map_err(|error| self.not_written(path, error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportSettings;

    #[test]
    fn an_address_keeps_the_prefix_of_the_server_and_encodes_segments() {
        let transport = Transport::new(TransportSettings::default()).unwrap();
        let server = Url::parse("https://u:p@host/mlflow/").unwrap();
        let root = ArtifactPath::parse("1/models/m-1/artifacts").unwrap();
        let store = ProxyStore::new(transport, server, root);
        let path = store
            .full(&ArtifactPath::parse("a b/c#d?e%20f").unwrap())
            .unwrap();
        assert_eq!(
            store.address(&path).path(),
            "/mlflow/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/a%20b/c%23d%3Fe%2520f"
        );
        assert_eq!(
            store.location(),
            "https://host/mlflow/api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts"
        );
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for broken in ["", "bytes */10", "bytes -5/10", "items 1-2/3"] {
            assert_eq!(content_range(broken), None, "{broken}");
        }
    }
}
