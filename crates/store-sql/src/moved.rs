//! Runs into another experiment, which the REST API has no call for.
//!
//! A run takes the logged models that it made with it, and the datasets that it read are those of
//! the new experiment afterwards. Artifacts stay where they are: a run knows their root itself.

use mlrs_api::datasets::Dataset;
use mlrs_store::StoreError;

use crate::connection::{Connection, all};
use crate::open::SqlStore;
use crate::{experiments, lineage, runs};

/// Rows of the models that a run made, by the tables that say in which experiment they are.
const OF_MODELS: [&str; 4] = [
    "UPDATE logged_model_metrics SET experiment_id = ? WHERE model_id IN \
     (SELECT model_id FROM logged_models WHERE source_run_id = ?)",
    "UPDATE logged_model_params SET experiment_id = ? WHERE model_id IN \
     (SELECT model_id FROM logged_models WHERE source_run_id = ?)",
    "UPDATE logged_model_tags SET experiment_id = ? WHERE model_id IN \
     (SELECT model_id FROM logged_models WHERE source_run_id = ?)",
    "UPDATE logged_models SET experiment_id = ? WHERE source_run_id = ?",
];

fn move_run(
    connection: &mut dyn Connection,
    run_id: &str,
    experiment_id: i64,
) -> Result<(), StoreError> {
    if runs::lock_active(connection, run_id)? == experiment_id {
        return Ok(());
    }
    connection.execute(
        "UPDATE runs SET experiment_id = ? WHERE run_uuid = ?",
        &[experiment_id.into(), run_id.into()],
    )?;
    for statement in OF_MODELS {
        connection.execute(statement, &[experiment_id.into(), run_id.into()])?;
    }
    move_datasets(connection, run_id, experiment_id)
}

/// Datasets belong to an experiment, so what the run read is looked up, or made, in the new one.
fn move_datasets(
    connection: &mut dyn Connection,
    run_id: &str,
    experiment_id: i64,
) -> Result<(), StoreError> {
    let read = all(
        connection,
        "SELECT d.dataset_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, \
         d.dataset_schema, d.dataset_profile FROM datasets d JOIN inputs i \
         ON i.source_type = 'DATASET' AND i.source_id = d.dataset_uuid \
         WHERE i.destination_type = 'RUN' AND i.destination_id = ?",
        &[run_id.into()],
        |row| {
            let dataset = Dataset {
                name: row.string(1)?,
                digest: row.string(2)?,
                source_type: row.string(3)?,
                source: row.string(4)?,
                schema: row.maybe_string(5)?,
                profile: row.maybe_string(6)?,
            };
            Ok((row.string(0)?, dataset))
        },
    )?;
    for (before, dataset) in read {
        let after = lineage::dataset_id(connection, experiment_id, &dataset)?;
        connection.execute(
            "UPDATE inputs SET source_id = ? WHERE source_type = 'DATASET' AND source_id = ? \
             AND destination_type = 'RUN' AND destination_id = ?",
            &[after.into(), before.into(), run_id.into()],
        )?;
    }
    Ok(())
}

impl SqlStore {
    /// Moves active runs into an active experiment: all of them or none.
    ///
    /// # Errors
    /// When a run or the experiment is not there or is deleted, or the database fails.
    pub async fn move_runs(
        &self,
        run_ids: &[String],
        experiment_id: i64,
    ) -> Result<(), StoreError> {
        let run_ids = run_ids.to_vec();
        self.write(move |connection| {
            experiments::check_active(connection, experiment_id)?;
            run_ids
                .iter()
                .try_for_each(|run_id| move_run(connection, run_id, experiment_id))
        })
        .await
    }
}
