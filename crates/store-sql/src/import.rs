//! Records of another store, in SQL. Each is one transaction: there whole, or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::datasets::Dataset;
use mlrs_store::StoreError;
use mlrs_store::import::{
    DatasetUse, ExperimentRecord, ImportStore, LoggedModelOutcome, LoggedModelRecord, ModelPoint,
    ModelVersionRecord, Outcome, Point, PointSource, RegisteredModelOutcome, RegisteredModelRecord,
    RunRecord,
};

use crate::connection::{Connection, Dialect, Value, first};
use crate::lineage::{self, Edge};
use crate::log;
use crate::open::SqlStore;

/// The largest id that is kept on PostgreSQL. Its column has 32 bits, and what is made later
/// counts on from the largest one that is there.
const LARGEST_ID_OF_POSTGRES: i64 = 1_000_000_000;

fn outcome(rows: u64) -> Outcome {
    if rows > 0 {
        Outcome::Imported
    } else {
        Outcome::WasThere
    }
}

fn experiment(
    connection: &mut dyn Connection,
    record: &ExperimentRecord,
) -> Result<(i64, Outcome), StoreError> {
    let same = first(
        connection,
        "SELECT experiment_id FROM experiments WHERE workspace = 'default' AND name = ?",
        &[(&record.name).into()],
        |row| row.integer(0),
    )?;
    if let Some(id) = same {
        let id = id.unwrap_or_default();
        return Ok((id, merge(connection, id, record)?));
    }
    let id = insert_experiment(connection, record)?;
    put_experiment_tags(connection, id, &record.tags)?;
    Ok((id, Outcome::Imported))
}

/// The experiment that a fresh database has by itself becomes the imported one; any other stays.
fn merge(
    connection: &mut dyn Connection,
    id: i64,
    record: &ExperimentRecord,
) -> Result<Outcome, StoreError> {
    if id != 0 || record.id != 0 {
        return Ok(Outcome::WasThere);
    }
    let changed = connection.execute(
        "UPDATE experiments SET artifact_location = ?, lifecycle_stage = ?, creation_time = ?, \
         last_update_time = ? WHERE experiment_id = 0 \
         AND creation_time = last_update_time AND lifecycle_stage = 'active' \
         AND (creation_time <> ? OR artifact_location <> ?) \
         AND NOT EXISTS (SELECT 1 FROM runs WHERE experiment_id = 0) \
         AND NOT EXISTS (SELECT 1 FROM experiment_tags WHERE experiment_id = 0) \
         AND NOT EXISTS (SELECT 1 FROM datasets WHERE experiment_id = 0) \
         AND NOT EXISTS (SELECT 1 FROM logged_models WHERE experiment_id = 0)",
        &[
            record.artifact_location.as_ref().into(),
            record.stage.name().into(),
            record.creation_time.into(),
            record.last_update_time.into(),
            record.creation_time.unwrap_or_default().into(),
            record
                .artifact_location
                .as_deref()
                .unwrap_or_default()
                .into(),
        ],
    )?;
    if changed > 0 {
        put_experiment_tags(connection, id, &record.tags)?;
    }
    Ok(outcome(changed))
}

fn insert_experiment(
    connection: &mut dyn Connection,
    record: &ExperimentRecord,
) -> Result<i64, StoreError> {
    let columns: [Value<'_>; 5] = [
        (&record.name).into(),
        record.artifact_location.as_ref().into(),
        record.stage.name().into(),
        record.creation_time.into(),
        record.last_update_time.into(),
    ];
    if can_hold(connection.dialect(), record.id) {
        let mut values = columns.to_vec();
        values.push(record.id.into());
        let inserted = connection.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, \
             last_update_time, experiment_id, workspace) VALUES (?, ?, ?, ?, ?, ?, 'default') \
             ON CONFLICT (experiment_id) DO NOTHING",
            &values,
        )?;
        if inserted > 0 {
            count_on(connection)?;
            return Ok(record.id);
        }
    }
    let id = first(
        connection,
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, \
         last_update_time, workspace) VALUES (?, ?, ?, ?, ?, 'default') RETURNING experiment_id",
        &columns,
        |row| row.integer(0),
    )?;
    Ok(id.flatten().unwrap_or_default())
}

fn can_hold(dialect: Dialect, id: i64) -> bool {
    match dialect {
        Dialect::Sqlite => true,
        Dialect::Postgres => id <= LARGEST_ID_OF_POSTGRES,
    }
}

/// Ids that are made later come after those that were given. SQLite sees to it by itself.
fn count_on(connection: &mut dyn Connection) -> Result<(), StoreError> {
    if connection.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    first(
        connection,
        "SELECT setval('experiments_experiment_id_seq', greatest( \
         (SELECT max(experiment_id) FROM experiments), \
         (SELECT last_value FROM experiments_experiment_id_seq)))",
        &[],
        |_| Ok(()),
    )?;
    Ok(())
}

fn put_experiment_tags(
    connection: &mut dyn Connection,
    id: i64,
    tags: &[Tag],
) -> Result<(), StoreError> {
    connection.execute_rows(
        "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)",
        &mut tags
            .iter()
            .map(|tag| vec![(&tag.key).into(), (&tag.value).into(), id.into()]),
    )?;
    Ok(())
}

fn dataset(
    connection: &mut dyn Connection,
    experiment_id: i64,
    dataset: &Dataset,
) -> Result<Outcome, StoreError> {
    if known_dataset(connection, experiment_id, &dataset.name, &dataset.digest)?.is_some() {
        return Ok(Outcome::WasThere);
    }
    lineage::dataset_id(connection, experiment_id, dataset)?;
    Ok(Outcome::Imported)
}

fn known_dataset(
    connection: &mut dyn Connection,
    experiment_id: i64,
    name: &str,
    digest: &str,
) -> Result<Option<String>, StoreError> {
    first(
        connection,
        "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?",
        &[experiment_id.into(), name.into(), digest.into()],
        |row| row.string(0),
    )
}

fn run(
    connection: &mut dyn Connection,
    experiment_id: i64,
    record: &RunRecord,
    metrics: &dyn PointSource<Point>,
) -> Result<Outcome, StoreError> {
    let inserted = connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, \
         status, start_time, end_time, deleted_time, source_version, lifecycle_stage, \
         artifact_uri, experiment_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (run_uuid) DO NOTHING",
        &[
            (&record.id).into(),
            record.name.as_ref().into(),
            (&record.source_type).into(),
            (&record.source_name).into(),
            (&record.entry_point_name).into(),
            record.user_id.as_ref().into(),
            record.status.name().into(),
            record.start_time.into(),
            record.end_time.into(),
            record.deleted_time.into(),
            (&record.source_version).into(),
            record.stage.name().into(),
            record.artifact_uri.as_ref().into(),
            experiment_id.into(),
        ],
    )?;
    if inserted == 0 {
        return Ok(Outcome::WasThere);
    }
    put_params_and_tags(connection, record)?;
    put_history(connection, &record.id, metrics)?;
    for dataset in &record.datasets {
        put_dataset_use(connection, experiment_id, &record.id, dataset)?;
    }
    put_models(connection, record)?;
    Ok(Outcome::Imported)
}

fn put_params_and_tags(
    connection: &mut dyn Connection,
    record: &RunRecord,
) -> Result<(), StoreError> {
    let run = &record.id;
    connection.execute_rows(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
        &mut record
            .params
            .iter()
            .map(|param| vec![(&param.key).into(), (&param.value).into(), run.into()]),
    )?;
    connection.execute_rows(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
        &mut record
            .tags
            .iter()
            .map(|tag| vec![(&tag.key).into(), (&tag.value).into(), run.into()]),
    )?;
    Ok(())
}

/// Writes the points as they come, and keeps only the latest one of each metric.
fn put_history(
    connection: &mut dyn Connection,
    run_id: &str,
    metrics: &dyn PointSource<Point>,
) -> Result<(), StoreError> {
    let mut latest: Vec<(String, Point)> = Vec::new();
    metrics.each(&mut |key, points| {
        for point in points {
            match latest.last_mut() {
                Some((name, known)) if name == key => {
                    if as_row(key, point).is_later_than(&as_row(key, known)) {
                        *known = *point;
                    }
                }
                _ => latest.push((key.to_owned(), *point)),
            }
        }
        let rows = points.iter().map(|point| as_row(key, point));
        connection.execute_rows(
            log::ADD_POINT,
            &mut rows.map(|row| log::row_of(&row, run_id)),
        )?;
        Ok(())
    })?;
    let rows = latest.iter().map(|(key, point)| as_row(key, point));
    connection.execute_rows(
        log::ADD_LATEST,
        &mut rows.map(|row| log::row_of(&row, run_id)),
    )?;
    Ok(())
}

fn as_row<'a>(key: &'a str, point: &Point) -> log::Point<'a> {
    log::Point::new(key, point.value, point.timestamp, point.step)
}

fn put_dataset_use(
    connection: &mut dyn Connection,
    experiment_id: i64,
    run_id: &str,
    used: &DatasetUse,
) -> Result<(), StoreError> {
    let known = known_dataset(connection, experiment_id, &used.name, &used.digest)?;
    let Some(dataset) = known else {
        return Err(StoreError::invalid(format!(
            "the dataset `{}` that the run read is not there",
            used.name
        )));
    };
    let edge = Edge {
        source_type: "DATASET",
        source: &dataset,
        destination_type: "RUN",
        destination: run_id,
        step: 0,
    };
    if let Some(id) = lineage::add(connection, &edge)? {
        lineage::add_tags(connection, &id, &used.tags)?;
    }
    Ok(())
}

fn put_models(connection: &mut dyn Connection, record: &RunRecord) -> Result<(), StoreError> {
    let inputs = record.model_inputs.iter().map(|model| Edge {
        source_type: "RUN_INPUT",
        source: &record.id,
        destination_type: "MODEL_INPUT",
        destination: model,
        step: 0,
    });
    let outputs = record.model_outputs.iter().map(|model| Edge {
        source_type: "RUN_OUTPUT",
        source: &record.id,
        destination_type: "MODEL_OUTPUT",
        destination: &model.model_id,
        step: model.step,
    });
    for edge in inputs.chain(outputs) {
        lineage::add(connection, &edge)?;
    }
    Ok(())
}

fn logged_model(
    connection: &mut dyn Connection,
    experiment_id: i64,
    record: &LoggedModelRecord,
    metrics: &dyn PointSource<ModelPoint>,
) -> Result<LoggedModelOutcome, StoreError> {
    let inserted = connection.execute(
        "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, \
         creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage, model_type, \
         source_run_id, status_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (model_id) DO NOTHING",
        &[
            (&record.id).into(),
            experiment_id.into(),
            (&record.name).into(),
            (&record.artifact_location).into(),
            record.creation_time.into(),
            record.last_updated_time.into(),
            i64::from(record.status.number()).into(),
            record.stage.name().into(),
            record.model_type.as_ref().into(),
            record.source_run_id.as_ref().into(),
            record.status_message.as_ref().into(),
        ],
    )?;
    if inserted > 0 {
        put_model_params_and_tags(connection, experiment_id, record)?;
    }
    let points_without_run = put_model_history(connection, experiment_id, &record.id, metrics)?;
    Ok(LoggedModelOutcome {
        model: outcome(inserted),
        points_without_run,
    })
}

fn put_model_params_and_tags(
    connection: &mut dyn Connection,
    experiment_id: i64,
    record: &LoggedModelRecord,
) -> Result<(), StoreError> {
    let row = |key, value| vec![(&record.id).into(), experiment_id.into(), key, value];
    connection.execute_rows(
        "INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) \
         VALUES (?, ?, ?, ?)",
        &mut record
            .params
            .iter()
            .map(|param| row((&param.key).into(), (&param.value).into())),
    )?;
    connection.execute_rows(
        "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) \
         VALUES (?, ?, ?, ?)",
        &mut record
            .tags
            .iter()
            .map(|tag| row((&tag.key).into(), (&tag.value).into())),
    )?;
    Ok(())
}

/// Writes points of runs that are there, and tells how many are not of such.
fn put_model_history(
    connection: &mut dyn Connection,
    experiment_id: i64,
    model_id: &str,
    metrics: &dyn PointSource<ModelPoint>,
) -> Result<u64, StoreError> {
    let mut runs: HashMap<String, bool> = HashMap::new();
    let mut left_out = 0;
    metrics.each(&mut |key, points| {
        for point in points {
            if !runs.contains_key(&point.run_id) {
                let there = has_run(connection, &point.run_id)?;
                runs.insert(point.run_id.clone(), there);
            }
        }
        let is_there = |point: &&ModelPoint| runs.get(&point.run_id) == Some(&true);
        left_out += points.iter().filter(|point| !is_there(point)).count() as u64;
        let rows = points.iter().filter(is_there).map(|point| {
            let dataset = point.dataset.as_ref();
            vec![
                model_id.into(),
                key.into(),
                point.point.timestamp.into(),
                point.point.step.into(),
                log::stored(point.point.value).into(),
                experiment_id.into(),
                (&point.run_id).into(),
                dataset.map(|(name, _)| name).into(),
                dataset.map(|(_, digest)| digest).into(),
            ]
        });
        let mut rows = rows;
        connection.execute_rows(log::ADD_MODEL_POINT, &mut rows)?;
        Ok(())
    })?;
    Ok(left_out)
}

fn has_run(connection: &mut dyn Connection, id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM runs WHERE run_uuid = ?";
    Ok(first(connection, sql, &[id.into()], |_| Ok(()))?.is_some())
}

fn registered_model(
    connection: &mut dyn Connection,
    record: &RegisteredModelRecord,
) -> Result<RegisteredModelOutcome, StoreError> {
    let name = &record.name;
    let inserted = connection.execute(
        "INSERT INTO registered_models (name, creation_time, last_updated_time, description, \
         workspace) VALUES (?, ?, ?, ?, 'default') ON CONFLICT DO NOTHING",
        &[
            name.into(),
            record.creation_time.into(),
            record.last_updated_time.into(),
            record.description.as_ref().into(),
        ],
    )?;
    if inserted > 0 {
        connection.execute_rows(
            "INSERT INTO registered_model_tags (key, value, name, workspace) \
             VALUES (?, ?, ?, 'default')",
            &mut record
                .tags
                .iter()
                .map(|tag| vec![(&tag.key).into(), (&tag.value).into(), name.into()]),
        )?;
    }
    let mut versions = Vec::with_capacity(record.versions.len());
    for version in &record.versions {
        versions.push(model_version(connection, name, version)?);
    }
    put_aliases(connection, record, inserted > 0, &versions)?;
    Ok(RegisteredModelOutcome {
        model: outcome(inserted),
        versions,
    })
}

/// Aliases of what came now: others may have been pointed elsewhere since.
fn put_aliases(
    connection: &mut dyn Connection,
    record: &RegisteredModelRecord,
    is_new: bool,
    versions: &[Outcome],
) -> Result<(), StoreError> {
    let came = |number: i64| {
        let mut with_outcome = record.versions.iter().zip(versions);
        with_outcome
            .any(|(version, outcome)| version.version == number && *outcome == Outcome::Imported)
    };
    connection.execute_rows(
        "INSERT INTO registered_model_aliases (alias, version, name, workspace) \
         VALUES (?, ?, ?, 'default') ON CONFLICT DO NOTHING",
        &mut record
            .aliases
            .iter()
            .filter(|(_, version)| is_new || came(*version))
            .map(|(alias, version)| vec![alias.into(), (*version).into(), (&record.name).into()]),
    )?;
    Ok(())
}

fn model_version(
    connection: &mut dyn Connection,
    name: &str,
    record: &ModelVersionRecord,
) -> Result<Outcome, StoreError> {
    let inserted = connection.execute(
        "INSERT INTO model_versions (name, version, creation_time, last_updated_time, \
         description, user_id, current_stage, source, storage_location, run_id, run_link, status, \
         status_message, workspace) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'default') \
         ON CONFLICT DO NOTHING",
        &[
            name.into(),
            record.version.into(),
            record.creation_time.into(),
            record.last_updated_time.into(),
            record.description.as_ref().into(),
            record.user_id.as_ref().into(),
            (&record.stage).into(),
            record.source.as_ref().into(),
            record.storage_location.as_ref().into(),
            record.run_id.as_ref().into(),
            record.run_link.as_ref().into(),
            (&record.status).into(),
            record.status_message.as_ref().into(),
        ],
    )?;
    if inserted > 0 {
        connection.execute_rows(
            "INSERT INTO model_version_tags (key, value, name, version, workspace) \
             VALUES (?, ?, ?, ?, 'default')",
            &mut record.tags.iter().map(|tag| {
                vec![
                    (&tag.key).into(),
                    (&tag.value).into(),
                    name.into(),
                    record.version.into(),
                ]
            }),
        )?;
    }
    Ok(outcome(inserted))
}

#[async_trait]
impl ImportStore for SqlStore {
    async fn import_experiment(
        &self,
        record: ExperimentRecord,
    ) -> Result<(i64, Outcome), StoreError> {
        self.write(move |connection| experiment(connection, &record))
            .await
    }

    async fn import_dataset(
        &self,
        experiment_id: i64,
        record: Dataset,
    ) -> Result<Outcome, StoreError> {
        self.write(move |connection| dataset(connection, experiment_id, &record))
            .await
    }

    async fn import_run(
        &self,
        experiment_id: i64,
        record: RunRecord,
        metrics: Arc<dyn PointSource<Point>>,
    ) -> Result<Outcome, StoreError> {
        self.write(move |connection| run(connection, experiment_id, &record, &*metrics))
            .await
    }

    async fn import_logged_model(
        &self,
        experiment_id: i64,
        record: LoggedModelRecord,
        metrics: Arc<dyn PointSource<ModelPoint>>,
    ) -> Result<LoggedModelOutcome, StoreError> {
        self.write(move |connection| logged_model(connection, experiment_id, &record, &*metrics))
            .await
    }

    async fn import_registered_model(
        &self,
        record: RegisteredModelRecord,
    ) -> Result<RegisteredModelOutcome, StoreError> {
        self.write(move |connection| registered_model(connection, &record))
            .await
    }
}
