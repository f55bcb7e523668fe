//! Experiments in SQL.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::enums::LifecycleStage;
use mlrs_api::experiments::Experiment;
use mlrs_store::rules::locations;
use mlrs_store::search::ExperimentSearch;
use mlrs_store::{ExperimentStore, NewExperiment, Page, StoreError};

use crate::connection::{Connection, Row, SqlError, first};
use crate::hydrate::Owners;
use crate::open::SqlStore;
use crate::search;

/// The columns that [`read`] reads, of the experiments for which the rest of the statement says so.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, \
             e.creation_time, e.last_update_time FROM experiments e WHERE e.workspace = 'default' AND ",
            $rest
        )
    };
}
pub(crate) use select;

pub(crate) fn read(row: &dyn Row) -> Result<Experiment, SqlError> {
    Ok(Experiment {
        experiment_id: row.integer(0)?.unwrap_or_default().to_string(),
        name: row.string(1)?,
        artifact_location: row.maybe_string(2)?,
        lifecycle_stage: row.text(3)?.and_then(LifecycleStage::from_name),
        creation_time: row.integer(4)?,
        last_update_time: row.integer(5)?,
        tags: Vec::new(),
        workspace: Some("default".to_owned()),
    })
}

/// The stage of an experiment.
pub(crate) fn stage_of(
    connection: &mut dyn Connection,
    id: i64,
) -> Result<LifecycleStage, StoreError> {
    let sql =
        "SELECT lifecycle_stage FROM experiments WHERE experiment_id = ? AND workspace = 'default'";
    let stage = first(connection, sql, &[id.into()], |row| {
        Ok(row.text(0)?.and_then(LifecycleStage::from_name))
    })?;
    match stage {
        None => Err(StoreError::NoExperiment(id)),
        Some(stage) => Ok(stage.unwrap_or(LifecycleStage::Active)),
    }
}

/// Refuses an experiment that is not there or is deleted.
pub(crate) fn check_active(connection: &mut dyn Connection, id: i64) -> Result<(), StoreError> {
    match stage_of(connection, id)? {
        LifecycleStage::Active => Ok(()),
        stage @ LifecycleStage::Deleted => Err(StoreError::ExperimentNotActive { id, stage }),
    }
}

/// Root of the artifacts of an experiment that is there.
pub(crate) fn location_of(connection: &mut dyn Connection, id: i64) -> Result<String, StoreError> {
    let sql = "SELECT artifact_location FROM experiments WHERE experiment_id = ?";
    Ok(first(connection, sql, &[id.into()], |row| row.string(0))?.unwrap_or_default())
}

/// Fills in the tags of experiments.
pub(crate) fn add_tags(
    connection: &mut dyn Connection,
    experiments: &mut [Experiment],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = experiments
        .iter()
        .filter_map(|experiment| experiment.experiment_id.parse().ok())
        .collect();
    let owners = Owners::of_integers(&ids);
    owners.each(
        connection,
        "SELECT t.experiment_id, t.key, t.value FROM experiment_tags t WHERE t.experiment_id IN ",
        " ORDER BY t.experiment_id, t.key",
        &mut |position, row| {
            experiments[position]
                .tags
                .push(Tag::new(row.string(1)?, row.string(2)?));
            Ok(())
        },
    )
}

fn find(
    connection: &mut dyn Connection,
    sql: &str,
    value: crate::connection::Value<'_>,
) -> Result<Option<Experiment>, StoreError> {
    let Some(experiment) = first(connection, sql, &[value], read)? else {
        return Ok(None);
    };
    let mut found = [experiment];
    add_tags(connection, &mut found)?;
    let [experiment] = found;
    Ok(Some(experiment))
}

fn insert(
    connection: &mut dyn Connection,
    new: &NewExperiment,
    artifact_root: &str,
) -> Result<i64, StoreError> {
    let taken = first(
        connection,
        "SELECT lifecycle_stage FROM experiments WHERE workspace = 'default' AND name = ?",
        &[(&new.name).into()],
        |row| Ok(row.text(0)? == Some(LifecycleStage::Deleted.name())),
    )?;
    if let Some(deleted) = taken {
        let name = new.name.clone();
        return Err(StoreError::ExperimentExists { name, deleted });
    }
    let id = first(
        connection,
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, \
         last_update_time, workspace) VALUES (?, ?, 'active', ?, ?, 'default') RETURNING experiment_id",
        &[
            (&new.name).into(),
            new.artifact_location.as_ref().into(),
            new.now.into(),
            new.now.into(),
        ],
        |row| row.integer(0),
    );
    let id = match id {
        Ok(id) => id.flatten().unwrap_or_default(),
        // Somebody else made it between the question and the insertion.
        Err(StoreError::Internal(cause)) if is_unique(&*cause) => {
            return Err(StoreError::ExperimentExists {
                name: new.name.clone(),
                deleted: false,
            });
        }
        Err(error) => return Err(error),
    };
    if new.artifact_location.is_none() {
        let location = locations::append(artifact_root, &[&id.to_string()]);
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            &[location.into(), id.into()],
        )?;
    }
    for tag in &new.tags {
        put_tag(connection, id, tag)?;
    }
    Ok(id)
}

fn is_unique(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(cause.downcast_ref::<SqlError>(), Some(SqlError::Unique(_)))
}

fn put_tag(connection: &mut dyn Connection, id: i64, tag: &Tag) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?) \
         ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value",
        &[(&tag.key).into(), (&tag.value).into(), id.into()],
    )?;
    Ok(())
}

fn touch(connection: &mut dyn Connection, id: i64, now: i64) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE experiments SET last_update_time = ? WHERE experiment_id = ?",
        &[now.into(), id.into()],
    )?;
    Ok(())
}

/// Deletes or restores an experiment and its runs.
fn set_stage(
    connection: &mut dyn Connection,
    id: i64,
    stage: LifecycleStage,
    now: i64,
) -> Result<(), StoreError> {
    if stage_of(connection, id)? == stage {
        return Err(StoreError::NoExperiment(id));
    }
    connection.execute(
        "UPDATE experiments SET lifecycle_stage = ?, last_update_time = ? WHERE experiment_id = ?",
        &[stage.name().into(), now.into(), id.into()],
    )?;
    let deleted_time = (stage == LifecycleStage::Deleted).then_some(now);
    connection.execute(
        "UPDATE runs SET lifecycle_stage = ?, deleted_time = ? WHERE experiment_id = ?",
        &[stage.name().into(), deleted_time.into(), id.into()],
    )?;
    Ok(())
}

#[async_trait]
impl ExperimentStore for SqlStore {
    async fn create_experiment(&self, new: NewExperiment) -> Result<i64, StoreError> {
        let root = self.artifact_root();
        self.write(move |connection| insert(connection, &new, &root))
            .await
    }

    async fn experiment(&self, id: i64) -> Result<Experiment, StoreError> {
        self.read(move |connection| {
            let sql = select!("e.experiment_id = ?");
            find(connection, sql, id.into())?.ok_or(StoreError::NoExperiment(id))
        })
        .await
    }

    async fn experiment_by_name(&self, name: String) -> Result<Experiment, StoreError> {
        self.read(move |connection| {
            let sql = select!("e.name = ?");
            let found = find(connection, sql, (&name).into())?;
            found.ok_or_else(|| StoreError::NoExperimentNamed(name.clone()))
        })
        .await
    }

    async fn search_experiments(
        &self,
        search: ExperimentSearch,
    ) -> Result<Page<Experiment>, StoreError> {
        self.search(move |connection| search::experiments::run(connection, &search))
            .await
    }

    async fn set_experiment_stage(
        &self,
        id: i64,
        stage: LifecycleStage,
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| set_stage(connection, id, stage, now))
            .await
    }

    async fn rename_experiment(&self, id: i64, name: String, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            if stage_of(connection, id)? == LifecycleStage::Deleted {
                return Err(StoreError::RenameOfDeleted);
            }
            let renamed = connection.execute(
                "UPDATE experiments SET name = ?, last_update_time = ? WHERE experiment_id = ?",
                &[(&name).into(), now.into(), id.into()],
            );
            match renamed {
                Ok(_) => Ok(()),
                Err(SqlError::Unique(_)) => Err(StoreError::ExperimentExists {
                    name: name.clone(),
                    deleted: false,
                }),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    async fn set_experiment_tag(&self, id: i64, tag: Tag, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_active(connection, id)?;
            put_tag(connection, id, &tag)?;
            touch(connection, id, now)
        })
        .await
    }

    async fn delete_experiment_tag(&self, id: i64, key: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_active(connection, id)?;
            let deleted = connection.execute(
                "DELETE FROM experiment_tags WHERE experiment_id = ? AND key = ?",
                &[id.into(), (&key).into()],
            )?;
            if deleted == 0 {
                return Err(StoreError::NoTag {
                    key: key.clone(),
                    owner: format!("experiment with id {id}"),
                });
            }
            Ok(())
        })
        .await
    }
}
