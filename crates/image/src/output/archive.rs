//! An image as one `.tar`, which is both an OCI archive and what `docker load` reads.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use mlrs_mlmodel::disk::{FileError, failed};
use mlrs_mlmodel::staging::Partial;
use serde_json::json;

use super::{Blob, LAYOUT, WriteError, blob_path, blobs, index, index_entry};
use crate::build::Image;
use crate::files::{PIECE, Watched, is_same};
use crate::reference::ImageName;
use crate::{Progress, Report};

/// Writes an image to a file, which replaces what is there.
///
/// # Errors
/// When the file cannot be written; what was there stays.
pub fn write_archive(
    image: &Image,
    name: &ImageName,
    file: &Path,
    report: &Report,
) -> Result<(), WriteError> {
    let (partial, staged) = Partial::file_beside(file).map_err(FileError::from)?;
    append_image(image, name, &staged, report, "archive").map_err(failed("write", file))?;
    staged.sync_all().map_err(failed("write", file))?;
    partial.finish(file).map_err(FileError::from)?;
    Ok(())
}

/// Writes the archive of an image to an open file.
pub(super) fn append_image(
    image: &Image,
    name: &ImageName,
    output: &File,
    report: &Report,
    what: &str,
) -> io::Result<()> {
    let blobs = blobs(image);
    let total_bytes = blobs.iter().map(|blob| blob.1.bytes()).sum();
    let mut done_bytes = 0;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, output));
    append(&mut archive, LAYOUT.0, LAYOUT.1.len() as u64, LAYOUT.1)?;
    for (digest, blob) in &blobs {
        let path = blob_path(digest);
        match blob {
            Blob::Text(text) => append(&mut archive, &path, text.len() as u64, *text)?,
            Blob::Layer(layer) => {
                let file = File::open(&layer.path)?.take(layer.bytes);
                let mut reader = Watched::new(BufReader::with_capacity(PIECE, file), |bytes| {
                    report(Progress {
                        what,
                        done_bytes: done_bytes + bytes,
                        total_bytes,
                    });
                });
                append(&mut archive, &path, layer.bytes, &mut reader)?;
                is_same(&reader.digest(), digest)?;
            }
        }
        done_bytes += blob.bytes();
    }
    let index = serde_json::to_vec(&index(vec![index_entry(image, name)?]))?;
    append(
        &mut archive,
        "index.json",
        index.len() as u64,
        index.as_slice(),
    )?;
    let docker = docker_manifest(image, name)?;
    append(
        &mut archive,
        "manifest.json",
        docker.len() as u64,
        docker.as_slice(),
    )?;
    archive.into_inner()?.flush()
}

/// The list that `docker load` reads: Docker's image specification 1.2.
fn docker_manifest(image: &Image, name: &ImageName) -> serde_json::Result<Vec<u8>> {
    let layers = image.layers.iter().map(|layer| blob_path(&layer.digest));
    serde_json::to_vec(&json!([{
        "Config": blob_path(image.id()),
        "RepoTags": [name.to_string()],
        "Layers": layers.collect::<Vec<_>>(),
    }]))
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    bytes: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(bytes);
    archive.append_data(&mut header, path, content)
}
