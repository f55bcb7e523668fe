//! A base image from a registry, to put the other layers on: [`pull_base`].
//!
//! Nothing that the registry says is taken on trust: parts have the size and the digest that the
//! manifest gives them, and are no more than the limits below.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use mlrs_mlmodel::disk::FileError;
use oci_client::errors::{DigestError, OciDistributionError};
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use oci_client::{Reference, RegistryOperation};
use tokio::io::AsyncWriteExt as _;

use crate::config::ImageConfig;
use crate::layer::scan::{LayerLibraries, LoaderFolders};
use crate::layer::{GZIP_LAYER, Layer, digest_of, digest_of_file};
use crate::plan::LayerKind;
use crate::platform::Platform;
use crate::reference::ImageName;
use crate::registry::{Registry, RegistryError, RegistrySettings};
use crate::{Progress, Report};

/// A configuration beyond this many bytes is not read.
const CONFIG_LIMIT: u64 = 8 << 20;

/// The layers of a base may have this many bytes together, compressed.
const LAYERS_LIMIT: u64 = 64 << 30;

/// Engines run images of 127 layers; three are for what is put on the base.
const LAYER_COUNT_LIMIT: usize = 127 - 3;

/// What is being done.
const ACTION: &str = "pull the base image";

/// A base image on this machine.
#[derive(Clone, Debug)]
pub struct Base {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
    /// The names of the libraries that its loader finds.
    pub(crate) libraries: BTreeSet<String>,
}

/// Why a base image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It cannot be pulled.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It has nothing for the platform.
    #[error("the base image `{image}` is not for {platform}")]
    OtherPlatform {
        /// The image.
        image: String,
        /// What is wanted.
        platform: Platform,
    },
    /// It is not what a container image is.
    #[error("the base image `{image}` cannot be used: {reason}")]
    Unusable {
        /// The image.
        image: String,
        /// Why.
        reason: String,
    },
    /// A library is not in it.
    #[error("the base image `{image}` has no `{library}`, which `{needed_by}` needs")]
    NoLibrary {
        /// The image.
        image: String,
        /// The library's name.
        library: String,
        /// What needs it.
        needed_by: String,
    },
}

impl BaseError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::OtherPlatform { .. } => {
                Some("choose another base image, or another --platform".to_owned())
            }
            Self::Unusable { .. } => {
                Some("choose another base image, or pull this one anew with Docker and push it".to_owned())
            }
            Self::NoLibrary { .. } => Some(
                "choose a base image with the GNU C library and the C++ one (such as Debian's), or none: \
                 without --base-image the libraries of this machine go into the image. Libraries are \
                 looked for in the usual folders and in those of LD_LIBRARY_PATH; folders that only its \
                 /etc/ld.so.conf names are not known here"
                    .to_owned(),
            ),
        }
    }
}

/// Pulls an image into a folder, if its parts are not there yet.
///
/// # Errors
/// When the registry does not give it, or it is for another platform.
pub async fn pull_base(
    image: &ImageName,
    platform: Platform,
    settings: &RegistrySettings,
    folder: &Path,
    report: &Report,
) -> Result<Base, BaseError> {
    let registry = Registry::connect(image, settings, RegistryOperation::Pull, ACTION).await?;
    let (manifest, digest) = manifest(&registry, platform).await?;
    check(&registry, &manifest)?;
    std::fs::create_dir_all(folder).map_err(|source| {
        RegistryError::File(FileError {
            action: "create the folder",
            path: folder.to_owned(),
            source,
        })
    })?;
    let config = config(&registry, &manifest, platform, folder).await?;
    let folders = LoaderFolders::new(platform, config.variable("LD_LIBRARY_PATH"));
    let mut libraries = LayerLibraries::default();
    let mut layers = Vec::new();
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let path = blob(&registry, layer, folder, report).await?;
        layers.push(Layer {
            kind: LayerKind::Base,
            comment: image.to_string(),
            media_type: oci_media_type(&registry, &layer.media_type)?.to_owned(),
            digest: layer.digest.clone(),
            diff_id: diff_id.clone(),
            bytes: size(&registry, layer)?,
            unpacked_bytes: libraries.add(&path, &folders).map_err(|source| {
                RegistryError::File(FileError {
                    action: "unpack",
                    path: path.clone(),
                    source,
                })
            })?,
            path,
        });
    }
    Ok(Base {
        name: image.to_string(),
        digest,
        config,
        layers,
        libraries: libraries.names(),
    })
}

/// Refuses, before anything of it is pulled, what cannot be a base.
fn check(registry: &Registry<'_>, manifest: &OciImageManifest) -> Result<(), BaseError> {
    if manifest.layers.len() > LAYER_COUNT_LIMIT {
        return Err(unusable(registry, "it has too many layers"));
    }
    if size(registry, &manifest.config)? > CONFIG_LIMIT {
        return Err(unusable(registry, "its configuration is too large"));
    }
    let mut bytes: u64 = 0;
    for layer in &manifest.layers {
        oci_media_type(registry, &layer.media_type)?;
        bytes = bytes.saturating_add(size(registry, layer)?);
    }
    if bytes > LAYERS_LIMIT {
        return Err(unusable(registry, "its layers are too large"));
    }
    Ok(())
}

/// The size of a part, in bytes.
fn size(registry: &Registry<'_>, descriptor: &OciDescriptor) -> Result<u64, BaseError> {
    u64::try_from(descriptor.size)
        .map_err(|_| unusable(registry, "the size of a part of it is below nothing"))
}

/// The manifest for one platform, and its digest.
async fn manifest(
    registry: &Registry<'_>,
    platform: Platform,
) -> Result<(OciImageManifest, String), BaseError> {
    let reference = registry.image.reference();
    let (found, digest) = pull_manifest(registry, reference).await?;
    let index = match found {
        OciManifest::Image(manifest) => return Ok((manifest, digest)),
        OciManifest::ImageIndex(index) => index,
    };
    let fits = index.manifests.iter().find(|entry| {
        let found = entry.platform.as_ref();
        found.is_some_and(|found| {
            format!("{}/{}", found.os, found.architecture) == platform.to_string()
        })
    });
    let entry = fits.ok_or_else(|| BaseError::OtherPlatform {
        image: registry.image.to_string(),
        platform,
    })?;
    let reference = reference.clone_with_digest(entry.digest.clone());
    match pull_manifest(registry, &reference).await? {
        (OciManifest::Image(manifest), digest) => Ok((manifest, digest)),
        (OciManifest::ImageIndex(_), _) => Err(unusable(registry, "its index names another index")),
    }
}

/// A manifest or an index, and its digest, which is that of the name if it has one.
async fn pull_manifest(
    registry: &Registry<'_>,
    reference: &Reference,
) -> Result<(OciManifest, String), BaseError> {
    let text = registry.manifest(reference).await;
    let text = text.map_err(registry.failed(ACTION))?;
    let digest = digest_of(&text);
    if reference.digest().is_some_and(|named| named != digest) {
        return Err(unusable(
            registry,
            "its manifest has another digest than it should",
        ));
    }
    let manifest = serde_json::from_slice(&text)
        .map_err(|error| unusable(registry, format!("its manifest cannot be read: {error}")))?;
    Ok((manifest, digest))
}

fn unusable(registry: &Registry<'_>, reason: impl Into<String>) -> BaseError {
    BaseError::Unusable {
        image: registry.image.to_string(),
        reason: reason.into(),
    }
}

async fn config(
    registry: &Registry<'_>,
    manifest: &OciImageManifest,
    platform: Platform,
    folder: &Path,
) -> Result<ImageConfig, BaseError> {
    let path = blob(registry, &manifest.config, folder, &crate::silent()).await?;
    let text = std::fs::read(&path).map_err(|source| {
        RegistryError::File(FileError {
            action: "read",
            path,
            source,
        })
    })?;
    let config: ImageConfig = serde_json::from_slice(&text).map_err(|error| {
        unusable(
            registry,
            format!("its configuration cannot be read: {error}"),
        )
    })?;
    if config.platform() != platform.to_string() {
        return Err(BaseError::OtherPlatform {
            image: registry.image.to_string(),
            platform,
        });
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(unusable(
            registry,
            "its configuration has other layers than its manifest",
        ));
    }
    Ok(config)
}

/// The file of a blob; pulled when it is not there. Its size and its digest have been checked.
async fn blob(
    registry: &Registry<'_>,
    descriptor: &OciDescriptor,
    folder: &Path,
    report: &Report,
) -> Result<PathBuf, BaseError> {
    let digest = &descriptor.digest;
    let hexadecimal = digest
        .strip_prefix("sha256:")
        .filter(|rest| rest.len() == 64 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hexadecimal =
        hexadecimal.ok_or_else(|| unusable(registry, "a digest in it is no SHA-256 digest"))?;
    let path = folder.join(format!("base-{hexadecimal}"));
    let bytes = size(registry, descriptor)?;
    let is_whole = |found: (String, u64)| found.0 == *digest && found.1 == bytes;
    if digest_of_file(&path).is_ok_and(is_whole) {
        return Ok(path);
    }
    let unwritable = |source| {
        RegistryError::File(FileError {
            action: "write",
            path: path.clone(),
            source,
        })
    };
    let staged = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let mut file = tokio::fs::File::from_std(staged.reopen().map_err(unwritable)?);
    let failed = registry.failed(ACTION);
    let mut stream = registry
        .client
        .pull_blob_stream(registry.image.reference(), descriptor)
        .await
        .map_err(&failed)?
        .stream;
    let mut done_bytes: u64 = 0;
    while let Some(piece) = stream.try_next().await.map_err(|error| {
        match error.get_ref() {
            // The client's word for it names what it is, and not where.
            Some(inner) if inner.is::<DigestError>() => other_digest(registry),
            _ => failed(OciDistributionError::from(error)).into(),
        }
    })? {
        done_bytes = done_bytes.saturating_add(piece.len() as u64);
        if done_bytes > bytes {
            return Err(other_size(registry));
        }
        file.write_all(&piece).await.map_err(unwritable)?;
        report(Progress {
            what: "base",
            done_bytes,
            total_bytes: bytes,
        });
    }
    file.flush().await.map_err(unwritable)?;
    if done_bytes != bytes {
        return Err(other_size(registry));
    }
    if !is_whole(digest_of_file(staged.path()).map_err(unwritable)?) {
        return Err(other_digest(registry));
    }
    staged
        .persist(&path)
        .map_err(|error| unwritable(error.error))?;
    Ok(path)
}

fn other_size(registry: &Registry<'_>) -> BaseError {
    unusable(registry, "a part of it has another size than it should")
}

fn other_digest(registry: &Registry<'_>) -> BaseError {
    unusable(registry, "a part of it has another digest than it should")
}

/// The name of the specification for a type that Docker named before there was one.
fn oci_media_type(registry: &Registry<'_>, media_type: &str) -> Result<&'static str, BaseError> {
    const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" | GZIP_LAYER => Ok(GZIP_LAYER),
        "application/vnd.docker.image.rootfs.diff.tar" | TAR => Ok(TAR),
        other if other.ends_with("zstd") => Err(unusable(
            registry,
            "its layers are compressed with zstd, and must be with gzip",
        )),
        _ => Err(unusable(registry, "a layer of it is of an unknown type")),
    }
}

impl Base {
    /// Its name, and the digest of its manifest.
    pub fn identity(&self) -> (String, String) {
        (self.name.clone(), self.digest.clone())
    }

    /// Whether everything is there that a program and its libraries need, by the names of files in the
    /// folders in which the loader looks.
    ///
    /// # Errors
    /// When a library is not.
    pub(crate) fn has<'a>(
        &self,
        mut needed: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), BaseError> {
        let is_absent = |library: &str| {
            let name = library.rsplit('/').next().unwrap_or(library);
            !self.libraries.contains(name)
        };
        match needed.find(|(library, _)| is_absent(library)) {
            None => Ok(()),
            Some((library, needed_by)) => Err(BaseError::NoLibrary {
                image: self.name.clone(),
                library: library.to_owned(),
                needed_by: needed_by.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
