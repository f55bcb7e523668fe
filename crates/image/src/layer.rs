//! Makes layers: the tar archive of a plan, compressed, with its digests; kept for the next image.
//!
//! Same plan, same bytes: paths are sorted, times are zero, everything belongs to root, and the
//! compressor's output depends on its input alone. A layer is kept under the digest of what its plan
//! says, so that an image whose parts are known costs no compression. Files with equal content are
//! stored once (`hard links`): time zones have many names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::plan::{Content, Entry, LayerKind, LayerPlan};
use crate::{Progress, Report};

/// Changes whenever the same plan would give other bytes.
const FORMAT: &str = "mlrs layer 1";

/// Layers beyond this many bytes are compressed fast instead of well: weights hardly shrink.
const LARGE: u64 = 256 << 20;

/// How many bytes are read at a time.
const PIECE: usize = 256 << 10;

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file was another when it was read again.
    #[error("`{}` changed while it was packed", .0.display())]
    Changed(PathBuf),
}

impl LayerError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File { source, .. } => disk_hint(source),
            Self::Changed(_) => Some("try again when nothing writes to it"),
        }
    }
}

/// What to do about an error of the disk.
pub(crate) fn disk_hint(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
            "the disk is full: free some space, or choose other folders with --output and --cache-dir",
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose folders that this user may write to with --output and --cache-dir")
        }
        _ => None,
    }
}

/// Turns an [`io::Error`] into one about a file.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayerError {
    let path = path.to_owned();
    move |source| LayerError::File {
        action,
        path,
        source,
    }
}

/// A layer that is on this machine, compressed with gzip unless it comes from a base image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub kind: LayerKind,
    /// A line for the history of the image.
    pub comment: String,
    /// Its media type.
    pub media_type: String,
    /// The digest of the file, `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The digest of the archive before compression.
    pub diff_id: String,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The sizes of the files in it together, in bytes.
    pub unpacked_bytes: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// What is kept beside a layer.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    digest: String,
    diff_id: String,
    bytes: u64,
    unpacked_bytes: u64,
}

/// The media type of the layers that are made here.
pub(crate) const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The layers that were made before, in a folder.
#[derive(Clone, Debug)]
pub struct LayerCache {
    folder: PathBuf,
}

impl LayerCache {
    /// Layers are kept in this folder; it need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The layer of a plan, taken from the folder or made.
    ///
    /// # Errors
    /// When a file of the plan cannot be read, or the layer cannot be written. Nothing half-made stays.
    pub fn layer(&self, plan: &LayerPlan, report: &Report) -> Result<Layer, LayerError> {
        let contents = Contents::read(plan)?;
        let blob = self.folder.join(format!("{}.tar.gz", contents.key));
        let note = self.folder.join(format!("{}.json", contents.key));
        let facts = match kept(&blob, &note) {
            Some(facts) => facts,
            None => self.make(plan, &contents, &blob, &note, report)?,
        };
        Ok(Layer {
            kind: plan.kind,
            comment: plan.comment.clone(),
            media_type: GZIP_LAYER.to_owned(),
            digest: facts.digest,
            diff_id: facts.diff_id,
            bytes: facts.bytes,
            unpacked_bytes: facts.unpacked_bytes,
            path: blob,
        })
    }

    fn make(
        &self,
        plan: &LayerPlan,
        contents: &Contents,
        blob: &Path,
        note: &Path,
        report: &Report,
    ) -> Result<Facts, LayerError> {
        std::fs::create_dir_all(&self.folder).map_err(failed("create the folder", &self.folder))?;
        let staged = tempfile::NamedTempFile::new_in(&self.folder);
        let mut staged = staged.map_err(failed("write into", &self.folder))?;
        let facts = write_layer(plan, contents, staged.as_file_mut(), report, blob)?;
        staged.as_file().sync_all().map_err(failed("write", blob))?;
        staged
            .persist(blob)
            .map_err(|error| failed("write", blob)(error.error))?;
        let text =
            serde_json::to_vec(&facts).map_err(|error| failed("write", note)(error.into()))?;
        write_whole(note, &text).map_err(failed("write", note))?;
        Ok(facts)
    }
}

/// Writes a file so that nobody sees a part of it.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(content)?;
    readable_by_all(staged.as_file())?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are for their owner only; what stays of them need not be.
pub(crate) fn readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

/// The facts of a layer that is kept, if its file is what they say.
fn kept(blob: &Path, note: &Path) -> Option<Facts> {
    let facts: Facts = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
    let (digest, bytes) = digest_of_file(blob).ok()?;
    (bytes == facts.bytes && digest == facts.digest).then_some(facts)
}

/// The digest and size of a file.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<(String, u64)> {
    let mut hashed = Hashed::new(io::sink());
    let bytes = io::copy(
        &mut BufReader::with_capacity(PIECE, File::open(path)?),
        &mut hashed,
    )?;
    Ok((hashed.digest(), bytes))
}

/// The digest of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// What the files of a plan hold.
struct Contents {
    /// The digest of the whole plan, in hexadecimal digits.
    key: String,
    /// Path in the layer → size and digest.
    files: HashMap<String, (u64, String)>,
    total: u64,
}

impl Contents {
    fn read(plan: &LayerPlan) -> Result<Self, LayerError> {
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
fn write_layer(
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
                PackError::Output(source) => failed("write", blob)(source),
                PackError::Input(error) => error,
            })?;
    }
    packer.finish().map_err(failed("write", blob))
}

/// The compressed file, the archive inside it: each hashed on its way.
type Archive<'a> = tar::Builder<Hashed<GzEncoder<Hashed<io::BufWriter<&'a mut File>>>>>;

/// An archive that is being written.
struct Packer<'a> {
    archive: Archive<'a>,
    /// Digest → the path that has this content.
    links: HashMap<&'a str, &'a str>,
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
                if let Some(first) = self.links.get(digest.as_str()).filter(|_| *bytes > 0) {
                    let mut header = header(tar::EntryType::Link, *mode, 0);
                    self.archive.append_link(&mut header, path, first)?;
                } else {
                    self.links.insert(digest, path);
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
        let opened =
            File::open(file).map_err(|error| PackError::Input(failed("read", file)(error)))?;
        let bytes = header.size()?;
        let before = self.done_bytes;
        let mut reader = Watched {
            inner: BufReader::with_capacity(PIECE, opened).take(bytes),
            hasher: Sha256::new(),
            bytes: 0,
            done: &mut |bytes| done(before + bytes),
        };
        self.archive.append_data(&mut header, path, &mut reader)?;
        let found = format!("sha256:{}", hex::encode(reader.hasher.finalize()));
        if reader.bytes == bytes && found == digest {
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

/// Hashes what is read, and tells how much it was.
struct Watched<'a, R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
    done: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        (self.done)(self.bytes);
        Ok(count)
    }
}

/// Hashes and counts what is written.
pub(crate) struct Hashed<W> {
    inner: W,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::silent;

    fn never() -> Report {
        Arc::new(|progress| assert_eq!(progress.what, "", "there is nothing to do"))
    }

    fn plan(folder: &Path) -> LayerPlan {
        std::fs::write(folder.join("model.onnx"), vec![7; 100_000]).unwrap();
        let mut plan = LayerPlan::new(LayerKind::Model, "a model");
        plan.file(
            "opt/ml/model/a/MLmodel",
            Content::Bytes(b"flavors: {}".to_vec()),
            0o644,
        );
        plan.file(
            "opt/ml/model/model.onnx",
            Content::File(folder.join("model.onnx")),
            0o644,
        );
        plan.file(
            "opt/ml/model/z.onnx",
            Content::File(folder.join("model.onnx")),
            0o644,
        );
        plan
    }

    #[test]
    fn the_same_plan_gives_the_same_layer_and_is_made_once() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = LayerCache::new(one.path().join("layers"));
        let second = LayerCache::new(two.path().join("layers"));
        let made = first.layer(&plan(one.path()), &silent()).unwrap();
        let again = second.layer(&plan(two.path()), &silent()).unwrap();
        assert_eq!(made.digest, again.digest);
        assert_eq!(made.diff_id, again.diff_id);
        assert_eq!(made.unpacked_bytes, 100_011);
        let untouched = std::fs::metadata(&made.path).unwrap().modified().unwrap();
        let kept = first.layer(&plan(one.path()), &never()).unwrap();
        assert_eq!(kept, made);
        assert_eq!(
            std::fs::metadata(&kept.path).unwrap().modified().unwrap(),
            untouched
        );
    }

    #[test]
    fn a_layer_that_was_damaged_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(folder.path().join("layers"));
        let made = cache.layer(&plan(folder.path()), &silent()).unwrap();
        let whole = std::fs::read(&made.path).unwrap();
        std::fs::write(&made.path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(cache.layer(&plan(folder.path()), &silent()).unwrap(), made);
        assert_eq!(std::fs::read(&made.path).unwrap(), whole);
        // Nothing else stays in the folder.
        assert_eq!(std::fs::read_dir(cache.folder()).unwrap().count(), 2);
    }

    #[test]
    fn the_archive_holds_the_plan_and_nothing_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(folder.path().join("layers"));
        let layer = cache.layer(&plan(folder.path()), &silent()).unwrap();
        let file = File::open(&layer.path).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut shown = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 0);
            shown.push(format!(
                "{} {:?} {:o} {}",
                entry.path().unwrap().display(),
                header.entry_type(),
                header.mode().unwrap(),
                header.size().unwrap()
            ));
        }
        assert_eq!(
            shown,
            [
                "opt/ Directory 755 0",
                "opt/ml/ Directory 755 0",
                "opt/ml/model/ Directory 755 0",
                "opt/ml/model/a/ Directory 755 0",
                "opt/ml/model/a/MLmodel Regular 644 11",
                "opt/ml/model/model.onnx Regular 644 100000",
                "opt/ml/model/z.onnx Link 644 0",
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(folder.path().join("layers"));
        let mut plan = LayerPlan::new(LayerKind::Binary, "");
        plan.file("mlrs", Content::File(folder.path().join("absent")), 0o755);
        let error = cache.layer(&plan, &silent()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `/"), "{error}");
        assert!(!cache.folder().exists());
    }
}
