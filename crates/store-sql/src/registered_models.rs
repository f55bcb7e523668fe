//! Registered models and their aliases in SQL.

use async_trait::async_trait;
use mlrs_api::Tag;
use mlrs_api::registry::{ModelVersion, RegisteredModel, RegisteredModelAlias};
use mlrs_store::rules::registry::{LATEST, PROMPT_TAG, is_prompt};
use mlrs_store::search::RegisteredModelSearch;
use mlrs_store::{NewRegisteredModel, Page, RegisteredModelStore, Stage, StoreError};

use crate::connection::{Connection, Row, SqlError, first};
use crate::hydrate::Owners;
use crate::open::SqlStore;
use crate::{model_versions, search};

/// The columns that [`read`] reads, of the models for which the rest of the statement says so.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT m.name, m.creation_time, m.last_updated_time, m.description \
             FROM registered_models m WHERE m.workspace = 'default' AND ",
            $rest
        )
    };
}
pub(crate) use select;

pub(crate) fn read(row: &dyn Row) -> Result<RegisteredModel, SqlError> {
    Ok(RegisteredModel {
        name: row.string(0)?,
        creation_timestamp: row.integer(1)?,
        last_updated_timestamp: row.integer(2)?,
        // MLflow leaves an empty one out here, though not for versions.
        description: row.maybe_string(3)?.filter(|text| !text.is_empty()),
        ..RegisteredModel::default()
    })
}

/// Fills in tags, aliases and the newest versions of a page: four statements, whatever the page.
pub(crate) fn complete(
    connection: &mut dyn Connection,
    models: &mut [RegisteredModel],
) -> Result<(), StoreError> {
    let owners = Owners::of_texts(models.iter().map(|model| model.name.as_str()));
    owners.each(
        connection,
        "SELECT t.name, t.key, t.value FROM registered_model_tags t \
         WHERE t.workspace = 'default' AND t.name IN ",
        " ORDER BY t.name, t.key",
        &mut |position, row| {
            let tag = Tag::new(row.string(1)?, row.string(2)?);
            models[position].tags.push(tag);
            Ok(())
        },
    )?;
    owners.each(
        connection,
        "SELECT a.name, a.alias, a.version FROM registered_model_aliases a \
         WHERE a.workspace = 'default' AND a.name IN ",
        " ORDER BY a.name, a.alias",
        &mut |position, row| {
            models[position].aliases.push(RegisteredModelAlias {
                alias: row.string(1)?,
                version: row.integer(2)?.unwrap_or_default().to_string(),
            });
            Ok(())
        },
    )?;
    let mut versions = model_versions::latest_of(connection, &owners)?;
    model_versions::add_tags(connection, versions.iter_mut().map(|(_, version)| version))?;
    for (position, version) in versions {
        models[position].latest_versions.push(version);
    }
    Ok(())
}

/// Refuses a model that is not there.
pub(crate) fn check_there(connection: &mut dyn Connection, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM registered_models WHERE workspace = 'default' AND name = ?";
    let found = first(connection, sql, &[name.into()], |row| row.integer(0))?;
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::NoRegisteredModel(name.to_owned())),
    }
}

/// Notes that something about a model changed.
pub(crate) fn touch(
    connection: &mut dyn Connection,
    name: &str,
    now: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE registered_models SET last_updated_time = ? WHERE workspace = 'default' AND name = ?",
        &[now.into(), name.into()],
    )?;
    Ok(())
}

fn find(connection: &mut dyn Connection, name: &str) -> Result<RegisteredModel, StoreError> {
    let found = first(connection, select!("m.name = ?"), &[name.into()], read)?;
    let model = found.ok_or_else(|| StoreError::NoRegisteredModel(name.to_owned()))?;
    let mut models = [model];
    complete(connection, &mut models)?;
    let [model] = models;
    Ok(model)
}

fn exists(
    connection: &mut dyn Connection,
    name: &str,
    wanted_prompt: bool,
) -> Result<StoreError, StoreError> {
    let sql = "SELECT value FROM registered_model_tags WHERE workspace = 'default' AND name = ? AND key = ?";
    let tag = first(connection, sql, &[name.into(), PROMPT_TAG.into()], |row| {
        row.string(0)
    })?;
    Ok(StoreError::RegisteredModelExists {
        name: name.to_owned(),
        is_prompt: tag.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        wanted_prompt,
    })
}

fn insert(
    connection: &mut dyn Connection,
    new: &NewRegisteredModel,
) -> Result<RegisteredModel, StoreError> {
    let added = connection.execute(
        "INSERT INTO registered_models (name, creation_time, last_updated_time, description, \
         workspace) VALUES (?, ?, ?, ?, 'default') ON CONFLICT DO NOTHING",
        &[
            (&new.name).into(),
            new.now.into(),
            new.now.into(),
            (&new.description).into(),
        ],
    )?;
    if added == 0 {
        return Err(exists(connection, &new.name, is_prompt(&new.tags))?);
    }
    for tag in &new.tags {
        put_tag(connection, &new.name, tag)?;
    }
    find(connection, &new.name)
}

fn put_tag(connection: &mut dyn Connection, name: &str, tag: &Tag) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO registered_model_tags (key, value, name, workspace) VALUES (?, ?, ?, 'default') \
         ON CONFLICT (workspace, key, name) DO UPDATE SET value = excluded.value",
        &[(&tag.key).into(), (&tag.value).into(), name.into()],
    )?;
    Ok(())
}

/// The keys of versions, tags and aliases follow by the rules of the schema.
fn rename(
    connection: &mut dyn Connection,
    name: &str,
    new_name: &str,
    now: i64,
) -> Result<RegisteredModel, StoreError> {
    check_there(connection, name)?;
    let renamed = connection.execute(
        "UPDATE registered_models SET name = ?, last_updated_time = ? \
         WHERE workspace = 'default' AND name = ?",
        &[new_name.into(), now.into(), name.into()],
    );
    match renamed {
        Ok(_) => {}
        Err(SqlError::Unique(_)) => {
            return Err(StoreError::RegisteredModelExists {
                name: new_name.to_owned(),
                is_prompt: false,
                wanted_prompt: false,
            });
        }
        Err(error) => return Err(error.into()),
    }
    connection.execute(
        "UPDATE model_versions SET last_updated_time = ? WHERE workspace = 'default' AND name = ?",
        &[now.into(), new_name.into()],
    )?;
    find(connection, new_name)
}

fn delete(connection: &mut dyn Connection, name: &str) -> Result<(), StoreError> {
    check_there(connection, name)?;
    for sql in [
        "DELETE FROM model_version_tags WHERE workspace = 'default' AND name = ?",
        "DELETE FROM registered_model_aliases WHERE workspace = 'default' AND name = ?",
        "DELETE FROM model_versions WHERE workspace = 'default' AND name = ?",
        "DELETE FROM registered_model_tags WHERE workspace = 'default' AND name = ?",
        "DELETE FROM registered_models WHERE workspace = 'default' AND name = ?",
    ] {
        connection.execute(sql, &[name.into()])?;
    }
    Ok(())
}

/// The newest version of each of these stages, with aliases.
fn latest(
    connection: &mut dyn Connection,
    name: &str,
    stages: &[Stage],
) -> Result<Vec<ModelVersion>, StoreError> {
    let model = find(connection, name)?;
    let wanted = |version: &ModelVersion| {
        let stage = version.current_stage.as_deref().and_then(Stage::parse);
        stages.is_empty() || stage.is_some_and(|stage| stages.contains(&stage))
    };
    let mut versions: Vec<ModelVersion> =
        model.latest_versions.into_iter().filter(wanted).collect();
    for version in &mut versions {
        let here = model.aliases.iter();
        let here = here.filter(|alias| alias.version == version.version);
        version.aliases = here.map(|alias| alias.alias.clone()).collect();
    }
    Ok(versions)
}

fn by_alias(
    connection: &mut dyn Connection,
    name: &str,
    alias: &str,
) -> Result<ModelVersion, StoreError> {
    if alias.eq_ignore_ascii_case(LATEST) {
        let versions = latest(connection, name, &[])?;
        let number = |version: &ModelVersion| version.version.parse::<i64>().unwrap_or_default();
        let newest = versions.into_iter().max_by_key(number);
        return newest.ok_or_else(|| StoreError::NoLatestVersion(name.to_owned()));
    }
    check_there(connection, name)?;
    let sql = "SELECT version FROM registered_model_aliases \
               WHERE workspace = 'default' AND name = ? AND alias = ?";
    let version = first(connection, sql, &[name.into(), alias.into()], |row| {
        row.integer(0)
    })?;
    let version = version
        .flatten()
        .ok_or_else(|| StoreError::NoAlias(alias.to_owned()))?;
    model_versions::find(connection, name, version)
}

#[async_trait]
impl RegisteredModelStore for SqlStore {
    async fn create_registered_model(
        &self,
        new: NewRegisteredModel,
    ) -> Result<RegisteredModel, StoreError> {
        self.write(move |connection| insert(connection, &new)).await
    }

    async fn registered_model(&self, name: String) -> Result<RegisteredModel, StoreError> {
        self.read(move |connection| find(connection, &name)).await
    }

    async fn rename_registered_model(
        &self,
        name: String,
        new_name: String,
        now: i64,
    ) -> Result<RegisteredModel, StoreError> {
        self.write(move |connection| rename(connection, &name, &new_name, now))
            .await
    }

    async fn describe_registered_model(
        &self,
        name: String,
        description: String,
        now: i64,
    ) -> Result<RegisteredModel, StoreError> {
        self.write(move |connection| {
            connection.execute(
                "UPDATE registered_models SET description = ?, last_updated_time = ? \
                 WHERE workspace = 'default' AND name = ?",
                &[(&description).into(), now.into(), (&name).into()],
            )?;
            find(connection, &name)
        })
        .await
    }

    async fn delete_registered_model(&self, name: String) -> Result<(), StoreError> {
        self.write(move |connection| delete(connection, &name))
            .await
    }

    async fn search_registered_models(
        &self,
        search: RegisteredModelSearch,
    ) -> Result<Page<RegisteredModel>, StoreError> {
        self.search(move |connection| search::registry::models(connection, &search))
            .await
    }

    async fn set_registered_model_tag(&self, name: String, tag: Tag) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_there(connection, &name)?;
            put_tag(connection, &name, &tag)
        })
        .await
    }

    async fn delete_registered_model_tag(
        &self,
        name: String,
        key: String,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_there(connection, &name)?;
            connection.execute(
                "DELETE FROM registered_model_tags WHERE workspace = 'default' AND name = ? AND key = ?",
                &[(&name).into(), (&key).into()],
            )?;
            Ok(())
        })
        .await
    }

    async fn set_alias(&self, name: String, alias: String, version: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            model_versions::check_there(connection, &name, version)?;
            connection.execute(
                "INSERT INTO registered_model_aliases (alias, version, name, workspace) \
                 VALUES (?, ?, ?, 'default') ON CONFLICT (workspace, name, alias) DO UPDATE SET \
                 version = excluded.version",
                &[(&alias).into(), version.into(), (&name).into()],
            )?;
            Ok(())
        })
        .await
    }

    async fn delete_alias(&self, name: String, alias: String) -> Result<(), StoreError> {
        self.write(move |connection| {
            check_there(connection, &name)?;
            connection.execute(
                "DELETE FROM registered_model_aliases \
                 WHERE workspace = 'default' AND name = ? AND alias = ?",
                &[(&name).into(), (&alias).into()],
            )?;
            Ok(())
        })
        .await
    }

    async fn version_by_alias(
        &self,
        name: String,
        alias: String,
    ) -> Result<ModelVersion, StoreError> {
        self.read(move |connection| by_alias(connection, &name, &alias))
            .await
    }

    async fn latest_versions(
        &self,
        name: String,
        stages: Vec<Stage>,
    ) -> Result<Vec<ModelVersion>, StoreError> {
        self.read(move |connection| latest(connection, &name, &stages))
            .await
    }
}
