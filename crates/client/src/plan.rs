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
    /// counts. An origin that lists nothing is a file, or there is nothing.
    pub async fn make(origins: &[Origin]) -> Result<Self, PlanError> {
        let mut files = BTreeMap::new();
        let mut folders = BTreeSet::new();
        for origin in origins {
            walk(origin, &mut files, &mut folders).await?;
        }
        if files.is_empty() && folders.is_empty() {
            return Self::single(origins).await;
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

    /// The plan for one file: the folder above it says whether it is there, and its size.
    async fn single(origins: &[Origin]) -> Result<Self, PlanError> {
        for origin in origins.iter().rev() {
            let Some(parent) = origin.path.parent() else {
                continue;
            };
            let listing = origin.store.list(&parent).await?;
            let found = listing
                .into_iter()
                .find(|entry| entry.path == origin.path && !entry.is_directory);
            if let Some(entry) = found {
                return Self::of_file(origin, entry.size);
            }
        }
        let Some(first) = origins.first() else {
            return Ok(Self::default());
        };
        let store = first.store.location().to_owned();
        if first.path.is_root() {
            return Err(PlanError::Empty(store));
        }
        let path = first.path.clone();
        Err(StoreError::NotFound { path, store }.into())
    }

    fn of_file(origin: &Origin, size: Option<u64>) -> Result<Self, PlanError> {
        let name = origin.path.name().to_owned();
        let target = ArtifactPath::parse(&name).map_err(|source| StoreError::HostilePath {
            store: origin.store.location().to_owned(),
            source,
        })?;
        let file = PlannedFile {
            origin: origin.clone(),
            target,
            size,
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
