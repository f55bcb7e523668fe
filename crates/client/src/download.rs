//! Downloading a plan into a folder: several files at once, each resumable.
//!
//! A file grows under `partial/` and moves to its place under `artifacts/` when it is complete, its
//! size is right and it is on the disk. A download that broke off goes on where it stopped when the
//! store can start in the middle, also in a later process.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mlrs_artifacts::{ArtifactPath, Opened, StoreError};
use mlrs_mlmodel::disk::{FileError, create_folder, failed};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter, SeekFrom};

use crate::plan::{Plan, PlannedFile};

/// Name of the folder with complete files.
pub const COMPLETE: &str = "artifacts";
/// Name of the folder with files on their way.
const PARTIAL: &str = "partial";
/// Pause before a broken download goes on.
const PAUSE: Duration = Duration::from_millis(300);

/// How to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadSettings {
    /// Files at the same time.
    pub concurrent_files: usize,
    /// How often in a row a file may break off without a byte of progress.
    pub attempts: u32,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self {
            concurrent_files: 8,
            attempts: 4,
        }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are complete.
    pub files_done: usize,
    /// Files in all.
    pub files_total: usize,
    /// Bytes that have arrived, those of an earlier attempt included.
    pub bytes_done: u64,
    /// Bytes in all, when the store said so.
    pub bytes_total: Option<u64>,
}

/// Is told how far a download is, from several tasks in turn.
pub type ProgressCallback = dyn Fn(Progress) + Send + Sync;

/// A [`ProgressCallback`] that does nothing.
pub fn silent(_: Progress) {}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A local file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content has another size than the listing or the answer announced.
    #[error("`{path}` from `{store}` has {found} bytes where the store announced {expected}")]
    Size {
        /// Path in the store.
        path: ArtifactPath,
        /// Root of the store.
        store: String,
        /// What was announced.
        expected: u64,
        /// What came.
        found: u64,
    },
}

impl DownloadError {
    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::File(error) => crate::files::hint(error),
            Self::Size { .. } => {
                Some("something between here and the store changes or cuts the content".to_owned())
            }
        }
    }
}

/// A complete file and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path below the folder of complete files.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

/// Downloads everything in `plan` below `staging` and returns what is there now.
pub async fn fetch(
    plan: &Plan,
    staging: &Path,
    settings: &DownloadSettings,
    progress: &ProgressCallback,
) -> Result<Vec<FileRecord>, DownloadError> {
    let complete = staging.join(COMPLETE);
    create_folder(&complete)?;
    create_folder(&staging.join(PARTIAL))?;
    for folder in &plan.empty_folders {
        create_folder(&folder.below(&complete))?;
    }
    let counter = Counter::new(plan, progress);
    let counter = &counter;
    let records = stream::iter(plan.files.iter().map(|file| async move {
        let transfer = Transfer::new(file, staging, settings, counter);
        transfer.run().await
    }))
    .buffer_unordered(settings.concurrent_files.max(1))
    .try_collect::<Vec<_>>()
    .await?;
    let mut records = records;
    records.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(records)
}

/// Adds up what all transfers report.
struct Counter<'a> {
    progress: &'a ProgressCallback,
    state: Mutex<Progress>,
}

impl<'a> Counter<'a> {
    fn new(plan: &Plan, progress: &'a ProgressCallback) -> Self {
        let state = Progress {
            files_total: plan.files.len(),
            bytes_total: plan.total_bytes(),
            ..Progress::default()
        };
        progress(state);
        Self {
            progress,
            state: Mutex::new(state),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        // A callback that panicked leaves plain numbers behind, nothing half-done.
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut state);
        (self.progress)(*state);
    }
}

/// One file on its way.
struct Transfer<'a> {
    file: &'a PlannedFile,
    settings: &'a DownloadSettings,
    counter: &'a Counter<'a>,
    target: PathBuf,
    partial: PathBuf,
    /// Bytes that are in the partial file.
    received: u64,
    entity_tag: Option<String>,
}

/// How an attempt ended.
enum Attempt {
    Complete,
    Broken(DownloadError),
}

impl<'a> Transfer<'a> {
    fn new(
        file: &'a PlannedFile,
        staging: &Path,
        settings: &'a DownloadSettings,
        counter: &'a Counter<'a>,
    ) -> Self {
        let name = hex::encode(&Sha256::digest(file.target.as_str())[..16]);
        Self {
            file,
            settings,
            counter,
            target: file.target.below(&staging.join(COMPLETE)),
            partial: staging.join(PARTIAL).join(format!("{name}.partial")),
            received: 0,
            entity_tag: None,
        }
    }

    async fn run(mut self) -> Result<FileRecord, DownloadError> {
        if let Some(size) = self.file.size
            && size_of(&self.target) == Some(size)
        {
            self.counter.change(|state| state.bytes_done += size);
            return Ok(self.finished(size));
        }
        // Without a known size nothing tells a complete file from a part of another one.
        let kept = size_of(&self.partial).filter(|kept| self.file.size.is_some_and(|s| *kept <= s));
        self.received = kept.unwrap_or(0);
        self.counter
            .change(|state| state.bytes_done += self.received);
        let mut failures = 0;
        loop {
            let before = self.received;
            match self.attempt().await? {
                Attempt::Complete => break,
                Attempt::Broken(error) => {
                    failures = if self.received > before {
                        1
                    } else {
                        failures + 1
                    };
                    if failures >= self.settings.attempts {
                        return Err(error);
                    }
                    tracing::warn!(
                        path = %self.file.origin.path, received = self.received, %error,
                        "download broke off, will go on"
                    );
                    tokio::time::sleep(PAUSE * failures).await;
                }
            }
        }
        self.put_in_place()?;
        Ok(self.finished(self.received))
    }

    /// Opens the file and reads until its end or until something breaks.
    async fn attempt(&mut self) -> Result<Attempt, DownloadError> {
        if self.received > 0 && self.file.size == Some(self.received) {
            return Ok(Attempt::Complete);
        }
        let origin = &self.file.origin;
        // The store makes its own retries; an error that is left is an answer.
        let opened = origin.store.open(&origin.path, self.received).await?;
        if let (Some(expected), Some(found)) = (self.file.size, opened.length)
            && expected != found
        {
            return Err(self.wrong_size(expected, found));
        }
        let changed = self.entity_tag.is_some() && opened.entity_tag != self.entity_tag;
        if changed && opened.offset > 0 {
            self.entity_tag = None;
            self.restart_at(0);
            let opened = origin.store.open(&origin.path, 0).await?;
            return self.copy(opened).await;
        }
        self.copy(opened).await
    }

    async fn copy(&mut self, opened: Opened) -> Result<Attempt, DownloadError> {
        // A store that cannot start in the middle starts again; never beyond what is here.
        if opened.offset > self.received {
            return Err(self.wrong_size(self.received, opened.offset));
        }
        self.restart_at(opened.offset);
        self.entity_tag = opened.entity_tag;
        let expected = self.file.size.or(opened.length);
        let mut file = self.open_partial().await?;
        let mut stream = opened.stream;
        let mut broken = None;
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            let after = self.received + piece.len() as u64;
            if let Some(expected) = expected.filter(|expected| after > *expected) {
                return Err(self.wrong_size(expected, after));
            }
            file.write_all(&piece)
                .await
                .map_err(failed("write", &self.partial))?;
            self.received = after;
            self.counter
                .change(|state| state.bytes_done += piece.len() as u64);
        }
        file.flush().await.map_err(failed("write", &self.partial))?;
        match broken {
            Some(error) if error.is_transient() => return Ok(Attempt::Broken(error.into())),
            Some(error) => return Err(error.into()),
            None => {}
        }
        if let Some(expected) = expected.filter(|expected| self.received < *expected) {
            return Ok(Attempt::Broken(self.wrong_size(expected, self.received)));
        }
        file.get_ref()
            .sync_all()
            .await
            .map_err(failed("write", &self.partial))?;
        Ok(Attempt::Complete)
    }

    async fn open_partial(&self) -> Result<BufWriter<tokio::fs::File>, FileError> {
        let open = async {
            let mut options = tokio::fs::OpenOptions::new();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(false)
                .open(&self.partial)
                .await?;
            file.set_len(self.received).await?;
            file.seek(SeekFrom::Start(self.received)).await?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        open.await.map_err(failed("write", &self.partial))
    }

    /// Takes back what was counted beyond this offset.
    fn restart_at(&mut self, offset: u64) {
        let lost = self.received - offset;
        if lost > 0 {
            self.counter.change(|state| state.bytes_done -= lost);
        }
        self.received = offset;
    }

    fn put_in_place(&self) -> Result<(), FileError> {
        if let Some(folder) = self.target.parent() {
            create_folder(folder)?;
        }
        std::fs::rename(&self.partial, &self.target).map_err(failed("create", &self.target))
    }

    fn finished(&self, size: u64) -> FileRecord {
        self.counter.change(|state| state.files_done += 1);
        FileRecord {
            path: self.file.target.as_str().to_owned(),
            size,
        }
    }

    fn wrong_size(&self, expected: u64, found: u64) -> DownloadError {
        DownloadError::Size {
            path: self.file.origin.path.clone(),
            store: self.file.origin.store.location().to_owned(),
            expected,
            found,
        }
    }
}

/// Size of a regular file, if there is one.
fn size_of(path: &Path) -> Option<u64> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}
