//! Layers: the tar archive of a plan, compressed, with its digests; kept for the next image.
//!
//! Same plan, same bytes: paths are sorted, times are zero, everything belongs to root, and the
//! compressor's output depends on its input alone. A layer is kept under its digest, and found by that
//! of what its plan says, so that an image whose parts are known costs no compression. Files with equal
//! content are stored once (`hard links`): time zones have many names.

mod pack;
pub mod scan;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mlrs_mlmodel::disk::{FileError, create_folder, failed};
use mlrs_mlmodel::staging::Partial;
use serde::{Deserialize, Serialize};

use crate::Report;
pub(crate) use crate::files::{digest_of, digest_of_file};
use crate::files::{disk_hint, write_whole};
use crate::plan::{LayerKind, LayerPlan};
use pack::{Contents, write_layer};

/// Layers that no image needed for so long are removed.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Why a layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file was another when it was read again.
    #[error("`{}` changed while it was packed", .0.display())]
    Changed(PathBuf),
}

impl LayerError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File(error) => disk_hint(&error.source),
            Self::Changed(_) => Some("try again when nothing writes to it"),
        }
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
        let note = self.folder.join(format!("{}.json", contents.key));
        let facts = match self.kept(&note) {
            Some(facts) => facts,
            None => self.make(plan, &contents, &note, report)?,
        };
        Ok(Layer {
            kind: plan.kind,
            comment: plan.comment.clone(),
            media_type: GZIP_LAYER.to_owned(),
            path: self.blob(&facts.digest),
            digest: facts.digest,
            diff_id: facts.diff_id,
            bytes: facts.bytes,
            unpacked_bytes: facts.unpacked_bytes,
        })
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        self.folder.join(format!("{digits}.tar.gz"))
    }

    fn make(
        &self,
        plan: &LayerPlan,
        contents: &Contents,
        note: &Path,
        report: &Report,
    ) -> Result<Facts, LayerError> {
        create_folder(&self.folder)?;
        let staged = self.folder.join(format!("{}.tar.gz", contents.key));
        let (partial, mut file) = Partial::file_beside(&staged).map_err(FileError::from)?;
        let facts = write_layer(plan, contents, &mut file, report, &staged)?;
        file.sync_all().map_err(failed("write", &staged))?;
        partial
            .finish(&self.blob(&facts.digest))
            .map_err(FileError::from)?;
        let text = serde_json::to_vec(&facts).map_err(std::io::Error::from);
        write_whole(note, &text.map_err(failed("write", note))?)?;
        Ok(facts)
    }

    /// The facts of a layer that is kept, if its file is what they say.
    fn kept(&self, note: &Path) -> Option<Facts> {
        let facts: Facts = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
        let blob = self.blob(&facts.digest);
        let (digest, bytes) = digest_of_file(&blob).ok()?;
        if bytes != facts.bytes || digest != facts.digest {
            return None;
        }
        for path in [&blob, note] {
            let used = std::fs::File::options().write(true).open(path);
            // It is only kept for less long when this fails.
            let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
        }
        Some(facts)
    }

    /// Removes what no image needed for 30 days, and what an ended process left unfinished a day ago.
    /// What cannot be removed stays.
    pub fn prune(&self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        for entry in entries.flatten() {
            let is_partial = entry.file_name().to_string_lossy().starts_with('.');
            let kept = if is_partial { KEPT / 30 } else { KEPT };
            let used = entry.metadata().and_then(|facts| facts.modified()).ok();
            let age = used.and_then(|used| used.elapsed().ok());
            if age.is_some_and(|age| age > kept) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;
    use crate::plan::Content;
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
        let kept = first.layer(&plan(one.path()), &never()).unwrap();
        assert_eq!(kept, made);
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

    #[test]
    fn what_was_not_used_for_long_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(folder.path().join("layers"));
        let made = cache.layer(&plan(folder.path()), &silent()).unwrap();
        let partial = cache.folder().join(".left.partial-1-0");
        std::fs::write(&partial, "half").unwrap();
        let age = |path: &Path, days: u64| {
            let file = File::options().write(true).open(path).unwrap();
            let then =
                SystemTime::now() - (Duration::from_hours(days * 24) + Duration::from_mins(1));
            file.set_modified(then).unwrap();
        };
        age(&made.path, 29);
        cache.prune();
        assert!(made.path.exists() && partial.exists());
        age(&partial, 1);
        cache.prune();
        assert!(made.path.exists() && !partial.exists());
        // What is used again is kept again.
        age(&made.path, 40);
        cache.layer(&plan(folder.path()), &silent()).unwrap();
        cache.prune();
        assert!(made.path.exists());
        age(&made.path, 31);
        cache.prune();
        assert!(!made.path.exists());
    }
}
