//! Opens a zip archive without letting its list of entries take the memory: [`open`].
//!
//! The zip library allocates room for as many entries as the end record declares, and keeps all
//! names, extra fields and comments. So the declared number is read here first, and what the library
//! reads while it opens is metered.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::{ArchiveError, Limits};

/// The end record and the longest comment after it.
const TAIL: u64 = 22 + 65_535;
/// What the end of an archive takes to be found, whatever its number of entries.
const SEARCH_BYTES: u64 = 4 << 20;
/// What one entry takes in the list, generously.
const ENTRY_BYTES: u64 = 1024;

pub(super) type Archive = ZipArchive<Metered<BufReader<File>>>;

/// The archive and its size in bytes.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<(Archive, u64), ArchiveError> {
    let unreadable = |source| ArchiveError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if let Some(entries) = declared_entries(&mut file, size).map_err(unreadable)?
        && entries > limits.entries as u64
    {
        return Err(ArchiveError::TooManyEntries {
            entries,
            limit: limits.entries,
        });
    }
    let allowed = SEARCH_BYTES.saturating_add(ENTRY_BYTES.saturating_mul(limits.entries as u64));
    let left = Rc::new(Cell::new(Some(allowed)));
    let reader = Metered {
        inner: BufReader::new(file),
        left: Rc::clone(&left),
    };
    // Bytes before the archive would let one file be two things.
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let opened = ZipArchive::with_config(config, reader);
    if left.get() == Some(0) {
        return Err(ArchiveError::DirectoryTooLarge {
            path: path.to_owned(),
        });
    }
    let mut archive = opened.map_err(|source| ArchiveError::NotAnArchive {
        path: path.to_owned(),
        source,
    })?;
    left.set(None);
    check_layout(&mut archive, path)?;
    Ok((archive, size))
}

fn check_layout(archive: &mut Archive, path: &Path) -> Result<(), ArchiveError> {
    if archive.has_duplicate_names() {
        return Err(ArchiveError::DuplicateNames {
            path: path.to_owned(),
        });
    }
    match archive.has_overlapping_entries() {
        Ok(false) => Ok(()),
        Ok(true) => Err(ArchiveError::Overlapping {
            path: path.to_owned(),
        }),
        Err(source) => Err(ArchiveError::NotAnArchive {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The largest number of entries that a ZIP64 end record declares; `None` without such a record,
/// when the number has 16 bits.
fn declared_entries(file: &mut File, size: u64) -> io::Result<Option<u64>> {
    let start = size.saturating_sub(TAIL + 20);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL + 20).read_to_end(&mut tail)?;
    let locators: Vec<u64> = tail
        .windows(24)
        .filter(|window| window.starts_with(b"PK\x06\x07") && window.ends_with(b"PK\x05\x06"))
        .map(|window| little_endian(&window[8..16]))
        .collect();
    let mut largest = None;
    for offset in locators {
        let mut record = [0_u8; 40];
        file.seek(SeekFrom::Start(offset.min(size)))?;
        if file.read_exact(&mut record).is_ok() && record.starts_with(b"PK\x06\x06") {
            largest = largest.max(Some(little_endian(&record[32..40])));
        }
    }
    file.rewind()?;
    Ok(largest)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A reader that fails once it has given too much.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    /// How many bytes it still gives; `None` for any number.
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(left) = self.left.get() {
            let left = left.saturating_sub(count as u64);
            self.left.set(Some(left));
            if left == 0 {
                return Err(io::Error::other("the list of entries is too long"));
            }
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
