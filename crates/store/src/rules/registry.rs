//! Registered models and their versions: names, aliases, stages, searches.

use mlrs_api::Tag;
use mlrs_api::registry::{
    CreateModelVersionRequest, CreateRegisteredModelRequest, GetLatestVersionsRequest,
    ModelVersionRequest, RegisteredModelRequest, RegistryTagRequest, SearchRegistryRequest,
};
use mlrs_api::tags::SentTag;
use serde_json::Value;

use crate::error::StoreError;
use crate::rules::limits;
use crate::rules::logged_models::last_of_each;
use crate::rules::values::{Truncate, check_key, check_path, required, within, wrong_type};
use crate::search::{ModelVersionSearch, RegisteredModelSearch, page_token, registry};
use crate::traits::{NewModelVersion, NewRegisteredModel, Stage};

/// The alias that always means the newest version.
pub const LATEST: &str = "latest";

/// The tag of prompts, which are registered models without files.
pub const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// The tag of a logged model that lists the versions made of it.
pub const MODEL_VERSIONS_TAG: &str = "mlflow.modelVersions";

/// Whether tags are those of a prompt.
pub fn is_prompt(tags: &[Tag]) -> bool {
    let mut tags = tags.iter();
    tags.any(|tag| tag.key == PROMPT_TAG && tag.value.eq_ignore_ascii_case("true"))
}

/// A name of a registered model.
///
/// # Errors
/// When it is absent, blank, or could not stand in a URI or a path.
pub fn model_name(name: &Option<String>) -> Result<String, StoreError> {
    let name = required(name, "name")?;
    check_name(name, "name")?;
    Ok(name.to_owned())
}

fn check_name(name: &str, field: &str) -> Result<(), StoreError> {
    if name.trim().is_empty() {
        return Err(StoreError::invalid(format!(
            "Missing value for required parameter '{field}'."
        )));
    }
    if name.contains(['/', ':']) {
        return Err(StoreError::invalid(format!(
            "Invalid model name '{name}'. Names cannot contain '/' or ':'."
        )));
    }
    check_path(name, "name")
}

/// A version of a registered model, and the model.
///
/// # Errors
/// When one is absent or none.
pub fn version_of(
    name: &Option<String>,
    version: &Option<String>,
) -> Result<(String, i64), StoreError> {
    let version = required(version, "version").map(str::to_owned);
    let name = model_name(name)?;
    Ok((name, parse_version(&version?)?))
}

fn parse_version(text: &str) -> Result<i64, StoreError> {
    text.trim().parse().map_err(|_| {
        StoreError::invalid(format!(
            "Parameter 'version' must be an integer, got '{text}'."
        ))
    })
}

/// A version, and the model, that a request names.
///
/// # Errors
/// When one is absent or none.
pub fn named_version(request: &ModelVersionRequest) -> Result<(String, i64), StoreError> {
    version_of(&request.name, &request.version)
}

/// A model to be made.
///
/// # Errors
/// When its name or a tag is not allowed.
pub fn create(
    request: CreateRegisteredModelRequest,
    now: i64,
) -> Result<NewRegisteredModel, StoreError> {
    Ok(NewRegisteredModel {
        name: model_name(&request.name)?,
        description: request.description.unwrap_or_default(),
        tags: checked_tags(request.tags)?,
        now,
    })
}

/// A model and its new name.
///
/// # Errors
/// When one is absent or not allowed.
pub fn rename(request: &RegisteredModelRequest) -> Result<(String, String), StoreError> {
    let name = required(&request.name, "name")?;
    let new_name = required(&request.new_name, "new_name")?;
    check_name(new_name, "new_name")?;
    check_name(name, "name")?;
    Ok((name.to_owned(), new_name.to_owned()))
}

fn checked_tags(sent: Vec<SentTag>) -> Result<Vec<Tag>, StoreError> {
    last_of_each(sent).into_iter().map(checked_tag).collect()
}

fn checked_tag(tag: Tag) -> Result<Tag, StoreError> {
    check_key(&tag.key, "key")?;
    let value = limits::REGISTRY_TAG_VALUE;
    Ok(Tag {
        key: within("key", limits::KEY, tag.key, Truncate::Refuse)?,
        value: within("value", value, tag.value, Truncate::Refuse)?,
    })
}

/// A model and a tag to be set on it.
///
/// # Errors
/// When one is absent or not allowed.
pub fn set_model_tag(request: &RegistryTagRequest) -> Result<(String, Tag), StoreError> {
    required(&request.name, "name")?;
    let key = required(&request.key, "key")?;
    let name = model_name(&request.name)?;
    let tag = Tag::new(key, request.value.clone().unwrap_or_default());
    Ok((name, checked_tag(tag)?))
}

/// A model and the key of a tag to be deleted.
///
/// # Errors
/// When one is absent or not allowed.
pub fn delete_model_tag(request: &RegistryTagRequest) -> Result<(String, String), StoreError> {
    required(&request.name, "name")?;
    let key = required(&request.key, "key")?;
    let name = model_name(&request.name)?;
    check_key(key, "key")?;
    Ok((name, key.to_owned()))
}

/// A version and a tag to be set on it.
///
/// # Errors
/// When one is absent or not allowed.
pub fn set_version_tag(request: &RegistryTagRequest) -> Result<(String, i64, Tag), StoreError> {
    required(&request.name, "name")?;
    required(&request.version, "version")?;
    let key = required(&request.key, "key")?;
    let (name, version) = version_of(&request.name, &request.version)?;
    let tag = Tag::new(key, request.value.clone().unwrap_or_default());
    Ok((name, version, checked_tag(tag)?))
}

/// A version and the key of a tag to be deleted.
///
/// # Errors
/// When one is absent or not allowed.
pub fn delete_version_tag(
    request: &RegistryTagRequest,
) -> Result<(String, i64, String), StoreError> {
    required(&request.name, "name")?;
    required(&request.version, "version")?;
    let key = required(&request.key, "key")?;
    let (name, version) = version_of(&request.name, &request.version)?;
    check_key(key, "key")?;
    Ok((name, version, key.to_owned()))
}

/// A model, an alias, and the version it is to point to.
///
/// # Errors
/// When one is absent or not allowed.
pub fn set_alias(request: &RegistryTagRequest) -> Result<(String, String, i64), StoreError> {
    required(&request.name, "name")?;
    let alias = required(&request.alias, "alias")?;
    let version = required(&request.version, "version")?;
    let name = model_name(&request.name)?;
    check_new_alias(alias)?;
    Ok((name, alias.to_owned(), parse_version(version)?))
}

/// Checks an alias that is to be set.
///
/// # Errors
/// When it has characters that no alias has, is too long, or is reserved.
pub fn check_new_alias(alias: &str) -> Result<(), StoreError> {
    check_alias(alias)?;
    if alias.eq_ignore_ascii_case(LATEST) {
        return Err(StoreError::invalid(
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let digits = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StoreError::invalid(format!(
            "Version alias name '{alias}' is reserved."
        )));
    }
    Ok(())
}

/// A model and an alias.
///
/// # Errors
/// When one is absent or not allowed.
pub fn named_alias(request: &RegistryTagRequest) -> Result<(String, String), StoreError> {
    required(&request.name, "name")?;
    let alias = required(&request.alias, "alias")?;
    let name = model_name(&request.name)?;
    check_alias(alias)?;
    Ok((name, alias.to_owned()))
}

fn check_alias(alias: &str) -> Result<(), StoreError> {
    let allowed =
        |character: char| character.is_alphanumeric() || character == '_' || character == '-';
    if !alias.chars().all(allowed) {
        return Err(StoreError::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), \
             and dashes (-)."
        )));
    }
    let what = "Registered model alias name";
    within(what, limits::ALIAS, alias.to_owned(), Truncate::Refuse).map(|_| ())
}

/// A model, and the stages whose newest versions are asked for; none means all of them.
///
/// # Errors
/// When the name is absent or a stage is none.
pub fn latest_versions(
    request: &GetLatestVersionsRequest,
) -> Result<(String, Vec<Stage>), StoreError> {
    let name = model_name(&request.name)?;
    let stages: Result<Vec<Stage>, StoreError> = request
        .stages
        .iter()
        .map(|stage| parse_stage(stage))
        .collect();
    Ok((name, stages?))
}

fn parse_stage(text: &str) -> Result<Stage, StoreError> {
    Stage::parse(text).ok_or_else(|| {
        StoreError::invalid(format!(
            "Invalid Model Version stage: {text}. Value must be one of None, Staging, Production, \
             Archived."
        ))
    })
}

/// A version, its new stage, and whether others leave that stage.
///
/// # Errors
/// When one is absent or none, or versions of a stage that is not in use are to be archived.
///
/// MLflow answers the last one with a 500, which its client tries again for minutes; it cannot
/// succeed, so it is a 400 here.
pub fn transition(request: &ModelVersionRequest) -> Result<(String, i64, Stage, bool), StoreError> {
    required(&request.name, "name")?;
    required(&request.version, "version")?;
    let text = required(&request.stage, "stage")?;
    let stage = parse_stage(text)?;
    let archive = request.archive_existing_versions.unwrap_or_default();
    if archive && !matches!(stage, Stage::Staging | Stage::Production) {
        return Err(StoreError::invalid(format!(
            "Model version transition cannot archive existing model versions because '{text}' is \
             not an Active stage. Valid stages are ['Staging', 'Production']"
        )));
    }
    let (name, version) = named_version(request)?;
    Ok((name, version, stage, archive))
}

/// A version to be made. Where its files may be is for the caller to check, who knows the stores.
///
/// # Errors
/// When the name, the source or a tag is absent or not allowed.
pub fn create_version(
    request: &CreateModelVersionRequest,
    now: i64,
) -> Result<NewModelVersion, StoreError> {
    required(&request.name, "name")?;
    let source = required(&request.source, "source")?;
    let name = model_name(&request.name)?;
    Ok(NewModelVersion {
        name,
        source: source.to_owned(),
        storage_location: source.to_owned(),
        run_id: request.run_id.clone().unwrap_or_default(),
        run_link: request.run_link.clone().unwrap_or_default(),
        description: request.description.clone().unwrap_or_default(),
        tags: checked_tags(request.tags.clone())?,
        now,
    })
}

/// Which models are looked for.
///
/// # Errors
/// When the filter, the order, the page size or the token is not one.
pub fn search_models(request: &SearchRegistryRequest) -> Result<RegisteredModelSearch, StoreError> {
    let limit = page_size(request, limits::DEFAULT_MODELS_PAGE, limits::MODELS_PAGE)?;
    let filter = registry::model_filter(request.filter.as_deref().unwrap_or_default())?;
    Ok(RegisteredModelSearch {
        prompts: registry::asks_for_prompts(&filter),
        filter: registry::without_prompts(filter),
        order: registry::model_order(&request.order_by)?,
        limit,
        offset: page_token::offset(request.page_token.as_deref())?,
    })
}

/// Which versions are looked for.
///
/// # Errors
/// When the filter, the order, the page size or the token is not one.
pub fn search_versions(request: &SearchRegistryRequest) -> Result<ModelVersionSearch, StoreError> {
    let limit = page_size(request, limits::VERSIONS_PAGE, limits::VERSIONS_PAGE)?;
    let filter = registry::version_filter(request.filter.as_deref().unwrap_or_default())?;
    Ok(ModelVersionSearch {
        prompts: registry::asks_for_prompts(&filter),
        filter: registry::without_prompts(filter),
        order: registry::version_order(&request.order_by)?,
        limit,
        offset: page_token::offset(request.page_token.as_deref())?,
    })
}

fn page_size(request: &SearchRegistryRequest, usual: i64, most: i64) -> Result<u64, StoreError> {
    let size = request.max_results.unwrap_or(usual);
    if size > most {
        return Err(wrong_type(&Value::from(size.to_string()), "max_results"));
    }
    if size < 1 {
        return Err(StoreError::invalid(format!(
            "Invalid value for max_results. It must be a positive integer, but got {size}"
        )));
    }
    Ok(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(text: &str) -> Result<(String, String, i64), StoreError> {
        set_alias(&RegistryTagRequest {
            name: Some("m".to_owned()),
            alias: Some(text.to_owned()),
            version: Some("1".to_owned()),
            ..RegistryTagRequest::default()
        })
    }

    #[test]
    fn aliases_are_no_versions() {
        for allowed in ["champion", "a-b_c", "v", "v1a", "1"] {
            alias(allowed).unwrap();
        }
        for refused in ["latest", "LATEST", "v1", "V22", "a b", "a/b"] {
            assert!(alias(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn names_stand_in_uris() {
        for refused in ["", " ", "a/b", "a:b", ".", ".."] {
            assert!(model_name(&Some(refused.to_owned())).is_err(), "{refused}");
        }
        model_name(&Some("iris of 2.0".to_owned())).unwrap();
    }
}
