//! Metrics and params: what a run logs.

use serde::{Deserialize, Serialize};

use crate::number::{double, int64, nullable, one_or_many, optional_int64, plain_double};
use crate::tags::{SentTag, Tag};

/// A param has the form of a tag, and never changes.
pub type Param = Tag;

/// One point of a metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// Name of the metric.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// The value; not a number is written `"NaN"`.
    #[serde(with = "plain_double")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "int64")]
    pub timestamp: i64,
    /// Any number that orders the points.
    #[serde(deserialize_with = "int64")]
    pub step: i64,
    /// Name of the dataset it was computed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Digest of that dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
    /// The logged model it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The run that logged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// One point of a metric as a request has it, which may lack any part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentMetric {
    /// Name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    #[serde(with = "double", skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<i64>,
    /// Any number that orders the points; 0 when absent.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub step: Option<i64>,
    /// The logged model it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Name of the dataset it was computed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Digest of that dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

impl From<Metric> for SentMetric {
    fn from(metric: Metric) -> Self {
        Self {
            key: Some(metric.key),
            value: Some(metric.value),
            timestamp: Some(metric.timestamp),
            step: Some(metric.step),
            model_id: metric.model_id,
            dataset_name: metric.dataset_name,
            dataset_digest: metric.dataset_digest,
        }
    }
}

/// Body of `runs/log-metric`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogMetricRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
    /// Name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    #[serde(with = "double", skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<i64>,
    /// Any number that orders the points; 0 when absent.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub step: Option<i64>,
    /// The logged model it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Name of the dataset it was computed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Digest of that dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// Body of `runs/log-parameter`, `runs/set-tag` and, without a value, `runs/delete-tag`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunTagRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
    /// Name of the param or tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Body of `runs/log-batch`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogBatchRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// At most 1,000.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<SentMetric>,
    /// At most 100.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<SentTag>,
    /// At most 100.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<SentTag>,
}

/// Query of `metrics/get-history`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetMetricHistoryRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
    /// Name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_key: Option<String>,
    /// Token of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Page size; all points when absent.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
}

/// Answer of `metrics/get-history`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetMetricHistoryResponse {
    /// The points, ordered by time, step and value.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Token of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Query of `metrics/get-history-bulk`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetMetricHistoryBulkRequest {
    /// At most 100 runs.
    #[serde(deserialize_with = "one_or_many")]
    pub run_id: Vec<String>,
    /// Name of the metric.
    pub metric_key: Option<String>,
    /// Points of all runs together: at most 25,000.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
}

/// Query of `metrics/get-history-bulk-interval`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetMetricHistoryBulkIntervalRequest {
    /// At most 100 runs.
    #[serde(deserialize_with = "one_or_many")]
    pub run_ids: Vec<String>,
    /// Name of the metric.
    pub metric_key: Option<String>,
    /// The first step of the range; with `end_step` or not at all.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub start_step: Option<i64>,
    /// The last step of the range.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub end_step: Option<i64>,
    /// Points of each run: 1 to 2,500.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_results: Option<i64>,
}

/// A point with the run that it is of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricWithRunId {
    /// Name of the metric.
    pub key: String,
    /// The value.
    #[serde(with = "plain_double")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "int64")]
    pub timestamp: i64,
    /// Any number that orders the points.
    #[serde(deserialize_with = "int64")]
    pub step: i64,
    /// The run.
    pub run_id: String,
}

/// Answer of `metrics/get-history-bulk` and `metrics/get-history-bulk-interval`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetMetricHistoryBulkResponse {
    /// The points, run by run.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricWithRunId>,
}
