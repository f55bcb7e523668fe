//! Experiments: what runs are grouped by.

use serde::{Deserialize, Serialize};

use crate::enums::{LifecycleStage, ViewType, allowed, known};
use crate::number::{nullable, one_or_many, optional_int64};
use crate::tags::{SentTag, Tag};

/// An experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Experiment {
    /// Unique id: decimal digits.
    pub experiment_id: String,
    /// Unique name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Root below which runs have their artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_location: Option<String>,
    /// Whether it is deleted.
    #[serde(deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub lifecycle_stage: Option<LifecycleStage>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_update_time: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub creation_time: Option<i64>,
    /// Tags of the experiment.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The workspace it belongs to; servers without workspaces say `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

/// Body of `experiments/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateExperimentRequest {
    /// Unique name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Root for artifacts; the server chooses one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_location: Option<String>,
    /// Tags to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
}

/// Answer of `experiments/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateExperimentResponse {
    /// The id of the new experiment.
    pub experiment_id: String,
}

/// Parameters of the calls that only name an experiment: get, delete, restore.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExperimentIdRequest {
    /// The experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
}

/// Query of `experiments/get-by-name`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetExperimentByNameRequest {
    /// The name, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_name: Option<String>,
}

/// Answer of `experiments/get` and `experiments/get-by-name`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetExperimentResponse {
    /// The experiment.
    pub experiment: Experiment,
}

/// Body of `experiments/update`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateExperimentRequest {
    /// The experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Its name from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
}

/// Body of `experiments/set-experiment-tag` and, without a value, `delete-experiment-tag`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExperimentTagRequest {
    /// The experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Name of the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Parameters of `experiments/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchExperimentsRequest {
    /// Page size: 1 to 50,000.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
    /// Token of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// MLflow's search grammar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `key [ASC|DESC]` each.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub order_by: Vec<String>,
    /// Which lifecycle stages; the active ones when absent.
    #[serde(deserialize_with = "allowed", skip_serializing_if = "Option::is_none")]
    pub view_type: Option<ViewType>,
}

/// Answer of `experiments/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchExperimentsResponse {
    /// One page of experiments.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<Experiment>,
    /// Token of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
