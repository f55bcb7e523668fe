//! What to download: the files and folders below a path of one or several stores.
//!
//! Listings are one level each and come from servers, so depth, number of entries and every path
//! are bounded and checked before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlrs_artifacts::{ArtifactPath, ArtifactStore, StoreError};

/// Most files and folders in one model.
const MAX_ENTRIES: usize = 100_000;
/// Deepest nesting of folders.
const MAX_DEPTH: usize = 64;

/// A path in a store.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The store.
    pub store: Arc<dyn ArtifactStore>,
    /// The file or folder in it.
    pub path: ArtifactPath,
}

/// One file to download.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// Where it comes from.
    pub origin: Origin,
    /// Where it goes, below the destination.
    pub target: ArtifactPath,
    /// Its size in bytes, where the listing says it.
    pub size: Option<u64>,
}

/// Everything to download.
#[derive(Debug, Default)]
pub struct Plan {
    /// The files, by their place.
    pub files: Vec<PlannedFile>,
    /// Folders with nothing in them.
    pub empty_folders: Vec<ArtifactPath>,
    /// The name of the file, when a single file was asked for and not a folder.
    pub single_file: Option<String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A listing failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing at the root of the store.
    #[error("there are no artifacts in `{0}`")]
    Empty(String),
    /// A store lists more than any model has.
    #[error(
        "`{store}` lists more than {MAX_ENTRIES} files or nests folders more than {MAX_DEPTH} deep"
    )]
    TooMuch {
        /// The root of the store.
        store: String,
    },
}

impl Plan {
    /// Lists everything below the origins; where two have a file of the same place, the later one
    /// counts. An origin that does not list anything is taken for a file.
    pub async fn make(origins: &[Origin]) -> Result<Self, PlanError> {
        let mut files = BTreeMap::new();
        let mut folders = BTreeSet::new();
        for origin in origins {
            walk(origin, &mut files, &mut folders).await?;
        }
        let [first, ..] = origins else {
            return Ok(Self::default());
        };
        if files.is_empty() && folders.is_empty() {
            return Self::single(first);
        }
        let empty_folders = folders
            .into_iter()
            .filter(|folder| !files.keys().any(|file| file.relative_to(folder).is_some()))
            .collect();
        Ok(Self {
            files: files.into_values().collect(),
            empty_folders,
            single_file: None,
        })
    }

    fn single(origin: &Origin) -> Result<Self, PlanError> {
        if origin.path.is_root() {
            return Err(PlanError::Empty(origin.store.location().to_owned()));
        }
        let name = origin.path.name().to_owned();
        let target = ArtifactPath::parse(&name).map_err(|source| StoreError::HostilePath {
            store: origin.store.location().to_owned(),
            source,
        })?;
        let file = PlannedFile {
            origin: origin.clone(),
            target,
            size: None,
        };
        Ok(Self {
            files: vec![file],
            empty_folders: Vec::new(),
            single_file: Some(name),
        })
    }

    /// The sum of all sizes, when each is known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.files
            .iter()
            .try_fold(0_u64, |sum, file| sum.checked_add(file.size?))
    }
}

async fn walk(
    origin: &Origin,
    files: &mut BTreeMap<ArtifactPath, PlannedFile>,
    folders: &mut BTreeSet<ArtifactPath>,
) -> Result<(), PlanError> {
    let too_much = || PlanError::TooMuch {
        store: origin.store.location().to_owned(),
    };
    let mut pending = vec![(origin.path.clone(), 0)];
    while let Some((folder, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(too_much());
        }
        for entry in origin.store.list(&folder).await? {
            // Some stores list the folder itself; anything that is not below it is not asked for.
            let Some(target) = entry
                .path
                .relative_to(&origin.path)
                .filter(|path| !path.is_root())
            else {
                continue;
            };
            if entry.path == folder {
                continue;
            }
            if entry.is_directory {
                if folders.insert(target) {
                    pending.push((entry.path, depth + 1));
                }
            } else {
                let origin = Origin {
                    store: Arc::clone(&origin.store),
                    path: entry.path,
                };
                files.insert(
                    target.clone(),
                    PlannedFile {
                        origin,
                        target,
                        size: entry.size,
                    },
                );
            }
            if files.len() + folders.len() > MAX_ENTRIES {
                return Err(too_much());
            }
        }
    }
    Ok(())
}
