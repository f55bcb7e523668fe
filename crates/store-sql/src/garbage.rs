//! Deleting for good, in SQL.
//!
//! Rows go before those that they refer to; where the schema says `ON DELETE CASCADE` the database
//! does it. Edges between runs, datasets and models have no keys and stay, as MLflow leaves them.

use std::collections::HashSet;

use async_trait::async_trait;
use mlrs_api::enums::LifecycleStage;
use mlrs_store::StoreError;
use mlrs_store::garbage::{Garbage, GarbageExperiment, GarbageItem, GarbageQuery, GarbageStore};

use crate::connection::{Connection, Row, SqlError, Value, all, first};
use crate::experiments;
use crate::open::SqlStore;

/// A run or a logged model, and whether it may go.
struct Candidate {
    item: GarbageItem,
    is_deleted: bool,
    time: Option<i64>,
}

fn candidate(row: &dyn Row) -> Result<Candidate, SqlError> {
    Ok(Candidate {
        item: GarbageItem {
            id: row.string(0)?,
            artifact_root: row.maybe_string(1)?.filter(|root| !root.is_empty()),
        },
        is_deleted: row.text(2)? == Some(LifecycleStage::Deleted.name()),
        time: row.integer(3)?,
    })
}

/// Of which table, and its words.
struct Kind {
    name: &'static str,
    by_id: &'static str,
    of_experiment: &'static str,
    deleted: &'static str,
    absent: fn(String) -> StoreError,
}

const RUNS: Kind = Kind {
    name: "Run",
    by_id: "SELECT run_uuid, artifact_uri, lifecycle_stage, deleted_time FROM runs \
            WHERE run_uuid = ?",
    of_experiment: "SELECT run_uuid, artifact_uri, lifecycle_stage, deleted_time FROM runs \
                    WHERE experiment_id = ? ORDER BY run_uuid",
    deleted: "SELECT run_uuid, artifact_uri, lifecycle_stage, deleted_time FROM runs \
              WHERE lifecycle_stage = 'deleted' AND deleted_time <= ? ORDER BY run_uuid",
    absent: StoreError::NoRun,
};

const LOGGED_MODELS: Kind = Kind {
    name: "Logged model",
    by_id: "SELECT model_id, artifact_location, lifecycle_stage, last_updated_timestamp_ms \
            FROM logged_models WHERE model_id = ?",
    of_experiment: "SELECT model_id, artifact_location, lifecycle_stage, \
                    last_updated_timestamp_ms FROM logged_models WHERE experiment_id = ? \
                    ORDER BY model_id",
    deleted: "SELECT model_id, artifact_location, lifecycle_stage, last_updated_timestamp_ms \
              FROM logged_models WHERE lifecycle_stage = 'deleted' \
              AND last_updated_timestamp_ms <= ? ORDER BY model_id",
    absent: StoreError::NoLoggedModel,
};

impl Kind {
    fn find(&self, connection: &mut dyn Connection, id: &str) -> Result<Candidate, StoreError> {
        first(connection, self.by_id, &[id.into()], candidate)?
            .ok_or_else(|| (self.absent)(id.to_owned()))
    }

    fn check(&self, candidate: &Candidate, before: Option<i64>) -> Result<(), StoreError> {
        let (name, id) = (self.name, &candidate.item.id);
        if !candidate.is_deleted {
            return Err(StoreError::invalid(format!(
                "{name} {id} is not in the deleted lifecycle stage. Only what is deleted can be \
                 deleted for good."
            )));
        }
        check_age(candidate.time, before, || format!("{name} {id}"))
    }

    /// Those of these ids, or all that are deleted and old enough.
    fn chosen(
        &self,
        connection: &mut dyn Connection,
        ids: Option<&Vec<String>>,
        before: Option<i64>,
    ) -> Result<Vec<Candidate>, StoreError> {
        if let Some(ids) = ids {
            return ids.iter().map(|id| self.find(connection, id)).collect();
        }
        let before = before.unwrap_or(i64::MAX);
        all(connection, self.deleted, &[before.into()], candidate)
    }

    fn of_experiment(
        &self,
        connection: &mut dyn Connection,
        id: i64,
    ) -> Result<Vec<Candidate>, StoreError> {
        all(connection, self.of_experiment, &[id.into()], candidate)
    }
}

fn check_age(
    time: Option<i64>,
    before: Option<i64>,
    what: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    match before {
        Some(before) if time.is_none_or(|time| time > before) => Err(StoreError::invalid(format!(
            "{} is not older than the required age.",
            what()
        ))),
        _ => Ok(()),
    }
}

fn items(candidates: Vec<Candidate>) -> Vec<GarbageItem> {
    let items = candidates.into_iter().map(|candidate| candidate.item);
    items.collect()
}

fn garbage(connection: &mut dyn Connection, query: &GarbageQuery) -> Result<Garbage, StoreError> {
    let before = query.before;
    let mut runs = RUNS.chosen(connection, query.run_ids.as_ref(), before)?;
    let models = LOGGED_MODELS.chosen(connection, query.logged_model_ids.as_ref(), before)?;
    let mut experiments = Vec::new();
    for (id, name) in chosen_experiments(connection, query)? {
        let (mut deleted, others): (Vec<_>, Vec<_>) = RUNS
            .of_experiment(connection, id)?
            .into_iter()
            .partition(|run| run.is_deleted);
        let all_runs = deleted.iter().chain(&others).map(|run| run.item.clone());
        experiments.push(GarbageExperiment {
            id,
            name,
            runs: all_runs.collect(),
            logged_models: items(LOGGED_MODELS.of_experiment(connection, id)?),
        });
        runs.append(&mut deleted);
    }
    runs.iter().try_for_each(|run| RUNS.check(run, before))?;
    models
        .iter()
        .try_for_each(|model| LOGGED_MODELS.check(model, before))?;
    Ok(Garbage {
        runs: distinct(items(runs)),
        logged_models: distinct(items(models)),
        experiments,
    })
}

fn distinct(mut items: Vec<GarbageItem>) -> Vec<GarbageItem> {
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.id.clone()));
    items
}

fn chosen_experiments(
    connection: &mut dyn Connection,
    query: &GarbageQuery,
) -> Result<Vec<(i64, String)>, StoreError> {
    let Some(ids) = &query.experiment_ids else {
        // By `<` and not by `<=`, as MLflow's filter has it.
        return all(
            connection,
            "SELECT experiment_id, name FROM experiments WHERE workspace = 'default' \
             AND lifecycle_stage = 'deleted' AND coalesce(last_update_time, ?) < ? \
             ORDER BY experiment_id",
            &[
                // One that has no time is deleted only when no age is asked for.
                (if query.before.is_none() { 0 } else { i64::MAX }).into(),
                query.before.unwrap_or(i64::MAX).into(),
            ],
            |row| Ok((row.integer(0)?.unwrap_or_default(), row.string(1)?)),
        );
    };
    let mut chosen = Vec::new();
    for id in ids {
        if chosen.iter().any(|(known, _)| known == id) {
            continue;
        }
        check_deleted(connection, *id)?;
        let found = first(
            connection,
            "SELECT name, last_update_time FROM experiments WHERE experiment_id = ?",
            &[(*id).into()],
            |row| Ok((row.string(0)?, row.integer(1)?)),
        )?;
        let (name, time) = found.ok_or(StoreError::NoExperiment(*id))?;
        let before = query.before.map(|before| before - 1);
        check_age(time, before, || format!("Experiment {id}"))?;
        chosen.push((*id, name));
    }
    Ok(chosen)
}

fn check_deleted(connection: &mut dyn Connection, id: i64) -> Result<(), StoreError> {
    match experiments::stage_of(connection, id)? {
        LifecycleStage::Deleted => Ok(()),
        LifecycleStage::Active => Err(StoreError::invalid(format!(
            "Experiment {id} is not in the deleted lifecycle stage. Only what is deleted can be \
             deleted for good."
        ))),
    }
}

fn each(
    connection: &mut dyn Connection,
    statements: &[&str],
    id: &Value<'_>,
) -> Result<(), StoreError> {
    for statement in statements {
        connection.execute(statement, std::slice::from_ref(id))?;
    }
    Ok(())
}

fn erase_run(connection: &mut dyn Connection, id: &str) -> Result<(), StoreError> {
    let found = RUNS.find(connection, id)?;
    RUNS.check(&found, None)?;
    each(
        connection,
        &[
            "DELETE FROM metrics WHERE run_uuid = ?",
            "DELETE FROM latest_metrics WHERE run_uuid = ?",
            "DELETE FROM params WHERE run_uuid = ?",
            "DELETE FROM tags WHERE run_uuid = ?",
            "DELETE FROM runs WHERE run_uuid = ?",
        ],
        &id.into(),
    )
}

fn erase_logged_model(connection: &mut dyn Connection, id: &str) -> Result<(), StoreError> {
    let found = LOGGED_MODELS.find(connection, id)?;
    LOGGED_MODELS.check(&found, None)?;
    each(
        connection,
        &[
            "DELETE FROM logged_model_metrics WHERE model_id = ?",
            "DELETE FROM logged_model_params WHERE model_id = ?",
            "DELETE FROM logged_model_tags WHERE model_id = ?",
            "DELETE FROM logged_models WHERE model_id = ?",
        ],
        &id.into(),
    )
}

fn erase_experiment(connection: &mut dyn Connection, id: i64) -> Result<(), StoreError> {
    check_deleted(connection, id)?;
    each(
        connection,
        &[
            "DELETE FROM sql_trace_rollup_rebuild_queue WHERE experiment_id = ?",
            "DELETE FROM sql_trace_metric_daily_rollups WHERE experiment_id = ?",
            "DELETE FROM sql_span_cost_daily_rollups WHERE experiment_id = ?",
            "DELETE FROM sql_assessment_daily_rollups WHERE experiment_id = ?",
            "DELETE FROM metrics WHERE run_uuid IN \
             (SELECT run_uuid FROM runs WHERE experiment_id = ?)",
            "DELETE FROM latest_metrics WHERE run_uuid IN \
             (SELECT run_uuid FROM runs WHERE experiment_id = ?)",
            "DELETE FROM params WHERE run_uuid IN \
             (SELECT run_uuid FROM runs WHERE experiment_id = ?)",
            "DELETE FROM tags WHERE run_uuid IN \
             (SELECT run_uuid FROM runs WHERE experiment_id = ?)",
            "DELETE FROM logged_model_metrics WHERE experiment_id = ?",
            "DELETE FROM logged_model_params WHERE experiment_id = ?",
            "DELETE FROM logged_model_tags WHERE experiment_id = ?",
            "DELETE FROM logged_models WHERE experiment_id = ?",
            "DELETE FROM runs WHERE experiment_id = ?",
            "DELETE FROM trace_info WHERE experiment_id = ?",
            "DELETE FROM online_scoring_configs WHERE experiment_id = ?",
            "DELETE FROM scorers WHERE experiment_id = ?",
            "DELETE FROM datasets WHERE experiment_id = ?",
            "DELETE FROM experiment_tags WHERE experiment_id = ?",
            "DELETE FROM experiments WHERE experiment_id = ?",
        ],
        &id.into(),
    )
}

#[async_trait]
impl GarbageStore for SqlStore {
    async fn garbage(&self, query: GarbageQuery) -> Result<Garbage, StoreError> {
        self.read(move |connection| garbage(connection, &query))
            .await
    }

    async fn erase_run(&self, id: String) -> Result<(), StoreError> {
        self.write(move |connection| erase_run(connection, &id))
            .await
    }

    async fn erase_logged_model(&self, id: String) -> Result<(), StoreError> {
        self.write(move |connection| erase_logged_model(connection, &id))
            .await
    }

    async fn erase_experiment(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |connection| erase_experiment(connection, id))
            .await
    }
}
