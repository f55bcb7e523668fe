//! Deleting for good: artifacts first, then rows.
//!
//! As long as there is a row, somebody can find the files that belong to it; so the row goes only
//! when its files are gone, and one whose files cannot be deleted stays and is told. A root that
//! does not name its owner is shared with others, and nothing is deleted in it.

use std::collections::HashSet;
use std::path::Path;

use mlrs_artifacts::ArtifactPath;
use mlrs_store::StoreError;
use mlrs_store::garbage::{Garbage, GarbageItem, GarbageStore};
use mlrs_store::rules::locations::is_proxied;
use mlrs_store::rules::relative::is_relative;

use crate::artifacts::{AccessError, Artifacts};

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
    /// An experiment.
    Experiment,
}

impl Kind {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::Experiment => "experiment",
        }
    }
}

/// Why something stays.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The root of its artifacts does not name it, so it may hold those of others.
    #[error("its artifacts are in `{root}`, which may hold those of others too")]
    Shared {
        /// The root.
        root: String,
    },
    /// Proxied artifacts, and no place where they are.
    #[error("its artifacts are in `{root}`, and the artifacts destination is not there")]
    NoDestination {
        /// The root.
        root: String,
    },
    /// A relative root, and nothing there as seen from this working directory.
    #[error(
        "its artifacts are in `{root}`, which is relative and not below this working directory; \
         `mlrs db resolve-locations` makes it absolute"
    )]
    Relative {
        /// The root.
        root: String,
    },
    /// The artifacts cannot be reached or deleted.
    #[error("its artifacts in `{root}` cannot be deleted")]
    Artifacts {
        /// The root.
        root: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something in an experiment stays, and the experiment with it.
    #[error("{what} `{id}` in it stays")]
    Part {
        /// What stays.
        what: &'static str,
        /// Its id.
        id: String,
    },
}

/// Hears what became of something, by its kind and id.
pub type Told<'a> = &'a mut (dyn FnMut(Kind, &str, Result<(), EraseError>) + Send);

/// What becomes of the files of artifacts.
#[derive(Debug, Clone, Copy)]
pub enum Files<'a> {
    /// They are deleted, before the rows that name them.
    Deleted(&'a Artifacts),
    /// They stay, and nothing names them any more.
    Kept,
}

/// Deletes what `garbage` names, and tells of each what became of it. What cannot be deleted stays;
/// the rest is deleted.
///
/// # Errors
/// Only when the store cannot be used any more.
pub async fn collect(
    store: &dyn GarbageStore,
    files: Files<'_>,
    garbage: Garbage,
    told: Told<'_>,
) -> Result<(), StoreError> {
    let mut collector = Collector {
        store,
        files,
        stayed: HashSet::new(),
        told,
    };
    for run in &garbage.runs {
        collector.item(Kind::Run, run).await?;
    }
    for model in &garbage.logged_models {
        collector.item(Kind::LoggedModel, model).await?;
    }
    let gone: HashSet<&str> = garbage
        .runs
        .iter()
        .chain(&garbage.logged_models)
        .map(|item| item.id.as_str())
        .collect();
    for experiment in &garbage.experiments {
        let parts = experiment.runs.iter().map(|run| (Kind::Run, run));
        let models = experiment.logged_models.iter();
        let parts = parts.chain(models.map(|model| (Kind::LoggedModel, model)));
        let outcome = collector.experiment(experiment.id, parts, &gone).await;
        collector.settle(Kind::Experiment, &experiment.id.to_string(), outcome)?;
    }
    Ok(())
}

struct Collector<'a> {
    store: &'a dyn GarbageStore,
    files: Files<'a>,
    /// Ids of runs and models that could not be deleted.
    stayed: HashSet<String>,
    told: Told<'a>,
}

impl Collector<'_> {
    fn settle(
        &mut self,
        kind: Kind,
        id: &str,
        outcome: Result<(), EraseError>,
    ) -> Result<(), StoreError> {
        match outcome {
            Err(EraseError::Store(error @ StoreError::Unavailable(_))) => Err(error),
            outcome => {
                if outcome.is_err() {
                    self.stayed.insert(id.to_owned());
                }
                (self.told)(kind, id, outcome);
                Ok(())
            }
        }
    }

    async fn item(&mut self, kind: Kind, item: &GarbageItem) -> Result<(), StoreError> {
        let outcome = self.erase(kind, item).await;
        self.settle(kind, &item.id, outcome)
    }

    async fn erase(&self, kind: Kind, item: &GarbageItem) -> Result<(), EraseError> {
        self.erase_artifacts(item).await?;
        let id = item.id.clone();
        match kind {
            Kind::LoggedModel => self.store.erase_logged_model(id).await?,
            Kind::Run | Kind::Experiment => self.store.erase_run(id).await?,
        }
        Ok(())
    }

    /// Its rows take those of its runs and models with them, so their files go first.
    async fn experiment<'b>(
        &self,
        id: i64,
        parts: impl Iterator<Item = (Kind, &'b GarbageItem)>,
        gone: &HashSet<&str>,
    ) -> Result<(), EraseError> {
        for (kind, item) in parts {
            if self.stayed.contains(&item.id) {
                return Err(EraseError::Part {
                    what: kind.name(),
                    id: item.id.clone(),
                });
            }
            if !gone.contains(item.id.as_str()) {
                self.erase_artifacts(item).await?;
            }
        }
        Ok(self.store.erase_experiment(id).await?)
    }

    async fn erase_artifacts(&self, item: &GarbageItem) -> Result<(), EraseError> {
        let (Some(uri), Files::Deleted(artifacts)) = (&item.artifact_root, self.files) else {
            return Ok(());
        };
        let root = mlrs_artifacts::without_secrets(uri);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| EraseError::Artifacts {
            root: root.clone(),
            source,
        };
        let place = match artifacts.root_anywhere(uri) {
            Ok(place) => place,
            Err(AccessError::NotServed) => return Err(EraseError::NoDestination { root }),
            Err(error) => return Err(failed(Box::new(error))),
        };
        if !names(uri, &item.id) {
            return Err(EraseError::Shared { root });
        }
        if is_relative(uri) && !place.store().local_folder().is_some_and(Path::is_dir) {
            return Err(EraseError::Relative { root });
        }
        if is_proxied(uri)
            && place
                .store()
                .local_folder()
                .is_some_and(|folder| !folder.is_dir())
        {
            return Err(EraseError::NoDestination { root });
        }
        let path = place.place(&ArtifactPath::root());
        let path = path.map_err(|error| failed(Box::new(error)))?;
        let deleted = place.store().delete(&path).await;
        deleted.map_err(|error| failed(Box::new(error)))
    }
}

/// Whether an address names its owner in its path, and does not lead out of it again.
fn names(uri: &str, id: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(uri).decode_utf8_lossy();
    let mut parts = decoded.split(['/', '\\']);
    !id.is_empty() && parts.clone().any(|part| part == id) && parts.all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_deleted_only_when_it_names_its_owner() {
        for (uri, named) in [
            ("mlflow-artifacts:/0/r1/artifacts", true),
            ("file:///srv/0/r1/artifacts", true),
            ("s3://box/0/r1/artifacts", true),
            ("file:///srv/r1/../..", false),
            ("file:///srv/r1/%2e%2e/other", false),
            ("/srv/0/r10/artifacts", false),
            ("mlflow-artifacts:/", false),
            ("/", false),
        ] {
            assert_eq!(names(uri, "r1"), named, "{uri}");
        }
        assert!(!names("//", ""));
    }
}
