//! Logged models in SQL.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::enums::{LifecycleStage, LoggedModelStatus};
use mlrs_api::logged_models::{LoggedModel, LoggedModelData, LoggedModelInfo};
use mlrs_api::metrics::{Metric, Param};
use mlrs_store::rules::locations;
use mlrs_store::rules::registry::MODEL_VERSIONS_TAG;
use mlrs_store::search::LoggedModelSearch;
use mlrs_store::{LoggedModelStore, NewLoggedModel, Page, StoreError};

use crate::connection::{Connection, Row, SqlError, first};
use crate::hydrate::Owners;
use crate::open::SqlStore;
use crate::statement::Statement;
use crate::{experiments, log, search};

/// The columns that [`read`] reads, of the models for which the rest of the statement says so.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT l.model_id, l.experiment_id, l.name, l.creation_timestamp_ms, \
             l.last_updated_timestamp_ms, l.artifact_location, l.status, l.model_type, \
             l.source_run_id, l.status_message FROM logged_models l ",
            $rest
        )
    };
}
pub(crate) use select;

pub(crate) fn read(row: &dyn Row) -> Result<LoggedModelInfo, SqlError> {
    Ok(LoggedModelInfo {
        model_id: row.string(0)?,
        experiment_id: row.integer(1)?.unwrap_or_default().to_string(),
        name: row.string(2)?,
        creation_timestamp_ms: row.integer(3)?,
        last_updated_timestamp_ms: row.integer(4)?,
        artifact_uri: row.maybe_string(5)?,
        status: row.integer(6)?.and_then(LoggedModelStatus::from_number),
        model_type: row.maybe_string(7)?,
        source_run_id: row.maybe_string(8)?,
        status_message: row.maybe_string(9)?,
        tags: Vec::new(),
    })
}

/// Fills in what was logged about the models of a page: three statements, whatever the page.
pub(crate) fn complete(
    connection: &mut dyn Connection,
    infos: Vec<LoggedModelInfo>,
) -> Result<Vec<LoggedModel>, StoreError> {
    let owners = Owners::of_texts(infos.iter().map(|info| info.model_id.as_str()));
    let data = LoggedModelData::default;
    let models = infos
        .into_iter()
        .map(|info| LoggedModel { info, data: data() });
    let mut models: Vec<LoggedModel> = models.collect();
    owners.each(
        connection,
        "SELECT t.model_id, t.tag_key, t.tag_value FROM logged_model_tags t WHERE t.model_id IN ",
        " ORDER BY t.model_id, t.tag_key",
        &mut |position, row| {
            let tag = Tag::new(row.string(1)?, row.string(2)?);
            models[position].info.tags.push(tag);
            Ok(())
        },
    )?;
    owners.each(
        connection,
        "SELECT p.model_id, p.param_key, p.param_value FROM logged_model_params p \
         WHERE p.model_id IN ",
        " ORDER BY p.model_id, p.param_key",
        &mut |position, row| {
            let param = Param::new(row.string(1)?, row.string(2)?);
            models[position].data.params.push(param);
            Ok(())
        },
    )?;
    owners.each(
        connection,
        "SELECT m.model_id, m.metric_name, m.metric_value, m.metric_timestamp_ms, m.metric_step, \
         m.dataset_name, m.dataset_digest, m.run_id FROM logged_model_metrics m \
         WHERE m.model_id IN ",
        " ORDER BY m.model_id, m.metric_name, m.metric_timestamp_ms, m.metric_step, m.run_id",
        &mut |position, row| {
            let metric = metric(row)?;
            models[position].data.metrics.push(metric);
            Ok(())
        },
    )?;
    Ok(models)
}

fn metric(row: &dyn Row) -> Result<Metric, SqlError> {
    Ok(Metric {
        model_id: row.maybe_string(0)?,
        key: row.string(1)?,
        value: log::logged(row.real(2)?.unwrap_or_default()),
        timestamp: row.integer(3)?.unwrap_or_default(),
        step: row.integer(4)?.unwrap_or_default(),
        dataset_name: row.maybe_string(5)?,
        dataset_digest: row.maybe_string(6)?,
        run_id: row.maybe_string(7)?,
    })
}

/// The model with this id; a deleted one only when asked for.
fn find(
    connection: &mut dyn Connection,
    id: &str,
    allow_deleted: bool,
) -> Result<LoggedModel, StoreError> {
    let sql = if allow_deleted {
        select!("WHERE l.model_id = ?")
    } else {
        select!("WHERE l.model_id = ? AND l.lifecycle_stage <> 'deleted'")
    };
    let Some(info) = first(connection, sql, &[id.into()], read)? else {
        return Err(StoreError::NoLoggedModel(id.to_owned()));
    };
    let mut models = complete(connection, vec![info])?;
    models
        .pop()
        .ok_or_else(|| StoreError::NoLoggedModel(id.to_owned()))
}

/// The experiment of a model, deleted or not; others that ask for it wait until this transaction
/// ends.
fn experiment_of(connection: &mut dyn Connection, id: &str) -> Result<i64, StoreError> {
    let mut statement = Statement::new("SELECT experiment_id FROM logged_models WHERE model_id = ");
    statement.bind(id).push(connection.dialect().for_update());
    let found = first(connection, statement.text(), statement.values(), |row| {
        row.integer(0)
    })?;
    match found {
        Some(experiment) => Ok(experiment.unwrap_or_default()),
        None => Err(StoreError::NoLoggedModel(id.to_owned())),
    }
}

fn insert(
    connection: &mut dyn Connection,
    new: &NewLoggedModel,
) -> Result<LoggedModel, StoreError> {
    experiments::check_active(connection, new.experiment_id)?;
    let root = experiments::location_of(connection, new.experiment_id)?;
    let location = locations::append(&root, &["models", &new.id, "artifacts"]);
    connection.execute(
        "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, \
         creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage, model_type, \
         source_run_id) VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?, ?)",
        &[
            (&new.id).into(),
            new.experiment_id.into(),
            (&new.name).into(),
            location.into(),
            new.now.into(),
            new.now.into(),
            i64::from(LoggedModelStatus::Pending.number()).into(),
            (&new.model_type).into(),
            (&new.source_run_id).into(),
        ],
    )?;
    put_params(connection, &new.id, new.experiment_id, &new.params)?;
    put_tags(connection, &new.id, new.experiment_id, &new.tags)?;
    find(connection, &new.id, false)
}

fn put_tags(
    connection: &mut dyn Connection,
    id: &str,
    experiment_id: i64,
    tags: &[Tag],
) -> Result<(), StoreError> {
    connection.execute_rows(
        "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) \
         VALUES (?, ?, ?, ?) ON CONFLICT (model_id, tag_key) DO UPDATE SET \
         tag_value = excluded.tag_value",
        &mut tags.iter().map(|tag| {
            vec![
                id.into(),
                experiment_id.into(),
                (&tag.key).into(),
                (&tag.value).into(),
            ]
        }),
    )?;
    Ok(())
}

fn put_params(
    connection: &mut dyn Connection,
    id: &str,
    experiment_id: i64,
    params: &[Param],
) -> Result<(), StoreError> {
    for param in params {
        let inserted = connection.execute(
            "INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) \
             VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            &[
                id.into(),
                experiment_id.into(),
                (&param.key).into(),
                (&param.value).into(),
            ],
        )?;
        if inserted == 0 {
            check_same(connection, id, param)?;
        }
    }
    Ok(())
}

/// The same value again is nothing; another one is refused.
fn check_same(connection: &mut dyn Connection, id: &str, param: &Param) -> Result<(), StoreError> {
    let sql = "SELECT param_value FROM logged_model_params WHERE model_id = ? AND param_key = ?";
    let known = first(connection, sql, &[id.into(), (&param.key).into()], |row| {
        row.string(0)
    })?;
    if known.as_ref() == Some(&param.value) {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "Changing param values is not allowed. Param with key='{}' was already logged with \
         value='{}' for model ID='{id}'. Attempted logging new value '{}'.",
        param.key,
        known.unwrap_or_default(),
        param.value
    )))
}

/// The list is JSON with the spaces that Python writes; a tag that holds something else begins anew.
fn note_version(
    connection: &mut dyn Connection,
    id: &str,
    name: &str,
    version: i64,
) -> Result<(), StoreError> {
    let experiment_id = experiment_of(connection, id)?;
    let sql = "SELECT tag_value FROM logged_model_tags WHERE model_id = ? AND tag_key = ?";
    let known = first(
        connection,
        sql,
        &[id.into(), MODEL_VERSIONS_TAG.into()],
        |row| row.string(0),
    )?;
    let known = known
        .as_deref()
        .and_then(|text| text.trim().strip_prefix('[')?.strip_suffix(']'));
    let entry = format!(
        "{{\"name\": {}, \"version\": {version}}}",
        serde_json::Value::from(name)
    );
    let list = match known {
        Some(known) if known.contains(&entry) => return Ok(()),
        Some(known) if !known.is_empty() => format!("[{known}, {entry}]"),
        _ => format!("[{entry}]"),
    };
    put_tags(
        connection,
        id,
        experiment_id,
        &[Tag::new(MODEL_VERSIONS_TAG, list)],
    )
}

#[async_trait]
impl LoggedModelStore for SqlStore {
    async fn create_logged_model(&self, new: NewLoggedModel) -> Result<LoggedModel, StoreError> {
        self.write(move |connection| insert(connection, &new)).await
    }

    async fn logged_model(
        &self,
        id: String,
        allow_deleted: bool,
    ) -> Result<LoggedModel, StoreError> {
        self.read(move |connection| find(connection, &id, allow_deleted))
            .await
    }

    async fn finalize_logged_model(
        &self,
        id: String,
        status: LoggedModelStatus,
        now: i64,
    ) -> Result<LoggedModel, StoreError> {
        self.write(move |connection| {
            connection.execute(
                "UPDATE logged_models SET status = ?, last_updated_timestamp_ms = ? WHERE model_id = ?",
                &[i64::from(status.number()).into(), now.into(), (&id).into()],
            )?;
            find(connection, &id, true)
        })
        .await
    }

    async fn delete_logged_model(&self, id: String, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            let deleted = connection.execute(
                "UPDATE logged_models SET lifecycle_stage = ?, last_updated_timestamp_ms = ? \
                 WHERE model_id = ?",
                &[
                    LifecycleStage::Deleted.name().into(),
                    now.into(),
                    (&id).into(),
                ],
            )?;
            if deleted == 0 {
                return Err(StoreError::NoLoggedModel(id.clone()));
            }
            Ok(())
        })
        .await
    }

    async fn search_logged_models(
        &self,
        search: LoggedModelSearch,
    ) -> Result<Page<LoggedModel>, StoreError> {
        self.search(move |connection| search::logged_models::run(connection, &search))
            .await
    }

    async fn set_logged_model_tags(&self, id: String, tags: Vec<Tag>) -> Result<(), StoreError> {
        self.write(move |connection| {
            let experiment_id = experiment_of(connection, &id)?;
            put_tags(connection, &id, experiment_id, &tags)
        })
        .await
    }

    async fn delete_logged_model_tag(&self, id: String, key: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            experiment_of(connection, &id)?;
            let deleted = connection.execute(
                "DELETE FROM logged_model_tags WHERE model_id = ? AND tag_key = ?",
                &[(&id).into(), (&key).into()],
            )?;
            if deleted == 0 {
                return Err(StoreError::NoLoggedModelTag {
                    model_id: id.clone(),
                    key: key.clone(),
                });
            }
            Ok(())
        })
        .await
    }

    async fn note_version(&self, id: String, name: String, version: i64) -> Result<(), StoreError> {
        self.write(move |connection| note_version(connection, &id, &name, version))
            .await
    }

    async fn log_logged_model_params(
        &self,
        id: String,
        params: Vec<Param>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let experiment_id = experiment_of(connection, &id)?;
            put_params(connection, &id, experiment_id, &params)
        })
        .await
    }
}
