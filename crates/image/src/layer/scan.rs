//! What the layers of a base image hold: how large they are, and which libraries the loader finds.
//!
//! Layers come from strangers. An archive is walked header by header, so that neither a long name nor
//! an extended header makes it cost more memory than said here; whatever unpacks to too much is refused.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use crate::platform::Platform;

/// The layers of an image may unpack to this many bytes together.
pub(crate) const UNPACKED_LIMIT: u64 = 128 << 30;

/// A name or an extended header beyond this many bytes is refused.
const TEXT_LIMIT: u64 = 1 << 20;

/// This many libraries, and what hides them, are remembered.
const NAME_LIMIT: usize = 100_000;

/// A file name of a file system has at most this many bytes.
const FILE_NAME_LIMIT: usize = 255;

/// The size of a header, and what content is padded to.
const BLOCK: usize = 512;

/// The folders in which the loader looks for libraries, without the first slash.
#[derive(Clone, Debug)]
pub struct LoaderFolders(Vec<String>);

impl LoaderFolders {
    /// The usual ones, and those of the image's variable `LD_LIBRARY_PATH`.
    pub fn new(platform: Platform, library_path: Option<&str>) -> Self {
        let triplet = platform.architecture.triplet();
        let mut folders: Vec<String> = ["lib64", "usr/lib64"].map(str::to_owned).into();
        for folder in ["lib", "usr/lib", "usr/local/lib"] {
            folders.extend([folder.to_owned(), format!("{folder}/{triplet}")]);
        }
        let named = library_path.unwrap_or_default().split(':');
        folders.extend(
            named
                .filter_map(|folder| clean(folder.as_bytes()))
                .filter(|folder| !folder.is_empty()),
        );
        Self(folders)
    }

    fn has(&self, folder: &str) -> bool {
        self.0.iter().any(|known| known == folder)
    }

    /// Whether one of them is this path or is below it.
    fn is_at_or_below(&self, path: &str) -> bool {
        self.0.iter().any(|known| is_at_or_below(known, path))
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What was found in the layers so far.
#[derive(Debug, Default)]
pub struct LayerLibraries {
    files: BTreeSet<String>,
    unpacked_bytes: u64,
}

impl LayerLibraries {
    /// Puts a layer on those before it; gives the sizes of the files in it together, in bytes.
    ///
    /// # Errors
    /// When it is no archive, or is beyond a limit.
    pub fn add(&mut self, path: &Path, folders: &LoaderFolders) -> io::Result<u64> {
        let mut layer = LayerFiles::default();
        let mut archive = Archive::open(path, self.unpacked_bytes)?;
        while let Some(entry) = archive.next()? {
            layer.take(&entry, folders);
            if layer.added.len() + layer.hidden.len() > NAME_LIMIT {
                return Err(refused("it has too many libraries"));
            }
        }
        self.files.retain(|file| !layer.hides(file));
        self.files.append(&mut layer.added);
        if self.files.len() > NAME_LIMIT {
            return Err(refused("it has too many libraries"));
        }
        self.unpacked_bytes = archive.walked_bytes;
        Ok(archive.content_bytes)
    }

    /// The names of the libraries.
    pub fn names(&self) -> BTreeSet<String> {
        let names = self.files.iter().filter_map(|file| file.rsplit('/').next());
        names.map(str::to_owned).collect()
    }
}

/// The libraries of one layer, and what it takes away from those below.
#[derive(Default)]
struct LayerFiles {
    added: BTreeSet<String>,
    /// Paths that are no longer there, or are something else, with all that was below them.
    hidden: BTreeSet<String>,
    /// Folders that keep nothing of what was in them; the root is the empty text.
    emptied: BTreeSet<String>,
}

impl LayerFiles {
    fn take(&mut self, entry: &Entry, folders: &LoaderFolders) {
        let Some(path) = clean(&entry.path) else {
            return;
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name.len() > FILE_NAME_LIMIT {
            return;
        }
        if name == ".wh..wh..opq" {
            if folders.is_at_or_below(folder) {
                self.emptied.insert(folder.to_owned());
            }
            return;
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = match folder {
                "" => gone.to_owned(),
                folder => format!("{folder}/{gone}"),
            };
            if folders.has(folder) || folders.is_at_or_below(&gone) {
                self.hidden.insert(gone);
            }
            return;
        }
        if entry.is_folder {
            return;
        }
        // A file or a link in the place of a folder.
        if folders.is_at_or_below(&path) {
            self.hidden.insert(path.clone());
        }
        if folders.has(folder) {
            self.added.insert(path);
        }
    }

    /// Whether a file of a lower layer is not there any more.
    fn hides(&self, file: &str) -> bool {
        let ends = file.match_indices('/').map(|(end, _)| end);
        let mut above = ends.map(|end| &file[..end]);
        self.hidden.contains(file)
            || self.emptied.contains("")
            || above.any(|folder| self.hidden.contains(folder) || self.emptied.contains(folder))
    }
}

/// A path without `.` and needless slashes; one with `..` belongs nowhere.
fn clean(path: &[u8]) -> Option<String> {
    let path = String::from_utf8_lossy(path);
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// A path of an archive.
struct Entry {
    path: Vec<u8>,
    is_folder: bool,
}

/// An archive that is read from the front, in little memory.
struct Archive {
    reader: Box<dyn Read>,
    /// What was read of this archive and those before it.
    walked_bytes: u64,
    /// The sizes of the files together.
    content_bytes: u64,
}

impl Archive {
    fn open(path: &Path, walked_bytes: u64) -> io::Result<Self> {
        let mut file = BufReader::new(std::fs::File::open(path)?);
        let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if is_gzip {
            Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self {
            reader,
            walked_bytes,
            content_bytes: 0,
        })
    }

    /// The next path, with the name that headers before it may give it.
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut name = None;
        let mut long_size = None;
        while let Some(header) = self.header()? {
            let size = header.entry_size()?;
            match header.entry_type() {
                tar::EntryType::GNULongName => {
                    let text = self.text(size)?;
                    let end = text.iter().position(|byte| *byte == 0);
                    name = Some(text[..end.unwrap_or(text.len())].to_vec());
                }
                tar::EntryType::XHeader => {
                    let text = self.text(size)?;
                    for extension in tar::PaxExtensions::new(&text) {
                        let extension = extension?;
                        match extension.key_bytes() {
                            b"path" => name = Some(extension.value_bytes().to_vec()),
                            b"size" => long_size = extension.value().ok().map(str::parse),
                            _ => {}
                        }
                    }
                }
                tar::EntryType::XGlobalHeader | tar::EntryType::GNULongLink => self.pass(size)?,
                kind => {
                    let size = match long_size {
                        Some(size) => size.map_err(|_| refused("a size in it is no number"))?,
                        None => size,
                    };
                    self.pass_sparse_map(&header)?;
                    self.pass(size)?;
                    self.content_bytes = self.content_bytes.saturating_add(size);
                    let path = name.unwrap_or_else(|| header.path_bytes().into_owned());
                    return Ok(Some(Entry {
                        is_folder: kind.is_dir() || path.ends_with(b"/"),
                        path,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The next header; none at the end.
    fn header(&mut self) -> io::Result<Option<tar::Header>> {
        let mut block = [0; BLOCK];
        if self.reader.read(&mut block[..1])? == 0 {
            return Ok(None);
        }
        self.reader.read_exact(&mut block[1..])?;
        self.walked(BLOCK as u64)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block).clone();
        // The checksum stands in bytes 148 to 155, and counts as spaces.
        let bytes = block.iter().enumerate();
        let sum: u32 = bytes
            .map(|(index, byte)| match index {
                148..156 => u32::from(b' '),
                _ => u32::from(*byte),
            })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(refused("it is no tar archive"));
        }
        Ok(Some(header))
    }

    /// A short content.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > TEXT_LIMIT {
            return Err(refused("a name in it is too long"));
        }
        let mut text = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut text)?;
        let padding = size.next_multiple_of(BLOCK as u64) - text.len() as u64;
        self.pass_bytes(padding)?;
        self.walked(size)?;
        Ok(text)
    }

    /// Passes over a content and what pads it.
    fn pass(&mut self, size: u64) -> io::Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK as u64);
        self.pass_bytes(padded.ok_or_else(|| refused("a size in it is too large"))?)
    }

    fn pass_bytes(&mut self, bytes: u64) -> io::Result<()> {
        self.walked(bytes)?;
        let passed = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink())?;
        if passed == bytes {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Passes over the blocks that say where the holes of a file are, beyond those in its header.
    fn pass_sparse_map(&mut self, header: &tar::Header) -> io::Result<()> {
        let mut goes_on = header.entry_type().is_gnu_sparse()
            && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while goes_on {
            let mut block = tar::GnuExtSparseHeader::new();
            self.reader.read_exact(block.as_mut_bytes())?;
            self.walked(BLOCK as u64)?;
            goes_on = block.is_extended();
        }
        Ok(())
    }

    /// Counts what is read.
    fn walked(&mut self, bytes: u64) -> io::Result<()> {
        self.walked_bytes = self.walked_bytes.saturating_add(bytes);
        if self.walked_bytes > UNPACKED_LIMIT {
            return Err(refused("it unpacks to too much"));
        }
        Ok(())
    }
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
pub(crate) mod tests;
