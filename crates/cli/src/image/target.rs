//! Where an image goes.

use std::path::{Path, PathBuf};

use mlrs_image::output::{self, Pushed};
use mlrs_image::registry::{self, RegistrySettings};
use mlrs_image::{Image, ImageName, Report};

use crate::failure::hinted;

/// A place for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A Docker engine.
    Docker,
    /// A folder with an OCI image layout.
    Layout(PathBuf),
    /// A file for `docker load`, and for tools that read OCI archives.
    Archive(PathBuf),
    /// The registry that the image's name begins with.
    Registry,
}

/// What was done with an image.
pub(super) struct Sent {
    /// A sentence about it.
    pub(super) text: String,
    /// What to type next, if there is something to try.
    pub(super) next: Option<String>,
}

impl Target {
    /// The target that was named; else a Docker engine, if one answers. Whether an image of this name
    /// can go there is found out before minutes go into a large model.
    pub(super) async fn choose(
        named: Option<&str>,
        name: &ImageName,
        registry: &RegistrySettings,
    ) -> anyhow::Result<Self> {
        if name.has_digest() {
            return Err(hinted(
                format!("`{name}` names an image by its digest, which the build finds out"),
                "give it a name and a tag: iris:3",
            ));
        }
        let target = match named {
            Some(named) => Self::parse(named)?,
            None => Self::Docker,
        };
        match target {
            Self::Docker => drop(output::connect(docker_host().as_deref()).await?),
            Self::Registry if !name.has_registry() => {
                return Err(hinted(
                    format!("`{name}` does not say which registry it goes to"),
                    "put the registry first: registry.example/team/iris:3; Docker Hub is docker.io",
                ));
            }
            Self::Registry => registry::check_push(name, registry).await?,
            Self::Layout(_) | Self::Archive(_) => {}
        }
        Ok(target)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let path = |rest: &str| (!rest.is_empty()).then(|| PathBuf::from(rest));
        let found = match text.split_once(':') {
            None if text == "docker" => Some(Self::Docker),
            None if text == "registry" => Some(Self::Registry),
            Some(("oci", rest)) => path(rest).map(Self::Layout),
            Some(("tar", rest)) => path(rest).map(Self::Archive),
            _ => None,
        };
        found.ok_or_else(|| {
            hinted(
                format!("an image cannot go to `{text}`"),
                "the targets are: docker, oci:DIR, tar:FILE, registry",
            )
        })
    }

    /// Sends an image there.
    pub(super) async fn send(
        &self,
        image: &Image,
        name: &ImageName,
        registry: &RegistrySettings,
        scratch: &Path,
        report: &Report,
    ) -> anyhow::Result<Sent> {
        Ok(match self {
            Self::Docker => {
                output::load(image, name, docker_host().as_deref(), scratch, report).await?;
                Sent {
                    text: "loaded into the Docker engine".to_owned(),
                    next: Some(format!("docker run --rm --read-only -p 8080:8080 {name}")),
                }
            }
            Self::Layout(folder) => {
                output::write_layout(image, name, folder, report)?;
                Sent {
                    text: format!("written to `{}`, an OCI image layout", folder.display()),
                    next: None,
                }
            }
            Self::Archive(file) => {
                output::write_archive(image, name, file, report)?;
                Sent {
                    text: format!("written to `{}`", file.display()),
                    next: Some(format!("docker load -i {}", file.display())),
                }
            }
            Self::Registry => {
                let Pushed { sent, there, bytes } =
                    output::push(image, name, registry, report).await?;
                let bytes = indicatif::HumanBytes(bytes);
                Sent {
                    text: format!(
                        "pushed to `{}`: {sent} parts sent ({bytes}), {there} were there",
                        name.registry()
                    ),
                    next: Some(format!("docker run --rm --read-only -p 8080:8080 {name}")),
                }
            }
        })
    }
}

/// Where Docker's variable says that an engine listens.
pub(crate) fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty())
}
