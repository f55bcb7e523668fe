//! Runs in SQL.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::datasets::{Dataset, DatasetInput, ModelInput, ModelOutput, RunInputs, RunOutputs};
use mlrs_api::enums::{LifecycleStage, RunStatus};
use mlrs_api::metrics::{Metric, Param};
use mlrs_api::runs::{Run, RunData, RunInfo};
use mlrs_store::rules::locations;
use mlrs_store::rules::metrics::RUN_NAME_TAG;
use mlrs_store::search::RunSearch;
use mlrs_store::{Batch, NewRun, Page, RunStore, RunUpdate, StoreError};

use crate::connection::{Connection, Dialect, Row, SqlError, first};
use crate::hydrate::Owners;
use crate::open::SqlStore;
use crate::statement::Statement;
use crate::{experiments, log, search};

/// The columns that [`read`] reads, of the runs for which the rest of the statement says so.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.run_uuid, r.experiment_id, r.name, r.user_id, r.status, r.start_time, \
             r.end_time, r.artifact_uri, r.lifecycle_stage FROM runs r ",
            $rest
        )
    };
}
pub(crate) use select;

pub(crate) fn read(row: &dyn Row) -> Result<RunInfo, SqlError> {
    let run_id = row.string(0)?;
    Ok(RunInfo {
        run_uuid: run_id.clone(),
        experiment_id: row.integer(1)?.unwrap_or_default().to_string(),
        run_name: row.maybe_string(2)?,
        user_id: row.maybe_string(3)?,
        status: row.text(4)?.and_then(RunStatus::from_name),
        start_time: row.integer(5)?,
        end_time: row.integer(6)?.filter(|time| *time != 0),
        artifact_uri: row.maybe_string(7)?,
        lifecycle_stage: row.text(8)?.and_then(LifecycleStage::from_name),
        run_id,
    })
}

/// The stage of a run and its experiment.
fn stage_of(
    connection: &mut dyn Connection,
    id: &str,
    locking: &'static str,
) -> Result<(LifecycleStage, i64), StoreError> {
    let mut statement =
        Statement::new("SELECT lifecycle_stage, experiment_id FROM runs WHERE run_uuid = ");
    statement.bind(id).push(locking);
    let found = first(connection, statement.text(), statement.values(), |row| {
        let stage = row.text(0)?.and_then(LifecycleStage::from_name);
        Ok((
            stage.unwrap_or(LifecycleStage::Active),
            row.integer(1)?.unwrap_or_default(),
        ))
    })?;
    found.ok_or_else(|| StoreError::NoRun(id.to_owned()))
}

fn only_active(id: &str, (stage, experiment): (LifecycleStage, i64)) -> Result<i64, StoreError> {
    match stage {
        LifecycleStage::Active => Ok(experiment),
        LifecycleStage::Deleted => Err(StoreError::RunNotActive {
            id: id.to_owned(),
            stage,
        }),
    }
}

/// Refuses a run that is not there or is deleted; gives its experiment.
pub(crate) fn check_active(connection: &mut dyn Connection, id: &str) -> Result<i64, StoreError> {
    only_active(id, stage_of(connection, id, "")?)
}

/// As [`check_active`], and others that ask in this way wait until this transaction ends.
pub(crate) fn lock_active(connection: &mut dyn Connection, id: &str) -> Result<i64, StoreError> {
    let locking = connection.dialect().for_update();
    only_active(id, stage_of(connection, id, locking)?)
}

/// Fills in what the runs of a page logged, read and made: six statements, whatever the page.
pub(crate) fn complete(
    connection: &mut dyn Connection,
    infos: Vec<RunInfo>,
) -> Result<Vec<Run>, StoreError> {
    let mut runs: Vec<Run> = infos
        .into_iter()
        .map(|info| Run {
            info,
            data: RunData::default(),
            inputs: Some(RunInputs::default()),
            outputs: Some(RunOutputs::default()),
        })
        .collect();
    let owners = Owners::of_texts(runs.iter().map(|run| run.info.run_id.as_str()));
    // What is filled in borrows the runs, so the ids are kept apart from them.
    add_metrics(connection, &owners, &mut runs)?;
    owners.each(
        connection,
        "SELECT p.run_uuid, p.key, p.value FROM params p WHERE p.run_uuid IN ",
        " ORDER BY p.run_uuid, p.key",
        &mut |position, row| {
            let param = Param::new(row.string(1)?, row.string(2)?);
            runs[position].data.params.push(param);
            Ok(())
        },
    )?;
    owners.each(
        connection,
        "SELECT t.run_uuid, t.key, t.value FROM tags t WHERE t.run_uuid IN ",
        " ORDER BY t.run_uuid, t.key",
        &mut |position, row| {
            let tag = Tag::new(row.string(1)?, row.string(2)?);
            runs[position].data.tags.push(tag);
            Ok(())
        },
    )?;
    add_datasets(connection, &owners, &mut runs)?;
    add_models(connection, &owners, &mut runs)?;
    Ok(runs)
}

fn add_metrics(
    connection: &mut dyn Connection,
    owners: &Owners,
    runs: &mut [Run],
) -> Result<(), StoreError> {
    owners.each(
        connection,
        "SELECT m.run_uuid, m.key, m.value, m.timestamp, m.step, m.is_nan FROM latest_metrics m \
         WHERE m.run_uuid IN ",
        " ORDER BY m.run_uuid, m.key",
        &mut |position, row| {
            runs[position].data.metrics.push(Metric {
                key: row.string(1)?,
                value: value_of(row.real(2)?, row.boolean(5)?),
                timestamp: row.integer(3)?.unwrap_or_default(),
                step: row.integer(4)?.unwrap_or_default(),
                ..Metric::default()
            });
            Ok(())
        },
    )
}

/// The value of a metric from its two columns.
pub(crate) fn value_of(value: Option<f64>, is_nan: Option<bool>) -> f64 {
    if is_nan == Some(true) {
        f64::NAN
    } else {
        log::logged(value.unwrap_or_default())
    }
}

/// The order in which PostgreSQL's rows of `inputs` came. Ids of this server begin with the time;
/// those of MLflow are random, so its rows come in the order in which they lie, and first. (SQLite
/// numbers its rows.)
macro_rules! as_inserted {
    () => {
        "CASE WHEN substr(i.input_uuid, 13, 1) = '7' THEN i.input_uuid ELSE '' END, i.ctid"
    };
}

fn add_datasets(
    connection: &mut dyn Connection,
    owners: &Owners,
    runs: &mut [Run],
) -> Result<(), StoreError> {
    let order = match connection.dialect() {
        Dialect::Sqlite => " ORDER BY i.destination_id, i.rowid, t.name",
        Dialect::Postgres => {
            concat!(" ORDER BY i.destination_id, ", as_inserted!(), ", t.name")
        }
    };
    let mut latest = String::new();
    owners.each(
        connection,
        "SELECT i.destination_id, i.input_uuid, d.name, d.digest, d.dataset_source_type, \
         d.dataset_source, d.dataset_schema, d.dataset_profile, t.name, t.value \
         FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id \
         LEFT JOIN input_tags t ON t.input_uuid = i.input_uuid \
         WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id IN ",
        order,
        &mut |position, row| {
            let inputs = &mut runs[position].inputs.get_or_insert_default().dataset_inputs;
            let input = row.string(1)?;
            if inputs.is_empty() || input != latest {
                inputs.push(DatasetInput {
                    tags: Vec::new(),
                    dataset: Some(Dataset {
                        name: row.string(2)?,
                        digest: row.string(3)?,
                        source_type: row.string(4)?,
                        source: row.string(5)?,
                        schema: row.maybe_string(6)?,
                        profile: row.maybe_string(7)?,
                    }),
                });
                latest = input;
            }
            if let (Some(key), Some(input)) = (row.text(8)?, inputs.last_mut()) {
                input.tags.push(Tag::new(key, row.string(9)?));
            }
            Ok(())
        },
    )
}

/// Models that a run read are written the other way round: the run is their source.
fn add_models(
    connection: &mut dyn Connection,
    owners: &Owners,
    runs: &mut [Run],
) -> Result<(), StoreError> {
    let order = match connection.dialect() {
        Dialect::Sqlite => " ORDER BY i.source_id, i.rowid",
        Dialect::Postgres => concat!(" ORDER BY i.source_id, ", as_inserted!()),
    };
    owners.each(
        connection,
        "SELECT i.source_id, i.destination_id, i.source_type, i.step FROM inputs i \
         WHERE i.source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND i.source_id IN ",
        order,
        &mut |position, row| {
            let model_id = row.string(1)?;
            let run = &mut runs[position];
            if row.text(2)? == Some("RUN_INPUT") {
                let inputs = run.inputs.get_or_insert_default();
                inputs.model_inputs.push(ModelInput { model_id });
            } else {
                let step = row.integer(3)?.unwrap_or_default();
                let outputs = run.outputs.get_or_insert_default();
                outputs.model_outputs.push(ModelOutput { model_id, step });
            }
            Ok(())
        },
    )
}

fn info(connection: &mut dyn Connection, id: &str) -> Result<RunInfo, StoreError> {
    let found = first(
        connection,
        select!("WHERE r.run_uuid = ?"),
        &[id.into()],
        read,
    )?;
    found.ok_or_else(|| StoreError::NoRun(id.to_owned()))
}

fn insert(connection: &mut dyn Connection, new: &NewRun) -> Result<Run, StoreError> {
    experiments::check_active(connection, new.experiment_id)?;
    let root = experiments::location_of(connection, new.experiment_id)?;
    let location = locations::append(&root, &[&new.id, "artifacts"]);
    connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, \
         status, start_time, source_version, lifecycle_stage, artifact_uri, experiment_id) \
         VALUES (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, '', 'active', ?, ?)",
        &[
            (&new.id).into(),
            (&new.name).into(),
            (&new.user_id).into(),
            new.start_time.into(),
            (&location).into(),
            new.experiment_id.into(),
        ],
    )?;
    log::put_tags(connection, &new.id, &new.tags)?;
    Ok(Run {
        info: RunInfo {
            run_uuid: new.id.clone(),
            experiment_id: new.experiment_id.to_string(),
            run_name: Some(new.name.clone()),
            user_id: Some(new.user_id.clone()),
            status: Some(RunStatus::Running),
            start_time: Some(new.start_time),
            end_time: None,
            artifact_uri: Some(location),
            lifecycle_stage: Some(LifecycleStage::Active),
            run_id: new.id.clone(),
        },
        data: RunData {
            tags: new.tags.clone(),
            ..RunData::default()
        },
        inputs: Some(RunInputs::default()),
        outputs: None,
    })
}

fn update(
    connection: &mut dyn Connection,
    id: &str,
    update: &RunUpdate,
) -> Result<RunInfo, StoreError> {
    check_active(connection, id)?;
    connection.execute(
        "UPDATE runs SET status = coalesce(?, status), end_time = coalesce(?, end_time), \
         name = coalesce(?, name) WHERE run_uuid = ?",
        &[
            update.status.map(RunStatus::name).into(),
            update.end_time.into(),
            update.name.as_ref().into(),
            id.into(),
        ],
    )?;
    if let Some(name) = &update.name {
        log::put_tags(connection, id, &[Tag::new(RUN_NAME_TAG, name.clone())])?;
    }
    info(connection, id)
}

/// Deletes or restores a run.
fn set_stage(
    connection: &mut dyn Connection,
    id: &str,
    stage: LifecycleStage,
    now: i64,
) -> Result<(), StoreError> {
    let deleted_time = (stage == LifecycleStage::Deleted).then_some(now);
    let changed = connection.execute(
        "UPDATE runs SET lifecycle_stage = ?, deleted_time = ? WHERE run_uuid = ?",
        &[stage.name().into(), deleted_time.into(), id.into()],
    )?;
    if changed == 0 {
        return Err(StoreError::NoRun(id.to_owned()));
    }
    Ok(())
}

#[async_trait]
impl RunStore for SqlStore {
    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError> {
        self.write(move |connection| insert(connection, &new)).await
    }

    async fn run(&self, id: String) -> Result<Run, StoreError> {
        self.read(move |connection| {
            let info = info(connection, &id)?;
            let mut runs = complete(connection, vec![info])?;
            runs.pop().ok_or_else(|| StoreError::NoRun(id.clone()))
        })
        .await
    }

    async fn update_run(&self, id: String, change: RunUpdate) -> Result<RunInfo, StoreError> {
        self.write(move |connection| update(connection, &id, &change))
            .await
    }

    async fn set_run_stage(
        &self,
        id: String,
        stage: LifecycleStage,
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| set_stage(connection, &id, stage, now))
            .await
    }

    async fn search_runs(&self, search: RunSearch) -> Result<Page<Run>, StoreError> {
        self.search(move |connection| search::runs::run(connection, &search))
            .await
    }

    async fn log(&self, run_id: String, batch: Batch) -> Result<(), StoreError> {
        self.write(move |connection| log::batch(connection, &run_id, &batch))
            .await
    }

    async fn delete_tag(&self, run_id: String, key: String) -> Result<(), StoreError> {
        self.write(move |connection| log::delete_tag(connection, &run_id, &key))
            .await
    }
}
