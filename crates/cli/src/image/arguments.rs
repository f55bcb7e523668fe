//! What can be said to `mlrs image build`.

use std::path::PathBuf;

use clap::Args;
use mlrs_image::Platform;
use mlrs_image::registry::RegistrySettings;

use crate::cache::CacheArguments;
use crate::engine::EngineArguments;
use crate::output::OutputFormat;

/// Arguments of `mlrs image build`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs image build -m models:/iris/Production -t iris:3
  mlrs image build -m ./model -t localhost:5000/team/iris:3 --output registry
  mlrs image build -m ./model -t iris:3 --output oci:./iris-image
  mlrs image build -m ./model -t iris:3 --output tar:iris.tar && docker load -i iris.tar
  docker run --rm --read-only -p 8080:8080 iris:3")]
pub(crate) struct BuildArguments {
    /// The name of the image, NAME:TAG
    #[arg(short, long, value_name = "NAME:TAG")]
    pub(crate) tag: String,
    /// Where the image goes
    #[arg(
        short,
        long,
        value_name = "TARGET",
        help = "Where the image goes: `docker` (the engine of this machine, or DOCKER_HOST), `oci:DIR`, \
                `tar:FILE` or `registry` [default: docker]"
    )]
    pub(crate) output: Option<String>,
    /// Speak plain HTTP to a registry.
    #[arg(
        long,
        value_name = "HOST",
        value_parser = host,
        help = "Speak plain HTTP to this registry, such as registry.example:5000; may be repeated. \
                Registries on this machine need no such word"
    )]
    pub(crate) plain_http: Vec<String>,
    /// Write a bill of materials.
    #[arg(
        long,
        value_name = "FILE",
        help = "Write what is inside as a CycloneDX bill of materials, JSON"
    )]
    pub(crate) sbom: Option<PathBuf>,
    /// How to print what was built
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    pub(crate) format: OutputFormat,
    #[command(flatten)]
    pub(crate) parts: PartArguments,
}

impl BuildArguments {
    /// How to talk to registries.
    pub(crate) fn registry(&self) -> RegistrySettings {
        RegistrySettings {
            plain_http: self.plain_http.iter().cloned().collect(),
            ..super::registries()
        }
    }
}

/// What an image is made from.
#[derive(Clone, Debug, Args)]
pub(crate) struct PartArguments {
    /// The model (see `mlrs pull --help`); without one, the image serves what is mounted at
    /// /opt/ml/model
    #[arg(short, long, alias = "model-uri", value_name = "URI")]
    pub(crate) model: Option<String>,
    /// A base image in a registry, instead of libraries of this machine
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) base_image: Option<String>,
    /// The `mlrs` that goes into the image [default: this one]
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// What the image runs on, such as linux/arm64 [default: as the binary]
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
    /// The root folder of the system whose libraries, certificates and time zones are taken
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) sysroot: PathBuf,
    /// A label of the image; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}

/// A registry as names of images begin with it.
fn host(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('/') {
        return Err("a registry is HOST or HOST:PORT".to_owned());
    }
    Ok(text.to_owned())
}

fn platform(text: &str) -> Result<Platform, String> {
    text.parse()
        .map_err(|error: mlrs_image::UnknownPlatform| format!("{error}; {}", error.hint()))
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE".to_owned()),
    }
}
