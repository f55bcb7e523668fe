//! Runs: making, changing and finding them.

use mlrs_api::Tag;
use mlrs_api::runs::{CreateRunRequest, RunIdRequest, SearchRunsRequest, UpdateRunRequest};
use uuid::Uuid;

use crate::error::StoreError;
use crate::rules::experiments::page_size;
use crate::rules::metrics::RUN_NAME_TAG;
use crate::rules::values::{
    Truncate, parse_experiment_id, required, tag_value, within, wrong_type,
};
use crate::rules::{limits, names};
use crate::search::{RunSearch, page_token, runs};
use crate::traits::{NewRun, RunUpdate};

/// The experiment of runs that name none.
const DEFAULT_EXPERIMENT: &str = "0";

/// The run that a request names; clients before MLflow 1.0 call the field `run_uuid`.
///
/// # Errors
/// When it names none.
pub fn run_id_of(run_id: &Option<String>, run_uuid: &Option<String>) -> Result<String, StoreError> {
    let named = if run_id.is_some() { run_id } else { run_uuid };
    Ok(required(named, "run_id")?.to_owned())
}

/// The run that a request names.
///
/// # Errors
/// When it names none.
pub fn named(request: &RunIdRequest) -> Result<String, StoreError> {
    run_id_of(&request.run_id, &request.run_uuid)
}

/// A run to be made, with an id and a name.
///
/// # Errors
/// When the experiment is no number, a tag is not allowed, or two names are given.
pub fn create(request: CreateRunRequest, truncate: Truncate) -> Result<NewRun, StoreError> {
    let experiment_id = match request.experiment_id.as_deref() {
        None | Some("") => DEFAULT_EXPERIMENT,
        Some(id) => id,
    };
    let experiment_id = parse_experiment_id(experiment_id)?;
    let mut tags: Vec<Tag> = Vec::with_capacity(request.tags.len() + 1);
    for sent in request.tags {
        let sent: Tag = sent.into();
        let tag = first_tag(sent, truncate)?;
        match tags.iter_mut().find(|known| known.key == tag.key) {
            Some(known) => *known = tag,
            None => tags.push(tag),
        }
    }
    let name = name(request.run_name.unwrap_or_default(), &mut tags)?;
    Ok(NewRun {
        id: Uuid::new_v4().simple().to_string(),
        experiment_id,
        user_id: request.user_id.unwrap_or_default(),
        name,
        start_time: request.start_time.unwrap_or_default(),
        tags,
    })
}

/// A tag of a new run. MLflow takes any key there, unlike for a tag that is set later.
fn first_tag(tag: Tag, truncate: Truncate) -> Result<Tag, StoreError> {
    Ok(Tag {
        key: within("key", limits::KEY, tag.key, Truncate::Refuse)?,
        value: tag_value("value", tag.value, truncate)?,
    })
}

/// The name of a new run, from the request, its tag or chance; the tag is there afterwards.
fn name(given: String, tags: &mut Vec<Tag>) -> Result<String, StoreError> {
    let tagged = tags.iter().find(|tag| tag.key == RUN_NAME_TAG);
    let tagged = tagged.map(|tag| tag.value.clone()).unwrap_or_default();
    if !given.is_empty() && !tagged.is_empty() && given != tagged {
        return Err(StoreError::invalid(format!(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different \
             values (run_name='{given}', mlflow.runName='{tagged}')."
        )));
    }
    if !tagged.is_empty() {
        return Ok(tagged);
    }
    let name = if given.is_empty() {
        names::random()
    } else {
        given
    };
    tags.retain(|tag| tag.key != RUN_NAME_TAG);
    tags.push(Tag::new(RUN_NAME_TAG, name.clone()));
    Ok(name)
}

/// What changes about which run.
///
/// # Errors
/// When no run is named.
pub fn update(request: UpdateRunRequest) -> Result<(String, RunUpdate), StoreError> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let update = RunUpdate {
        status: request.status,
        end_time: request.end_time,
        name: request.run_name.filter(|name| !name.is_empty()),
    };
    Ok((run_id, update))
}

/// Which runs are looked for.
///
/// # Errors
/// When the filter, the order, the page size or the token is not one.
pub fn search(request: &SearchRunsRequest) -> Result<RunSearch, StoreError> {
    if let Some(size) = request.max_results
        && size > limits::PAGE
    {
        return Err(wrong_type(&size.into(), "max_results"));
    }
    let limit = page_size(request.max_results)?;
    let filter = runs::filter(request.filter.as_deref().unwrap_or_default())?;
    let order = runs::order(&request.order_by)?;
    let experiment_ids: Result<Vec<i64>, StoreError> = request
        .experiment_ids
        .iter()
        .map(|id| parse_experiment_id(id))
        .collect();
    Ok(RunSearch {
        experiment_ids: experiment_ids?,
        view: request
            .run_view_type
            .unwrap_or(mlrs_api::enums::ViewType::ActiveOnly),
        filter,
        order,
        limit,
        offset: page_token::offset(request.page_token.as_deref())?,
    })
}

#[cfg(test)]
mod tests {
    use mlrs_api::tags::SentTag;

    use super::*;

    fn request(name: &str, tag: Option<&str>) -> CreateRunRequest {
        CreateRunRequest {
            run_name: Some(name.to_owned()),
            tags: tag
                .map(|value| SentTag::from(Tag::new(RUN_NAME_TAG, value)))
                .into_iter()
                .collect(),
            ..CreateRunRequest::default()
        }
    }

    #[test]
    fn the_name_of_a_run_is_also_its_tag() {
        for (given, tag, expected) in [
            ("a", None, "a"),
            ("", Some("b"), "b"),
            ("c", Some("c"), "c"),
        ] {
            let run = create(request(given, tag), Truncate::Cut).unwrap();
            assert_eq!(run.name, expected);
            assert_eq!(run.tags, [Tag::new(RUN_NAME_TAG, expected)]);
        }
        let run = create(request("", None), Truncate::Cut).unwrap();
        assert_eq!(run.tags, [Tag::new(RUN_NAME_TAG, run.name.clone())]);
        assert!(create(request("a", Some("b")), Truncate::Cut).is_err());
    }

    #[test]
    fn a_run_without_an_experiment_goes_to_the_default_one() {
        let run = create(CreateRunRequest::default(), Truncate::Cut).unwrap();
        assert_eq!(run.experiment_id, 0);
        assert_eq!(run.id.len(), 32);
    }
}
