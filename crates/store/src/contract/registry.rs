//! Registered models and their versions.

use mlrs_api::{ErrorCode, Tag};

use super::{Outcome, Store, new_model, refused, same, unique, version_of};
use crate::Stage;

pub(super) async fn numbers(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    for expected in ["1", "2"] {
        let made = store.create_model_version(version_of(&model)).await?;
        same("the number", &made.version.as_str(), &expected)?;
    }
    store.delete_model_version(model.clone(), 2, 2).await?;
    let gone = store.model_version(model.clone(), 2).await;
    refused("deleted", gone, ErrorCode::ResourceDoesNotExist)?;
    let next = store.create_model_version(version_of(&model)).await?;
    same("the next", &next.version.as_str(), &"3")?;
    let absent = store
        .create_model_version(version_of(&unique("none")))
        .await;
    refused("no model", absent, ErrorCode::ResourceDoesNotExist)
}

pub(super) async fn renamed(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    store.create_model_version(version_of(&model)).await?;
    store.set_alias(model.clone(), "best".to_owned(), 1).await?;
    let tag = Tag::new("t", "1");
    store
        .set_registered_model_tag(model.clone(), tag.clone())
        .await?;
    let other = unique("renamed");
    store
        .rename_registered_model(model.clone(), other.clone(), 5)
        .await?;
    let found = store
        .version_by_alias(other.clone(), "best".to_owned())
        .await?;
    same("the name", &found.name, &other)?;
    same("tags of the version", &found.tags, &vec![tag.clone()])?;
    let found = store.registered_model(other).await?;
    same("tags", &found.tags, &vec![tag])?;
    let gone = store.registered_model(model).await;
    refused("the old name", gone, ErrorCode::ResourceDoesNotExist)
}

pub(super) async fn archived(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    for version in 1..=3 {
        store.create_model_version(version_of(&model)).await?;
        let stage = Stage::Production;
        store
            .transition_model_version(model.clone(), version, stage, version == 3, 2)
            .await?;
    }
    for (version, stage) in [(1, "Archived"), (2, "Archived"), (3, "Production")] {
        let found = store.model_version(model.clone(), version).await?;
        same("the stage", &found.current_stage.as_deref(), &Some(stage))?;
    }
    Ok(())
}

pub(super) async fn deleted(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    store.create_model_version(version_of(&model)).await?;
    store.set_alias(model.clone(), "best".to_owned(), 1).await?;
    store.delete_registered_model(model.clone()).await?;
    let gone = store.model_version(model.clone(), 1).await;
    refused("the version", gone, ErrorCode::ResourceDoesNotExist)?;
    store
        .create_registered_model(crate::NewRegisteredModel {
            name: model.clone(),
            description: String::new(),
            tags: Vec::new(),
            now: 1,
        })
        .await?;
    let made = store.create_model_version(version_of(&model)).await?;
    same("a new beginning", &made.version.as_str(), &"1")?;
    same("aliases", &made.aliases.len(), &0)
}
