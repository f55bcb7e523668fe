//! A base image from a registry, to put the other layers on: [`pull_base`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use oci_client::RegistryOperation;
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use tokio::io::AsyncWriteExt as _;

use crate::config::ImageConfig;
use crate::layer::{Layer, digest_of_file};
use crate::plan::LayerKind;
use crate::platform::Platform;
use crate::reference::ImageName;
use crate::registry::{Registry, RegistryError, RegistrySettings};
use crate::{Progress, Report};

/// A configuration beyond this many bytes is not read.
const CONFIG_LIMIT: i64 = 8 << 20;

/// A base image on this machine.
#[derive(Clone, Debug)]
pub struct Base {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
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
            Self::Unusable { .. } => None,
            Self::NoLibrary { .. } => Some(
                "choose a base image with the GNU C library and the C++ one (such as Debian's), or none: \
                 without --base-image the libraries of this machine go into the image"
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
    const ACTION: &str = "pull the base image";
    let registry = Registry::connect(image, settings, RegistryOperation::Pull, ACTION).await?;
    let (manifest, digest) = manifest(&registry, platform).await?;
    std::fs::create_dir_all(folder).map_err(|source| RegistryError::File {
        action: "create the folder",
        path: folder.to_owned(),
        source,
    })?;
    let config = config(&registry, &manifest, platform, folder).await?;
    let mut layers = Vec::new();
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let path = blob(&registry, layer, folder, report).await?;
        layers.push(Layer {
            kind: LayerKind::Base,
            comment: image.to_string(),
            media_type: oci_media_type(&layer.media_type),
            digest: layer.digest.clone(),
            diff_id: diff_id.clone(),
            bytes: layer.size as u64,
            unpacked_bytes: unpacked_bytes(&path).map_err(|source| RegistryError::File {
                action: "unpack",
                path: path.clone(),
                source,
            })?,
            path,
        });
    }
    Ok(Base {
        name: image.to_string(),
        digest,
        config,
        layers,
    })
}

/// The manifest for one platform, and its digest.
async fn manifest(
    registry: &Registry<'_>,
    platform: Platform,
) -> Result<(OciImageManifest, String), BaseError> {
    const ACTION: &str = "pull the base image";
    let pull = |reference| async move {
        let pulled = registry
            .client
            .pull_manifest(&reference, &registry.authentication);
        pulled.await.map_err(registry.failed(ACTION))
    };
    let (found, digest) = pull(registry.image.reference().clone()).await?;
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
    let reference = registry
        .image
        .reference()
        .clone_with_digest(entry.digest.clone());
    match pull(reference).await? {
        (OciManifest::Image(manifest), digest) => Ok((manifest, digest)),
        (OciManifest::ImageIndex(_), _) => Err(unusable(registry, "its index names another index")),
    }
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
    if manifest.config.size > CONFIG_LIMIT {
        return Err(unusable(registry, "its configuration is too large"));
    }
    let path = blob(registry, &manifest.config, folder, &crate::silent()).await?;
    let text = std::fs::read(&path).map_err(|source| RegistryError::File {
        action: "read",
        path,
        source,
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

/// The file of a blob; pulled when it is not there. Its digest has been checked.
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
    if digest_of_file(&path).is_ok_and(|(found, _)| found == *digest) {
        return Ok(path);
    }
    let unwritable = |source| RegistryError::File {
        action: "write",
        path: path.clone(),
        source,
    };
    let staged = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let mut file = tokio::fs::File::from_std(staged.reopen().map_err(unwritable)?);
    let failed = registry.failed("pull the base image");
    let mut stream = registry
        .client
        .pull_blob_stream(registry.image.reference(), descriptor)
        .await
        .map_err(&failed)?
        .stream;
    let mut done_bytes = 0;
    while let Some(piece) = stream
        .try_next()
        .await
        .map_err(|error| failed(error.into()))?
    {
        file.write_all(&piece).await.map_err(unwritable)?;
        done_bytes += piece.len() as u64;
        report(Progress {
            what: "base",
            done_bytes,
            total_bytes: descriptor.size as u64,
        });
    }
    file.flush().await.map_err(unwritable)?;
    let (found, _) = digest_of_file(staged.path()).map_err(unwritable)?;
    if found != *digest {
        return Err(unusable(
            registry,
            "a part of it has another digest than it should",
        ));
    }
    staged
        .persist(&path)
        .map_err(|error| unwritable(error.error))?;
    Ok(path)
}

/// The name of the specification for a type that Docker named before there was one.
fn oci_media_type(media_type: &str) -> String {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => crate::layer::GZIP_LAYER,
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        other => other,
    }
    .to_owned()
}

/// The archive inside a layer.
fn archive(path: &Path) -> std::io::Result<tar::Archive<Box<dyn std::io::Read>>> {
    use std::io::{BufRead as _, BufReader};
    let mut file = BufReader::new(std::fs::File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn std::io::Read> = if is_gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(tar::Archive::new(reader))
}

fn unpacked_bytes(path: &Path) -> std::io::Result<u64> {
    let mut archive = archive(path)?;
    let mut bytes = 0;
    for entry in archive.entries()? {
        bytes += entry?.header().size()?;
    }
    Ok(bytes)
}

impl Base {
    /// Whether everything is there that a program and its libraries need, by the names of files.
    ///
    /// # Errors
    /// When a library is not, or a layer cannot be read.
    pub(crate) fn has<'a>(
        &self,
        needed: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), BaseError> {
        let mut names = BTreeSet::new();
        for layer in &self.layers {
            let unreadable = |source| RegistryError::File {
                action: "unpack",
                path: layer.path.clone(),
                source,
            };
            let mut archive = archive(&layer.path).map_err(unreadable)?;
            for entry in archive.entries().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let path = entry.path().map_err(unreadable)?;
                if let Some(name) = path.file_name() {
                    names.insert(name.to_string_lossy().into_owned());
                }
            }
        }
        for (library, needed_by) in needed {
            let name = library.rsplit('/').next().unwrap_or(library);
            if !names.contains(name) {
                return Err(BaseError::NoLibrary {
                    image: self.name.clone(),
                    library: library.to_owned(),
                    needed_by: needed_by.to_owned(),
                });
            }
        }
        Ok(())
    }
}
