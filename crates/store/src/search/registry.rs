//! Filters and orders of registered models and versions.

use crate::error::StoreError;
use crate::rules::registry::PROMPT_TAG;
use crate::search::parser::{Comparison, Value, parse, parse_order};
use crate::search::typed::{Absence, TextTest, What, number, text};
use crate::search::{Filter, Operator, OrderBy};

/// A comparison of a registered model or a version.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryClause {
    /// A text.
    Text {
        /// Which one; only the name for registered models.
        attribute: RegistryText,
        /// The test.
        test: TextTest,
    },
    /// The number of a version.
    Version {
        /// One of the six that compare numbers.
        operator: Operator,
        /// The number.
        value: i64,
    },
    /// A tag.
    Tag {
        /// Its name.
        key: String,
        /// The test.
        test: TextTest,
    },
}

/// The texts of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistryText {
    /// `name`
    Name,
    /// `run_id`
    Run,
    /// `source_path`
    Source,
}

/// What registered models and versions are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistryOrder {
    /// `name`
    Name,
    /// `version_number`
    Version,
    /// `creation_timestamp`
    Creation,
    /// `last_updated_timestamp`, and `timestamp` for registered models.
    LastUpdate,
}

/// Which registered models are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredModelSearch {
    /// Prompts instead of models.
    pub prompts: bool,
    /// What must be true of them.
    pub filter: Filter<RegistryClause>,
    /// In which order; then by name.
    pub order: Vec<OrderBy<RegistryOrder>>,
    /// How many at most.
    pub limit: u64,
    /// How many to leave out.
    pub offset: u64,
}

/// Which versions are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersionSearch {
    /// Versions of prompts instead of models.
    pub prompts: bool,
    /// What must be true of them.
    pub filter: Filter<RegistryClause>,
    /// In which order; then by name, and the newest first.
    pub order: Vec<OrderBy<RegistryOrder>>,
    /// How many at most.
    pub limit: u64,
    /// How many to leave out.
    pub offset: u64,
}

/// What a registered model or a version lacks cannot be asked for: MLflow has no such filter.
const NEVER_ABSENT: Absence = Absence::Never("tags, params and metrics of runs");

/// Reads a filter of registered models.
///
/// # Errors
/// When it is not of the grammar, or compares what cannot be compared.
pub fn model_filter(source: &str) -> Result<Filter<RegistryClause>, StoreError> {
    parse(source)?.try_map(&mut |comparison| clause(comparison, &["name"]))
}

/// Reads a filter of versions.
///
/// # Errors
/// When it is not of the grammar, or compares what cannot be compared.
pub fn version_filter(source: &str) -> Result<Filter<RegistryClause>, StoreError> {
    let keys = ["name", "run_id", "source_path", "version_number"];
    parse(source)?.try_map(&mut |comparison| clause(comparison, &keys))
}

fn clause(comparison: Comparison, keys: &[&str]) -> Result<RegistryClause, StoreError> {
    let key = comparison.identifier.key.clone();
    match comparison.identifier.entity.as_deref() {
        Some("tag" | "tags") => {
            let test = text(comparison, NEVER_ABSENT, What::Tag)?;
            return Ok(RegistryClause::Tag { key, test });
        }
        None | Some("attribute" | "attributes" | "attr") => {}
        Some(other) => {
            return Err(StoreError::invalid(format!(
                "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
            )));
        }
    }
    if !keys.contains(&key.as_str()) {
        return Err(StoreError::invalid(format!(
            "Invalid attribute key '{key}' specified. Valid keys are '{{'{}'}}'",
            keys.join("', '")
        )));
    }
    let attribute = match key.as_str() {
        "name" => RegistryText::Name,
        "run_id" => RegistryText::Run,
        "source_path" => RegistryText::Source,
        _ => return of_version(comparison),
    };
    let test = text(comparison, NEVER_ABSENT, What::RegistryAttribute)?;
    Ok(RegistryClause::Text { attribute, test })
}

/// The number of a version; as a text, too.
fn of_version(mut comparison: Comparison) -> Result<RegistryClause, StoreError> {
    if let Value::Text(digits) = &comparison.value {
        comparison.value = Value::Number(digits.clone());
    }
    let (operator, _) = number(&comparison, "numeric attribute: version_number")?;
    let value = match &comparison.value {
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| {
        StoreError::invalid(
            "Invalid value for numeric attribute 'version_number': it must be an integer",
        )
    })?;
    Ok(RegistryClause::Version { operator, value })
}

/// Whether a filter asks for prompts, which a search leaves out otherwise.
pub fn asks_for_prompts(filter: &Filter<RegistryClause>) -> bool {
    match filter {
        Filter::Is(clause) => prompt_test(clause).unwrap_or_default(),
        Filter::All(parts) | Filter::Any(parts) => parts.iter().any(asks_for_prompts),
    }
}

/// What a clause says about being a prompt, if it says something.
fn prompt_test(clause: &RegistryClause) -> Option<bool> {
    let RegistryClause::Tag { key, test } = clause else {
        return None;
    };
    if key != PROMPT_TAG {
        return None;
    }
    match test {
        TextTest::Compare(Operator::Equal, value) => Some(value.eq_ignore_ascii_case("true")),
        TextTest::Compare(Operator::NotEqual, value) => Some(value.eq_ignore_ascii_case("false")),
        _ => Some(false),
    }
}

/// A filter without the question for prompts, which models have no tag to answer.
pub fn without_prompts(filter: Filter<RegistryClause>) -> Filter<RegistryClause> {
    match filter {
        Filter::Is(clause) if prompt_test(&clause).is_some() => Filter::everything(),
        Filter::Is(clause) => Filter::Is(clause),
        Filter::All(parts) => Filter::All(parts.into_iter().map(without_prompts).collect()),
        Filter::Any(parts) => Filter::Any(parts.into_iter().map(without_prompts).collect()),
    }
}

/// Reads orders of registered models.
///
/// # Errors
/// When one cannot be ordered by, or is there twice.
pub fn model_order(sources: &[String]) -> Result<Vec<OrderBy<RegistryOrder>>, StoreError> {
    order(
        sources,
        "order by key",
        "'{'name', 'timestamp'}'",
        |key| match key {
            "name" => Some(RegistryOrder::Name),
            "timestamp" | "last_updated_timestamp" => Some(RegistryOrder::LastUpdate),
            _ => None,
        },
    )
}

/// Reads orders of versions; without any, the one changed last comes first.
///
/// # Errors
/// When one cannot be ordered by, or is there twice.
pub fn version_order(sources: &[String]) -> Result<Vec<OrderBy<RegistryOrder>>, StoreError> {
    if sources.is_empty() {
        return Ok(vec![OrderBy {
            key: RegistryOrder::LastUpdate,
            ascending: false,
        }]);
    }
    let valid = "'{'name', 'version_number', 'creation_timestamp', 'last_updated_timestamp'}'";
    order(sources, "attribute key", valid, |key| match key {
        "name" => Some(RegistryOrder::Name),
        "version_number" => Some(RegistryOrder::Version),
        "creation_timestamp" => Some(RegistryOrder::Creation),
        "last_updated_timestamp" => Some(RegistryOrder::LastUpdate),
        _ => None,
    })
}

fn order(
    sources: &[String],
    what: &str,
    valid: &str,
    key_of: impl Fn(&str) -> Option<RegistryOrder>,
) -> Result<Vec<OrderBy<RegistryOrder>>, StoreError> {
    let mut order: Vec<OrderBy<RegistryOrder>> = Vec::with_capacity(sources.len());
    for source in sources {
        let (identifier, ascending) = parse_order(source)?;
        let key = key_of(&identifier.key).filter(|_| identifier.entity.is_none());
        let key = key.ok_or_else(|| {
            StoreError::invalid(format!(
                "Invalid {what} '{}' specified. Valid keys are {valid}",
                identifier.key
            ))
        })?;
        if order.iter().any(|known| known.key == key) {
            return Err(StoreError::invalid(format!(
                "`order_by` contains duplicate fields: {sources:?}"
            )));
        }
        order.push(OrderBy { key, ascending });
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_asked_for_by_their_tag() {
        let asks = |source: &str| asks_for_prompts(&model_filter(source).unwrap());
        assert!(asks("tags.`mlflow.prompt.is_prompt` = 'true'"));
        assert!(asks(
            "name = 'a' AND tags.`mlflow.prompt.is_prompt` != 'false'"
        ));
        assert!(!asks("tags.`mlflow.prompt.is_prompt` = 'false'"));
        assert!(!asks("name = 'a'"));
    }

    #[test]
    fn versions_have_more_keys_than_models() {
        assert!(model_filter("run_id = 'r'").is_err());
        version_filter("run_id IN ('r') AND version_number > '1'").unwrap();
        version_filter("source_path IN ('a') AND tags.t NOT IN ('a', 'b')").unwrap();
        let refused = version_filter("run_id IN (1,2,3)").unwrap_err().to_string();
        assert!(
            refused.ends_with("got different type in list: (1, 2, 3)"),
            "{refused}"
        );
        assert!(version_filter("tags.t IS NULL").is_err());
        assert!(version_filter("version_number = 1.5").is_err());
        assert!(version_filter("current_stage = 'None'").is_err());
    }
}
