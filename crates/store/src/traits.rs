//! What a store does. One trait for each aggregate; ids and times come from above.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::datasets::{DatasetInput, DatasetSummary, ModelInput, ModelOutput};
use mlrs_api::enums::{LifecycleStage, LoggedModelStatus, RunStatus};
use mlrs_api::experiments::Experiment;
use mlrs_api::logged_models::LoggedModel;
use mlrs_api::metrics::{Metric, MetricWithRunId, Param};
use mlrs_api::registry::{ModelVersion, RegisteredModel};
use mlrs_api::runs::{Run, RunInfo};
use serde_json::Value;

use crate::error::StoreError;
use crate::search::{
    ExperimentSearch, LoggedModelSearch, ModelVersionSearch, RegisteredModelSearch, RunSearch,
};

/// A page of what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last one.
    pub next_offset: Option<u64>,
}

/// An experiment to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExperiment {
    /// Unique name.
    pub name: String,
    /// Root of its artifacts; `<default root>/<id>` when absent.
    pub artifact_location: Option<String>,
    /// Tags to begin with.
    pub tags: Vec<Tag>,
    /// Milliseconds since the epoch.
    pub now: i64,
}

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Unique id: 32 hexadecimal digits.
    pub id: String,
    /// The experiment, which must be active.
    pub experiment_id: i64,
    /// Who starts it.
    pub user_id: String,
    /// Name for people.
    pub name: String,
    /// Milliseconds since the epoch.
    pub start_time: i64,
    /// Tags to begin with, the name among them; no two of one key.
    pub tags: Vec<Tag>,
}

/// What changes about a run; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// Its status from now on.
    pub status: Option<RunStatus>,
    /// Milliseconds since the epoch.
    pub end_time: Option<i64>,
    /// Its name from now on, also as the tag `mlflow.runName`.
    pub name: Option<String>,
}

/// What is logged to a run at once: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Points of metrics.
    pub metrics: Vec<Metric>,
    /// Params, each key once.
    pub params: Vec<Param>,
    /// Tags; the last one of a key wins.
    pub tags: Vec<Tag>,
}

/// A logged model to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// Unique id: `m-` and 32 hexadecimal digits.
    pub id: String,
    /// The experiment, which must be active.
    pub experiment_id: i64,
    /// Name for people.
    pub name: String,
    /// Free text such as the flavor; may be empty.
    pub model_type: String,
    /// The run that logs it; may be empty.
    pub source_run_id: String,
    /// Params, each key once.
    pub params: Vec<Param>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
    /// Milliseconds since the epoch.
    pub now: i64,
}

/// Which points of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// The run.
    pub run_id: String,
    /// Name of the metric.
    pub key: String,
    /// How many at most; all when absent.
    pub limit: Option<u64>,
    /// How many to leave out.
    pub offset: u64,
}

/// Experiments.
#[async_trait]
pub trait ExperimentStore: Send + Sync {
    /// Makes an experiment, and gives its id.
    async fn create_experiment(&self, new: NewExperiment) -> Result<i64, StoreError>;
    /// The experiment with this id, whatever its stage.
    async fn experiment(&self, id: i64) -> Result<Experiment, StoreError>;
    /// The experiment of this name, whatever its stage.
    async fn experiment_by_name(&self, name: String) -> Result<Experiment, StoreError>;
    /// A page of experiments.
    async fn search_experiments(
        &self,
        search: ExperimentSearch,
    ) -> Result<Page<Experiment>, StoreError>;
    /// Deletes or restores an experiment and all of its runs. One that is in that stage already is
    /// not found.
    async fn set_experiment_stage(
        &self,
        id: i64,
        stage: LifecycleStage,
        now: i64,
    ) -> Result<(), StoreError>;
    /// Gives an active experiment another name.
    async fn rename_experiment(&self, id: i64, name: String, now: i64) -> Result<(), StoreError>;
    /// Sets a tag of an active experiment.
    async fn set_experiment_tag(&self, id: i64, tag: Tag, now: i64) -> Result<(), StoreError>;
    /// Deletes a tag of an active experiment.
    async fn delete_experiment_tag(&self, id: i64, key: String) -> Result<(), StoreError>;
}

/// Runs, and what they log.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Makes a run.
    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError>;
    /// The run with this id, whatever its stage.
    async fn run(&self, id: String) -> Result<Run, StoreError>;
    /// Changes an active run.
    async fn update_run(&self, id: String, update: RunUpdate) -> Result<RunInfo, StoreError>;
    /// Deletes or restores a run.
    async fn set_run_stage(
        &self,
        id: String,
        stage: LifecycleStage,
        now: i64,
    ) -> Result<(), StoreError>;
    /// A page of runs, with their latest metrics, params, tags, inputs and outputs.
    async fn search_runs(&self, search: RunSearch) -> Result<Page<Run>, StoreError>;
    /// Logs to an active run.
    async fn log(&self, run_id: String, batch: Batch) -> Result<(), StoreError>;
    /// Deletes a tag of an active run.
    async fn delete_tag(&self, run_id: String, key: String) -> Result<(), StoreError>;
}

/// The history of metrics.
#[async_trait]
pub trait MetricStore: Send + Sync {
    /// Points of one metric of one run, by time, step and value.
    async fn metric_history(&self, query: MetricQuery) -> Result<Page<Metric>, StoreError>;
    /// Points of one metric of several runs: by run, then by time, step and value.
    async fn metric_history_of_runs(
        &self,
        run_ids: Vec<String>,
        key: String,
        limit: u64,
    ) -> Result<Vec<MetricWithRunId>, StoreError>;
    /// Of each run at most `points` points of a metric, evenly spread over its rows by step, with
    /// the first and the last one; only those with a step within `steps`.
    async fn sampled_metric_history(
        &self,
        run_ids: Vec<String>,
        key: String,
        steps: Option<(i64, i64)>,
        points: u64,
    ) -> Result<Vec<MetricWithRunId>, StoreError>;
}

/// Logged models.
#[async_trait]
pub trait LoggedModelStore: Send + Sync {
    /// Makes a model, which is pending until it is finalized.
    async fn create_logged_model(&self, new: NewLoggedModel) -> Result<LoggedModel, StoreError>;
    /// The model with this id; a deleted one only when asked for.
    async fn logged_model(
        &self,
        id: String,
        allow_deleted: bool,
    ) -> Result<LoggedModel, StoreError>;
    /// Gives a model its last status.
    async fn finalize_logged_model(
        &self,
        id: String,
        status: LoggedModelStatus,
        now: i64,
    ) -> Result<LoggedModel, StoreError>;
    /// Deletes a model.
    async fn delete_logged_model(&self, id: String, now: i64) -> Result<(), StoreError>;
    /// A page of models.
    async fn search_logged_models(
        &self,
        search: LoggedModelSearch,
    ) -> Result<Page<LoggedModel>, StoreError>;
    /// Sets tags; the last one of a key wins.
    async fn set_logged_model_tags(&self, id: String, tags: Vec<Tag>) -> Result<(), StoreError>;
    /// Deletes a tag.
    async fn delete_logged_model_tag(&self, id: String, key: String) -> Result<(), StoreError>;
    /// Adds a version that was made of a model to the list in its tag `mlflow.modelVersions`.
    async fn note_version(&self, id: String, name: String, version: i64) -> Result<(), StoreError>;
    /// Logs params, which never change.
    async fn log_logged_model_params(
        &self,
        id: String,
        params: Vec<Param>,
    ) -> Result<(), StoreError>;
}

/// What runs read and made.
#[async_trait]
pub trait LineageStore: Send + Sync {
    /// Notes datasets and models that an active run read. A dataset is known by name and digest.
    async fn log_inputs(
        &self,
        run_id: String,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelInput>,
    ) -> Result<(), StoreError>;
    /// Notes models that an active run made.
    async fn log_outputs(&self, run_id: String, models: Vec<ModelOutput>)
    -> Result<(), StoreError>;
    /// Adds a model to the list in the tag `mlflow.log-model.history` of an active run.
    async fn record_model(&self, run_id: String, model: Value) -> Result<(), StoreError>;
    /// The datasets that runs of experiments read.
    async fn datasets(&self, experiment_ids: Vec<i64>) -> Result<Vec<DatasetSummary>, StoreError>;
}

/// The stage of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not said.
    None,
    /// Being tried.
    Staging,
    /// In use.
    Production,
    /// Out of use.
    Archived,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// The stage of this name, whatever the case of its letters.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name().eq_ignore_ascii_case(text))
    }
}

/// A registered model to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRegisteredModel {
    /// Unique name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
    /// Milliseconds since the epoch.
    pub now: i64,
}

/// A version to be made; its number is the next one of its model, counting deleted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewModelVersion {
    /// The registered model, which must be there.
    pub name: String,
    /// What it is made of.
    pub source: String,
    /// Where its files are.
    pub storage_location: String,
    /// The run that logged it; may be empty.
    pub run_id: String,
    /// Address of the run on the server that made it; may be empty.
    pub run_link: String,
    /// Free text.
    pub description: String,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
    /// Milliseconds since the epoch.
    pub now: i64,
}

/// Registered models and their aliases.
#[async_trait]
pub trait RegisteredModelStore: Send + Sync {
    /// Makes a model.
    async fn create_registered_model(
        &self,
        new: NewRegisteredModel,
    ) -> Result<RegisteredModel, StoreError>;
    /// The model of this name, with the newest version of each stage.
    async fn registered_model(&self, name: String) -> Result<RegisteredModel, StoreError>;
    /// Gives a model another name, and its versions with it.
    async fn rename_registered_model(
        &self,
        name: String,
        new_name: String,
        now: i64,
    ) -> Result<RegisteredModel, StoreError>;
    /// Gives a model another description.
    async fn describe_registered_model(
        &self,
        name: String,
        description: String,
        now: i64,
    ) -> Result<RegisteredModel, StoreError>;
    /// Deletes a model with everything of it; it cannot be restored.
    async fn delete_registered_model(&self, name: String) -> Result<(), StoreError>;
    /// A page of models.
    async fn search_registered_models(
        &self,
        search: RegisteredModelSearch,
    ) -> Result<Page<RegisteredModel>, StoreError>;
    /// Sets a tag.
    async fn set_registered_model_tag(&self, name: String, tag: Tag) -> Result<(), StoreError>;
    /// Deletes a tag; one that is not there is nothing.
    async fn delete_registered_model_tag(
        &self,
        name: String,
        key: String,
    ) -> Result<(), StoreError>;
    /// Points an alias to a version.
    async fn set_alias(&self, name: String, alias: String, version: i64) -> Result<(), StoreError>;
    /// Deletes an alias; one that is not there is nothing.
    async fn delete_alias(&self, name: String, alias: String) -> Result<(), StoreError>;
    /// The version that an alias points to; `latest` always means the newest.
    async fn version_by_alias(
        &self,
        name: String,
        alias: String,
    ) -> Result<ModelVersion, StoreError>;
    /// The newest version of each of these stages; of all when there is none.
    async fn latest_versions(
        &self,
        name: String,
        stages: Vec<Stage>,
    ) -> Result<Vec<ModelVersion>, StoreError>;
}

/// Versions of registered models.
#[async_trait]
pub trait ModelVersionStore: Send + Sync {
    /// Makes a version.
    async fn create_model_version(&self, new: NewModelVersion) -> Result<ModelVersion, StoreError>;
    /// A version with its aliases.
    async fn model_version(&self, name: String, version: i64) -> Result<ModelVersion, StoreError>;
    /// Gives a version another description.
    async fn describe_model_version(
        &self,
        name: String,
        version: i64,
        description: Option<String>,
        now: i64,
    ) -> Result<ModelVersion, StoreError>;
    /// Gives a version another stage; `archive` moves the others out of it.
    async fn transition_model_version(
        &self,
        name: String,
        version: i64,
        stage: Stage,
        archive: bool,
        now: i64,
    ) -> Result<ModelVersion, StoreError>;
    /// Deletes a version; its number is never given again.
    async fn delete_model_version(
        &self,
        name: String,
        version: i64,
        now: i64,
    ) -> Result<(), StoreError>;
    /// A page of versions, without aliases.
    async fn search_model_versions(
        &self,
        search: ModelVersionSearch,
    ) -> Result<Page<ModelVersion>, StoreError>;
    /// Where the files of a version are.
    async fn download_uri(&self, name: String, version: i64) -> Result<String, StoreError>;
    /// Sets a tag.
    async fn set_model_version_tag(
        &self,
        name: String,
        version: i64,
        tag: Tag,
    ) -> Result<(), StoreError>;
    /// Deletes a tag; one that is not there is nothing.
    async fn delete_model_version_tag(
        &self,
        name: String,
        version: i64,
        key: String,
    ) -> Result<(), StoreError>;
}

/// Whether a store can be used.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Reads next to nothing.
    ///
    /// # Errors
    /// When the store cannot be read now.
    async fn check_readable(&self) -> Result<(), StoreError>;
}

/// All that a model registry keeps.
pub trait RegistryStore: RegisteredModelStore + ModelVersionStore + StoreHealth {}

impl<T: RegisteredModelStore + ModelVersionStore + StoreHealth> RegistryStore for T {}

/// All that a tracking server keeps.
pub trait TrackingStore:
    ExperimentStore + RunStore + MetricStore + LoggedModelStore + LineageStore + StoreHealth
{
}

impl<T> TrackingStore for T where
    T: ExperimentStore + RunStore + MetricStore + LoggedModelStore + LineageStore + StoreHealth
{
}
