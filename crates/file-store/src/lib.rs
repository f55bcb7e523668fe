//! MLflow's file store, a folder such as `./mlruns`, read once to be brought into another store.
//!
//! [`FileStore::open`] finds the experiments and runs; [`FileStore::import`] reads them into the
//! records of `mlrs-store` and hands those to an [`ImportStore`](mlrs_store::import::ImportStore).
//! The folder is foreign: what is in it is bounded and checked, and links are not followed. Nothing
//! is written to it. Files of artifacts stay where they are, and are not looked at.
//!
//! The layout is that of MLflow's `FileStore`:
//!
//! ```text
//! 1/meta.yaml tags/                        an experiment; a deleted one is in .trash/
//! 1/<run>/meta.yaml params/ tags/ metrics/ inputs/ outputs/
//! 1/datasets/ 1/models/ 1/traces/          datasets, logged models and traces of the experiment
//! models/<name>/meta.yaml tags/ aliases/ version-1/
//! ```

mod files;
mod import;
mod meta;
mod points;
mod records;
mod report;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use files::Folder;
pub use files::ReadError;
pub use meta::MetaError;
pub use report::{Failure, Kind, Renumbered, Report, Tally};

/// Why a folder is not read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("the folder `{}` cannot be read", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its contents cannot be listed.
    #[error("the folder `{}` cannot be read", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: ReadError,
    },
    /// Nothing in it is an experiment or a registered model.
    #[error("the folder `{}` is no file store of MLflow", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
}

impl OpenError {
    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Foreign { .. } => Some(
                "give the folder `mlruns`, in which each experiment has a folder with its number, or the folder that holds it",
            ),
            Self::Io { .. } | Self::Read { .. } => None,
        }
    }
}

/// A file store that was found.
#[derive(Debug)]
pub struct FileStore {
    root: Folder,
    experiments: Vec<ExperimentFolder>,
    /// Folders of experiments and runs that hold artifacts and nothing else.
    artifacts_only: Vec<String>,
    refused: Vec<ReadError>,
}

/// The folder of an experiment.
#[derive(Debug)]
pub(crate) struct ExperimentFolder {
    /// Its name, which is the id.
    id: i64,
    folder: Folder,
    /// Folders of runs.
    runs: Vec<String>,
    /// What in it cannot be read.
    refused: Vec<ReadError>,
}

impl FileStore {
    /// Looks into a folder: `mlruns`, or the one that holds it.
    ///
    /// # Errors
    /// When it cannot be read, or is no file store.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let inner = path.join("mlruns");
        let path = if inner.is_dir() {
            inner
        } else {
            path.to_path_buf()
        };
        let root = Folder::root(&path).map_err(|source| OpenError::Io {
            path: path.clone(),
            source,
        })?;
        let here = root.entries().map_err(|source| OpenError::Read {
            path: path.clone(),
            source,
        })?;
        let trash = root.folder(".trash");
        let is_known = |name: &String| is_number(name) || name == "models" || name == ".trash";
        if !here.folders.iter().any(is_known) {
            return Err(OpenError::Foreign { path });
        }
        let mut store = Self {
            root: root.clone(),
            experiments: Vec::new(),
            artifacts_only: Vec::new(),
            refused: here.refused,
        };
        store.add(&root, here.folders);
        match trash.entries() {
            Ok(trashed) => {
                store.refused.extend(trashed.refused);
                store.add(&trash, trashed.folders);
            }
            // A link is among what was refused above.
            Err(ReadError::Link { .. }) => {}
            Err(error) => store.refused.push(error),
        }
        Ok(store)
    }

    fn add(&mut self, place: &Folder, names: Vec<String>) {
        for name in names.into_iter().filter(|name| is_number(name)) {
            let folder = place.folder(&name);
            if folder.is_experiment_of_artifacts() {
                self.artifacts_only.push(shown(&folder));
                continue;
            }
            let Ok(id) = name.parse() else {
                self.refused.push(ReadError::Field {
                    path: folder.shown(""),
                    reason: "the id is too large".to_owned(),
                });
                continue;
            };
            let (mut runs, refused) = import::runs_in(&folder);
            runs.retain(|name| {
                let run = folder.folder(name);
                let is_run = !run.has_only_artifacts();
                if !is_run {
                    self.artifacts_only.push(shown(&run));
                }
                is_run
            });
            self.experiments.push(ExperimentFolder {
                id,
                folder,
                runs,
                refused,
            });
        }
    }

    /// Where it is.
    pub fn location(&self) -> PathBuf {
        self.root.location()
    }

    /// How many runs there are.
    pub fn run_count(&self) -> u64 {
        let runs = self.experiments.iter().map(|found| found.runs.len() as u64);
        runs.sum()
    }
}

/// The path of a folder below the root, for people.
fn shown(folder: &Folder) -> String {
    folder.shown("").display().to_string()
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// An error with its causes, in one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a text does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
