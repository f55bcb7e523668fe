//! A directory on this machine as an artifact store.
//!
//! [`LocalStore`] is used in place: nothing is copied unless somebody asks. A link within the
//! directory is followed as long as it stays within; one that leads out is refused by every
//! operation, as MLflow does. The kernel resolves each path beneath the root, so nobody can swap a
//! directory for a link between a check and its use. Links with an absolute target count as leading out.

mod reading;
mod uploads;

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::future::BoxFuture;
use tokio::task::spawn_blocking;

use crate::path::ArtifactPath;
use crate::store::{ArtifactStore, Content, Entry, Opened, Stat, StoreError};

/// The directory where files are while they are written. No path with this name in it is an artifact.
const UPLOADS: &str = ".mlrs-uploads";

/// The files below one local directory.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
    location: String,
}

impl LocalStore {
    /// The store with this root; the directory need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let location = root.display().to_string();
        Self { root, location }
    }

    /// Does `work` with the root and the path beneath it, on a thread that may wait for the disk.
    async fn beneath<T: Send + 'static>(
        &self,
        path: &ArtifactPath,
        work: impl FnOnce(&Dir, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if is_reserved(path) {
            return Err(self.not_found(path));
        }
        let (root, place) = (self.root.clone(), relative(path));
        let done = spawn_blocking(move || work(&open_root(&root)?, &place)).await;
        let outcome = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        outcome.map_err(|source| self.failed(path, source))
    }

    fn not_found(&self, path: &ArtifactPath) -> StoreError {
        StoreError::NotFound {
            path: path.clone(),
            store: self.location.clone(),
        }
    }

    fn wrong_kind(&self, path: &ArtifactPath, is_directory: bool) -> StoreError {
        StoreError::WrongKind {
            path: path.clone(),
            store: self.location.clone(),
            is_directory,
        }
    }

    /// What the system's error means of a path.
    fn failed(&self, path: &ArtifactPath, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.not_found(path),
            io::ErrorKind::IsADirectory => self.wrong_kind(path, true),
            _ if leads_out(&source) => StoreError::Outside {
                path: path.clone(),
                store: self.location.clone(),
            },
            _ => StoreError::Local {
                path: path.below(&self.root),
                source,
            },
        }
    }

    async fn remove(&self, path: &ArtifactPath) -> Result<(), StoreError> {
        if is_reserved(path) {
            return Err(self.reserved(path));
        }
        let removed = if path.is_root() {
            let root = self.root.clone();
            let done = spawn_blocking(move || remove_root(&root)).await;
            let outcome = done.unwrap_or_else(|error| Err(io::Error::other(error)));
            outcome.map_err(|source| self.failed(path, source))
        } else {
            self.beneath(path, remove).await
        };
        match removed {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    fn reserved(&self, path: &ArtifactPath) -> StoreError {
        StoreError::Reserved {
            path: path.clone(),
            store: self.location.clone(),
            name: UPLOADS,
        }
    }
}

fn open_root(root: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(root, ambient_authority())
}

/// A path as one beneath the root.
fn relative(path: &ArtifactPath) -> PathBuf {
    if path.is_root() {
        PathBuf::from(".")
    } else {
        PathBuf::from(path.as_str())
    }
}

/// Whether the path is, or leads into, a directory for uploads; also where case does not count.
fn is_reserved(path: &ArtifactPath) -> bool {
    path.segments()
        .any(|segment| segment.eq_ignore_ascii_case(UPLOADS))
}

/// Whether a path was not followed because it leads out of the root, or in circles. The refusal is not
/// the system's, which is how it differs from a lack of permission.
fn leads_out(error: &io::Error) -> bool {
    let is_refused =
        error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
    is_refused || error.raw_os_error() == Some(libc::ELOOP)
}

/// A link is removed itself, and not what it means.
fn remove(root: &Dir, place: &Path) -> io::Result<()> {
    if root.symlink_metadata(place)?.is_dir() {
        root.remove_dir_all(place)
    } else {
        root.remove_file(place)
    }
}

fn remove_root(root: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(root)?.is_dir() {
        std::fs::remove_dir_all(root)
    } else {
        std::fs::remove_file(root)
    }
}

impl ArtifactStore for LocalStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn list<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.list_directory(path))
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
