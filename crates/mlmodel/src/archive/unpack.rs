//! Unpacks a model's archive: [`unpack`]. The checks of names are in `entry`, those of the
//! archive's own structure in `open`.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zip::read::ZipReadOptions;

use super::entry::{Planned, plan};
use super::open::{Archive, open};
use super::{ArchiveError, Limits, PIECE, Progress};
use crate::signature::shorten;
use crate::staging::Partial;

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
