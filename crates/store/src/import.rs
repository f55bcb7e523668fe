//! What an import brings into a store: records whose ids and times are given, not made.
//!
//! Elsewhere ids and times come from the rules; here they come from another store, which has made
//! them already. The records are what a reader has checked. Each method of [`ImportStore`] is one
//! transaction: what it brings is there whole or not at all, and what is there already stays as it
//! is. So an import that was ended anywhere is begun again, and comes to the same end.

use std::sync::Arc;

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::datasets::{Dataset, ModelOutput};
use mlrs_api::enums::{LifecycleStage, LoggedModelStatus, RunStatus};
use mlrs_api::metrics::Param;

use crate::error::StoreError;

/// An experiment as another store has it. Times are milliseconds since the epoch, here and below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentRecord {
    /// The id that it gets, if that is free and the store can hold it.
    pub id: i64,
    /// Unique name; an experiment is the same when its name is the same.
    pub name: String,
    /// Root of its artifacts.
    pub artifact_location: Option<String>,
    /// Whether it is deleted.
    pub stage: LifecycleStage,
    /// When it was made.
    pub creation_time: Option<i64>,
    /// When it was changed last.
    pub last_update_time: Option<i64>,
    /// Its tags, each key once.
    pub tags: Vec<Tag>,
}

/// A run as another store has it, without its metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Unique id.
    pub id: String,
    /// Name for people.
    pub name: Option<String>,
    /// Who started it.
    pub user_id: Option<String>,
    /// `LOCAL`, `JOB`, `NOTEBOOK`, `PROJECT` or `UNKNOWN`.
    pub source_type: String,
    /// What was run; may be empty.
    pub source_name: String,
    /// What of it was run; may be empty.
    pub entry_point_name: String,
    /// Which version of it was run; may be empty.
    pub source_version: String,
    /// How it ended.
    pub status: RunStatus,
    /// When it began.
    pub start_time: Option<i64>,
    /// When it ended.
    pub end_time: Option<i64>,
    /// When it was deleted.
    pub deleted_time: Option<i64>,
    /// Whether it is deleted.
    pub stage: LifecycleStage,
    /// Root of its artifacts.
    pub artifact_uri: Option<String>,
    /// Params, each key once.
    pub params: Vec<Param>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
    /// Datasets that it read, which are in the store.
    pub datasets: Vec<DatasetUse>,
    /// Ids of logged models that it read.
    pub model_inputs: Vec<String>,
    /// Logged models that it made.
    pub model_outputs: Vec<ModelOutput>,
}

/// A dataset of the run's experiment that a run read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetUse {
    /// Name of the dataset.
    pub name: String,
    /// Digest of the dataset.
    pub digest: String,
    /// Tags of this use, such as its context.
    pub tags: Vec<Tag>,
}

/// A logged model as another store has it, without its metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedModelRecord {
    /// Unique id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Root of its artifacts.
    pub artifact_location: String,
    /// When it was made.
    pub creation_time: i64,
    /// When it was changed last.
    pub last_updated_time: i64,
    /// How far it has come.
    pub status: LoggedModelStatus,
    /// Whether it is deleted.
    pub stage: LifecycleStage,
    /// Free text such as the flavor.
    pub model_type: Option<String>,
    /// The run that logged it.
    pub source_run_id: Option<String>,
    /// More about the status.
    pub status_message: Option<String>,
    /// Params, each key once.
    pub params: Vec<Param>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
}

/// A registered model with all of its versions, as another store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModelRecord {
    /// Unique name.
    pub name: String,
    /// When it was made.
    pub creation_time: Option<i64>,
    /// When it was changed last.
    pub last_updated_time: Option<i64>,
    /// Free text.
    pub description: Option<String>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
    /// Aliases and the versions that they point to.
    pub aliases: Vec<(String, i64)>,
    /// Its versions.
    pub versions: Vec<ModelVersionRecord>,
}

/// A version of a registered model, as another store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersionRecord {
    /// Its number.
    pub version: i64,
    /// When it was made.
    pub creation_time: Option<i64>,
    /// When it was changed last.
    pub last_updated_time: Option<i64>,
    /// Free text.
    pub description: Option<String>,
    /// Who made it.
    pub user_id: Option<String>,
    /// `None`, `Staging`, `Production` or `Archived`.
    pub stage: String,
    /// What it was made of.
    pub source: Option<String>,
    /// Where its files are.
    pub storage_location: Option<String>,
    /// The run that logged it.
    pub run_id: Option<String>,
    /// Address of that run.
    pub run_link: Option<String>,
    /// Whether it is ready.
    pub status: String,
    /// More about the status.
    pub status_message: Option<String>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
}

/// A point of a metric of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Any number, NaN and the infinities among them.
    pub value: f64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The step.
    pub step: i64,
}

/// A point of a metric of a logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelPoint {
    /// The point.
    pub point: Point,
    /// The run that logged it.
    pub run_id: String,
    /// Name and digest of the dataset that it was measured on.
    pub dataset: Option<(String, String)>,
}

/// What is done with some points of the metric of this name.
pub type TakePoints<'a, P> = &'a mut dyn FnMut(&str, &[P]) -> Result<(), StoreError>;

/// The points of all metrics of a run or a model: too many, maybe, to be held at once.
pub trait PointSource<P>: Send + Sync {
    /// Hands over all points, metric by metric, each in portions and in their order. A store may
    /// ask again from the beginning, when it has to begin its transaction anew.
    ///
    /// # Errors
    /// What `take` says, or [`StoreError::Invalid`] for points that cannot be read.
    fn each(&self, take: TakePoints<'_, P>) -> Result<(), StoreError>;
}

/// Whether something was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now.
    Imported,
    /// It was there already, and is as it was.
    WasThere,
}

/// What became of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedModelOutcome {
    /// The model itself.
    pub model: Outcome,
    /// Points that were left out, because their runs are not there.
    pub points_without_run: u64,
}

/// What became of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModelOutcome {
    /// The model itself.
    pub model: Outcome,
    /// Each version.
    pub versions: Vec<Outcome>,
}

/// A store that takes what another one has.
#[async_trait]
pub trait ImportStore: Send + Sync {
    /// Brings an experiment, and tells which id it has here. The experiment 0 that a fresh store
    /// makes by itself, while nothing is in it, becomes the imported one of the same name.
    async fn import_experiment(
        &self,
        experiment: ExperimentRecord,
    ) -> Result<(i64, Outcome), StoreError>;
    /// Brings a dataset of an experiment. It is known by name and digest.
    async fn import_dataset(
        &self,
        experiment_id: i64,
        dataset: Dataset,
    ) -> Result<Outcome, StoreError>;
    /// Brings a run with the whole history of its metrics.
    async fn import_run(
        &self,
        experiment_id: i64,
        run: RunRecord,
        metrics: Arc<dyn PointSource<Point>>,
    ) -> Result<Outcome, StoreError>;
    /// Brings a logged model. Points whose runs were not there before are added to one that is
    /// there.
    async fn import_logged_model(
        &self,
        experiment_id: i64,
        model: LoggedModelRecord,
        metrics: Arc<dyn PointSource<ModelPoint>>,
    ) -> Result<LoggedModelOutcome, StoreError>;
    /// Brings a registered model and its versions.
    async fn import_registered_model(
        &self,
        model: RegisteredModelRecord,
    ) -> Result<RegisteredModelOutcome, StoreError>;
}
