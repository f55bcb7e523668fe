//! An image in a registry: blobs that are not there yet, then the manifest.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use http::HeaderValue;
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use tokio_util::io::ReaderStream;

use super::{Blob, blobs};
use crate::build::Image;
use crate::reference::ImageName;
use crate::registry::{Registry, RegistryError, RegistrySettings};
use crate::{Progress, Report};

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that were there.
    pub there: usize,
    /// Bytes that were sent.
    pub bytes: u64,
}

/// Pushes an image. Its tag is set last, so a push that fails changes nothing that has a name.
///
/// # Errors
/// When the registry cannot be reached or refuses, or a layer cannot be read.
pub async fn push(
    image: &Image,
    name: &ImageName,
    settings: &RegistrySettings,
    report: &Report,
) -> Result<Pushed, RegistryError> {
    const ACTION: &str = "push";
    let registry = Registry::new(name, settings)?;
    registry.log_in(RegistryOperation::Push, ACTION).await?;
    let failed = registry.failed(ACTION);
    let total_bytes = blobs(image).iter().map(|blob| blob.1.bytes()).sum();
    let done = Arc::new(AtomicU64::new(0));
    let mut pushed = Pushed::default();
    for (digest, blob) in blobs(image) {
        if digest == image.digest() {
            continue;
        }
        let there = registry.client.blob_exists(name.reference(), digest).await;
        if there.map_err(&failed)? {
            pushed.there += 1;
            done.fetch_add(blob.bytes(), Ordering::Relaxed);
            continue;
        }
        let counted = count(&done, total_bytes, report);
        match &blob {
            Blob::Text(text) => {
                let content = bytes::Bytes::copy_from_slice(text);
                let sent = registry
                    .client
                    .push_blob(name.reference(), content, digest)
                    .await;
                sent.map_err(&failed)?;
            }
            Blob::Layer(layer) => {
                let content = content(&layer.path).await?;
                let content = content.map(move |piece| {
                    let piece = piece.map_err(OciDistributionError::from)?;
                    counted(piece.len() as u64);
                    Ok(piece)
                });
                let sent = registry.client.push_blob_stream(
                    name.reference(),
                    content,
                    digest,
                    Some(layer.bytes),
                );
                sent.await.map_err(&failed)?;
            }
        }
        pushed.sent += 1;
        pushed.bytes += blob.bytes();
    }
    let manifest = image.manifest().to_vec();
    let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
    registry
        .client
        .push_manifest_raw(name.reference(), manifest, media_type)
        .await
        .map_err(&failed)?;
    Ok(pushed)
}

/// Tells of bytes that were sent.
fn count(done: &Arc<AtomicU64>, total_bytes: u64, report: &Report) -> impl Fn(u64) + Send + use<> {
    let (done, report) = (Arc::clone(done), Arc::clone(report));
    move |bytes| {
        let done_bytes = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        report(Progress {
            what: "push",
            done_bytes,
            total_bytes,
        });
    }
}

async fn content(path: &Path) -> Result<ReaderStream<tokio::fs::File>, RegistryError> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|source| RegistryError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    Ok(ReaderStream::with_capacity(file, 256 << 10))
}
