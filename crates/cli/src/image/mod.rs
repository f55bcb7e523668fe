//! `mlrs image`: a container image from a model.

mod arguments;
mod describe;
mod print;
mod target;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mlrs_backend::ModelSource;
use mlrs_image::elf::ElfFile;
use mlrs_image::layer::LayerCache;
use mlrs_image::registry::RegistrySettings;
use mlrs_image::sbom::{self, BillFacts};
use mlrs_image::{Base, BuildSettings, Engine, Image, ImageName, LOCALE_FOLDER, Platform, Report};
use mlrs_mlmodel::onnx::OnnxError;
use mlrs_mlmodel::{ModelDirectory, onnx};

pub(crate) use arguments::{BuildArguments, PartArguments};
pub(crate) use target::docker_host;
use target::{Sent, Target};

use crate::cache::CacheArguments;
use crate::connection::runtime;
use crate::engine::{self, EngineArguments};
use crate::failure::hinted;
use crate::progress;
use crate::source;

/// Arguments of `mlrs image`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image, without a Dockerfile, a daemon or a base image
    Build(Box<BuildArguments>),
}

/// Runs `mlrs image`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Build(arguments) => build(&arguments),
    }
}

/// Runs `mlrs image build`.
pub(crate) fn build(arguments: &BuildArguments) -> anyhow::Result<()> {
    let name: ImageName = arguments.tag.parse()?;
    let registry = arguments.registry();
    let output = arguments.output.as_deref();
    let target = runtime()?.block_on(Target::choose(output, &name, &registry))?;
    let work = Work::new(&arguments.parts, &registry)?;
    let (image, settings, chosen) = work.image()?;
    if let Some(file) = &arguments.sbom {
        write_bill(&image, &settings, &chosen, file)?;
    }
    let sent = work.send(&target, &image, &name)?;
    print::built(&image, &name, &sent, arguments.format)
}

/// Builds an image into the Docker engine, and prints nothing of it.
pub(crate) fn into_docker(parts: &PartArguments, name: &ImageName) -> anyhow::Result<()> {
    let registry = registries();
    let target = runtime()?.block_on(Target::choose(None, name, &registry))?;
    let work = Work::new(parts, &registry)?;
    let (image, ..) = work.image()?;
    for warning in &image.warnings {
        tracing::warn!(warning, "the image lacks something");
    }
    work.send(&target, &image, name).map(drop)
}

/// Writes the folder to build the same image from with Docker.
pub(crate) fn generate_dockerfile(parts: &PartArguments, folder: &Path) -> anyhow::Result<()> {
    let option = match parts {
        parts if parts.base_image.is_some() => Some("--base-image"),
        parts if parts.sysroot != Path::new("/") => Some("--sysroot"),
        _ => None,
    };
    if let Some(option) = option {
        return Err(hinted(
            format!("a Dockerfile is not made with {option}"),
            "it takes its libraries from the image that its FROM names: change that line, or build the \
             image with `mlrs image build`",
        ));
    }
    let registry = registries();
    let work = Work::new(parts, &registry)?;
    let (_chosen, settings) = work.settings()?;
    Ok(mlrs_image::output::write_context(&settings, folder)?)
}

/// The crates in this program, `name version` a line; `build.rs` writes them.
const CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.txt"));

/// Writes the bill of materials.
fn write_bill(
    image: &Image,
    settings: &BuildSettings,
    chosen: &Chosen,
    file: &Path,
) -> anyhow::Result<()> {
    let identity = chosen.source.as_ref().map(|source| &source.identity);
    let mut facts = BillFacts {
        model_name: identity.and_then(|identity| identity.name.clone()),
        model_version: identity.and_then(|identity| identity.version.clone()),
        base: settings.base.as_ref().map(Base::identity),
        ..BillFacts::default()
    };
    // What is in another program is not known without running it.
    if std::env::current_exe().ok().as_ref() == Some(&settings.binary) {
        facts.version = Some(env!("CARGO_PKG_VERSION"));
        let crates = CRATES.lines().filter_map(|line| line.split_once(' '));
        facts.crates = crates.collect();
    }
    let bill = sbom::cyclonedx(image, &settings.root, &facts)
        .context("a file of the image cannot be read any more")?;
    let text = serde_json::to_string_pretty(&bill)? + "\n";
    Ok(mlrs_image::output::write_text(file, &text)?)
}

/// One build: what it is made from, and where it works.
struct Work<'a> {
    parts: &'a PartArguments,
    registry: &'a RegistrySettings,
    folder: PathBuf,
    report: Report,
}

/// The model of an image, which must stay while it is packed, and what serves it.
struct Chosen {
    source: Option<source::Source>,
    flavor: Option<String>,
    backend: Option<&'static str>,
    engine: Option<Engine>,
    /// The locales that ONNX Runtime needs for it.
    locales: BTreeSet<String>,
    /// Why the image has less than it might.
    warning: Option<String>,
}

impl<'a> Work<'a> {
    fn new(parts: &'a PartArguments, registry: &'a RegistrySettings) -> anyhow::Result<Self> {
        Ok(Self {
            parts,
            registry,
            folder: parts.cache.folder()?.join("images"),
            report: progress::image_parts(),
        })
    }

    /// Makes the image. The model must stay until its files are no longer asked for.
    fn image(&self) -> anyhow::Result<(Image, BuildSettings, Chosen)> {
        let (chosen, settings) = self.settings()?;
        let cache = LayerCache::new(self.folder.clone());
        let mut image = mlrs_image::build(&settings, &cache, &self.report)?;
        image.warnings.extend(chosen.warning.clone());
        cache.prune();
        Ok((image, settings, chosen))
    }

    fn send(&self, target: &Target, image: &Image, name: &ImageName) -> anyhow::Result<Sent> {
        let sending = target.send(image, name, self.registry, &self.folder, &self.report);
        runtime()?.block_on(sending)
    }

    /// What the image is to be made of.
    fn settings(&self) -> anyhow::Result<(Chosen, BuildSettings)> {
        let parts = self.parts;
        let binary = match &parts.binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe().context("this program does not know where it is")?,
        };
        let platform = match parts.platform {
            Some(platform) => platform,
            None => ElfFile::read(&binary)?.platform,
        };
        let mut chosen = self.choose(platform)?;
        let settings = BuildSettings {
            description: describe::description(&chosen, &parts.label)?,
            model: chosen
                .source
                .as_ref()
                .map(|source| source.directory.path.clone()),
            engine: chosen.engine.take(),
            locales: std::mem::take(&mut chosen.locales),
            locale_folders: locale_folders(&parts.sysroot),
            binary,
            platform: Some(platform),
            root: parts.sysroot.clone(),
            base: self.base(platform)?,
        };
        Ok((chosen, settings))
    }

    fn base(&self, platform: Platform) -> anyhow::Result<Option<Base>> {
        let Some(name) = &self.parts.base_image else {
            return Ok(None);
        };
        let name: ImageName = name.parse()?;
        let base =
            mlrs_image::pull_base(&name, platform, self.registry, &self.folder, &self.report);
        Ok(Some(runtime()?.block_on(base)?))
    }

    /// Opens the model and loads it once: an image that cannot serve its model is not built.
    fn choose(&self, platform: Platform) -> anyhow::Result<Chosen> {
        let parts = self.parts;
        let library = Library::find(&parts.engine, &parts.cache, platform)?;
        let Some(uri) = &parts.model else {
            return Ok(generic(library.for_image));
        };
        let source = source::open(uri, &parts.cache)?;
        let candidates = library.here.candidates(parts.cache.folder().ok());
        let options = library.here.options(1, 1);
        let loaded = engine::load(&library.here, &candidates, &source.directory, &options)?;
        let (engine, locales) = match loaded.backend {
            "onnxruntime" => (Some(library.for_image?), locales(&source.directory)?),
            _ => (None, BTreeSet::new()),
        };
        Ok(Chosen {
            source: Some(source),
            flavor: Some(loaded.flavor),
            backend: Some(loaded.backend),
            engine,
            locales,
            warning: None,
        })
    }
}

/// What an image takes that has no model yet: ONNX Runtime, where there is one.
fn generic(engine: anyhow::Result<Engine>) -> Chosen {
    let warning = engine.as_ref().err().map(|error| {
        format!("without ONNX Runtime the image serves only models that tract serves: {error}")
    });
    Chosen {
        source: None,
        flavor: None,
        backend: None,
        engine: engine.ok(),
        locales: BTreeSet::new(),
        warning,
    }
}

/// The locales that the operators of an ONNX model need.
fn locales(directory: &ModelDirectory) -> anyhow::Result<BTreeSet<String>> {
    let Some(configuration) = directory.manifest.flavors.get("onnx") else {
        return Ok(BTreeSet::new());
    };
    let source = ModelSource {
        directory: directory.path.clone(),
        flavor: "onnx".to_owned(),
        configuration: configuration.clone(),
    };
    match onnx::locales_of(&source.file("data", "model.onnx")?) {
        // The engine has loaded it, so that it is of the engine's own format.
        Err(OnnxError::NotOnnx { .. }) => Ok(BTreeSet::new()),
        found => Ok(found?),
    }
}

/// Where the GNU C library looks for locales: for programs of this machine first where `LOCPATH` says.
fn locale_folders(root: &Path) -> Vec<PathBuf> {
    let said = std::env::var_os("LOCPATH").filter(|_| root == Path::new("/"));
    let said = said.iter().flat_map(std::env::split_paths);
    let usual = root.join(LOCALE_FOLDER.trim_start_matches('/'));
    said.filter(|folder| folder.is_absolute())
        .chain([usual])
        .collect()
}

/// ONNX Runtime: the library that goes into the image, and the arguments that find one for this
/// machine. They are two when the image is for another platform.
struct Library {
    for_image: anyhow::Result<Engine>,
    here: EngineArguments,
}

impl Library {
    fn find(
        arguments: &EngineArguments,
        cache: &CacheArguments,
        platform: Platform,
    ) -> anyhow::Result<Self> {
        let here = std::env::consts::ARCH.parse::<Platform>().ok();
        let mut here_arguments = arguments.clone();
        let named = match &arguments.onnxruntime {
            Some(_) => Some(arguments.locator(cache.folder().ok()).locate()?.path),
            None => None,
        };
        let for_image = match named {
            Some(library) if Some(ElfFile::read(&library)?.platform) != here => {
                here_arguments.onnxruntime = None;
                Ok(Engine {
                    library,
                    version: None,
                })
            }
            _ if here == Some(platform) => located(arguments, cache),
            _ => Err(hinted(
                format!("this machine has no ONNX Runtime for {platform}"),
                "name one with --onnxruntime, or serve the model with tract: --backend tract",
            )),
        };
        Ok(Self {
            for_image,
            here: here_arguments,
        })
    }
}

fn located(arguments: &EngineArguments, cache: &CacheArguments) -> anyhow::Result<Engine> {
    let (located, version) = arguments.library(cache.folder().ok())?;
    Ok(Engine {
        library: located,
        version: Some(version),
    })
}

/// How to talk to registries, unless more is said.
fn registries() -> RegistrySettings {
    RegistrySettings {
        docker_config: docker_config(),
        ..RegistrySettings::default()
    }
}

/// Docker's configuration of this user.
fn docker_config() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => dirs::home_dir()?.join(".docker"),
    };
    Some(Path::new(&folder).join("config.json"))
}
