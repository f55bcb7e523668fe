//! An image in a folder: the OCI image layout.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mlrs_mlmodel::disk::{create_folder, failed};
use oci_client::manifest::{ImageIndexEntry, OciImageIndex};

use super::{
    Blob, CONTAINERD_NAME, LAYOUT, REF_NAME, WriteError, blob_path, blobs, canonical, index,
    index_entry,
};
use crate::build::Image;
use crate::files::{copy_blob, digest_of_file, write_whole};
use crate::reference::ImageName;
use crate::{Progress, Report};

/// Adds an image to a layout, which is made if it is not there. An image of the same name and tag is
/// replaced in its index. Of several builds at once, one waits for the other.
///
/// # Errors
/// When the folder holds something else, has the tag for an image of another name, or cannot be
/// written. What was there stays as it was, and a folder that was made for this is removed.
pub fn write_layout(
    image: &Image,
    name: &ImageName,
    folder: &Path,
    report: &Report,
) -> Result<(), WriteError> {
    let is_new = is_empty(folder)?;
    if !is_new && !folder.join(LAYOUT.0).is_file() {
        return Err(WriteError::NoLayout(folder.to_owned()));
    }
    let mut added = Vec::new();
    let written = add(image, name, folder, &mut added, report);
    if written.is_err() {
        for path in added {
            let _ = std::fs::remove_file(path);
        }
        if is_new {
            remove_empty(folder);
        }
    }
    written
}

/// Whether there is nothing at a path.
fn is_empty(folder: &Path) -> Result<bool, WriteError> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("read", folder)(error).into()),
    }
}

/// Removes a layout that holds no image; one that another build has put an image into stays.
fn remove_empty(folder: &Path) {
    if folder.join("index.json").exists() {
        return;
    }
    for inner in ["blobs/sha256", "blobs"] {
        let _ = std::fs::remove_dir(folder.join(inner));
    }
    let _ = std::fs::remove_file(folder.join(LAYOUT.0));
    let _ = std::fs::remove_dir(folder);
}

fn add(
    image: &Image,
    name: &ImageName,
    folder: &Path,
    added: &mut Vec<PathBuf>,
    report: &Report,
) -> Result<(), WriteError> {
    create_folder(&folder.join("blobs/sha256"))?;
    let _lock = lock(folder)?;
    let mut known = known_images(folder)?;
    make_room(&mut known.manifests, name, folder)?;
    let blobs = blobs(image);
    let total_bytes = blobs.iter().map(|blob| blob.1.bytes()).sum();
    let mut done_bytes = 0;
    for (digest, blob) in blobs {
        let path = folder.join(blob_path(digest));
        if !digest_of_file(&path).is_ok_and(|(found, _)| found == digest) {
            match &blob {
                Blob::Text(text) => write_whole(&path, text)?,
                Blob::Layer(layer) => copy_blob(&layer.path, &path, digest)?,
            }
            added.push(path);
        }
        done_bytes += blob.bytes();
        report(Progress {
            what: "layout",
            done_bytes,
            total_bytes,
        });
    }
    let path = folder.join("index.json");
    let unwritable = |error: serde_json::Error| failed("write", &path)(error.into());
    known
        .manifests
        .push(index_entry(image, name).map_err(unwritable)?);
    let text = serde_json::to_vec(&known).map_err(unwritable)?;
    write_whole(&path, &text)?;
    Ok(())
}

/// Waits until nobody else writes to a layout.
fn lock(folder: &Path) -> Result<File, WriteError> {
    let path = folder.join(LAYOUT.0);
    if !path.exists() {
        write_whole(&path, LAYOUT.1)?;
    }
    let file = File::open(&path).map_err(failed("read", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

/// The index of a layout.
fn known_images(folder: &Path) -> Result<OciImageIndex, WriteError> {
    let path = folder.join("index.json");
    match std::fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|_| WriteError::NoLayout(folder.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(index(Vec::new())),
        Err(error) => Err(failed("read", &path)(error).into()),
    }
}

/// Takes out what has this name and tag.
fn make_room(
    manifests: &mut Vec<ImageIndexEntry>,
    name: &ImageName,
    folder: &Path,
) -> Result<(), WriteError> {
    let annotation = |entry: &ImageIndexEntry, key| {
        let annotations = entry.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(key).cloned())
    };
    let tag = name.tag().unwrap_or("latest");
    let has_tag = |entry: &ImageIndexEntry| annotation(entry, REF_NAME).as_deref() == Some(tag);
    let ours = canonical(name);
    let other = manifests
        .iter()
        .filter(|entry| has_tag(entry))
        .filter_map(|entry| annotation(entry, CONTAINERD_NAME))
        .find(|other| *other != ours);
    if let Some(other) = other {
        return Err(WriteError::TagTaken {
            folder: folder.to_owned(),
            tag: tag.to_owned(),
            other,
        });
    }
    manifests.retain(|entry| !has_tag(entry));
    Ok(())
}
