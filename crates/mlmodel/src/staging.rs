//! Something unfinished beside its destination: [`Partial`]. It gets its name when it is whole, and
//! is removed when that does not come to pass.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process has not finished. A signal ends a process and drops nothing: only a list of the
/// whole process can be gone through then.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything that this process has not finished: for one that is about to end. As long as the
/// value lives, whoever begins or finishes something waits.
pub fn discard_unfinished() -> Discarded {
    let mut list = unfinished();
    for path in std::mem::take(&mut *list) {
        remove(&path);
    }
    Discarded { _list: list }
}

/// Nothing is unfinished: see [`discard_unfinished`].
#[must_use = "something new can be begun when it is dropped"]
#[derive(Debug)]
pub struct Discarded {
    _list: MutexGuard<'static, BTreeSet<PathBuf>>,
}

fn remove(path: &Path) {
    // Nobody is left to tell when this fails.
    if path.is_dir() {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// Where the operating system does not let write, and why.
#[derive(Debug)]
pub struct Unwritable {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Unwritable {
    /// What the system said of a path.
    pub fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self { path, source }
    }
}

/// Something unfinished beside its destination; removed when it is dropped.
#[derive(Debug)]
pub struct Partial {
    /// Where it is until then.
    pub path: PathBuf,
    finished: bool,
}

impl Partial {
    /// A new, empty directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn beside(destination: &Path) -> Result<Self, Unwritable> {
        Self::make(destination, |path| fs::create_dir(path))
    }

    /// What is there already, under a name that is its own, and is not to stay.
    pub fn of(path: PathBuf) -> Self {
        unfinished().insert(path.clone());
        Self {
            path,
            finished: false,
        }
    }

    /// A new, empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn file_beside(destination: &Path) -> Result<(Self, File), Unwritable> {
        let mut made = None;
        let partial = Self::make(destination, |path| {
            made = Some(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)?,
            );
            Ok(())
        })?;
        let missing = || Unwritable::at(destination, io::ErrorKind::NotFound.into());
        Ok((partial, made.ok_or_else(missing)?))
    }

    fn make(
        destination: &Path,
        mut create: impl FnMut(&Path) -> io::Result<()>,
    ) -> Result<Self, Unwritable> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let parent = destination
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|source| Unwritable::at(parent, source))?;
        let name = destination
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name: String = name.chars().take(50).collect();
        let mut list = unfinished();
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!(".{name}.partial-{}-{count}", std::process::id()));
            match create(&path) {
                Ok(()) => {
                    list.insert(path.clone());
                    return Ok(Self {
                        path,
                        finished: false,
                    });
                }
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Unwritable::at(&path, source)),
            }
        }
    }

    /// Gives it its name; what has the name is replaced, unless it is a folder.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(mut self, destination: &Path) -> Result<(), Unwritable> {
        let mut list = unfinished();
        let renamed = fs::rename(&self.path, destination);
        if renamed.is_ok() {
            list.remove(&self.path);
            self.finished = true;
        }
        // A failure drops this, which asks for the list.
        drop(list);
        renamed.map_err(|source| Unwritable::at(destination, source))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        remove(&self.path);
        unfinished().remove(&self.path);
    }
}
