//! What runs read and made: datasets and logged models.

use serde::{Deserialize, Serialize};

use crate::number::{int64, nullable};
use crate::tags::Tag;

/// A dataset that a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dataset {
    /// Name, at most 500 characters.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Digest of its contents, at most 36 characters.
    #[serde(deserialize_with = "nullable")]
    pub digest: String,
    /// Kind of the source.
    #[serde(deserialize_with = "nullable")]
    pub source_type: String,
    /// Where it came from, often JSON.
    #[serde(deserialize_with = "nullable")]
    pub source: String,
    /// Schema, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Profile, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A dataset as an input of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetInput {
    /// Tags of the input, such as its context.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The dataset.
    pub dataset: Option<Dataset>,
}

/// A logged model as an input of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelInput {
    /// The logged model.
    #[serde(deserialize_with = "nullable")]
    pub model_id: String,
}

/// A logged model as an output of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelOutput {
    /// The logged model.
    #[serde(deserialize_with = "nullable")]
    pub model_id: String,
    /// The step at which it was made.
    #[serde(deserialize_with = "int64")]
    pub step: i64,
}

/// What a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInputs {
    /// Datasets.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub dataset_inputs: Vec<DatasetInput>,
    /// Logged models.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<ModelInput>,
}

/// What a run made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOutputs {
    /// Logged models.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<ModelOutput>,
}

/// Body of `runs/log-inputs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogInputsRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Datasets that it read.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<DatasetInput>,
    /// Logged models that it read.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelInput>,
}

/// Body of `runs/outputs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOutputsRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Logged models that it made.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelOutput>,
}

/// Body of `runs/log-model`, by which clients before MLflow 3 tell of a model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogModelRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The manifest of the model as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_json: Option<String>,
}

/// Body of `experiments/search-datasets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchDatasetsRequest {
    /// One to 20 experiments.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub experiment_ids: Vec<String>,
}

/// A dataset that runs of an experiment read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: String,
    /// Name of the dataset.
    pub name: String,
    /// Digest of its contents.
    pub digest: String,
    /// What it was used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// Answer of `experiments/search-datasets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchDatasetsResponse {
    /// At most 1,000.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub dataset_summaries: Vec<DatasetSummary>,
}
