//! Runs, as far as finding their artifacts needs them.

use serde::{Deserialize, Serialize};

use crate::number::{nullable, optional_int64};
use crate::registry::Tag;

/// A run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// What the run is.
    pub info: RunInfo,
    /// What was logged.
    #[serde(deserialize_with = "nullable")]
    pub data: RunData,
}

/// What a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// Unique id.
    pub run_id: String,
    /// Name for people.
    pub run_name: Option<String>,
    /// The experiment it belongs to.
    #[serde(deserialize_with = "nullable")]
    pub experiment_id: String,
    /// `RUNNING`, `FINISHED`, `FAILED` and others.
    pub status: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub start_time: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub end_time: Option<i64>,
    /// Root of the artifacts that the run logged.
    pub artifact_uri: Option<String>,
    /// `active` or `deleted`.
    pub lifecycle_stage: Option<String>,
}

/// What a run logged; metrics and params are not read yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunData {
    /// Tags of the run.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<Tag>,
}

/// Answer of `runs/get`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetRunResponse {
    /// The run.
    pub run: Run,
}
