//! Registered models, their versions, aliases and stages.

use serde::{Deserialize, Serialize};

use crate::number::{nullable, optional_int64, text_or_number};
use crate::tags::Tag;

/// A name in the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisteredModel {
    /// Unique name.
    pub name: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub creation_timestamp: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub last_updated_timestamp: Option<i64>,
    /// Free text.
    pub description: Option<String>,
    /// The newest version of each stage; aliases are not filled in there.
    #[serde(deserialize_with = "nullable")]
    pub latest_versions: Vec<ModelVersion>,
    /// Tags of the model.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<Tag>,
    /// Named pointers to versions.
    #[serde(deserialize_with = "nullable")]
    pub aliases: Vec<RegisteredModelAlias>,
}

/// A named pointer to a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisteredModelAlias {
    /// The name of the pointer.
    pub alias: String,
    /// The version it points to.
    #[serde(deserialize_with = "text_or_number")]
    pub version: String,
}

/// One version of a registered model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelVersion {
    /// Name of the registered model.
    pub name: String,
    /// Decimal number as text.
    #[serde(deserialize_with = "text_or_number")]
    pub version: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub creation_timestamp: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "optional_int64")]
    pub last_updated_timestamp: Option<i64>,
    /// `None`, `Staging`, `Production` or `Archived`.
    pub current_stage: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Where the version was made from; often `models:/m-…`, not a place to download from.
    pub source: Option<String>,
    /// The run it was logged by.
    pub run_id: Option<String>,
    /// `PENDING_REGISTRATION`, `FAILED_REGISTRATION` or `READY`.
    pub status: Option<String>,
    /// Why the status is what it is.
    pub status_message: Option<String>,
    /// Tags of the version.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<Tag>,
    /// Aliases that point here; empty in search results.
    #[serde(deserialize_with = "nullable")]
    pub aliases: Vec<String>,
    /// The logged model behind the version; not filled in by every server.
    pub model_id: Option<String>,
}

/// Answer of `registered-models/get`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetRegisteredModelResponse {
    /// The model.
    pub registered_model: RegisteredModel,
}

/// Body of `POST registered-models/get-latest-versions`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLatestVersionsRequest {
    /// Name of the registered model.
    pub name: String,
    /// Stages to look at; all of them when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
}

/// Answer of `registered-models/get-latest-versions`: the newest version of each stage asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLatestVersionsResponse {
    /// At most one version per stage, in no particular order.
    #[serde(deserialize_with = "nullable")]
    pub model_versions: Vec<ModelVersion>,
}

/// Answer of `registered-models/alias` and `model-versions/get`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetModelVersionResponse {
    /// The version.
    pub model_version: ModelVersion,
}

/// Answer of `model-versions/get-download-uri`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetDownloadUriResponse {
    /// Where the files are: `storage_location` of the version, else its `source`.
    #[serde(deserialize_with = "nullable")]
    pub artifact_uri: String,
}
