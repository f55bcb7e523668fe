//! From files to an image: [`build`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use mlrs_mlmodel::archive::ArchiveError;

use crate::Report;
use crate::base::{Base, BaseError};
use crate::config::{self, Description, Texts};
use crate::elf::{Closure, ElfError, ElfFile, closure};
use crate::layer::{Layer, LayerCache, LayerError};
use crate::locale::{self, LOCALE_FOLDER, LocaleError};
use crate::output::WriteError;
use crate::parts;
use crate::plan::{Content, LayerPlan};
use crate::platform::Platform;

/// ONNX Runtime, for the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Its shared library.
    pub library: PathBuf,
    /// Its version, for the history of the image, if it is known.
    pub version: Option<String>,
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct BuildSettings {
    /// The program.
    pub binary: PathBuf,
    /// What the image runs on; that of the program unless said.
    pub platform: Option<Platform>,
    /// The root folder of the system whose libraries, certificates and time zones are taken.
    pub root: PathBuf,
    /// ONNX Runtime, if the model needs it.
    pub engine: Option<Engine>,
    /// The locales that ONNX Runtime needs for the model.
    pub locales: BTreeSet<String>,
    /// The folders that these are looked for in, in this order.
    pub locale_folders: Vec<PathBuf>,
    /// The model directory; an image without one takes a model that is mounted.
    pub model: Option<PathBuf>,
    /// What the layers are put on, instead of a system layer.
    pub base: Option<Base>,
    /// What the image is, in words.
    pub description: Description,
}

/// Why an image cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What the program needs cannot be told.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The model cannot be packed.
    #[error(transparent)]
    Model(#[from] ArchiveError),
    /// A locale that the model needs cannot be taken along.
    #[error(transparent)]
    Locale(#[from] LocaleError),
    /// A layer cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The base image does not do.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Files of the image cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The configuration cannot be written.
    #[error("the configuration of the image cannot be written")]
    Config(#[from] serde_json::Error),
    /// A thread that made a layer ended without a result.
    #[error("a layer was not made")]
    Lost,
}

impl BuildError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Elf(error) => error.hint().map(str::to_owned),
            Self::Model(error) => error.hint().map(str::to_owned),
            Self::Locale(error) => error.hint(),
            Self::Layer(error) => error.hint().map(str::to_owned),
            Self::Base(error) => error.hint(),
            Self::Write(error) => error.hint().map(str::to_owned),
            Self::Config(_) | Self::Lost => None,
        }
    }
}

/// An image on this machine: its texts, and the files of its layers.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it runs on.
    pub platform: Platform,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// What is in the layers that were made here.
    pub plans: Vec<LayerPlan>,
    /// What the image lacks, for the person who builds.
    pub warnings: Vec<String>,
    pub(crate) created: String,
    pub(crate) texts: Texts,
}

impl Image {
    /// The digest of the manifest: what a registry calls the image.
    pub fn digest(&self) -> &str {
        &self.texts.manifest_digest
    }

    /// The digest of the configuration: what Docker calls the image.
    pub fn id(&self) -> &str {
        &self.texts.config_digest
    }

    /// When it was created, as RFC 3339 writes it.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// The configuration, JSON.
    pub fn config(&self) -> &[u8] {
        &self.texts.config
    }

    /// The manifest, JSON.
    pub fn manifest(&self) -> &[u8] {
        &self.texts.manifest
    }

    /// The sizes of its layers together, in bytes: compressed, unpacked.
    pub fn bytes(&self) -> (u64, u64) {
        self.layers.iter().fold((0, 0), |(bytes, unpacked), layer| {
            (bytes + layer.bytes, unpacked + layer.unpacked_bytes)
        })
    }
}

/// Builds an image. Layers that were made before are taken from the cache.
///
/// # Errors
/// When a file cannot be read, is for another platform, or lacks a library. Nothing half-made stays.
pub fn build(
    settings: &BuildSettings,
    cache: &LayerCache,
    report: &Report,
) -> Result<Image, BuildError> {
    let platform = match settings.platform {
        Some(platform) => platform,
        None => ElfFile::read(&settings.binary)?.platform,
    };
    let (plans, warnings) = plans(settings, platform)?;
    let own = layers(&plans, cache, report)?;
    let base = settings.base.iter().flat_map(|base| base.layers.clone());
    let layers: Vec<Layer> = base.chain(own).collect();
    let texts = config::texts(
        platform,
        &settings.description,
        &layers,
        settings.base.as_ref(),
        settings.engine.is_some(),
    )?;
    Ok(Image {
        platform,
        layers,
        plans,
        warnings,
        created: settings.description.created.clone(),
        texts,
    })
}

/// The layers to make, the lowest first.
fn plans(
    settings: &BuildSettings,
    platform: Platform,
) -> Result<(Vec<LayerPlan>, Vec<String>), BuildError> {
    let binary = closure(&[&settings.binary], platform, &settings.root)?;
    let mut plans = Vec::new();
    let mut warnings = Vec::new();
    if let Some(base) = &settings.base {
        check_base(base, &binary, "mlrs")?;
    } else {
        let (plan, lacking) = parts::system(&binary, &settings.root);
        plans.push(plan);
        warnings = lacking;
    }
    plans.push(parts::binary(&settings.binary));
    if let Some(engine) = &settings.engine {
        let whole = closure(&[&engine.library], platform, &settings.root)?;
        let own = match &settings.base {
            Some(base) => {
                check_base(base, &whole, "ONNX Runtime")?;
                BTreeMap::new()
            }
            None => only_in(whole, &binary),
        };
        let mut plan = parts::engine(&engine.library, engine.version.as_deref(), &own);
        for (path, content) in locale_files(settings)? {
            plan.file(&format!("{LOCALE_FOLDER}/{path}"), content, 0o644);
        }
        plans.push(plan);
    }
    if let Some(model) = &settings.model {
        plans.push(parts::model(model)?);
    }
    Ok((plans, warnings))
}

/// The files of the locales that the engine needs, by their paths below the folder of locales.
pub(crate) fn locale_files(
    settings: &BuildSettings,
) -> Result<Vec<(String, Content)>, LocaleError> {
    let mut files = Vec::new();
    for name in &settings.locales {
        let found = locale::files(name, &settings.locale_folders)?;
        files.extend(
            found
                .into_iter()
                .map(|(file, content)| (format!("{name}/{file}"), content)),
        );
    }
    Ok(files)
}

/// The libraries that the first needs and the second has not, and never the loader's other name.
fn only_in(first: Closure, second: &Closure) -> BTreeMap<String, PathBuf> {
    let mut libraries = first.libraries;
    libraries.retain(|name, _| !second.has(name));
    libraries
}

fn check_base(base: &Base, closure: &Closure, needed_by: &'static str) -> Result<(), BaseError> {
    let loader = closure.loader.iter().map(|(path, _)| path.as_str());
    let libraries = closure.libraries.keys().map(String::as_str);
    base.has(loader.chain(libraries).map(|name| (name, needed_by)))
}

/// Makes the layers side by side.
fn layers(
    plans: &[LayerPlan],
    cache: &LayerCache,
    report: &Report,
) -> Result<Vec<Layer>, BuildError> {
    std::thread::scope(|scope| {
        let started: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(move || cache.layer(plan, report)))
            .collect();
        // All are waited for, so that none writes on after an error.
        let ended: Vec<_> = started.into_iter().map(ScopedJoinHandle::join).collect();
        ended
            .into_iter()
            .map(|ended| Ok(ended.map_err(|_| BuildError::Lost)??))
            .collect()
    })
}
