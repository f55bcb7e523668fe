//! Logged models: making, finalizing, tagging and finding them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlrs_api::Tag;
use mlrs_api::enums::LoggedModelStatus;
use mlrs_api::logged_models::{
    CreateLoggedModelRequest, FinalizeLoggedModelRequest, OrderByField, SearchLoggedModelsRequest,
};
use mlrs_api::tags::SentTag;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::StoreError;
use crate::rules::values::{Path, missing, parse_experiment_id, present, required};
use crate::rules::{limits, names};
use crate::search::{LoggedModelSearch, logged_models};
use crate::traits::NewLoggedModel;

/// What a name may not contain.
const BAD_CHARACTERS: [char; 6] = ['/', ':', '.', '%', '"', '\''];

/// A model to be made, with an id and a name.
///
/// # Errors
/// When the experiment is absent, or the name is not allowed.
pub fn create(request: CreateLoggedModelRequest, now: i64) -> Result<NewLoggedModel, StoreError> {
    let experiment_id = required(&request.experiment_id, "experiment_id")?;
    let experiment_id = parse_experiment_id(experiment_id)?;
    let name = match request.name.filter(|name| !name.is_empty()) {
        Some(name) => checked_name(name)?,
        None => names::random(),
    };
    Ok(NewLoggedModel {
        id: format!("m-{}", Uuid::new_v4().simple()),
        experiment_id,
        name,
        model_type: request.model_type.unwrap_or_default(),
        source_run_id: request.source_run_id.unwrap_or_default(),
        params: last_of_each(request.params),
        tags: last_of_each(request.tags),
        now,
    })
}

fn checked_name(name: String) -> Result<String, StoreError> {
    if !name.contains(BAD_CHARACTERS) {
        return Ok(name);
    }
    Err(StoreError::invalid(format!(
        "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot \
         contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
    )))
}

/// Keys and texts as sent, each key once: the last one counts.
pub fn last_of_each(sent: Vec<SentTag>) -> Vec<Tag> {
    let mut last: Vec<Tag> = Vec::with_capacity(sent.len());
    for sent in sent {
        let tag: Tag = sent.into();
        match last.iter_mut().find(|known| known.key == tag.key) {
            Some(known) => *known = tag,
            None => last.push(tag),
        }
    }
    last
}

/// The last status of a model.
///
/// # Errors
/// When it is absent or none.
pub fn finalize(request: &FinalizeLoggedModelRequest) -> Result<LoggedModelStatus, StoreError> {
    present(request.status, Path::Root, "status")
}

/// Which models are looked for.
///
/// # Errors
/// When there is no experiment, or the filter, the order, the page size or the token is not one.
pub fn search(request: &SearchLoggedModelsRequest) -> Result<LoggedModelSearch, StoreError> {
    if request.experiment_ids.is_empty() {
        return Err(missing("experiment_ids"));
    }
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    if !request
        .datasets
        .iter()
        .all(|dataset| named(&dataset.dataset_name))
    {
        return Err(StoreError::invalid(
            "`dataset_name` in the `datasets` clause must be specified.",
        ));
    }
    let size = match request.max_results {
        None | Some(0) => limits::DEFAULT_MODEL_PAGE,
        Some(size) => size,
    };
    if !(1..=limits::PAGE).contains(&size) {
        return Err(StoreError::invalid(format!(
            "Invalid value {size} for parameter 'max_results' supplied. It must be a positive \
             integer and at most {}",
            limits::PAGE
        )));
    }
    let experiment_ids: Result<Vec<i64>, StoreError> = request
        .experiment_ids
        .iter()
        .map(|id| parse_experiment_id(id))
        .collect();
    Ok(LoggedModelSearch {
        experiment_ids: experiment_ids?,
        filter: logged_models::filter(&request.filter)?,
        datasets: request.datasets.clone(),
        order: logged_models::order(&request.order_by)?,
        limit: size as u64,
        offset: offset(request)?,
    })
}

/// The token of the page that begins at `offset`: it holds the search, and is good for that alone.
pub fn page_token(request: &SearchLoggedModelsRequest, offset: u64) -> String {
    let token = json!({
        "experiment_ids": request.experiment_ids,
        "filter_string": filter_of(request),
        "order_by": order_of(&request.order_by),
        "offset": offset,
    });
    STANDARD.encode(token.to_string())
}

fn filter_of(request: &SearchLoggedModelsRequest) -> Value {
    match request.filter.as_str() {
        "" => Value::Null,
        filter => Value::from(filter),
    }
}

fn order_of(order: &[OrderByField]) -> Value {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if order.is_empty() {
        return Value::Null;
    }
    let order = order.iter().map(|field| {
        json!({
            "field_name": field.field_name.clone().unwrap_or_default(),
            "ascending": field.ascending.unwrap_or(true),
            "dataset_name": filled(&field.dataset_name),
            "dataset_digest": filled(&field.dataset_digest),
        })
    });
    order.collect()
}

/// A value as MLflow shows it: a text as it is, anything else as Python writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python(other),
    }
}

fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("'{key}': {}", python(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn offset(request: &SearchLoggedModelsRequest) -> Result<u64, StoreError> {
    let Some(token) = request
        .page_token
        .as_deref()
        .filter(|token| !token.is_empty())
    else {
        return Ok(0);
    };
    let decoded: Option<Value> = STANDARD
        .decode(token)
        .ok()
        .and_then(|decoded| serde_json::from_slice(&decoded).ok());
    let Some(token) = decoded else {
        return Err(StoreError::invalid(
            "Invalid page token: it is not one that this server gave",
        ));
    };
    let same = |field: &str, (begin, what): (&str, &str), value: Value| {
        let found = &token[field];
        if *found == value {
            return Ok(());
        }
        let (expected, found) = (shown(&value), shown(found));
        Err(StoreError::invalid(format!(
            "{begin} in the page token {what}. Expected: {expected}. Found: {found}"
        )))
    };
    same(
        "experiment_ids",
        (
            "Experiment IDs",
            "do not match the requested experiment IDs",
        ),
        request.experiment_ids.clone().into(),
    )?;
    let words = (
        "Filter string",
        "does not match the requested filter string",
    );
    same("filter_string", words, filter_of(request))?;
    let words = ("Order by", "does not match the requested order by");
    same("order_by", words, order_of(&request.order_by))?;
    let offset = token["offset"].as_u64();
    Ok(offset
        .filter(|offset| i64::try_from(*offset).is_ok())
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SearchLoggedModelsRequest {
        SearchLoggedModelsRequest {
            experiment_ids: vec!["1".to_owned()],
            filter: "name = 'a'".to_owned(),
            ..SearchLoggedModelsRequest::default()
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_search_alone() {
        let mut next = request();
        next.page_token = Some(page_token(&request(), 50));
        assert_eq!(search(&next).unwrap().offset, 50);
        next.filter = "name = 'b'".to_owned();
        assert_eq!(
            search(&next).unwrap_err().to_string(),
            "Filter string in the page token does not match the requested filter string. \
             Expected: name = 'b'. Found: name = 'a'"
        );
        next.filter = request().filter;
        next.order_by = vec![OrderByField {
            field_name: Some("name".to_owned()),
            ..OrderByField::default()
        }];
        let refused = search(&next).unwrap_err().to_string();
        assert!(refused.contains("'ascending': True"), "{refused}");
        assert!(refused.ends_with("Found: None"), "{refused}");
        next.page_token = Some("%".to_owned());
        assert!(search(&next).is_err());
    }

    #[test]
    fn names_with_a_meaning_in_paths_are_refused() {
        for name in ["a/b", "a:b", "a.b", "a%b", "a\"b", "a'b"] {
            assert!(checked_name(name.to_owned()).is_err(), "{name}");
        }
        checked_name("a b-c_ü".to_owned()).unwrap();
    }
}
