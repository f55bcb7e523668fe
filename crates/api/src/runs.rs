//! Runs: what they are, what they logged, and the calls that make, change and find them.

use serde::{Deserialize, Serialize};

use crate::datasets::{RunInputs, RunOutputs};
use crate::enums::{LifecycleStage, RunStatus, ViewType, allowed, known};
use crate::metrics::{Metric, Param};
use crate::number::{nullable, one_or_many, optional_int64};
use crate::tags::{SentTag, Tag};

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// What the run is.
    pub info: RunInfo,
    /// What was logged.
    #[serde(deserialize_with = "nullable")]
    pub data: RunData,
    /// What it read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<RunInputs>,
    /// What it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<RunOutputs>,
}

/// What a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// The id again, under its name from before MLflow 1.0.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub run_uuid: String,
    /// The experiment it belongs to.
    #[serde(deserialize_with = "nullable")]
    pub experiment_id: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// Who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What it is doing, or how it ended.
    #[serde(deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub start_time: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub end_time: Option<i64>,
    /// Root of the artifacts that the run logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    /// Whether it is deleted.
    #[serde(deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub lifecycle_stage: Option<LifecycleStage>,
    /// Unique id.
    pub run_id: String,
}

/// What a run logged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunData {
    /// The latest point of each metric.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Params of the run.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Tags of the run.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// Body of `runs/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRunRequest {
    /// The experiment; `0` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Who starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Name for people; the server makes one up when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub start_time: Option<i64>,
    /// Tags to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
}

/// Parameters of the calls that only name a run: get, delete, restore.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunIdRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
}

/// Answer of `runs/get` and `runs/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetRunResponse {
    /// The run.
    pub run: Run,
}

/// Body of `runs/update`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateRunRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
    /// Its status from now on.
    #[serde(deserialize_with = "allowed", skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub end_time: Option<i64>,
    /// Its name from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
}

/// Answer of `runs/update`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateRunResponse {
    /// The run as it is now.
    pub run_info: RunInfo,
}

/// Body of `runs/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchRunsRequest {
    /// The experiments to look in; none finds nothing.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub experiment_ids: Vec<String>,
    /// MLflow's search grammar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Which lifecycle stages; the active ones when absent.
    #[serde(deserialize_with = "allowed", skip_serializing_if = "Option::is_none")]
    pub run_view_type: Option<ViewType>,
    /// Page size: 1 to 50,000; 1,000 when absent.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
    /// `key [ASC|DESC]` each.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub order_by: Vec<String>,
    /// Token of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Answer of `runs/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchRunsResponse {
    /// One page of runs.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// Token of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
