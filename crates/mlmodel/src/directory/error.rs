//! Why a model directory or a file in it was refused: [`OpenError`] and [`FileError`], with hints
//! as data beside the error. Whoever shows the error renders the hint.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;
use crate::manifest::{FILE_NAME, ManifestError};
use crate::signature::SignatureError;
use crate::yaml::YamlError;

/// How many entries of a directory are looked at to find a model that is nested in it.
const MOST_LOOKED_AT: usize = 1000;
/// How many nested models are named.
const MOST_NAMED: usize = 5;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at the path.
    #[error("no model directory at `{}`", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// The path leads to a file.
    #[error("`{}` is a file, not a model directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory has no `MLmodel` file.
    #[error("no `MLmodel` file in `{}`", path.display())]
    NoManifest {
        /// The directory.
        path: PathBuf,
        /// Models nested in it, relative to it; at most five.
        nested: Vec<PathBuf>,
        /// Whether it looks like the directory of a run.
        is_run: bool,
    },
    /// `MLmodel` is a directory or something special.
    #[error("`{}` is not a file", file.display())]
    NotAFile {
        /// The `MLmodel` file.
        file: PathBuf,
    },
    /// The `MLmodel` file is empty.
    #[error("`{}` is empty", file.display())]
    Empty {
        /// The `MLmodel` file.
        file: PathBuf,
    },
    /// The `MLmodel` file is too large to be one.
    #[error("`{}` has more than {limit} bytes", file.display())]
    TooLarge {
        /// The `MLmodel` file.
        file: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The `MLmodel` file is not UTF-8.
    #[error("`{}` is not UTF-8 text", file.display())]
    NotText {
        /// The `MLmodel` file.
        file: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot read `{}`", file.display())]
    Unreadable {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The `MLmodel` file is not one.
    #[error("cannot understand `{}`", file.display())]
    Manifest {
        /// The `MLmodel` file.
        file: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// The signature is broken.
    #[error("cannot understand the signature in `{}`", file.display())]
    Signature {
        /// The `MLmodel` file.
        file: PathBuf,
        /// Why.
        source: SignatureError,
    },
    /// The archive cannot be unpacked.
    #[error("cannot unpack `{}`", archive.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: ArchiveError,
    },
}

impl OpenError {
    pub(super) fn no_manifest(path: &Path) -> Self {
        let is_run = path.join("meta.yaml").is_file()
            && ["artifacts", "metrics", "params", "tags"]
                .iter()
                .any(|name| path.join(name).is_dir());
        let start = if is_run {
            path.join("artifacts")
        } else {
            path.to_owned()
        };
        let mut nested: Vec<PathBuf> = fs::read_dir(&start)
            .into_iter()
            .flatten()
            .take(MOST_LOOKED_AT)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|inner| inner.join(FILE_NAME).is_file())
            .filter_map(|inner| Some(inner.strip_prefix(path).ok()?.to_owned()))
            .collect();
        nested.sort();
        nested.truncate(MOST_NAMED);
        Self::NoManifest {
            path: path.to_owned(),
            nested,
            is_run,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Absent { .. } => "check the path; a model in a registry is named by a URI such as `models:/name/1`".to_owned(),
            Self::NotADirectory { path } if path.file_name().is_some_and(|name| name == FILE_NAME) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                format!("name the directory that holds it: `{}`", parent.unwrap_or(Path::new(".")).display())
            }
            Self::NotADirectory { .. } => {
                "name the directory that holds the `MLmodel` file, or a `.zip` of it; a bare model file lacks it".to_owned()
            }
            Self::NoManifest { path, nested, is_run } => no_manifest_hint(path, nested, *is_run),
            Self::Empty { .. } => "the download or the copy was cut short: fetch the model again".to_owned(),
            Self::NotAFile { .. } | Self::TooLarge { .. } | Self::NotText { .. } => {
                "this is no `MLmodel` file that MLflow wrote: log or save the model again".to_owned()
            }
            Self::Manifest { source: ManifestError::Yaml(YamlError::Syntax(_)), .. } => {
                "an `MLmodel` file is YAML: if it was edited by hand, check the line that is named".to_owned()
            }
            Self::Manifest { source: ManifestError::NoFlavors, .. } => {
                "something else was stored in place of the `MLmodel` file: fetch the model again".to_owned()
            }
            Self::Manifest { .. } => "if the `MLmodel` file was edited by hand, undo that; else log the model again".to_owned(),
            Self::Signature { .. } => {
                "log the model again, or set the signature with `mlflow.models.set_signature`".to_owned()
            }
            Self::Archive { source, .. } => return source.hint().map(str::to_owned),
            Self::Unreadable { .. } => return None,
        })
    }
}

fn no_manifest_hint(path: &Path, nested: &[PathBuf], is_run: bool) -> String {
    let names: Vec<String> = nested
        .iter()
        .map(|inner| format!("`{}`", path.join(inner).display()))
        .collect();
    match (is_run, names.is_empty()) {
        (true, true) => {
            "this is the directory of a run, and no model is among its artifacts; since MLflow 3 \
            models are stored beside the runs, in `models/m-…/artifacts`"
                .to_owned()
        }
        (true, false) => format!(
            "this is the directory of a run; its models are {}",
            names.join(", ")
        ),
        (false, false) => format!("the model is one level down: {}", names.join(", ")),
        (false, true) => {
            "a model directory is what `mlflow.<flavor>.save_model` or a download gives".to_owned()
        }
    }
}

/// Why a file of a model directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path is empty, absolute, or has a `..`.
    #[error("`{path}` is not a path inside the model directory")]
    NotRelative {
        /// The path, as the `MLmodel` file has it.
        path: String,
    },
    /// A symbolic link leads out.
    #[error("`{}` leads out of the model directory", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// There is nothing.
    #[error("`{}` is missing from the model directory", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// It is a directory or something special.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than anything of its kind.
    #[error("`{}` has more than {limit} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// It is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It should be YAML.
    #[error("cannot understand `{}`", path.display())]
    Yaml {
        /// The path.
        path: PathBuf,
        /// Why.
        source: YamlError,
    },
}
