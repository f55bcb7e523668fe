//! A model directory as one `.zip`: [`pack`] and [`unpack`].
//!
//! Packing the same directory twice gives the same bytes. Unpacking trusts nothing: names, kinds,
//! counts and sizes are checked before the first byte is written, sizes again while writing, and
//! nothing stays behind when it fails. Only stored and deflated entries are read.

mod entry;
mod error;
mod open;
mod pack;
mod unpack;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use error::ArchiveError;
pub use pack::{Item, Packed, items, pack};
pub use unpack::{Unpacked, unpack};

/// How much an archive may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories.
    pub entries: usize,
    /// Bytes of all files together, unpacked.
    pub total_bytes: u64,
    /// How many times its own size an archive may unpack to.
    pub ratio: u64,
    /// Up to this many unpacked bytes the ratio does not matter.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    /// 100,000 entries, 64 GiB, 200 times its size beyond 64 MiB.
    fn default() -> Self {
        Self {
            entries: 100_000,
            total_bytes: 64 << 30,
            ratio: 200,
            ratio_free_bytes: 64 << 20,
        }
    }
}

/// How far packing or unpacking has come; given before each file and after each piece of it.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file in work, by its name in the archive.
    pub name: &'a str,
    /// Bytes of files done.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// Whether the file begins as a zip archive does.
pub fn is_archive(path: &Path) -> bool {
    let mut magic = [0_u8; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && (magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06")
}

/// The size of the pieces that are copied.
pub(crate) const PIECE: usize = 128 << 10;
