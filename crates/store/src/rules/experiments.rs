//! Experiments: making, renaming, tagging and finding them.

use std::path::Path;

use mlrs_api::Tag;
use mlrs_api::enums::ViewType;
use mlrs_api::experiments::{
    CreateExperimentRequest, ExperimentIdRequest, ExperimentTagRequest, GetExperimentByNameRequest,
    SearchExperimentsRequest, UpdateExperimentRequest,
};

use crate::error::StoreError;
use crate::rules::hosts::HostPolicy;
use crate::rules::limits;
use crate::rules::locations::check_root;
use crate::rules::relative::resolve;
use crate::rules::values::{Truncate, check_key, parse_experiment_id, required, within};
use crate::search::{ExperimentSearch, experiments, page_token};
use crate::traits::NewExperiment;

/// An experiment to be made. A relative root of its artifacts is one below `working_directory`.
///
/// # Errors
/// When the name is absent or too long, the root of its artifacts or a tag is not allowed.
pub fn create(
    request: CreateExperimentRequest,
    hosts: &HostPolicy,
    working_directory: &Path,
    now: i64,
) -> Result<NewExperiment, StoreError> {
    let name = checked_name(required(&request.name, "name")?)?;
    let tags: Result<Vec<Tag>, StoreError> = request
        .tags
        .into_iter()
        .map(|sent| checked_tag(sent.into()))
        .collect();
    let location = request.artifact_location;
    let location = location.filter(|location| !location.is_empty());
    let resolved = |location: String| {
        check_root(&location, hosts)?;
        resolve(&location, working_directory)
    };
    Ok(NewExperiment {
        name,
        artifact_location: location.map(resolved).transpose()?,
        tags: tags?,
        now,
    })
}

/// The experiment that a request names.
///
/// # Errors
/// When it names none, or the id is no number.
pub fn named(request: &ExperimentIdRequest) -> Result<i64, StoreError> {
    parse_experiment_id(required(&request.experiment_id, "experiment_id")?)
}

/// The name that a request looks for.
///
/// # Errors
/// When it has none.
pub fn by_name(request: &GetExperimentByNameRequest) -> Result<String, StoreError> {
    Ok(required(&request.experiment_name, "experiment_name")?.to_owned())
}

/// The experiment and its new name.
///
/// # Errors
/// When one is absent or not allowed.
pub fn rename(request: &UpdateExperimentRequest) -> Result<(i64, String), StoreError> {
    let id = required(&request.experiment_id, "experiment_id")?;
    let name = checked_name(required(&request.new_name, "new_name")?)?;
    Ok((parse_experiment_id(id)?, name))
}

/// The experiment and a tag to be set on it.
///
/// # Errors
/// When one is absent or not allowed.
pub fn set_tag(request: &ExperimentTagRequest) -> Result<(i64, Tag), StoreError> {
    let id = required(&request.experiment_id, "experiment_id")?;
    let key = required(&request.key, "key")?;
    let tag = Tag::new(key, request.value.clone().unwrap_or_default());
    let tag = checked_tag(tag)?;
    Ok((parse_experiment_id(id)?, tag))
}

/// The experiment and the key of a tag to be deleted.
///
/// # Errors
/// When one is absent.
pub fn delete_tag(request: &ExperimentTagRequest) -> Result<(i64, String), StoreError> {
    let id = required(&request.experiment_id, "experiment_id")?;
    let key = required(&request.key, "key")?;
    Ok((parse_experiment_id(id)?, key.to_owned()))
}

/// Which experiments are looked for.
///
/// # Errors
/// When the filter, the order, the page size or the token is not one.
pub fn search(request: &SearchExperimentsRequest) -> Result<ExperimentSearch, StoreError> {
    Ok(ExperimentSearch {
        view: request.view_type.unwrap_or(ViewType::ActiveOnly),
        limit: page_size(request.max_results)?,
        filter: experiments::filter(request.filter.as_deref().unwrap_or_default())?,
        order: experiments::order(&request.order_by)?,
        offset: page_token::offset(request.page_token.as_deref())?,
    })
}

/// The size of a page of runs or experiments.
///
/// # Errors
/// When it is not between 1 and 50,000.
pub(crate) fn page_size(asked: Option<i64>) -> Result<u64, StoreError> {
    let size = asked.unwrap_or(limits::DEFAULT_PAGE);
    if size < 1 {
        return Err(StoreError::invalid(format!(
            "Invalid value {size} for parameter 'max_results' supplied. It must be a positive integer"
        )));
    }
    if size > limits::PAGE {
        return Err(StoreError::invalid(format!(
            "Invalid value {size} for parameter 'max_results' supplied. It must be at most {}",
            limits::PAGE
        )));
    }
    Ok(size as u64)
}

/// MLflow takes a name of blanks, which no list and no search shows.
fn checked_name(name: &str) -> Result<String, StoreError> {
    if name.trim().is_empty() {
        return Err(StoreError::invalid(format!(
            "Invalid experiment name: '{name}'. It must have a character that is not blank."
        )));
    }
    within(
        "name",
        limits::EXPERIMENT_NAME,
        name.to_owned(),
        Truncate::Refuse,
    )
}

fn checked_tag(tag: Tag) -> Result<Tag, StoreError> {
    check_key(&tag.key, "key")?;
    Ok(Tag {
        key: within("key", limits::KEY, tag.key, Truncate::Refuse)?,
        value: within(
            "value",
            limits::EXPERIMENT_TAG_VALUE,
            tag.value,
            Truncate::Refuse,
        )?,
    })
}
