//! An image in a Docker engine: `docker load` without the program.

use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio_util::io::ReaderStream;

use super::archive::append_image;
use crate::Report;
use crate::build::Image;
use crate::files::disk_hint;
use crate::reference::ImageName;

/// Why a Docker engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// None answers.
    #[error("no Docker engine answers")]
    NoEngine(#[source] Box<bollard::errors::Error>),
    /// It refused.
    #[error("the Docker engine did not {action}")]
    Refused {
        /// What was to be done.
        action: String,
        /// What it said.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// It took something else than was sent.
    #[error("the Docker engine has another image as `{name}` than was sent")]
    Other {
        /// The image's name.
        name: String,
    },
    /// What is sent cannot be written here first.
    #[error("cannot write what is sent to the Docker engine into `{folder}`")]
    Staging {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl DockerError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoEngine(_) => Some(
                "start Docker, or set DOCKER_HOST to where it listens (`docker context inspect` tells); without one, build with \
                 --output oci:DIR, --output tar:FILE or --output registry",
            ),
            Self::Refused { .. } => {
                Some("look into the log of the Docker engine; is its disk full?")
            }
            Self::Other { .. } => None,
            Self::Staging { source, .. } => disk_hint(source),
        }
    }
}

/// How long an engine may take to take an image in; it says nothing before.
const LOADING: Duration = Duration::from_hours(6);

/// Connects to the engine at an address, as `DOCKER_HOST` has it, or to the one of this machine.
///
/// # Errors
/// When none answers.
pub async fn connect(host: Option<&str>) -> Result<Docker, DockerError> {
    let docker = match host {
        Some(host) => Docker::connect_with_host(host),
        None => Docker::connect_with_local_defaults(),
    };
    let no_engine = |error| DockerError::NoEngine(Box::new(error));
    // An engine speaks versions up to its own.
    let docker = docker.map_err(no_engine)?;
    docker.negotiate_version().await.map_err(no_engine)
}

/// Loads an image into the engine. The archive is written into `scratch` first, on this thread.
///
/// # Errors
/// When no engine answers, or it refuses the image; it has none of it then.
pub async fn load(
    image: &Image,
    name: &ImageName,
    host: Option<&str>,
    scratch: &Path,
    report: &Report,
) -> Result<(), DockerError> {
    let docker = connect(host).await?.with_timeout(LOADING);
    let staging = |source| DockerError::Staging {
        folder: scratch.display().to_string(),
        source,
    };
    std::fs::create_dir_all(scratch).map_err(staging)?;
    let mut file = tempfile::tempfile_in(scratch).map_err(staging)?;
    append_image(image, name, &file, report, "docker").map_err(staging)?;
    file.seek(SeekFrom::Start(0)).map_err(staging)?;
    let content = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 20);
    let refused = |source| DockerError::Refused {
        action: format!("load `{name}`"),
        source: Box::new(source),
    };
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let mut answers = Box::pin(docker.import_image_stream(options, content, None));
    while let Some(answer) = answers.next().await {
        answer.map_err(refused)?;
    }
    let loaded = docker
        .inspect_image(&name.to_string())
        .await
        .map_err(refused)?;
    // An engine that keeps images as a registry does calls them by their manifests.
    let id = loaded.id.unwrap_or_default();
    if [image.id(), image.digest()].contains(&id.as_str()) {
        Ok(())
    } else {
        Err(DockerError::Other {
            name: name.to_string(),
        })
    }
}
