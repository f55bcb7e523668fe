//! Unpacks a model's archive: [`unpack`]. The checks of names are in `entry`, those of the
//! archive's own structure in `open`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use zip::read::ZipReadOptions;

use super::entry::{Planned, plan};
use super::open::{Archive, open};
use super::{ArchiveError, Limits, PIECE, Progress};
use crate::signature::shorten;

/// What was unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// How many files.
    pub files: usize,
    /// Their bytes together.
    pub bytes: u64,
}

/// Unpacks an archive into a new directory. The `MLmodel` file may be at the root of the archive
/// or inside its only folder; it ends up at the root of `destination`. The modes of the archive are
/// not applied.
///
/// # Errors
/// When `destination` exists; when the archive is unreadable, unsafe or over a limit. Nothing is left
/// behind then.
pub fn unpack(
    archive: &Path,
    destination: &Path,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Unpacked, ArchiveError> {
    if destination.symlink_metadata().is_ok() {
        return Err(ArchiveError::Exists {
            path: destination.to_owned(),
        });
    }
    let (mut opened, archive_bytes) = open(archive, limits)?;
    let entries = plan(&opened, archive, limits)?;
    let total = check_sizes(&entries, archive_bytes, limits)?;
    let partial = Partial::beside(destination)?;
    let mut done = Unpacked { files: 0, bytes: 0 };
    for entry in &entries {
        write_entry(
            &mut opened,
            entry,
            &partial.path,
            total,
            &mut done,
            progress,
        )?;
    }
    partial.finish(destination)?;
    Ok(done)
}

/// Declared sizes are binding: more bytes than an entry declares are refused while they are read.
fn check_sizes(
    entries: &[Planned],
    archive_bytes: u64,
    limits: &Limits,
) -> Result<u64, ArchiveError> {
    let total = entries
        .iter()
        .fold(0_u64, |total, entry| total.saturating_add(entry.size));
    if total > limits.total_bytes {
        return Err(ArchiveError::TooLarge {
            bytes: total,
            limit: limits.total_bytes,
        });
    }
    if total > limits.ratio_free_bytes && total > archive_bytes.saturating_mul(limits.ratio) {
        return Err(ArchiveError::Bomb {
            limit: limits.ratio,
        });
    }
    Ok(total)
}

fn write_entry(
    archive: &mut Archive,
    entry: &Planned,
    root: &Path,
    total: u64,
    done: &mut Unpacked,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), ArchiveError> {
    let path = root.join(&entry.name);
    let directory = if entry.is_directory {
        Some(path.as_path())
    } else {
        path.parent()
    };
    if let Some(directory) = directory {
        fs::create_dir_all(directory).map_err(|source| unwritable(directory, source))?;
    }
    if entry.is_directory {
        return Ok(());
    }
    let damaged = |source| ArchiveError::Damaged {
        entry: shorten(&entry.name),
        source,
    };
    let options = ZipReadOptions::new().enforce_header_consistency(true);
    let mut reader = archive
        .by_index_with_options(entry.index, options)
        .map_err(|error| damaged(io::Error::other(error)))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|source| unwritable(&path, source))?;
    let before = done.bytes;
    let mut copied = 0;
    let mut piece = vec![0_u8; PIECE];
    loop {
        progress(Progress {
            name: &entry.name,
            done_bytes: before + copied,
            total_bytes: total,
        });
        let count = reader.read(&mut piece).map_err(damaged)?;
        if count == 0 {
            break;
        }
        copied += count as u64;
        if copied > entry.size {
            return Err(damaged(io::Error::other("more bytes than it declares")));
        }
        file.write_all(&piece[..count])
            .map_err(|source| unwritable(&path, source))?;
    }
    if copied != entry.size {
        return Err(damaged(io::Error::other("fewer bytes than it declares")));
    }
    done.files += 1;
    done.bytes = before + copied;
    Ok(())
}

fn unwritable(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    }
}

/// Something unfinished beside its destination; removed when it is dropped.
pub(super) struct Partial {
    pub path: PathBuf,
    finished: bool,
}

impl Partial {
    /// A new, empty directory.
    pub fn beside(destination: &Path) -> Result<Self, ArchiveError> {
        Self::make(destination, |path| fs::create_dir(path))
    }

    /// A new, empty file.
    pub fn file_beside(destination: &Path) -> Result<(Self, File), ArchiveError> {
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
        let missing = || unwritable(destination, io::ErrorKind::NotFound.into());
        Ok((partial, made.ok_or_else(missing)?))
    }

    fn make(
        destination: &Path,
        mut create: impl FnMut(&Path) -> io::Result<()>,
    ) -> Result<Self, ArchiveError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let parent = destination
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|source| unwritable(parent, source))?;
        let name = destination
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name: String = name.chars().take(50).collect();
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!(".{name}.partial-{}-{count}", std::process::id()));
            match create(&path) {
                Ok(()) => {
                    return Ok(Self {
                        path,
                        finished: false,
                    });
                }
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(unwritable(&path, source)),
            }
        }
    }

    /// Gives it its name.
    pub fn finish(mut self, destination: &Path) -> Result<(), ArchiveError> {
        fs::rename(&self.path, destination).map_err(|source| unwritable(destination, source))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Nobody is left to tell when this fails.
        if self.path.is_dir() {
            let _ = fs::remove_dir_all(&self.path);
        } else {
            let _ = fs::remove_file(&self.path);
        }
    }
}
