//! A folder on this machine as an artifact store.
//!
//! Used in place: nothing is copied unless somebody asks. Links are followed, because the folder
//! is the user's own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::path::ArtifactPath;
use crate::store::{ArtifactStore, Content, Entry, Opened, Stat, StoreError};

/// The folder below the root where files are while they are written. It is not listed.
const UPLOADS: &str = ".mlrs-uploads";
/// Bytes of a file that is being written after which they are made durable.
const SYNC_AFTER: u64 = 64 << 20;
/// How often the folder for uploads may go away before a file in it is opened.
const CREATE_ATTEMPTS: usize = 100;

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
        let mut reader = match fs::read_dir(&folder).await {
            Ok(reader) => reader,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(entries);
            }
            Err(error) => return Err(fail(error)),
        };
        while let Some(found) = reader.next_entry().await.map_err(fail)? {
            let name = found.file_name().to_string_lossy().into_owned();
            if path.is_root() && name == UPLOADS {
                continue;
            }
            let child = ArtifactPath::parse(&name)
                .and_then(|name| path.join(&name))
                .map_err(|source| StoreError::HostilePath {
                    store: self.location.clone(),
                    source,
                })?;
            let metadata =
                fs::metadata(found.path())
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
        let fail = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound {
                path: path.clone(),
                store: self.location.clone(),
            },
            _ => StoreError::Local {
                path: place.clone(),
                source,
            },
        };
        let mut file = fs::File::open(&place).await.map_err(fail)?;
        let metadata = file.metadata().await.map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
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

impl LocalStore {
    fn local(place: &Path) -> impl Fn(io::Error) -> StoreError {
        let place = place.to_path_buf();
        move |source| StoreError::Local {
            path: place.clone(),
            source,
        }
    }

    async fn stat_of(&self, path: &ArtifactPath) -> Result<Stat, StoreError> {
        let place = path.below(&self.root);
        let metadata = match fs::metadata(&place).await {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => {
                return Err(StoreError::NotFound {
                    path: path.clone(),
                    store: self.location.clone(),
                });
            }
            Err(error) => return Err(Self::local(&place)(error)),
        };
        let is_directory = metadata.is_dir();
        let size = if is_directory { 0 } else { metadata.len() };
        let modified = metadata.modified().ok();
        let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let entity_tag = since.map(|time| format!("{:x}-{size:x}", time.as_nanos()));
        Ok(Stat {
            is_directory,
            size,
            modified,
            entity_tag,
        })
    }

    async fn write(&self, path: &ArtifactPath, content: Content<'_>) -> Result<u64, StoreError> {
        let place = path.below(&self.root);
        self.check_place(path, &place).await?;
        let uploads = self.root.join(UPLOADS);
        let part = Part(uploads.join(Uuid::new_v4().simple().to_string()));
        let file = Self::create_part(&uploads, &part).await?;
        let size = self.write_part(path, &part, file, content).await?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)
                .await
                .map_err(Self::local(folder))?;
        }
        fs::rename(&part.0, &place)
            .await
            .map_err(Self::local(&place))?;
        // Other programs list what is in the root; while others write, it stays.
        let _ = fs::remove_dir(&uploads).await;
        Ok(size)
    }

    /// A file cannot take the place of a folder, nor of the uploads.
    async fn check_place(&self, path: &ArtifactPath, place: &Path) -> Result<(), StoreError> {
        let reserved = path.segments().next() == Some(UPLOADS);
        let is_directory = fs::metadata(place).await.is_ok_and(|found| found.is_dir());
        if path.is_root() || reserved || is_directory {
            return Err(StoreError::WrongKind {
                path: path.clone(),
                store: self.location.clone(),
                is_directory: true,
            });
        }
        Ok(())
    }

    /// Opens a new file in the folder for uploads, which somebody who is done may remove in between.
    async fn create_part(uploads: &Path, part: &Part) -> Result<fs::File, StoreError> {
        for _ in 0..CREATE_ATTEMPTS {
            fs::create_dir_all(uploads)
                .await
                .map_err(Self::local(uploads))?;
            match fs::File::create(&part.0).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other.map_err(Self::local(&part.0)),
            }
        }
        Err(Self::local(&part.0)(io::ErrorKind::NotFound.into()))
    }

    async fn write_part(
        &self,
        path: &ArtifactPath,
        part: &Part,
        mut file: fs::File,
        mut content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let fail = Self::local(&part.0);
        file.set_max_buf_size(2 << 20);
        let (mut size, mut synced) = (0, 0);
        let mut syncing = Syncing::default();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|source| StoreError::Content {
                path: path.clone(),
                source,
            })?;
            size += piece.len() as u64;
            file.write_all(&piece).await.map_err(&fail)?;
            if size - synced >= SYNC_AFTER {
                syncing.start(&mut file).await.map_err(&fail)?;
                synced = size;
            }
        }
        file.flush().await.map_err(&fail)?;
        syncing.end().await.map_err(&fail)?;
        file.sync_data().await.map_err(&fail)?;
        Ok(size)
    }

    async fn remove(&self, path: &ArtifactPath) -> Result<(), StoreError> {
        let place = path.below(&self.root);
        let removed = match fs::symlink_metadata(&place).await {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&place).await,
            Ok(_) => fs::remove_file(&place).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if !is_absent(&error) => Err(Self::local(&place)(error)),
            _ => Ok(()),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Makes durable what is written of a file while more of it comes, so that little is left to wait
/// for at its end, and few pages wait for the disk.
#[derive(Default)]
struct Syncing(Option<JoinHandle<io::Result<()>>>);

impl Syncing {
    /// Begins with what is written by now, after what it began with before.
    async fn start(&mut self, file: &mut fs::File) -> io::Result<()> {
        self.end().await?;
        let file = file.try_clone().await?.into_std().await;
        self.0 = Some(spawn_blocking(move || file.sync_data()));
        Ok(())
    }

    /// Waits. A failure is told here and to nobody again: the system reports it once for a file.
    async fn end(&mut self) -> io::Result<()> {
        match self.0.take() {
            Some(task) => task.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}

/// A file that is being written; it goes with this value, unless it has been renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is nothing of this name.
        let _ = std::fs::remove_file(&self.0);
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

    fn local_folder(&self) -> Option<&Path> {
        Some(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap()
    }

    fn content(pieces: &[Result<&'static str, &'static str>]) -> Content<'static> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
                Err(text) => Err((*text).into()),
            })
            .collect();
        stream::iter(pieces).boxed()
    }

    async fn names(store: &LocalStore, folder: &str) -> Vec<String> {
        let entries = store.list(&path(folder)).await.unwrap();
        entries.iter().map(|entry| entry.path.to_string()).collect()
    }

    #[tokio::test]
    async fn files_are_written_whole_replaced_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path().join("made on the way"));
        let file = path("a/b/c.txt");
        assert_eq!(
            store
                .create(&file, content(&[Ok("12"), Ok("3")]))
                .await
                .unwrap(),
            3
        );
        let first = store.stat(&file).await.unwrap();
        assert_eq!((first.size, first.is_directory), (3, false));
        store.create(&file, content(&[Ok("longer")])).await.unwrap();
        assert_ne!(
            store.stat(&file).await.unwrap().entity_tag,
            first.entity_tag
        );
        assert_eq!(names(&store, "").await, ["a"]);
        store.delete(&path("a")).await.unwrap();
        store.delete(&path("a")).await.unwrap();
        assert!(matches!(
            store.stat(&file).await,
            Err(StoreError::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn content_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let broken = store
            .create(&path("x"), content(&[Ok("12"), Err("gone")]))
            .await;
        assert!(matches!(broken, Err(StoreError::Content { .. })));
        assert_eq!(names(&store, "").await, [""; 0]);
        let left = std::fs::read_dir(folder.path().join(UPLOADS)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[tokio::test]
    async fn a_file_does_not_take_the_place_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        store.create(&path("a/b"), content(&[])).await.unwrap();
        // Other programs list this folder.
        assert!(!folder.path().join(UPLOADS).exists());
        for taken in ["a", "", ".mlrs-uploads/x"] {
            let refused = store.create(&path(taken), content(&[])).await;
            assert!(
                matches!(refused, Err(StoreError::WrongKind { .. })),
                "{taken}"
            );
        }
        let below_a_file = store.create(&path("a/b/c"), content(&[])).await;
        assert!(matches!(below_a_file, Err(StoreError::Local { .. })));
    }
}
