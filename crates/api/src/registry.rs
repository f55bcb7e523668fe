//! Registered models, their versions, aliases and stages.

use serde::{Deserialize, Serialize};

use crate::number::{nullable, one_or_many, optional_bool, optional_int64, text_or_number};
use crate::tags::{SentTag, Tag};

/// A name in the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisteredModel {
    /// Unique name.
    pub name: String,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub creation_timestamp: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_updated_timestamp: Option<i64>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The newest version of each stage; aliases are not filled in there.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub latest_versions: Vec<ModelVersion>,
    /// Tags of the model.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Named pointers to versions.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
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
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub creation_timestamp: Option<i64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_updated_timestamp: Option<i64>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `None`, `Staging`, `Production` or `Archived`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_stage: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where the version was made from; often `models:/m-…`, not a place to download from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The run it was logged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// `PENDING_REGISTRATION`, `FAILED_REGISTRATION` or `READY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why the status is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Tags of the version.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Address of the run on the server that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_link: Option<String>,
    /// Aliases that point here; empty in search results.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The logged model behind the version; not filled in by every server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
}

/// Body of `registered-models/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRegisteredModelRequest {
    /// Unique name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tags to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Parameters of the calls that name a registered model and change something about it: get, update,
/// rename, delete.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisteredModelRequest {
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its name from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// Its description from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Answer of the calls that make, find or change one registered model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetRegisteredModelResponse {
    /// The model.
    pub registered_model: RegisteredModel,
}

/// Query of the searches for registered models and versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchRegistryRequest {
    /// MLflow's search grammar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Page size.
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

/// Answer of `registered-models/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchRegisteredModelsResponse {
    /// One page of models.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub registered_models: Vec<RegisteredModel>,
    /// Token of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Answer of `model-versions/search`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchModelVersionsResponse {
    /// One page of versions.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub model_versions: Vec<ModelVersion>,
    /// Token of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Parameters of the calls for tags of registered models and versions, and for aliases.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryTagRequest {
    /// The registered model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Name of the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The alias, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// Body or query of `registered-models/get-latest-versions`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLatestVersionsRequest {
    /// Name of the registered model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stages to look at; all of them when empty.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub stages: Vec<String>,
}

/// Answer of `registered-models/get-latest-versions`: the newest version of each stage asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetLatestVersionsResponse {
    /// At most one version per stage, in no particular order.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub model_versions: Vec<ModelVersion>,
}

/// Body of `model-versions/create`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateModelVersionRequest {
    /// The registered model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The run that logged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Tags to begin with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
    /// Address of the run on the server that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_link: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The logged model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
}

/// Parameters of the calls that name a version and change something about it: get, update,
/// transition, delete, get-download-uri.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelVersionRequest {
    /// The registered model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its description from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its stage from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Whether the other versions of that stage are archived.
    #[serde(
        deserialize_with = "optional_bool",
        skip_serializing_if = "Option::is_none"
    )]
    pub archive_existing_versions: Option<bool>,
    /// A file of the version, for downloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Answer of the calls that make, find or change one version.
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
