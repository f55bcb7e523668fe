//! Writing files: beside the artifacts first, then whole under their names.
//!
//! A file that is being written is locked. What a server leaves behind that is killed has no lock, and
//! [`LocalStore::remove_remnants`] removes it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use futures_util::StreamExt as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::{LocalStore, UPLOADS, is_reserved, open_root, relative};
use crate::path::ArtifactPath;
use crate::store::{Content, StoreError};

/// Bytes of a file that is being written after which they are made durable.
const SYNC_AFTER: u64 = 64 << 20;
/// How often a directory may go away between two steps before that is an error.
const ATTEMPTS: usize = 100;

/// Why an upload does not begin or end.
enum Refused {
    /// A directory stands where the file goes (true), or a file where a directory of it goes.
    WrongKind(bool),
    System(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::IsADirectory => Self::WrongKind(true),
            io::ErrorKind::NotADirectory => Self::WrongKind(false),
            _ => Self::System(error),
        }
    }
}

impl LocalStore {
    pub(super) async fn write(
        &self,
        path: &ArtifactPath,
        content: Content<'_>,
    ) -> Result<u64, StoreError> {
        if path.is_root() {
            return Err(self.wrong_kind(path, true));
        }
        if is_reserved(path) {
            return Err(self.reserved(path));
        }
        let (root, place) = (self.root.clone(), relative(path));
        let begun = self.on_disk(path, move || begin(&root, &place)).await?;
        let (part, file) = begun;
        let size = self.fill(path, &part, file, content).await?;
        let place = relative(path);
        self.on_disk(path, move || part.finish(&place)).await?;
        Ok(size)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        path: &ArtifactPath,
        work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = spawn_blocking(work).await;
        let outcome = done.unwrap_or_else(|error| Err(Refused::System(io::Error::other(error))));
        outcome.map_err(|refused| match refused {
            Refused::WrongKind(is_directory) => self.wrong_kind(path, is_directory),
            Refused::System(source) => self.unwritten(path, source),
        })
    }

    /// Nothing that is missing while a file is written is the sender's fault.
    fn unwritten(&self, path: &ArtifactPath, source: io::Error) -> StoreError {
        match self.failed(path, source) {
            StoreError::NotFound { path, .. } => StoreError::Local {
                path: path.below(&self.root),
                source: io::ErrorKind::NotFound.into(),
            },
            other => other,
        }
    }

    async fn fill(
        &self,
        path: &ArtifactPath,
        part: &Part,
        mut file: File,
        mut content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let fail = |source| StoreError::Local {
            path: self.root.join(&part.name),
            source,
        };
        file.set_max_buf_size(2 << 20);
        let (mut size, mut synced) = (0, 0);
        let mut syncing = Syncing::default();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|source| StoreError::Content {
                path: path.clone(),
                source,
            })?;
            size += piece.len() as u64;
            file.write_all(&piece).await.map_err(fail)?;
            if size - synced >= SYNC_AFTER {
                syncing.start(&mut file).await.map_err(fail)?;
                synced = size;
            }
        }
        file.flush().await.map_err(fail)?;
        syncing.end().await.map_err(fail)?;
        file.sync_data().await.map_err(fail)?;
        Ok(size)
    }

    /// Removes what uploads left behind that nobody continues, when it has not changed for
    /// `unchanged`: on some file systems another machine's lock is not seen. Tells how many files
    /// there were.
    ///
    /// # Errors
    /// When the directory for uploads cannot be read.
    pub async fn remove_remnants(&self, unchanged: Duration) -> Result<usize, StoreError> {
        let everywhere = ArtifactPath::root();
        let removed = self.beneath(&everywhere, move |root, _| remove_remnants(root, unchanged));
        match removed.await {
            Err(StoreError::NotFound { .. }) => Ok(0),
            other => other,
        }
    }
}

/// Checks the place of a file, and opens another one to write to until it is whole.
fn begin(root: &Path, place: &Path) -> Result<(Part, File), Refused> {
    std::fs::create_dir_all(root)?;
    let root = open_root(root)?;
    match root.metadata(place) {
        Ok(found) if found.is_dir() => return Err(Refused::WrongKind(true)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for _ in 0..ATTEMPTS {
        // Somebody who is done may remove the directory at any time.
        match root.create_dir(UPLOADS) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let part = Part {
            root: root.try_clone()?,
            name: Path::new(UPLOADS).join(Uuid::new_v4().simple().to_string()),
        };
        match part.create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(None) => {}
            Ok(Some(file)) => return Ok((part, File::from_std(file))),
        }
    }
    Err(Refused::System(io::ErrorKind::NotFound.into()))
}

/// A file that is being written; it goes with this value, unless it has been renamed.
struct Part {
    root: Dir,
    /// Beneath the root.
    name: PathBuf,
}

impl Part {
    /// The file, locked; none when it was taken for a remnant before it was.
    fn create(&self) -> io::Result<Option<std::fs::File>> {
        let mut options = OpenOptions::new();
        let file = self
            .root
            .open_with(&self.name, options.write(true).create_new(true))?;
        let file = file.into_std();
        match file.try_lock() {
            // Some file systems have no locks.
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        }
        let is_there = self
            .root
            .metadata(&self.name)
            .is_ok_and(|found| found.nlink() > 0);
        Ok(is_there.then_some(file))
    }

    /// Gives the file its name.
    fn finish(self, place: &Path) -> Result<(), Refused> {
        let directory = place.parent().unwrap_or(Path::new(""));
        for attempt in 1..=ATTEMPTS {
            self.root
                .create_dir_all(directory)
                .map_err(|error| match error.kind() {
                    // What is there is no directory.
                    io::ErrorKind::AlreadyExists => Refused::WrongKind(false),
                    _ => error.into(),
                })?;
            match self.root.rename(&self.name, &self.root, place) {
                // The directory was deleted in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
        }
        // Other programs list what is in the root; while others write, it stays.
        let _ = self.root.remove_dir(UPLOADS);
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is nothing of this name.
        let _ = self.root.remove_file(&self.name);
    }
}

fn remove_remnants(root: &Dir, unchanged: Duration) -> io::Result<usize> {
    let uploads = root.open_dir(UPLOADS)?;
    let mut removed = 0;
    for entry in uploads.entries()? {
        let entry = entry?;
        // One that is gone meanwhile was finished.
        let Ok(file) = entry.open() else { continue };
        let changed = file.metadata()?.modified()?.into_std();
        let age = SystemTime::now().duration_since(changed);
        let is_left = age.is_ok_and(|age| age >= unchanged);
        if is_left && file.into_std().try_lock().is_ok() && entry.remove_file().is_ok() {
            removed += 1;
        }
    }
    let _ = root.remove_dir(UPLOADS);
    Ok(removed)
}

/// Makes durable what is written of a file while more of it comes, so that little is left to wait
/// for at its end, and few pages wait for the disk.
#[derive(Default)]
struct Syncing(Option<JoinHandle<io::Result<()>>>);

impl Syncing {
    /// Begins with what is written by now, after what it began with before.
    async fn start(&mut self, file: &mut File) -> io::Result<()> {
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
