//! What runs log: params, metrics and tags, all of a batch in one transaction.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use mlrs_api::Tag;
use mlrs_api::metrics::{Metric, Param};
use mlrs_store::rules::limits;
use mlrs_store::rules::metrics::RUN_NAME_TAG;
use mlrs_store::{Batch, ParamChange, StoreError};

use crate::connection::{Connection, Dialect, Value, all, first};
use crate::runs;
use crate::statement::Statement;

/// The largest number that a column takes: infinities are stored as it, as MLflow does.
const LARGEST: f64 = f64::MAX;

/// Adds a point, as [`row_of`] has its values.
pub(crate) const ADD_POINT: &str = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) \
     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";

/// Makes a point the latest of its key if it is later, as [`row_of`] has its values.
pub(crate) const ADD_LATEST: &str = "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) \
     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, run_uuid) DO UPDATE SET \
     value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, \
     is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value) \
     > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)";

/// Adds a point of a logged model.
pub(crate) const ADD_MODEL_POINT: &str = "INSERT INTO logged_model_metrics (model_id, metric_name, \
     metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id, dataset_name, \
     dataset_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";

/// Logs a batch to an active run.
pub(crate) fn batch(
    connection: &mut dyn Connection,
    run_id: &str,
    batch: &Batch,
) -> Result<(), StoreError> {
    let experiment_id = runs::check_active(connection, run_id)?;
    put_params(connection, run_id, &batch.params)?;
    put_metrics(connection, run_id, &batch.metrics)?;
    put_model_metrics(connection, run_id, experiment_id, &batch.metrics)?;
    put_tags(connection, run_id, &batch.tags)
}

/// A point as its columns hold it.
#[derive(Clone, Copy)]
pub(crate) struct Point<'a> {
    key: &'a str,
    value: f64,
    is_nan: bool,
    timestamp: i64,
    step: i64,
}

impl<'a> Point<'a> {
    /// A point with a value as it was logged.
    pub(crate) fn new(key: &'a str, value: f64, timestamp: i64, step: i64) -> Self {
        Self {
            key,
            value: stored(value),
            is_nan: value.is_nan(),
            timestamp,
            step,
        }
    }

    fn of(metric: &'a Metric) -> Self {
        Self::new(&metric.key, metric.value, metric.timestamp, metric.step)
    }

    /// Whether it replaces `other` as the latest of its key: by step, then time, then value.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        (self.step, self.timestamp)
            .cmp(&(other.step, other.timestamp))
            .then(self.value.total_cmp(&other.value))
            .is_gt()
    }
}

/// A value as its column holds it.
pub(crate) fn stored(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(-LARGEST, LARGEST)
    }
}

/// A value of a column as it was logged.
pub(crate) fn logged(value: f64) -> f64 {
    if value.abs() < LARGEST {
        value
    } else {
        f64::INFINITY.copysign(value)
    }
}

fn put_metrics(
    connection: &mut dyn Connection,
    run_id: &str,
    metrics: &[Metric],
) -> Result<(), StoreError> {
    if metrics.is_empty() {
        return Ok(());
    }
    // In the order of the indexes, which then grow page by page.
    let mut points: Vec<Point<'_>> = metrics.iter().map(Point::of).collect();
    points.sort_unstable_by_key(|point| (point.key, point.timestamp, point.step));
    connection.execute_rows(
        ADD_POINT,
        &mut points.iter().map(|point| row_of(point, run_id)),
    )?;
    // In the order of keys, as MLflow locks these rows: two that log at once never wait in a ring.
    let mut latest: Vec<Point<'_>> = latest_of(metrics).into_values().collect();
    latest.sort_unstable_by_key(|point| point.key);
    connection.execute_rows(
        ADD_LATEST,
        &mut latest.iter().map(|point| row_of(point, run_id)),
    )?;
    Ok(())
}

/// The values of a point in the order of its statements.
pub(crate) fn row_of<'a>(point: &Point<'a>, run_id: &'a str) -> Vec<Value<'a>> {
    vec![
        point.key.into(),
        point.value.into(),
        point.timestamp.into(),
        run_id.into(),
        point.step.into(),
        point.is_nan.into(),
    ]
}

/// The latest point of each key.
fn latest_of(metrics: &[Metric]) -> HashMap<&str, Point<'_>> {
    let mut latest: HashMap<&str, Point<'_>> = HashMap::new();
    for metric in metrics {
        let point = Point::of(metric);
        match latest.entry(point.key) {
            Entry::Vacant(place) => {
                place.insert(point);
            }
            Entry::Occupied(mut place) if point.is_later_than(place.get()) => {
                place.insert(point);
            }
            Entry::Occupied(_) => {}
        }
    }
    latest
}

/// Points that name a logged model are also its own.
fn put_model_metrics(
    connection: &mut dyn Connection,
    run_id: &str,
    experiment_id: i64,
    metrics: &[Metric],
) -> Result<(), StoreError> {
    check_models(connection, metrics)?;
    let of_models = metrics
        .iter()
        .filter_map(|metric| metric.model_id.as_deref().map(|model| (model, metric)));
    connection.execute_rows(
        ADD_MODEL_POINT,
        &mut of_models.map(|(model, metric)| {
            vec![
                model.into(),
                (&metric.key).into(),
                metric.timestamp.into(),
                metric.step.into(),
                stored(metric.value).into(),
                experiment_id.into(),
                run_id.into(),
                metric.dataset_name.as_ref().into(),
                metric.dataset_digest.as_ref().into(),
            ]
        }),
    )?;
    Ok(())
}

/// Checks that the logged models of metrics are there, deleted or not.
fn check_models(connection: &mut dyn Connection, metrics: &[Metric]) -> Result<(), StoreError> {
    let named = metrics.iter().filter_map(|metric| metric.model_id.as_ref());
    let mut absent: BTreeSet<&String> = named.collect();
    if absent.is_empty() {
        return Ok(());
    }
    let mut statement = Statement::new("SELECT model_id FROM logged_models WHERE model_id IN ");
    statement.texts(connection.dialect(), absent.iter().copied());
    let found = all(connection, statement.text(), statement.values(), |row| {
        row.string(0)
    })?;
    for model in &found {
        absent.remove(model);
    }
    if absent.is_empty() {
        return Ok(());
    }
    let absent = absent.into_iter().cloned().collect();
    Err(StoreError::NoLoggedModelOfMetrics(absent))
}

/// Params never change: the same value again is nothing, another one is refused.
fn put_params(
    connection: &mut dyn Connection,
    run_id: &str,
    params: &[Param],
) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    let mut params: Vec<&Param> = params.iter().collect();
    // In the order of keys, for the same reason as the latest metrics.
    params.sort_by(|one, other| one.key.cmp(&other.key));
    for param in params {
        let inserted = connection.execute(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            &[(&param.key).into(), (&param.value).into(), run_id.into()],
        )?;
        if inserted == 0 {
            changes.extend(change(connection, run_id, param)?);
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    Err(StoreError::ParamsChanged {
        run_id: run_id.to_owned(),
        changes,
    })
}

/// What would change about a param that is there already.
fn change(
    connection: &mut dyn Connection,
    run_id: &str,
    param: &Param,
) -> Result<Option<ParamChange>, StoreError> {
    let old_value = first(
        connection,
        "SELECT value FROM params WHERE key = ? AND run_uuid = ?",
        &[(&param.key).into(), run_id.into()],
        |row| row.string(0),
    )?;
    let old_value = old_value.unwrap_or_default();
    if old_value == param.value {
        return Ok(None);
    }
    Ok(Some(ParamChange {
        key: param.key.clone(),
        old_value,
        new_value: param.value.clone(),
    }))
}

/// Sets tags; the name of the run follows its tag.
pub(crate) fn put_tags(
    connection: &mut dyn Connection,
    run_id: &str,
    tags: &[Tag],
) -> Result<(), StoreError> {
    if tags.is_empty() {
        return Ok(());
    }
    if connection.dialect() == Dialect::Postgres {
        tags.iter().try_for_each(check_column)?;
    }
    connection.execute_rows(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?) \
         ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value",
        &mut last_of(tags)
            .into_iter()
            .map(|tag| vec![(&tag.key).into(), (&tag.value).into(), run_id.into()]),
    )?;
    let name = tags.iter().rfind(|tag| tag.key == RUN_NAME_TAG);
    if let Some(name) = name.filter(|name| !name.value.is_empty()) {
        connection.execute(
            "UPDATE runs SET name = ? WHERE run_uuid = ?",
            &[(&name.value).into(), run_id.into()],
        )?;
    }
    Ok(())
}

/// Checks that a value fits its column, to which PostgreSQL holds; only JSON is longer.
fn check_column(tag: &Tag) -> Result<(), StoreError> {
    let limit = limits::RUN_TAG_VALUE;
    if tag.value.len() <= limit || tag.value.chars().count() <= limit {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "The value of the tag '{}' has more than {limit} characters, which is the length of its \
         column in PostgreSQL. It is JSON, which is not cut; the value from before is unchanged.",
        tag.key
    )))
}

/// The last tag of each key, in the order of keys.
fn last_of(tags: &[Tag]) -> Vec<&Tag> {
    let last: HashMap<&str, &Tag> = tags.iter().map(|tag| (tag.key.as_str(), tag)).collect();
    let mut last: Vec<&Tag> = last.into_values().collect();
    last.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    last
}

/// Deletes a tag of an active run.
pub(crate) fn delete_tag(
    connection: &mut dyn Connection,
    run_id: &str,
    key: &str,
) -> Result<(), StoreError> {
    runs::check_active(connection, run_id)?;
    let deleted = connection.execute(
        "DELETE FROM tags WHERE run_uuid = ? AND key = ?",
        &[run_id.into(), key.into()],
    )?;
    if deleted == 0 {
        return Err(StoreError::NoTag {
            key: key.to_owned(),
            owner: format!("run with id {run_id}"),
        });
    }
    Ok(())
}
