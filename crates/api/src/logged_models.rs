//! Logged models: what `log_model` makes since MLflow 3, addressed by `m-` ids.

use serde::{Deserialize, Serialize};

use crate::enums::{LoggedModelStatus, allowed, known};
use crate::metrics::{Metric, Param};
use crate::number::{nullable, optional_int64};
use crate::tags::{SentTag, Tag};

/// A logged model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoggedModel {
    /// What the model is and where its files are.
    pub info: LoggedModelInfo,
    /// What was logged about it.
    #[serde(deserialize_with = "nullable")]
    pub data: LoggedModelData,
}

/// What a logged model is and where its files are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoggedModelInfo {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment it belongs to.
    #[serde(deserialize_with = "nullable")]
    pub experiment_id: String,
    /// Name for people; not unique.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub creation_timestamp_ms: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_updated_timestamp_ms: Option<i64>,
    /// Root of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_uri: Option<String>,
    /// How far it has come.
    #[serde(deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub status: Option<LoggedModelStatus>,
    /// Free text such as the flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// The run that logged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_run_id: Option<String>,
    /// Why the status is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Tags of the model.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// What was logged about a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoggedModelData {
    /// Params of the model.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Metrics of the model, with the dataset and the run of each.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// Body of `POST logged-models`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateLoggedModelRequest {
    /// The experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Name for people; the server makes one up when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text such as the flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// The run that logs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_run_id: Option<String>,
    /// Params to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<SentTag>,
    /// Tags to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
}

/// Answer of the calls that make, find or change one logged model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLoggedModelResponse {
    /// The model.
    pub model: LoggedModel,
}

/// Query of `GET logged-models/{model_id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLoggedModelRequest {
    /// `true` finds deleted ones, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_deleted: Option<String>,
}

/// Body of `PATCH logged-models/{model_id}`; the path names the model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FinalizeLoggedModelRequest {
    /// The model again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Its status from now on.
    #[serde(deserialize_with = "allowed", skip_serializing_if = "Option::is_none")]
    pub status: Option<LoggedModelStatus>,
}

/// Body of `PATCH logged-models/{model_id}/tags`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SetLoggedModelTagsRequest {
    /// Tags to set.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
}

/// Body of `POST logged-models/{model_id}/params`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLoggedModelParamsRequest {
    /// The model again, which MLflow's server wants here, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Params to log.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<SentTag>,
}

/// A dataset that metrics must be of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetFilter {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Its digest; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// What logged models are ordered by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderByField {
    /// An attribute, or `metrics.<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
    /// Smallest first; yes when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ascending: Option<bool>,
    /// Only points on the dataset of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Only points on the dataset with this digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// Body of `logged-models/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchLoggedModelsRequest {
    /// Experiments to look in; the server wants at least one.
    #[serde(deserialize_with = "nullable")]
    pub experiment_ids: Vec<String>,
    /// MLflow's search grammar, such as `name = 'model'`.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub filter: String,
    /// Only models with metrics on one of these; metrics in the filter are those of them.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<DatasetFilter>,
    /// Page size; the server's default is 50.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
    /// In which order; the latest made first when empty.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<OrderByField>,
    /// Token of the page before, or none for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Answer of `logged-models/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchLoggedModelsResponse {
    /// One page of models.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<LoggedModel>,
    /// Token of the next page; absent or empty on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
