//! Files: digests, and writing that nobody sees a part of.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use mlrs_mlmodel::disk::{DiskTrouble, FileError, failed};
use mlrs_mlmodel::staging::Partial;
use sha2::{Digest as _, Sha256};

/// How many bytes are read at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// What to do about an error of the disk.
pub(crate) fn disk_hint(source: &io::Error) -> Option<&'static str> {
    Some(match DiskTrouble::of(source)? {
        DiskTrouble::Full => {
            "the disk is full: free some space, or choose other folders with --output and --cache-dir"
        }
        DiskTrouble::Forbidden => {
            "choose folders that this user may write to with --output and --cache-dir"
        }
    })
}

/// Writes a file so that nobody sees a part of it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let (partial, mut file) = Partial::file_beside(path)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))?;
    Ok(partial.finish(path)?)
}

/// Copies a blob so that nobody sees a part of it, and only if it is what its digest says.
pub(crate) fn copy_blob(from: &Path, to: &Path, digest: &str) -> Result<(), FileError> {
    let (partial, file) = Partial::file_beside(to)?;
    let source = File::open(from).map_err(failed("read", from))?;
    let mut hashed = Hashed::new(&file);
    io::copy(&mut BufReader::with_capacity(PIECE, source), &mut hashed)
        .map_err(failed("write", to))?;
    is_same(&hashed.digest(), digest).map_err(failed("read", from))?;
    file.sync_all().map_err(failed("write", to))?;
    Ok(partial.finish(to)?)
}

/// An error when a file has another digest than it had.
pub(crate) fn is_same(found: &str, digest: &str) -> io::Result<()> {
    if found == digest {
        return Ok(());
    }
    let text = "it changed while the image was made";
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The digest and size of a file.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<(String, u64)> {
    let mut hashed = Hashed::new(io::sink());
    let file = BufReader::with_capacity(PIECE, File::open(path)?);
    let bytes = io::copy(&mut { file }, &mut hashed)?;
    Ok((hashed.digest(), bytes))
}

/// The digest of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Hashes and counts what is written.
pub(crate) struct Hashed<W> {
    pub(crate) inner: W,
    hasher: Sha256,
    pub(crate) bytes: u64,
}

impl<W> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
        }
    }

    /// The digest of everything so far.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes what is read, and tells how much it was.
pub(crate) struct Watched<R, F> {
    inner: R,
    hasher: Sha256,
    /// How many bytes were read.
    pub(crate) bytes: u64,
    done: F,
}

impl<R, F> Watched<R, F> {
    /// Tells `done` after each piece how many bytes were read so far.
    pub(crate) fn new(inner: R, done: F) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
            done,
        }
    }

    /// The digest of everything so far.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }
}

impl<R: Read, F: FnMut(u64)> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        (self.done)(self.bytes);
        Ok(count)
    }
}
