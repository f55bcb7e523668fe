//! A folder on this machine as an artifact store.
//!
//! Used in place: nothing is copied unless somebody asks. Links are followed, because the folder
//! is the user's own.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};
use tokio_util::io::ReaderStream;

use crate::path::ArtifactPath;
use crate::store::{ArtifactStore, Entry, Opened, StoreError};

/// The files below one local folder.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
    location: String,
}

impl LocalStore {
    /// The store with this root; the folder need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let location = root.display().to_string();
        Self { root, location }
    }

    async fn list_folder(&self, path: &ArtifactPath) -> Result<Vec<Entry>, StoreError> {
        let folder = path.below(&self.root);
        let fail = |source| StoreError::Local {
            path: folder.clone(),
            source,
        };
        let mut entries = Vec::new();
        let mut reader = match tokio::fs::read_dir(&folder).await {
            Ok(reader) => reader,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(entries);
            }
            Err(error) => return Err(fail(error)),
        };
        while let Some(found) = reader.next_entry().await.map_err(fail)? {
            let name = found.file_name().to_string_lossy().into_owned();
            let child = ArtifactPath::parse(&name)
                .and_then(|name| path.join(&name))
                .map_err(|source| StoreError::HostilePath {
                    store: self.location.clone(),
                    source,
                })?;
            let metadata =
                tokio::fs::metadata(found.path())
                    .await
                    .map_err(|source| StoreError::Local {
                        path: found.path(),
                        source,
                    })?;
            let size = metadata.is_file().then_some(metadata.len());
            entries.push(Entry {
                path: child,
                is_directory: metadata.is_dir(),
                size,
            });
        }
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    async fn open_file(&self, path: &ArtifactPath, offset: u64) -> Result<Opened, StoreError> {
        let place = path.below(&self.root);
        let fail = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::NotFound {
                path: path.clone(),
                store: self.location.clone(),
            },
            _ => StoreError::Local {
                path: place.clone(),
                source,
            },
        };
        let mut file = tokio::fs::File::open(&place).await.map_err(fail)?;
        let metadata = file.metadata().await.map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(std::io::ErrorKind::IsADirectory.into()));
        }
        let length = metadata.len();
        file.seek(SeekFrom::Start(offset)).await.map_err(fail)?;
        let content = file.take(length.saturating_sub(offset));
        let stream = ReaderStream::with_capacity(content, 1 << 20)
            .map(move |piece: Result<Bytes, _>| {
                piece.map_err(|source| StoreError::Local {
                    path: place.clone(),
                    source,
                })
            })
            .boxed();
        Ok(Opened {
            offset,
            length: Some(length),
            entity_tag: None,
            stream,
        })
    }
}

impl ArtifactStore for LocalStore {
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

    fn local_folder(&self) -> Option<&Path> {
        Some(&self.root)
    }
}
