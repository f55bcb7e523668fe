//! S3, Google Cloud Storage and Azure as artifact stores, over `object_store`.
//!
//! One [`ObjectArtifacts`] is one prefix of one bucket or container. Keys are listed one level at a
//! time; markers that some tools leave for empty folders are skipped.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _, WriteMultipart,
};
use url::Url;

use crate::clouds;
use crate::path::ArtifactPath;
use crate::presigned::{MultipartUploads, PresignedFiles, Signing};
use crate::settings::CloudSettings;
use crate::store::{ArtifactStore, Content, Entry, Opened, Stat, StoreError};

/// The objects below one prefix.
#[derive(Debug, Clone)]
pub struct ObjectArtifacts {
    store: Arc<dyn ObjectStore>,
    signing: Option<Signing>,
    prefix: ArtifactPath,
    location: Arc<str>,
}

impl ObjectArtifacts {
    /// The objects below `prefix` in `store`; `location` is for messages.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: ArtifactPath, location: &str) -> Self {
        Self {
            store,
            signing: None,
            prefix,
            location: location.into(),
        }
    }

    /// The store behind an `s3:`, `gs:`, `abfss:` or `wasbs:` URI.
    pub(crate) fn from_uri(
        uri: &Url,
        prefix: ArtifactPath,
        settings: &CloudSettings,
    ) -> Result<Self, Error> {
        let (store, signing) = clouds::open(uri, settings)?;
        let location = crate::transport::without_secrets(uri.as_str());
        Ok(Self {
            signing,
            ..Self::new(store, prefix, &location)
        })
    }

    /// What signs addresses, where something does.
    pub(crate) fn signing(&self) -> Option<&Signing> {
        self.signing.as_ref()
    }

    /// The object store itself.
    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The key of a path.
    pub(crate) fn key(&self, path: &ArtifactPath) -> Result<Key, StoreError> {
        let whole = self
            .prefix
            .join(path)
            .map_err(|source| StoreError::HostilePath {
                store: self.location.to_string(),
                source,
            })?;
        Key::parse(whole.as_str())
            .map_err(|source| self.failed(path, Error::InvalidPath { source }))
    }

    /// What an error of the object store means here.
    pub(crate) fn failed(&self, path: &ArtifactPath, error: Error) -> StoreError {
        let (path, store) = (path.clone(), self.location.to_string());
        match error {
            Error::NotFound { .. } => StoreError::NotFound { path, store },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreError::Denied {
                path,
                store,
                source: Box::new(error),
            },
            source => StoreError::ObjectStore {
                path,
                store,
                source,
            },
        }
    }

    /// What an error means of a write: what is not found there is the bucket.
    pub(crate) fn not_written(&self, path: &ArtifactPath, error: Error) -> StoreError {
        match error {
            Error::NotFound { .. } => StoreError::NoBucket {
                path: path.clone(),
                store: self.location.to_string(),
                source: Box::new(error),
            },
            other => self.failed(path, other),
        }
    }

    /// The path below the prefix of this store that a listed key has.
    fn below_prefix(&self, key: &Key) -> Result<Option<ArtifactPath>, StoreError> {
        let path = ArtifactPath::parse(key.as_ref()).map_err(|source| StoreError::HostilePath {
            store: self.location.to_string(),
            source,
        })?;
        Ok(path.relative_to(&self.prefix))
    }

    async fn list_folder(&self, path: &ArtifactPath) -> Result<Vec<Entry>, StoreError> {
        let key = self.key(path)?;
        let listing = self
            .store
            .list_with_delimiter((!key.as_ref().is_empty()).then_some(&key))
            .await
            .map_err(|error| self.failed(path, error))?;
        let mut entries = Vec::new();
        for folder in &listing.common_prefixes {
            if let Some(path) = self.below_prefix(folder)?.filter(|path| !path.is_root()) {
                entries.push(Entry {
                    path,
                    is_directory: true,
                    size: None,
                });
            }
        }
        for object in &listing.objects {
            let Some(found) = self.below_prefix(&object.location)? else {
                continue;
            };
            let is_marker = object.size == 0
                && (found == *path || entries.iter().any(|entry| entry.path == found));
            if !is_marker && !found.is_root() {
                entries.push(Entry {
                    path: found,
                    is_directory: false,
                    size: Some(object.size),
                });
            }
        }
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    async fn open_file(&self, path: &ArtifactPath, offset: u64) -> Result<Opened, StoreError> {
        let key = self.key(path)?;
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        let found: GetResult = match self.store.get_opts(&key, options).await {
            Ok(found) => found,
            // An offset at the end of the object is no range; start again to learn its size.
            Err(Error::Generic { .. }) if offset > 0 => self
                .store
                .get_opts(&key, GetOptions::default())
                .await
                .map_err(|error| self.failed(path, error))?,
            Err(error) => return Err(self.failed(path, error)),
        };
        let (start, length) = (found.range.start, found.meta.size);
        let entity_tag = found.meta.e_tag.clone();
        let (this, place) = (self.clone(), path.clone());
        let stream = found
            .into_stream()
            .map(move |piece| piece.map_err(|error| this.failed(&place, error)))
            .boxed();
        Ok(Opened {
            offset: start,
            length: Some(length),
            entity_tag,
            stream,
        })
    }
}

/// Pieces of a large object that are on their way at the same time.
const PIECES_IN_FLIGHT: usize = 4;

/// Bytes of a piece: S3 takes 10,000 of them, so objects may have 80 GB.
const PIECE: usize = 8 << 20;

impl ObjectArtifacts {
    async fn stat_of(&self, path: &ArtifactPath) -> Result<Stat, StoreError> {
        let key = self.key(path)?;
        match self.store.head(&key).await {
            Ok(found) => Ok(Stat {
                is_directory: false,
                size: found.size,
                modified: Some(found.last_modified.into()),
                entity_tag: found.e_tag.map(|tag| tag.trim_matches('"').to_owned()),
            }),
            // A folder is what has something below it.
            Err(Error::NotFound { .. }) if !self.list_folder(path).await?.is_empty() => Ok(Stat {
                is_directory: true,
                size: 0,
                modified: None,
                entity_tag: None,
            }),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    /// A small object goes in one request, a large one in pieces that are put together at the end.
    async fn write(
        &self,
        path: &ArtifactPath,
        mut content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let key = self.key(path)?;
        let broken = |source| StoreError::Content {
            path: path.clone(),
            source,
        };
        let mut small = Vec::new();
        while small.len() < PIECE {
            let Some(piece) = content.next().await else {
                let size = small.len() as u64;
                let put = self.store.put(&key, small.into()).await;
                return put
                    .map(|_| size)
                    .map_err(|error| self.not_written(path, error));
            };
            small.extend_from_slice(&piece.map_err(broken)?);
        }
        let upload = self.store.put_multipart(&key).await;
        let upload = upload.map_err(|error| self.not_written(path, error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let mut size = small.len() as u64;
        writer.put(small.into());
        while let Some(piece) = content.next().await {
            let room = writer.wait_for_capacity(PIECES_IN_FLIGHT).await;
            let failure = match (piece, room) {
                (Ok(piece), Ok(())) => {
                    size += piece.len() as u64;
                    writer.put(piece);
                    continue;
                }
                (Err(source), _) => broken(source),
                (_, Err(error)) => self.not_written(path, error),
            };
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "pieces of an upload could not be removed");
            }
            return Err(failure);
        }
        let finished = writer.finish().await;
        finished
            .map(|_| size)
            .map_err(|error| self.not_written(path, error))
    }

    async fn remove(&self, path: &ArtifactPath) -> Result<(), StoreError> {
        let key = self.key(path)?;
        match self.store.delete(&key).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(self.failed(path, error)),
        }
        let below = self.store.list(Some(&key)).map_ok(|object| object.location);
        let mut deleted = self.store.delete_stream(below.boxed());
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(path, error)),
            }
        }
        Ok(())
    }
}

impl ArtifactStore for ObjectArtifacts {
    fn stat<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Stat, StoreError>> {
        Box::pin(self.stat_of(path))
    }

    fn create<'a>(
        &'a self,
        path: &'a ArtifactPath,
        content: Content<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.write(path, content))
    }

    fn delete<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove(path))
    }

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

    fn multipart_uploads(&self) -> Option<&dyn MultipartUploads> {
        self.signing.as_ref().map(|_| self as &dyn MultipartUploads)
    }

    fn presigned_files(&self) -> Option<&dyn PresignedFiles> {
        let signing = self.signing.as_ref()?;
        signing
            .signs_whole_files()
            .then_some(self as &dyn PresignedFiles)
    }
}
