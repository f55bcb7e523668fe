//! Deleting for good, in SQL.
//!
//! Rows go before those that they refer to; where the schema says `ON DELETE CASCADE` the database
//! does it. Edges between runs, datasets and models have no keys and stay, as MLflow leaves them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use mlrs_api::enums::LifecycleStage;
use mlrs_store::StoreError;
use mlrs_store::garbage::{Garbage, GarbageExperiment, GarbageItem, GarbageQuery, GarbageStore};

use crate::connection::{Connection, Row, SqlError, Value, all};
use crate::experiments;
use crate::open::SqlStore;
use crate::statement::Statement;

/// A run or a logged model, and whether it may go.
struct Candidate {
    item: GarbageItem,
    experiment_id: i64,
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
        experiment_id: row.integer(4)?.unwrap_or_default(),
    })
}

/// Of which table, and its words.
struct Kind {
    name: &'static str,
    select: &'static str,
    /// The column of ids.
    id: &'static str,
    deleted: &'static str,
    absent: fn(String) -> StoreError,
}

const RUNS: Kind = Kind {
    name: "Run",
    select: "SELECT run_uuid, artifact_uri, lifecycle_stage, deleted_time, experiment_id \
             FROM runs WHERE ",
    id: "run_uuid",
    deleted: "lifecycle_stage = 'deleted' AND deleted_time <= ",
    absent: StoreError::NoRun,
};

const LOGGED_MODELS: Kind = Kind {
    name: "Logged model",
    select: "SELECT model_id, artifact_location, lifecycle_stage, last_updated_timestamp_ms, \
             experiment_id FROM logged_models WHERE ",
    id: "model_id",
    deleted: "lifecycle_stage = 'deleted' AND last_updated_timestamp_ms <= ",
    absent: StoreError::NoLoggedModel,
};

impl Kind {
    /// Those with these ids, in one statement.
    fn named(
        &self,
        connection: &mut dyn Connection,
        ids: &[String],
    ) -> Result<Vec<Candidate>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = Statement::new(self.select);
        statement.push(self.id).push(" IN ");
        statement.texts(connection.dialect(), ids);
        let found = self.ordered(connection, statement)?.into_iter();
        let mut found: HashMap<String, Candidate> =
            found.map(|found| (found.item.id.clone(), found)).collect();
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
            let one = found.remove(id);
            named.push(one.ok_or_else(|| (self.absent)(id.clone()))?);
        }
        Ok(named)
    }

    fn ordered(
        &self,
        connection: &mut dyn Connection,
        mut statement: Statement<'_>,
    ) -> Result<Vec<Candidate>, StoreError> {
        statement.push(" ORDER BY ").push(self.id);
        all(connection, statement.text(), statement.values(), candidate)
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

    /// Refuses one that is not there or is not deleted.
    fn check_one(&self, connection: &mut dyn Connection, id: &str) -> Result<(), StoreError> {
        let found = self.named(connection, &[id.to_owned()])?;
        found.iter().try_for_each(|found| self.check(found, None))
    }

    /// Those of these ids, or all that are deleted and old enough.
    fn chosen(
        &self,
        connection: &mut dyn Connection,
        ids: Option<&Vec<String>>,
        before: Option<i64>,
    ) -> Result<Vec<Candidate>, StoreError> {
        if let Some(ids) = ids {
            return self.named(connection, ids);
        }
        let mut statement = Statement::new(self.select);
        statement.push(self.deleted);
        statement.bind(before.unwrap_or(i64::MAX));
        self.ordered(connection, statement)
    }

    /// Those of these experiments, by the experiment, in one statement.
    fn of_experiments(
        &self,
        connection: &mut dyn Connection,
        ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Vec<Candidate>>, StoreError> {
        let ids: Vec<i64> = ids.collect();
        let mut by_experiment: HashMap<i64, Vec<Candidate>> = HashMap::new();
        if ids.is_empty() {
            return Ok(by_experiment);
        }
        let mut statement = Statement::new(self.select);
        statement.push("experiment_id IN ");
        statement.integers(connection.dialect(), ids);
        for found in self.ordered(connection, statement)? {
            let of = by_experiment.entry(found.experiment_id).or_default();
            of.push(found);
        }
        Ok(by_experiment)
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

/// Asks the same number of statements whatever there is and whatever is named.
pub(crate) fn garbage(
    connection: &mut dyn Connection,
    query: &GarbageQuery,
) -> Result<Garbage, StoreError> {
    let before = query.before;
    let mut runs = RUNS.chosen(connection, query.run_ids.as_ref(), before)?;
    let models = LOGGED_MODELS.chosen(connection, query.logged_model_ids.as_ref(), before)?;
    let chosen = chosen_experiments(connection, query)?;
    let ids = || chosen.iter().map(|(id, _)| *id);
    let mut runs_of = RUNS.of_experiments(connection, ids())?;
    let mut models_of = LOGGED_MODELS.of_experiments(connection, ids())?;
    let mut experiments = Vec::new();
    for (id, name) in chosen {
        let of = runs_of.remove(&id).unwrap_or_default();
        let (mut deleted, others): (Vec<_>, Vec<_>) =
            of.into_iter().partition(|run| run.is_deleted);
        let all_runs = deleted.iter().chain(&others).map(|run| run.item.clone());
        experiments.push(GarbageExperiment {
            id,
            name,
            runs: all_runs.collect(),
            logged_models: items(models_of.remove(&id).unwrap_or_default()),
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
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(
        "SELECT experiment_id, name, last_update_time, lifecycle_stage FROM experiments \
         WHERE workspace = 'default' AND experiment_id IN ",
    );
    statement.integers(connection.dialect(), ids.iter().copied());
    let found = all(connection, statement.text(), statement.values(), |row| {
        let is_deleted = row.text(3)? == Some(LifecycleStage::Deleted.name());
        let id = row.integer(0)?.unwrap_or_default();
        Ok((id, (row.string(1)?, row.integer(2)?, is_deleted)))
    })?;
    let mut found: HashMap<i64, _> = found.into_iter().collect();
    let before = query.before.map(|before| before - 1);
    let mut chosen = Vec::new();
    let mut seen = HashSet::new();
    for id in ids.iter().copied().filter(|id| seen.insert(*id)) {
        let (name, time, is_deleted) = found.remove(&id).ok_or(StoreError::NoExperiment(id))?;
        if !is_deleted {
            return Err(not_deleted(id));
        }
        check_age(time, before, || format!("Experiment {id}"))?;
        chosen.push((id, name));
    }
    Ok(chosen)
}

fn not_deleted(id: i64) -> StoreError {
    StoreError::invalid(format!(
        "Experiment {id} is not in the deleted lifecycle stage. Only what is deleted can be \
         deleted for good."
    ))
}

fn check_deleted(connection: &mut dyn Connection, id: i64) -> Result<(), StoreError> {
    match experiments::stage_of(connection, id)? {
        LifecycleStage::Deleted => Ok(()),
        LifecycleStage::Active => Err(not_deleted(id)),
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
    RUNS.check_one(connection, id)?;
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
    LOGGED_MODELS.check_one(connection, id)?;
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
        self.search(move |connection| garbage(connection, &query))
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
