//! Where an image goes: a folder, a file, a Docker engine, a registry.
//!
//! Each output is whole or not there: a file is renamed into place, a folder's index and a registry's
//! tag come last.

mod archive;
mod docker;
mod dockerfile;
mod layout;
mod push;

use std::io;
use std::path::PathBuf;

pub use archive::write_archive;
pub use docker::{DockerError, connect, load};
pub use dockerfile::write_context;
pub use layout::write_layout;
pub use push::{Pushed, push};

use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_MEDIA_TYPE, OciImageIndex};

use crate::build::Image;
use crate::reference::ImageName;

/// Why an image cannot be written to the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
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
    /// There is something else at the path.
    #[error("`{}` is there already, and is no image layout", .0.display())]
    NoLayout(PathBuf),
    /// There is something else in the folder.
    #[error("`{}` holds something that was not made by this command", .0.display())]
    NotOurs(PathBuf),
}

impl WriteError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File { source, .. } => crate::layer::disk_hint(source),
            Self::NotOurs(_) => Some("name another folder, or empty it"),
            Self::NoLayout(_) => {
                Some("name a folder that is not there yet, or one that `oci:` made")
            }
        }
    }
}

fn failed(action: &'static str, path: &std::path::Path) -> impl Fn(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError::File {
        action,
        path: path.clone(),
        source,
    }
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
            "io.containerd.image.name": name.to_string(),
            REF_NAME: name.tag().unwrap_or("latest"),
        },
    });
    serde_json::from_value(entry)
}

/// The annotation that names an image in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The index of a layout with these images.
fn index(manifests: Vec<ImageIndexEntry>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&OciImageIndex {
        schema_version: 2,
        media_type: Some("application/vnd.oci.image.index.v1+json".to_owned()),
        manifests,
        artifact_type: None,
        annotations: None,
    })
}
