//! What runs read and made, in SQL: edges in the table `inputs`.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::datasets::{Dataset, DatasetInput, DatasetSummary, ModelInput, ModelOutput};
use mlrs_store::rules::limits;
use mlrs_store::rules::lineage::HISTORY_TAG;
use mlrs_store::rules::values::{Truncate, tag_value};
use mlrs_store::{LineageStore, StoreError};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::connection::{Connection, Value, all, first};
use crate::open::SqlStore;
use crate::statement::Statement;
use crate::{log, runs};

/// One end of an edge and the other.
pub(crate) struct Edge<'a> {
    pub(crate) source_type: &'static str,
    pub(crate) source: &'a str,
    pub(crate) destination_type: &'static str,
    pub(crate) destination: &'a str,
    pub(crate) step: i64,
}

/// Adds an edge, and gives its id; none when it is there already.
pub(crate) fn add(
    connection: &mut dyn Connection,
    edge: &Edge<'_>,
) -> Result<Option<String>, StoreError> {
    // Begins with the time: what a run read and made is told in the order in which it came.
    let id = Uuid::now_v7().simple().to_string();
    let added = connection.execute(
        "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, \
         destination_id, step) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        &[
            (&id).into(),
            edge.source_type.into(),
            edge.source.into(),
            edge.destination_type.into(),
            edge.destination.into(),
            edge.step.into(),
        ],
    )?;
    Ok((added > 0).then_some(id))
}

/// The id of a dataset, which is made if it is not there.
pub(crate) fn dataset_id(
    connection: &mut dyn Connection,
    experiment_id: i64,
    dataset: &Dataset,
) -> Result<String, StoreError> {
    let id = Uuid::new_v4().simple().to_string();
    let key: [Value<'_>; 3] = [
        experiment_id.into(),
        (&dataset.name).into(),
        (&dataset.digest).into(),
    ];
    connection.execute(
        "INSERT INTO datasets (dataset_uuid, dataset_source_type, dataset_source, \
         dataset_schema, dataset_profile, experiment_id, name, digest) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        &[
            (&id).into(),
            (&dataset.source_type).into(),
            (&dataset.source).into(),
            dataset.schema.as_ref().into(),
            dataset.profile.as_ref().into(),
            key[0].clone(),
            key[1].clone(),
            key[2].clone(),
        ],
    )?;
    let known = first(
        connection,
        "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?",
        &key,
        |row| row.string(0),
    )?;
    Ok(known.unwrap_or(id))
}

fn add_inputs(
    connection: &mut dyn Connection,
    run_id: &str,
    datasets: &[DatasetInput],
    models: &[ModelInput],
) -> Result<(), StoreError> {
    let experiment_id = runs::check_active(connection, run_id)?;
    for input in datasets {
        let Some(dataset) = &input.dataset else {
            continue;
        };
        let dataset_id = dataset_id(connection, experiment_id, dataset)?;
        let edge = Edge {
            source_type: "DATASET",
            source: &dataset_id,
            destination_type: "RUN",
            destination: run_id,
            step: 0,
        };
        // Tags are those of the first time.
        if let Some(edge_id) = add(connection, &edge)? {
            add_tags(connection, &edge_id, &input.tags)?;
        }
    }
    for model in models {
        let edge = Edge {
            source_type: "RUN_INPUT",
            source: run_id,
            destination_type: "MODEL_INPUT",
            destination: &model.model_id,
            step: 0,
        };
        add(connection, &edge)?;
    }
    Ok(())
}

pub(crate) fn add_tags(
    connection: &mut dyn Connection,
    edge_id: &str,
    tags: &[Tag],
) -> Result<(), StoreError> {
    connection.execute_rows(
        "INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        &mut tags
            .iter()
            .map(|tag| vec![edge_id.into(), (&tag.key).into(), (&tag.value).into()]),
    )?;
    Ok(())
}

/// Adds to the list in the tag; a tag that holds something else begins anew.
fn add_to_history(
    connection: &mut dyn Connection,
    run_id: &str,
    model: &Json,
) -> Result<(), StoreError> {
    runs::lock_active(connection, run_id)?;
    let sql = "SELECT value FROM tags WHERE run_uuid = ? AND key = ?";
    let known = first(
        connection,
        sql,
        &[run_id.into(), HISTORY_TAG.into()],
        |row| row.string(0),
    )?;
    let known = known.and_then(|text| serde_json::from_str::<Vec<Json>>(&text).ok());
    let mut history = known.unwrap_or_default();
    history.push(model.clone());
    let text = Json::from(history).to_string();
    let text = tag_value(HISTORY_TAG, text, Truncate::Cut)?;
    log::put_tags(connection, run_id, &[Tag::new(HISTORY_TAG, text)])
}

fn datasets_of(
    connection: &mut dyn Connection,
    experiment_ids: &[i64],
) -> Result<Vec<DatasetSummary>, StoreError> {
    let mut statement = Statement::new(
        "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value FROM datasets d \
         JOIN inputs i ON i.source_id = d.dataset_uuid \
         LEFT JOIN input_tags t ON t.input_uuid = i.input_uuid AND t.name = 'mlflow.data.context' \
         WHERE d.experiment_id IN ",
    );
    statement.integers(connection.dialect(), experiment_ids.iter().copied());
    statement.push(" ORDER BY d.experiment_id, d.name, d.digest, t.value LIMIT ");
    statement.bind(limits::DATASETS);
    all(connection, statement.text(), statement.values(), |row| {
        Ok(DatasetSummary {
            experiment_id: row.integer(0)?.unwrap_or_default().to_string(),
            name: row.string(1)?,
            digest: row.string(2)?,
            context: row.maybe_string(3)?,
        })
    })
}

#[async_trait]
impl LineageStore for SqlStore {
    async fn log_inputs(
        &self,
        run_id: String,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelInput>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| add_inputs(connection, &run_id, &datasets, &models))
            .await
    }

    async fn log_outputs(
        &self,
        run_id: String,
        models: Vec<ModelOutput>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            runs::check_active(connection, &run_id)?;
            for model in &models {
                let edge = Edge {
                    source_type: "RUN_OUTPUT",
                    source: &run_id,
                    destination_type: "MODEL_OUTPUT",
                    destination: &model.model_id,
                    step: model.step,
                };
                add(connection, &edge)?;
            }
            Ok(())
        })
        .await
    }

    async fn record_model(&self, run_id: String, model: Json) -> Result<(), StoreError> {
        self.write(move |connection| add_to_history(connection, &run_id, &model))
            .await
    }

    async fn datasets(&self, experiment_ids: Vec<i64>) -> Result<Vec<DatasetSummary>, StoreError> {
        self.search(move |connection| datasets_of(connection, &experiment_ids))
            .await
    }
}
