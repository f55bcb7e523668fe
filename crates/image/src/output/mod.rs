//! Where an image goes: a folder, a file, a Docker engine, a registry.
//!
//! Each output is whole or not there: a file is renamed into place, a folder's index and a registry's
//! tag come last.

mod archive;
mod docker;
mod dockerfile;
mod layout;
mod push;

use std::path::PathBuf;

pub use archive::write_archive;
pub use docker::{DockerError, connect, load};
pub use dockerfile::write_context;
pub use layout::write_layout;
pub use push::{Pushed, push};

use mlrs_mlmodel::disk::FileError;
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_MEDIA_TYPE, OciImageIndex};

use crate::build::Image;
use crate::files::{disk_hint, write_whole};
use crate::reference::ImageName;

/// Why an image cannot be written to the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is something else at the path.
    #[error("`{}` is there already, and is no image layout", .0.display())]
    NoLayout(PathBuf),
    /// The layout has an image of another name under this tag.
    #[error("`{}` has another image under the tag `{tag}`: `{other}`", folder.display())]
    TagTaken {
        /// The layout.
        folder: PathBuf,
        /// The tag.
        tag: String,
        /// The image that has it.
        other: String,
    },
    /// There is something else in the folder.
    #[error("`{}` holds something that was not made by this command", .0.display())]
    NotOurs(PathBuf),
}

impl WriteError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File(error) => disk_hint(&error.source),
            Self::NoLayout(_) => {
                Some("name a folder that is not there yet, or one that `oci:` made")
            }
            Self::TagTaken { .. } => Some("choose another tag, or another folder"),
            Self::NotOurs(_) => Some("name another folder, or empty it"),
        }
    }
}

/// Writes a text to a file, which replaces what is there.
///
/// # Errors
/// When the file cannot be written; what was there stays.
pub fn write_text(file: &std::path::Path, text: &str) -> Result<(), WriteError> {
    Ok(write_whole(file, text.as_bytes())?)
}

/// The file that says that a folder or an archive is an image layout.
const LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);

/// One file of an image layout.
enum Blob<'a> {
    Text(&'a [u8]),
    Layer(&'a crate::layer::Layer),
}

impl Blob<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Layer(layer) => layer.bytes,
        }
    }
}

/// The path of a blob in an image layout.
fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// Everything that an image is made of, by digest; layers that are there twice come once.
fn blobs(image: &Image) -> Vec<(&str, Blob<'_>)> {
    let mut blobs: Vec<(&str, Blob<'_>)> = Vec::new();
    for layer in &image.layers {
        if !blobs.iter().any(|blob| blob.0 == layer.digest) {
            blobs.push((&layer.digest, Blob::Layer(layer)));
        }
    }
    blobs.push((image.id(), Blob::Text(image.config())));
    blobs.push((image.digest(), Blob::Text(image.manifest())));
    blobs
}

/// The entry of an image in the index of a layout.
fn index_entry(image: &Image, name: &ImageName) -> serde_json::Result<ImageIndexEntry> {
    let entry = serde_json::json!({
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "digest": image.digest(),
        "size": image.manifest().len(),
        "platform": { "architecture": image.platform.architecture.name(), "os": "linux" },
        "annotations": {
            CONTAINERD_NAME: canonical(name),
            REF_NAME: name.tag().unwrap_or("latest"),
        },
    });
    serde_json::from_value(entry)
}

/// The annotation by which containerd, and a Docker engine that keeps its images there, calls an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A name with its registry and repository in full, as engines look it up.
fn canonical(name: &ImageName) -> String {
    name.reference().whole()
}

/// The annotation that names an image in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An index with these images.
fn index(manifests: Vec<ImageIndexEntry>) -> OciImageIndex {
    OciImageIndex {
        schema_version: 2,
        media_type: Some("application/vnd.oci.image.index.v1+json".to_owned()),
        manifests,
        artifact_type: None,
        annotations: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_find_images_by_their_whole_names() {
        for (typed, whole) in [
            ("iris:1", "docker.io/library/iris:1"),
            ("team/iris", "docker.io/team/iris:latest"),
            ("localhost:5000/iris:2", "localhost:5000/iris:2"),
        ] {
            assert_eq!(canonical(&typed.parse().unwrap()), whole);
        }
    }
}
