//! Writes the tar archive of a plan, compressed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use mlrs_mlmodel::disk::failed;
use sha2::{Digest as _, Sha256};

use super::{Facts, LayerError};
use crate::files::{Hashed, PIECE, Watched, digest_of, digest_of_file};
use crate::plan::{Content, Entry, LayerPlan};
use crate::{Progress, Report};

/// Changes whenever the same plan would give other bytes: with the compressor, too.
const FORMAT: &str = "mlrs layer 2";

/// Layers beyond this many bytes are compressed fast instead of well: weights hardly shrink.
const LARGE: u64 = 256 << 20;

/// What the files of a plan hold.
pub(super) struct Contents {
    /// The digest of the whole plan, in hexadecimal digits.
    pub(super) key: String,
    /// Path in the layer → size and digest.
    files: HashMap<String, (u64, String)>,
    total: u64,
}

impl Contents {
    pub(super) fn read(plan: &LayerPlan) -> Result<Self, LayerError> {
        let mut key = Sha256::new();
        let mut files = HashMap::new();
        let mut total = 0;
        key.update(FORMAT);
        for (path, entry) in plan.entries() {
            let line = match entry {
                Entry::Folder { mode } => format!("\n{path}\0{mode:o}"),
                Entry::File { content, mode } => {
                    let (digest, bytes) = match content {
                        Content::Bytes(bytes) => (digest_of(bytes), bytes.len() as u64),
                        Content::File(file) => {
                            digest_of_file(file).map_err(failed("read", file))?
                        }
                    };
                    let line = format!("\n{path}\0{mode:o}\0{digest}");
                    files.insert(path.to_owned(), (bytes, digest));
                    total += bytes;
                    line
                }
            };
            key.update(line);
        }
        Ok(Self {
            key: hex::encode(key.finalize()),
            files,
            total,
        })
    }
}

/// Writes the compressed archive of a plan.
pub(super) fn write_layer(
    plan: &LayerPlan,
    contents: &Contents,
    output: &mut File,
    report: &Report,
    blob: &Path,
) -> Result<Facts, LayerError> {
    let level = if contents.total > LARGE {
        Compression::fast()
    } else {
        Compression::default()
    };
    let compressor = GzBuilder::new().write(Hashed::new(io::BufWriter::new(output)), level);
    let mut packer = Packer {
        archive: tar::Builder::new(Hashed::new(compressor)),
        links: HashMap::new(),
        unpacked_bytes: 0,
        done_bytes: 0,
    };
    for (path, entry) in plan.entries() {
        let mut done = |done_bytes| {
            report(Progress {
                what: plan.kind.name(),
                done_bytes,
                total_bytes: contents.total,
            });
        };
        let known = contents.files.get(path);
        packer
            .entry(path, entry, known, &mut done)
            .map_err(|error| match error {
                PackError::Output(source) => failed("write", blob)(source).into(),
                PackError::Input(error) => error,
            })?;
    }
    Ok(packer.finish().map_err(failed("write", blob))?)
}

/// The compressed file, the archive inside it: each hashed on its way.
type Archive<'a> = tar::Builder<Hashed<GzEncoder<Hashed<io::BufWriter<&'a mut File>>>>>;

/// An archive that is being written.
struct Packer<'a> {
    archive: Archive<'a>,
    /// Permissions and digest → the path that has this content.
    links: HashMap<(u32, &'a str), &'a str>,
    unpacked_bytes: u64,
    done_bytes: u64,
}

/// What failed: the archive, or a file that goes into it.
enum PackError {
    Output(io::Error),
    Input(LayerError),
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl<'a> Packer<'a> {
    fn entry(
        &mut self,
        path: &'a str,
        entry: &Entry,
        known: Option<&'a (u64, String)>,
        done: &mut dyn FnMut(u64),
    ) -> Result<(), PackError> {
        match (entry, known) {
            (Entry::Folder { mode }, _) => {
                let mut header = header(tar::EntryType::Directory, *mode, 0);
                self.archive
                    .append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            (Entry::File { content, mode }, Some((bytes, digest))) => {
                if let Some(first) = self
                    .links
                    .get(&(*mode, digest.as_str()))
                    .filter(|_| *bytes > 0)
                {
                    let mut header = header(tar::EntryType::Link, *mode, 0);
                    self.archive.append_link(&mut header, path, first)?;
                } else {
                    self.links.insert((*mode, digest), path);
                    self.unpacked_bytes += bytes;
                    let header = header(tar::EntryType::Regular, *mode, *bytes);
                    self.file(path, content, header, digest, done)?;
                }
                self.done_bytes += bytes;
            }
            (Entry::File { .. }, None) => {}
        }
        Ok(())
    }

    /// Appends a file, and sees to it that it is still what was hashed before.
    fn file(
        &mut self,
        path: &str,
        content: &Content,
        mut header: tar::Header,
        digest: &str,
        done: &mut dyn FnMut(u64),
    ) -> Result<(), PackError> {
        let file = match content {
            Content::Bytes(bytes) => {
                return Ok(self
                    .archive
                    .append_data(&mut header, path, bytes.as_slice())?);
            }
            Content::File(file) => file,
        };
        let opened = File::open(file)
            .map_err(|error| PackError::Input(failed("read", file)(error).into()))?;
        let bytes = header.size()?;
        let before = self.done_bytes;
        let opened = BufReader::with_capacity(PIECE, opened).take(bytes);
        let mut reader = Watched::new(opened, |bytes| done(before + bytes));
        self.archive.append_data(&mut header, path, &mut reader)?;
        if reader.bytes == bytes && reader.digest() == digest {
            Ok(())
        } else {
            Err(PackError::Input(LayerError::Changed(file.clone())))
        }
    }

    fn finish(self) -> io::Result<Facts> {
        let hashed = self.archive.into_inner()?;
        let diff_id = hashed.digest();
        let mut compressed = hashed.inner.finish()?;
        compressed.flush()?;
        Ok(Facts {
            diff_id,
            digest: compressed.digest(),
            bytes: compressed.bytes,
            unpacked_bytes: self.unpacked_bytes,
        })
    }
}

fn header(kind: tar::EntryType, mode: u32, bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header
}
