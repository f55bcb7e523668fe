//! Logged models: what `log_model` makes since MLflow 3, addressed by `m-` ids.

use serde::{Deserialize, Serialize};

use crate::number::{nullable, optional_int64};
use crate::tags::Tag;

/// A logged model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoggedModel {
    /// What the model is and where its files are.
    pub info: LoggedModelInfo,
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
    #[serde(deserialize_with = "optional_int64")]
    pub creation_timestamp_ms: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub last_updated_timestamp_ms: Option<i64>,
    /// Root of the files.
    pub artifact_uri: Option<String>,
    /// `LOGGED_MODEL_PENDING`, `LOGGED_MODEL_READY` or `LOGGED_MODEL_UPLOAD_FAILED`.
    pub status: Option<String>,
    /// Free text such as the flavor.
    pub model_type: Option<String>,
    /// The run that logged it.
    pub source_run_id: Option<String>,
    /// Tags of the model.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<Tag>,
}

/// Answer of `logged-models/{model_id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLoggedModelResponse {
    /// The model.
    pub model: LoggedModel,
}

/// Body of `logged-models/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchLoggedModelsRequest {
    /// Experiments to look in; the server wants at least one.
    pub experiment_ids: Vec<String>,
    /// MLflow's search grammar, such as `name = 'model'`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Page size; the server's default is 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i32>,
    /// Token of the page before, or none for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Answer of `logged-models/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchLoggedModelsResponse {
    /// One page of models, newest first.
    #[serde(deserialize_with = "nullable")]
    pub models: Vec<LoggedModel>,
    /// Token of the next page; absent or empty on the last one.
    pub next_page_token: Option<String>,
}
