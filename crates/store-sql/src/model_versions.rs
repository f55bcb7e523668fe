//! Versions of registered models in SQL.

use std::collections::HashMap;

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::registry::ModelVersion;
use mlrs_store::search::ModelVersionSearch;
use mlrs_store::{ModelVersionStore, NewModelVersion, Page, Stage, StoreError};
use serde_json::Value as Json;

use crate::connection::{Connection, Row, SqlError, first};
use crate::hydrate::Owners;
use crate::open::SqlStore;
use crate::registered_models::{self, touch};
use crate::search;
use crate::statement::Statement;

/// The stage of a version that was deleted: its row stays, so that its number is not given again.
const DELETED: &str = "Deleted_Internal";

/// The columns that [`read`] reads, of the versions for which the rest of the statement says so;
/// never of deleted ones.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT v.name, v.version, v.creation_time, v.last_updated_time, v.user_id, \
             v.current_stage, v.description, v.source, v.run_id, v.status, v.status_message, \
             v.run_link FROM model_versions v WHERE v.workspace = 'default' \
             AND v.current_stage <> 'Deleted_Internal' AND ",
            $rest
        )
    };
}
pub(crate) use select;

pub(crate) fn read(row: &dyn Row) -> Result<ModelVersion, SqlError> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(ModelVersion {
        name: row.string(0)?,
        version: row.integer(1)?.unwrap_or_default().to_string(),
        creation_timestamp: row.integer(2)?,
        last_updated_timestamp: row.integer(3)?,
        user_id: row.maybe_string(4)?,
        current_stage: row.maybe_string(5)?,
        description: row.maybe_string(6)?,
        source: row.maybe_string(7)?,
        run_id: row.maybe_string(8)?,
        status: row.maybe_string(9)?,
        status_message: filled(row.maybe_string(10)?),
        run_link: row.maybe_string(11)?,
        ..ModelVersion::default()
    })
}

/// The newest version of each stage of models, with the position of its model.
pub(crate) fn latest_of(
    connection: &mut dyn Connection,
    owners: &Owners,
) -> Result<Vec<(usize, ModelVersion)>, StoreError> {
    let mut found = Vec::new();
    owners.each(
        connection,
        select!(
            "v.version = (SELECT max(w.version) FROM model_versions w WHERE \
             w.workspace = 'default' AND w.name = v.name AND w.current_stage = v.current_stage) \
             AND v.name IN "
        ),
        " ORDER BY v.name, v.version",
        &mut |position, row| {
            found.push((position, read(row)?));
            Ok(())
        },
    )?;
    Ok(found)
}

/// Fills in the tags of versions: one statement, however many there are.
pub(crate) fn add_tags<'a>(
    connection: &mut dyn Connection,
    versions: impl Iterator<Item = &'a mut ModelVersion>,
) -> Result<(), StoreError> {
    let mut places: HashMap<(String, i64), &mut ModelVersion> = versions
        .map(|version| {
            let number = version.version.parse().unwrap_or_default();
            ((version.name.clone(), number), version)
        })
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let keys: Vec<Json> = places
        .keys()
        .map(|(name, version)| serde_json::json!([name, version]))
        .collect();
    let mut statement = Statement::new(
        "SELECT t.name, t.version, t.key, t.value FROM model_version_tags t \
         WHERE t.workspace = 'default' AND (t.name, t.version) IN \
         (SELECT value ->> 0, CAST(value ->> 1 AS bigint) FROM ",
    );
    statement.json_rows(connection.dialect(), Json::from(keys).to_string());
    statement.push(") ORDER BY t.name, t.version, t.key");
    connection.query(statement.text(), statement.values(), &mut |row| {
        let key = (row.string(0)?, row.integer(1)?.unwrap_or_default());
        if let Some(version) = places.get_mut(&key) {
            version.tags.push(Tag::new(row.string(2)?, row.string(3)?));
        }
        Ok(())
    })
}

/// Refuses a version that is not there.
pub(crate) fn check_there(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
) -> Result<(), StoreError> {
    let sql = "SELECT current_stage FROM model_versions \
               WHERE workspace = 'default' AND name = ? AND version = ?";
    let stage = first(connection, sql, &[name.into(), version.into()], |row| {
        row.string(0)
    })?;
    match stage {
        Some(stage) if stage != DELETED => Ok(()),
        _ => Err(no_version(name, version)),
    }
}

fn no_version(name: &str, version: i64) -> StoreError {
    StoreError::NoModelVersion {
        name: name.to_owned(),
        version,
    }
}

/// A version with its tags and aliases.
pub(crate) fn find(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
) -> Result<ModelVersion, StoreError> {
    let key = [name.into(), version.into()];
    let sql = select!("v.name = ? AND v.version = ?");
    let found = first(connection, sql, &key, read)?;
    let mut found = found.ok_or_else(|| no_version(name, version))?;
    let tags = "SELECT key, value FROM model_version_tags \
                WHERE workspace = 'default' AND name = ? AND version = ? ORDER BY key";
    connection.query(tags, &key, &mut |row| {
        found.tags.push(Tag::new(row.string(0)?, row.string(1)?));
        Ok(())
    })?;
    let aliases = "SELECT alias FROM registered_model_aliases \
                   WHERE workspace = 'default' AND name = ? AND version = ? ORDER BY alias";
    connection.query(aliases, &key, &mut |row| {
        found.aliases.push(row.string(0)?);
        Ok(())
    })?;
    Ok(found)
}

/// Two that make a version at once cannot get one number: the key of the row is the number.
fn insert(
    connection: &mut dyn Connection,
    new: &NewModelVersion,
) -> Result<ModelVersion, StoreError> {
    // Touching the model first makes another transaction wait for this one.
    touch(connection, &new.name, new.now)?;
    registered_models::check_there(connection, &new.name)?;
    let newest = first(
        connection,
        "SELECT max(version) FROM model_versions WHERE workspace = 'default' AND name = ?",
        &[(&new.name).into()],
        |row| row.integer(0),
    )?;
    let version = newest.flatten().unwrap_or_default() + 1;
    connection.execute(
        "INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, \
         current_stage, source, run_id, status, run_link, storage_location, workspace) \
         VALUES (?, ?, ?, ?, ?, 'None', ?, ?, 'READY', ?, ?, 'default')",
        &[
            (&new.name).into(),
            version.into(),
            new.now.into(),
            new.now.into(),
            (&new.description).into(),
            (&new.source).into(),
            (&new.run_id).into(),
            (&new.run_link).into(),
            (&new.storage_location).into(),
        ],
    )?;
    for tag in &new.tags {
        put_tag(connection, &new.name, version, tag)?;
    }
    find(connection, &new.name, version)
}

fn put_tag(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
    tag: &Tag,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO model_version_tags (key, value, name, version, workspace) \
         VALUES (?, ?, ?, ?, 'default') ON CONFLICT (workspace, key, name, version) DO UPDATE SET \
         value = excluded.value",
        &[
            (&tag.key).into(),
            (&tag.value).into(),
            name.into(),
            version.into(),
        ],
    )?;
    Ok(())
}

fn transition(
    connection: &mut dyn Connection,
    (name, version): (&str, i64),
    stage: Stage,
    archive: bool,
    now: i64,
) -> Result<ModelVersion, StoreError> {
    // Touching the model first makes another transition of its versions wait for this one.
    touch(connection, name, now)?;
    check_there(connection, name, version)?;
    if archive {
        connection.execute(
            "UPDATE model_versions SET current_stage = 'Archived', last_updated_time = ? \
             WHERE workspace = 'default' AND name = ? AND version <> ? AND current_stage = ?",
            &[now.into(), name.into(), version.into(), stage.name().into()],
        )?;
    }
    connection.execute(
        "UPDATE model_versions SET current_stage = ?, last_updated_time = ? \
         WHERE workspace = 'default' AND name = ? AND version = ?",
        &[stage.name().into(), now.into(), name.into(), version.into()],
    )?;
    find(connection, name, version)
}

/// The row stays without what it told; its tags stay, as in MLflow.
fn delete(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
    now: i64,
) -> Result<(), StoreError> {
    touch(connection, name, now)?;
    check_there(connection, name, version)?;
    connection.execute(
        "DELETE FROM registered_model_aliases \
         WHERE workspace = 'default' AND name = ? AND version = ?",
        &[name.into(), version.into()],
    )?;
    connection.execute(
        "UPDATE model_versions SET current_stage = ?, last_updated_time = ?, description = NULL, \
         user_id = NULL, source = 'REDACTED-SOURCE-PATH', run_id = 'REDACTED-RUN-ID', \
         run_link = 'REDACTED-RUN-LINK', status_message = NULL \
         WHERE workspace = 'default' AND name = ? AND version = ?",
        &[DELETED.into(), now.into(), name.into(), version.into()],
    )?;
    Ok(())
}

#[async_trait]
impl ModelVersionStore for SqlStore {
    async fn create_model_version(&self, new: NewModelVersion) -> Result<ModelVersion, StoreError> {
        self.write(move |connection| insert(connection, &new)).await
    }

    async fn model_version(&self, name: String, version: i64) -> Result<ModelVersion, StoreError> {
        self.read(move |connection| find(connection, &name, version))
            .await
    }

    async fn describe_model_version(
        &self,
        name: String,
        version: i64,
        description: Option<String>,
        now: i64,
    ) -> Result<ModelVersion, StoreError> {
        self.write(move |connection| {
            check_there(connection, &name, version)?;
            connection.execute(
                "UPDATE model_versions SET description = ?, last_updated_time = ? \
                 WHERE workspace = 'default' AND name = ? AND version = ?",
                &[
                    description.as_ref().into(),
                    now.into(),
                    (&name).into(),
                    version.into(),
                ],
            )?;
            find(connection, &name, version)
        })
        .await
    }

    async fn transition_model_version(
        &self,
        name: String,
        version: i64,
        stage: Stage,
        archive: bool,
        now: i64,
    ) -> Result<ModelVersion, StoreError> {
        self.write(move |connection| transition(connection, (&name, version), stage, archive, now))
            .await
    }

    async fn delete_model_version(
        &self,
        name: String,
        version: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| delete(connection, &name, version, now))
            .await
    }

    async fn search_model_versions(
        &self,
        search: ModelVersionSearch,
    ) -> Result<Page<ModelVersion>, StoreError> {
        self.search(move |connection| search::registry::versions(connection, &search))
            .await
    }

    async fn download_uri(&self, name: String, version: i64) -> Result<String, StoreError> {
        self.read(move |connection| {
            check_there(connection, &name, version)?;
            let sql = "SELECT coalesce(storage_location, source) FROM model_versions \
                       WHERE workspace = 'default' AND name = ? AND version = ?";
            let uri = first(connection, sql, &[(&name).into(), version.into()], |row| {
                row.string(0)
            })?;
            Ok(uri.unwrap_or_default())
        })
        .await
    }

    async fn set_model_version_tag(
        &self,
        name: String,
        version: i64,
        tag: Tag,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_there(connection, &name, version)?;
            put_tag(connection, &name, version, &tag)
        })
        .await
    }

    async fn delete_model_version_tag(
        &self,
        name: String,
        version: i64,
        key: String,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_there(connection, &name, version)?;
            connection.execute(
                "DELETE FROM model_version_tags \
                 WHERE workspace = 'default' AND name = ? AND version = ? AND key = ?",
                &[(&name).into(), version.into(), (&key).into()],
            )?;
            Ok(())
        })
        .await
    }
}
