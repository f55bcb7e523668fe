//! Metrics, params and tags of runs: single ones and batches.

use std::collections::HashSet;

use mlrs_api::Tag;
use mlrs_api::metrics::{
    GetMetricHistoryBulkIntervalRequest, GetMetricHistoryBulkRequest, GetMetricHistoryRequest,
    LogBatchRequest, LogMetricRequest, Metric, Param, RunTagRequest, SentMetric,
};
use mlrs_api::tags::SentTag;
use serde_json::{Number, Value};

use crate::error::StoreError;
use crate::rules::limits;
use crate::rules::runs::run_id_of;
use crate::rules::values::{
    Names, Path, Truncate, check_key_at, check_name_at, invalid, missing, present, required,
    required_at, tag_value, within,
};
use crate::search::page_token;
use crate::traits::{Batch, MetricQuery};

/// The tag that holds the name of a run.
pub const RUN_NAME_TAG: &str = "mlflow.runName";

/// A metric to be logged, and the run to log it to.
///
/// # Errors
/// When a required field is absent, or a value is out of its limits.
pub fn log_metric(request: LogMetricRequest, names: Names) -> Result<(String, Batch), StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let sent = SentMetric {
        key: request.key,
        value: request.value,
        timestamp: request.timestamp,
        step: request.step,
        model_id: request.model_id,
        dataset_name: request.dataset_name,
        dataset_digest: request.dataset_digest,
    };
    let batch = Batch {
        metrics: vec![metric(sent, Path::Root, names)?],
        ..Batch::default()
    };
    Ok((run_id, batch))
}

/// A param to be logged, and the run to log it to.
///
/// # Errors
/// When a required field is absent, or a value is out of its limits.
pub fn log_param(
    request: RunTagRequest,
    truncate: Truncate,
    names: Names,
) -> Result<(String, Batch), StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let key = required(&request.key, "key")?.to_owned();
    let value = request.value.unwrap_or_default();
    let batch = Batch {
        params: vec![param((key, value), Path::Root, truncate, names)?],
        ..Batch::default()
    };
    Ok((run_id, batch))
}

/// A tag to be set, and the run to set it on.
///
/// # Errors
/// When a required field is absent, or a value is out of its limits.
pub fn set_tag(request: RunTagRequest, truncate: Truncate) -> Result<(String, Batch), StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let key = required(&request.key, "key")?.to_owned();
    let value = request.value.unwrap_or_default();
    let batch = Batch {
        tags: vec![tag(key, value, Path::Root, truncate)?],
        ..Batch::default()
    };
    Ok((run_id, batch))
}

/// The run and the key of a tag to be deleted.
///
/// # Errors
/// When one is absent.
pub fn delete_tag(request: &RunTagRequest) -> Result<(String, String), StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    Ok((run_id, required(&request.key, "key")?.to_owned()))
}

/// A batch to be logged, and the run to log it to.
///
/// # Errors
/// When a required field is absent, a value is out of its limits, or there is too much.
pub fn log_batch(
    request: LogBatchRequest,
    truncate: Truncate,
    names: Names,
) -> Result<(String, Batch), StoreError> {
    let run_id = required(&request.run_id, "run_id")?.to_owned();
    check_present(&request)?;
    check_run_id(&run_id)?;
    let mut batch = Batch {
        metrics: Vec::with_capacity(request.metrics.len()),
        ..Batch::default()
    };
    for (index, sent) in request.metrics.into_iter().enumerate() {
        let metric = metric(sent, Path::Item("metrics", index), names)?;
        batch.metrics.push(metric);
    }
    for (index, sent) in request.params.into_iter().enumerate() {
        let path = Path::Item("params", index);
        let param = param(parts(sent), path, truncate, names)?;
        batch.params.push(param);
    }
    for (index, sent) in request.tags.into_iter().enumerate() {
        let (key, value) = parts(sent);
        let tag = tag(key, value, Path::Item("tags", index), truncate)?;
        batch.tags.push(tag);
    }
    check_size(&batch)?;
    check_unique(&batch.params)?;
    Ok((run_id, batch))
}

/// Which page of which history.
///
/// # Errors
/// When a required field is absent, the page size is not positive or the token is not one.
pub fn history(request: &GetMetricHistoryRequest) -> Result<MetricQuery, StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let key = required(&request.metric_key, "metric_key")?.to_owned();
    let limit = match request.max_results {
        None => None,
        Some(limit) if limit > 0 => Some(limit as u64),
        Some(limit) => {
            return Err(StoreError::invalid(format!(
                "Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer."
            )));
        }
    };
    Ok(MetricQuery {
        run_id,
        key,
        limit,
        offset: page_token::offset(request.page_token.as_deref())?,
    })
}

/// What the schema of the request asks for, before any value is looked at.
fn check_present(request: &LogBatchRequest) -> Result<(), StoreError> {
    for (index, metric) in request.metrics.iter().enumerate() {
        let path = Path::Item("metrics", index);
        required_at(&metric.key, path, "key")?;
        present(metric.value, path, "value")?;
        present(metric.timestamp, path, "timestamp")?;
    }
    let tags = |what: &str, sent: &[SentTag]| {
        sent.iter().enumerate().try_for_each(|(index, tag)| {
            required_at(&tag.key, Path::Item(what, index), "key").map(|_| ())
        })
    };
    tags("params", &request.params)?;
    tags("tags", &request.tags)
}

fn parts(sent: SentTag) -> (String, String) {
    (sent.key.unwrap_or_default(), sent.value.unwrap_or_default())
}

/// A run id: a letter or digit, then at most 255 letters, digits, `_` and `-`.
pub(crate) fn check_run_id(run_id: &str) -> Result<(), StoreError> {
    let mut characters = run_id.chars();
    let first = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric());
    let rest = characters
        .all(|character| character.is_alphanumeric() || character == '_' || character == '-');
    if first && rest && run_id.chars().count() <= 256 {
        return Ok(());
    }
    let quoted = Value::from(run_id);
    Err(StoreError::invalid(format!(
        "Invalid value {quoted} for parameter 'run_id' supplied."
    )))
}

fn metric(sent: SentMetric, path: Path<'_>, names: Names) -> Result<Metric, StoreError> {
    required_at(&sent.key, path, "key")?;
    let key = sent.key.unwrap_or_default();
    let value = present(sent.value, path, "value")?;
    let timestamp = present(sent.timestamp, path, "timestamp")?;
    check_name_at(&key, path, "name", names)?;
    if timestamp < 0 {
        let reason = format!(
            "metric '{key}' (value={}). Timestamp must be a nonnegative long (64-bit integer) ",
            Number::from_f64(value).map_or_else(|| value.to_string(), |number| number.to_string())
        );
        let field = path.of("timestamp");
        return Err(invalid(&Value::from(timestamp), &field, &reason));
    }
    Ok(Metric {
        key: within("Metric name", limits::KEY, key, Truncate::Refuse)?,
        value,
        timestamp,
        step: sent.step.unwrap_or_default(),
        dataset_name: filled(sent.dataset_name),
        dataset_digest: filled(sent.dataset_digest),
        model_id: filled(sent.model_id),
        run_id: None,
    })
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn param(
    (key, value): (String, String),
    path: Path<'_>,
    truncate: Truncate,
    names: Names,
) -> Result<Param, StoreError> {
    check_name_at(&key, path, "key", names)?;
    Ok(Param {
        key: within("Param key", limits::KEY, key, Truncate::Refuse)?,
        value: within("Param value", limits::PARAM_VALUE, value, truncate)?,
    })
}

/// A tag of a run within its limits.
fn tag(key: String, value: String, path: Path<'_>, truncate: Truncate) -> Result<Tag, StoreError> {
    check_key_at(&key, path, "key")?;
    Ok(Tag {
        key: within(&path.of("key"), limits::KEY, key, Truncate::Refuse)?,
        value: tag_value(&path.of("value"), value, truncate)?,
    })
}

fn check_size(batch: &Batch) -> Result<(), StoreError> {
    let total = batch.metrics.len() + batch.params.len() + batch.tags.len();
    let checks = [
        ("metrics", limits::BATCH_METRICS, batch.metrics.len()),
        ("params", limits::BATCH_PARAMS, batch.params.len()),
        ("tags", limits::BATCH_TAGS, batch.tags.len()),
        ("metrics, params, and tags", limits::BATCH_ENTITIES, total),
    ];
    for (what, limit, length) in checks {
        if length > limit {
            return Err(StoreError::invalid(format!(
                "A batch logging request can contain at most {limit} {what}. Got {length} {what}. \
                 Please split up {what} across multiple requests and try again."
            )));
        }
    }
    Ok(())
}

fn check_unique(params: &[Param]) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let twice: Vec<String> = params
        .iter()
        .filter(|param| !seen.insert(&param.key))
        .map(|param| format!("'{}'", param.key))
        .collect();
    if twice.is_empty() {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains \
         only one param value per param key.",
        twice.join(", ")
    )))
}

/// The key and the number of points of a history over several runs, as the charts of MLflow's pages
/// ask for it.
///
/// # Errors
/// When there is no run, or there are too many, or no key.
pub fn history_of_runs(request: &GetMetricHistoryBulkRequest) -> Result<(String, u64), StoreError> {
    let runs = request.run_id.len();
    if runs == 0 {
        return Err(StoreError::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    if runs > limits::HISTORY_RUNS {
        return Err(StoreError::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {} run_ids. Received {runs} \
             run_ids.",
            limits::HISTORY_RUNS
        )));
    }
    let key = request.metric_key.clone().ok_or_else(|| {
        StoreError::invalid("GetMetricHistoryBulk request must specify a metric_key.")
    })?;
    let limit = request
        .max_results
        .unwrap_or(limits::HISTORY_POINTS)
        .clamp(0, limits::HISTORY_POINTS);
    Ok((key, limit as u64))
}

/// Which points of each run a sampled history has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Name of the metric.
    pub key: String,
    /// The first and the last step, where there are bounds.
    pub steps: Option<(i64, i64)>,
    /// Points of each run.
    pub points: u64,
}

/// Which points a sampled history has.
///
/// # Errors
/// When there is no run, or there are too many, no key, or the bounds are none.
pub fn sampled_history(
    request: &GetMetricHistoryBulkIntervalRequest,
) -> Result<Sample, StoreError> {
    let runs = request.run_ids.len();
    if runs == 0 {
        return Err(missing("run_ids"));
    }
    if runs > limits::HISTORY_RUNS {
        return Err(StoreError::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {} run_ids. Received {runs} \
             run_ids. See the API docs for more information about request parameters.",
            limits::HISTORY_RUNS
        )));
    }
    let key = required(&request.metric_key, "metric_key")?.to_owned();
    let points = request.max_results.unwrap_or(limits::SAMPLED_POINTS);
    if !(1..=limits::SAMPLED_POINTS).contains(&points) {
        return Err(StoreError::invalid(format!(
            "max_results must be between 1 and {}. See the API docs for more information about \
             request parameters.",
            limits::SAMPLED_POINTS
        )));
    }
    let steps = match (request.start_step, request.end_step) {
        (None, None) => None,
        (Some(start), Some(end)) if start <= end => Some((start, end)),
        (Some(start), Some(end)) => {
            return Err(StoreError::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and \
                 end_step={end}."
            )));
        }
        _ => {
            return Err(StoreError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    Ok(Sample {
        key,
        steps,
        points: points as u64,
    })
}
