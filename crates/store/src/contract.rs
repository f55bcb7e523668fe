//! The suite that every store is held to, for the tests of its crate.
//!
//! [`check`] runs all cases on a store and tells which fail, and how. A case makes what it needs
//! under names of its own, so the store may hold anything before. What a request means is not tried
//! here but in [`crate::rules`]; this is what only a transaction can see to.

mod garbage;
mod imported;
mod lineage;
mod pages;
mod registry;
mod runs;
mod together;

use mlrs_api::Tag;
use mlrs_api::metrics::Metric;
use uuid::Uuid;

use crate::garbage::GarbageStore;
use crate::import::ImportStore;
use crate::{
    Batch, NewExperiment, NewModelVersion, NewRegisteredModel, NewRun, RegistryStore, StoreError,
    TrackingStore,
};

/// A store of everything.
pub trait Store: TrackingStore + RegistryStore + ImportStore + GarbageStore {}

impl<T: TrackingStore + RegistryStore + ImportStore + GarbageStore> Store for T {}

/// Why a case fails.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// The store refused what it must do.
    #[error("refused: {0}")]
    Refused(#[from] StoreError),
    /// The store did something else.
    #[error("{0}")]
    Other(String),
}

type Outcome = Result<(), Violation>;

/// Runs all cases, and returns a line for each that fails; empty when there is none.
pub async fn check(store: &dyn Store) -> Vec<String> {
    let outcomes = [
        (
            "a batch is kept whole or not at all",
            runs::whole_batches(store).await,
        ),
        (
            "the latest point of a metric is told by step, time and value",
            runs::latest_points(store).await,
        ),
        (
            "values that are no numbers come back",
            runs::not_numbers(store).await,
        ),
        ("a param never changes", runs::fixed_params(store).await),
        ("a deleted run takes nothing", runs::deleted(store).await),
        (
            "an experiment takes its runs with it and brings them back",
            runs::with_experiment(store).await,
        ),
        (
            "a name is taken even by a deleted experiment",
            runs::names(store).await,
        ),
        (
            "long histories are thinned with both ends",
            runs::thinned(store).await,
        ),
        (
            "the number of a version is never given again",
            registry::numbers(store).await,
        ),
        (
            "a new name takes versions, tags and aliases along",
            registry::renamed(store).await,
        ),
        (
            "archiving leaves one version in a stage",
            registry::archived(store).await,
        ),
        (
            "nothing of a deleted model stays",
            registry::deleted(store).await,
        ),
        (
            "pages do not overlap and leave nothing out",
            pages::walked(store).await,
        ),
        (
            "filters tell what is absent from what differs",
            pages::absent(store).await,
        ),
        (
            "patterns mean the same on every database",
            pages::patterns(store).await,
        ),
        (
            "what a run read and made is told in the order in which it came",
            lineage::in_order(store).await,
        ),
        (
            "one of many makes an experiment",
            together::experiment(store).await,
        ),
        ("one of many sets a param", together::param(store).await),
        (
            "many versions get numbers of their own",
            together::versions(store).await,
        ),
        (
            "one of many versions stays in production",
            together::stages(store).await,
        ),
        (
            "many points of one run are all there",
            together::all_points(store).await,
        ),
        (
            "many batches of the same keys in other orders all come through",
            together::crossing(store).await,
        ),
        ("lists in tags lose no entry", together::lists(store).await),
    ];
    let outcomes = outcomes.into_iter();
    outcomes
        .chain(imports(store).await)
        .chain(deletions(store).await)
        .filter_map(|(case, outcome)| Some(format!("{case}: {}", outcome.err()?)))
        .collect()
}

async fn imports(store: &dyn Store) -> [(&'static str, Outcome); 5] {
    [
        (
            "an imported experiment is known by its name",
            imported::experiments(store).await,
        ),
        (
            "a run is imported whole or not at all",
            imported::whole_runs(store).await,
        ),
        ("a run is imported once", imported::runs_again(store).await),
        (
            "points of a logged model come when their runs are there",
            imported::logged_models(store).await,
        ),
        (
            "an import adds versions and moves no alias",
            imported::registered_models(store).await,
        ),
    ]
}

async fn deletions(store: &dyn Store) -> [(&'static str, Outcome); 4] {
    [
        (
            "only what is deleted is deleted for good",
            garbage::only_deleted(store).await,
        ),
        (
            "nothing of an erased run is left",
            garbage::nothing_left(store).await,
        ),
        (
            "an age keeps what was deleted later",
            garbage::aged(store).await,
        ),
        (
            "an erased experiment takes what is in it, and nothing else",
            garbage::experiments(store).await,
        ),
    ]
}

/// Fails unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Violation::Other(format!(
        "{what}: found {found:?}, expected {expected:?}"
    )))
}

/// Fails unless the store refused with this code.
fn refused<T>(what: &str, outcome: Result<T, StoreError>, code: mlrs_api::ErrorCode) -> Outcome {
    match outcome {
        Ok(_) => Err(Violation::Other(format!("{what}: was done"))),
        Err(error) => same(what, &error.code(), &code),
    }
}

/// A name that nobody has.
fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4().simple())
}

async fn new_experiment(store: &dyn Store) -> Result<i64, StoreError> {
    store
        .create_experiment(NewExperiment {
            name: unique("experiment"),
            artifact_location: None,
            tags: Vec::new(),
            now: 1,
        })
        .await
}

async fn new_run(store: &dyn Store, experiment_id: i64) -> Result<String, StoreError> {
    let id = Uuid::new_v4().simple().to_string();
    store
        .create_run(NewRun {
            id: id.clone(),
            experiment_id,
            user_id: "contract".to_owned(),
            name: "contract".to_owned(),
            start_time: 1,
            tags: vec![Tag::new("mlflow.runName", "contract")],
        })
        .await?;
    Ok(id)
}

async fn new_model(store: &dyn Store) -> Result<String, StoreError> {
    let name = unique("model");
    let new = NewRegisteredModel {
        name: name.clone(),
        description: String::new(),
        tags: Vec::new(),
        now: 1,
    };
    store.create_registered_model(new).await?;
    Ok(name)
}

fn version_of(name: &str) -> NewModelVersion {
    NewModelVersion {
        name: name.to_owned(),
        source: "s".to_owned(),
        storage_location: "s".to_owned(),
        run_id: String::new(),
        run_link: String::new(),
        description: String::new(),
        tags: vec![Tag::new("t", "1")],
        now: 1,
    }
}

fn point(key: &str, value: f64, timestamp: i64, step: i64) -> Metric {
    Metric {
        key: key.to_owned(),
        value,
        timestamp,
        step,
        ..Metric::default()
    }
}

fn points(metrics: Vec<Metric>) -> Batch {
    Batch {
        metrics,
        ..Batch::default()
    }
}

fn params(entries: &[(&str, &str)]) -> Batch {
    Batch {
        params: entries
            .iter()
            .map(|(key, value)| Tag::new(*key, *value))
            .collect(),
        ..Batch::default()
    }
}
