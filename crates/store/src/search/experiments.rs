//! Filters and orders of experiments.

use crate::error::StoreError;
use crate::rules::parse_experiment_id;
use crate::search::parser::{Comparison, Value, parse, parse_order};
use crate::search::typed::{Absence, TextTest, What, number, numbers_as_texts, text};
use crate::search::{Filter, Operator, OrderBy};

/// A comparison of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub enum ExperimentClause {
    /// The name.
    Name(TextTest),
    /// The id is one of these, or none of them.
    Id {
        /// None of them.
        negated: bool,
        /// The ids; at least one.
        ids: Vec<i64>,
    },
    /// A time, in milliseconds since the epoch.
    Time {
        /// Which one.
        attribute: ExperimentTime,
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

/// The times of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExperimentTime {
    /// `creation_time`
    Creation,
    /// `last_update_time`
    LastUpdate,
}

/// What experiments are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExperimentOrder {
    /// `name`
    Name,
    /// `experiment_id`
    Id,
    /// A time.
    Time(ExperimentTime),
}

const ALWAYS_THERE: Absence = Absence::Never("tags");

/// Reads a filter of experiments.
///
/// # Errors
/// When it is not of the grammar, or compares what cannot be compared.
pub fn filter(source: &str) -> Result<Filter<ExperimentClause>, StoreError> {
    parse(source)?.try_map(&mut clause)
}

/// Reads orders of experiments.
///
/// # Errors
/// When one cannot be ordered by.
pub fn order(sources: &[String]) -> Result<Vec<OrderBy<ExperimentOrder>>, StoreError> {
    sources
        .iter()
        .map(|source| {
            let (identifier, ascending) = parse_order(source)?;
            check_entity(identifier.entity.as_deref())?;
            let key = order_key(&identifier.key)?;
            Ok(OrderBy { key, ascending })
        })
        .collect()
}

fn check_entity(entity: Option<&str>) -> Result<(), StoreError> {
    match entity {
        None | Some("attribute" | "attributes" | "attr") => Ok(()),
        Some(other) => Err(StoreError::invalid(format!(
            "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
        ))),
    }
}

fn order_key(key: &str) -> Result<ExperimentOrder, StoreError> {
    match key {
        "name" => Ok(ExperimentOrder::Name),
        "experiment_id" => Ok(ExperimentOrder::Id),
        _ => time(key)
            .map(ExperimentOrder::Time)
            .ok_or_else(|| unknown(key)),
    }
}

fn time(key: &str) -> Option<ExperimentTime> {
    match key {
        "creation_time" => Some(ExperimentTime::Creation),
        "last_update_time" => Some(ExperimentTime::LastUpdate),
        _ => None,
    }
}

fn unknown(key: &str) -> StoreError {
    StoreError::invalid(format!(
        "Invalid attribute key '{key}' specified. Valid keys are '{{'name', 'creation_time', \
         'last_update_time', 'experiment_id'}}'"
    ))
}

fn clause(comparison: Comparison) -> Result<ExperimentClause, StoreError> {
    let key = comparison.identifier.key.clone();
    if matches!(
        comparison.identifier.entity.as_deref(),
        Some("tag" | "tags")
    ) {
        let test = text(comparison, Absence::Asked, What::Tag)?;
        return Ok(ExperimentClause::Tag { key, test });
    }
    check_entity(comparison.identifier.entity.as_deref())?;
    if let Some(attribute) = time(&key) {
        return of_time(attribute, &comparison);
    }
    match key.as_str() {
        "name" => text(comparison, ALWAYS_THERE, What::Attribute).map(ExperimentClause::Name),
        "experiment_id" => of_id(comparison),
        other => Err(unknown(other)),
    }
}

fn of_time(
    attribute: ExperimentTime,
    comparison: &Comparison,
) -> Result<ExperimentClause, StoreError> {
    let key = &comparison.identifier.key;
    let (operator, _) = number(comparison, &format!("numeric attribute: {key}"))?;
    let value = match &comparison.value {
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| {
        StoreError::invalid(format!(
            "Invalid value for numeric attribute '{key}': it must be an integer"
        ))
    })?;
    Ok(ExperimentClause::Time {
        attribute,
        operator,
        value,
    })
}

fn of_id(mut comparison: Comparison) -> Result<ExperimentClause, StoreError> {
    if matches!(comparison.value, Value::List(_)) {
        numbers_as_texts(&mut comparison);
    }
    let (negated, texts) = match text(comparison, ALWAYS_THERE, What::Attribute)? {
        TextTest::Compare(Operator::Equal, text) => (false, vec![text]),
        TextTest::Compare(Operator::NotEqual, text) => (true, vec![text]),
        TextTest::In { negated, texts } => (negated, texts),
        TextTest::Compare(operator, _) => {
            return Err(StoreError::invalid(format!(
                "Invalid comparator for experiment_id: {}",
                operator.text()
            )));
        }
        TextTest::Exists(_) => return Err(unknown("experiment_id")),
    };
    let ids: Result<Vec<i64>, StoreError> =
        texts.iter().map(|text| parse_experiment_id(text)).collect();
    Ok(ExperimentClause::Id { negated, ids: ids? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_compared_is_taken() {
        for source in [
            "name = 'x'",
            "attribute.name ilike 'x%'",
            "creation_time > 5",
            "experiment_id = '1'",
            "experiment_id not in ('1','2')",
            "experiment_id in (1, 2)",
            "name in ('x', 'y') and tags.a not in ('b')",
            "tags.a = 'b' or tag.a is null",
        ] {
            filter(source).unwrap();
        }
        order(&["name".to_owned(), "last_update_time DESC".to_owned()]).unwrap();
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (source, part) in [
            (
                "metrics.a = 1",
                "Invalid entity type 'metrics'. Valid entity types are",
            ),
            ("foo = 'x'", "Invalid attribute key 'foo' specified."),
            ("lifecycle_stage = 'active'", "Invalid attribute key"),
            ("experiment_id = 'a'", "Invalid experiment ID 'a'."),
            (
                "experiment_id like '1'",
                "Invalid comparator for experiment_id: LIKE",
            ),
            ("creation_time > 1.5", "must be an integer"),
            ("name > 'x'", "Invalid comparator '>'"),
        ] {
            let refusal = filter(source).unwrap_err().to_string();
            assert!(refusal.contains(part), "{source}: {refusal}");
        }
        assert!(order(&["tags.a".to_owned()]).is_err());
    }
}
