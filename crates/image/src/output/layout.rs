//! An image in a folder: the OCI image layout.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use oci_client::manifest::OciImageIndex;

use super::{Blob, LAYOUT, REF_NAME, WriteError, blob_path, blobs, failed, index, index_entry};
use crate::build::Image;
use crate::layer::write_whole;
use crate::reference::ImageName;
use crate::{Progress, Report};

/// Adds an image to a layout, which is made if it is not there. An image with the same tag is replaced
/// in its index.
///
/// # Errors
/// When the folder holds something else, or cannot be written. What was there stays as it was, and a
/// folder that was made for this is removed.
pub fn write_layout(
    image: &Image,
    name: &ImageName,
    folder: &Path,
    report: &Report,
) -> Result<(), WriteError> {
    let is_new = !folder.exists();
    let known = known_images(folder, name)?;
    let mut added = Vec::new();
    let written = add(image, name, folder, known, &mut added, report);
    if written.is_err() {
        if is_new {
            let _ = std::fs::remove_dir_all(folder);
        }
        for path in added {
            let _ = std::fs::remove_file(path);
        }
    }
    written
}

/// The images of a layout that stay when one with this tag is added.
fn known_images(folder: &Path, name: &ImageName) -> Result<OciImageIndex, WriteError> {
    let mut known = OciImageIndex {
        schema_version: 2,
        media_type: None,
        manifests: Vec::new(),
        artifact_type: None,
        annotations: None,
    };
    let is_empty = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed("read", folder)(error)),
    };
    if is_empty {
        return Ok(known);
    }
    if !folder.join(LAYOUT.0).is_file() {
        return Err(WriteError::NoLayout(folder.to_owned()));
    }
    let path = folder.join("index.json");
    let text = std::fs::read(&path).map_err(failed("read", &path))?;
    known = serde_json::from_slice(&text).map_err(|_| WriteError::NoLayout(folder.to_owned()))?;
    let tag = name.tag().unwrap_or("latest");
    known.manifests.retain(|entry| {
        let annotations = entry.annotations.as_ref();
        annotations
            .and_then(|annotations| annotations.get(REF_NAME))
            .map(String::as_str)
            != Some(tag)
    });
    Ok(known)
}

fn add(
    image: &Image,
    name: &ImageName,
    folder: &Path,
    mut known: OciImageIndex,
    added: &mut Vec<PathBuf>,
    report: &Report,
) -> Result<(), WriteError> {
    let blobs_folder = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs_folder).map_err(failed("create the folder", &blobs_folder))?;
    let blobs = blobs(image);
    let total_bytes = blobs.iter().map(|blob| blob.1.bytes()).sum();
    let mut done_bytes = 0;
    for (digest, blob) in blobs {
        let path = folder.join(blob_path(digest));
        let there = std::fs::metadata(&path).is_ok_and(|facts| facts.len() == blob.bytes());
        if !there {
            let written = match &blob {
                Blob::Text(text) => write_whole(&path, text),
                Blob::Layer(layer) => copy_whole(&layer.path, &path),
            };
            written.map_err(failed("write", &path))?;
            added.push(path);
        }
        done_bytes += blob.bytes();
        report(Progress {
            what: "layout",
            done_bytes,
            total_bytes,
        });
    }
    let layout = folder.join(LAYOUT.0);
    write_whole(&layout, LAYOUT.1).map_err(failed("write", &layout))?;
    let path = folder.join("index.json");
    let entry = index_entry(image, name).map_err(io::Error::from);
    known.manifests.push(entry.map_err(failed("write", &path))?);
    let text = index(known.manifests).map_err(io::Error::from);
    let text = text.map_err(failed("write", &path))?;
    write_whole(&path, &text).map_err(failed("write", &path))
}

/// Copies a file so that nobody sees a part of it.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let staged = tempfile::NamedTempFile::new_in(to.parent().unwrap_or(Path::new(".")))?;
    io::copy(&mut File::open(from)?, &mut staged.as_file())?;
    crate::layer::readable_by_all(staged.as_file())?;
    staged.persist(to).map_err(|error| error.error)?;
    Ok(())
}
