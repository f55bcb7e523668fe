//! Filters and orders of runs.

use crate::error::StoreError;
use crate::search::parser::{Comparison, Identifier, parse, parse_order};
use crate::search::typed::{Absence, NumberTest, TextTest, What, metric, number, text};
use crate::search::{Filter, Operator, OrderBy};

/// A comparison of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunClause {
    /// The latest point of a metric. One that is not a number differs from every number.
    Metric {
        /// Its name.
        key: String,
        /// The test.
        test: NumberTest,
    },
    /// A param.
    Param {
        /// Its name.
        key: String,
        /// The test.
        test: TextTest,
    },
    /// A tag.
    Tag {
        /// Its name.
        key: String,
        /// The test.
        test: TextTest,
    },
    /// A text of the run itself.
    Text {
        /// Which one.
        attribute: RunText,
        /// The test.
        test: TextTest,
    },
    /// A time of the run, in milliseconds since the epoch.
    Time {
        /// Which one.
        attribute: RunTime,
        /// One of the six that compare numbers.
        operator: Operator,
        /// The number.
        value: f64,
    },
    /// A dataset that the run read.
    Dataset {
        /// Which part of it.
        attribute: DatasetText,
        /// The test.
        test: TextTest,
    },
}

/// The texts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunText {
    /// `run_id`
    Id,
    /// `run_name`, which is the tag `mlflow.runName`.
    Name,
    /// `user_id`
    User,
    /// `status`
    Status,
    /// `artifact_uri`
    ArtifactUri,
}

/// The times of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunTime {
    /// `start_time`
    Start,
    /// `end_time`
    End,
}

/// The texts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetText {
    /// `name`
    Name,
    /// `digest`
    Digest,
    /// `context`: the tag `mlflow.data.context` of the input.
    Context,
}

/// What runs are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RunOrder {
    /// The latest point of a metric: numbers, then those that are not a number, then none.
    Metric(String),
    /// A param; runs without it last.
    Param(String),
    /// A tag; runs without it last.
    Tag(String),
    /// A text of the run.
    Text(RunText),
    /// A time of the run.
    Time(RunTime),
}

const ALWAYS_THERE: Absence = Absence::Never("tags, params and metrics");

/// Orders of one search.
pub const MOST_ORDERS: usize = 16;

/// Reads a filter of runs.
///
/// # Errors
/// When it is not of the grammar, or compares what cannot be compared.
pub fn filter(source: &str) -> Result<Filter<RunClause>, StoreError> {
    parse(source)?.try_map(&mut clause)
}

/// Reads orders of runs.
///
/// # Errors
/// When one cannot be ordered by, one is there twice, or there are too many.
pub fn order(sources: &[String]) -> Result<Vec<OrderBy<RunOrder>>, StoreError> {
    if sources.len() > MOST_ORDERS {
        return Err(StoreError::invalid(format!(
            "Runs can be ordered by at most {MOST_ORDERS} keys. Got {}.",
            sources.len()
        )));
    }
    let mut order: Vec<OrderBy<RunOrder>> = Vec::with_capacity(sources.len());
    for source in sources {
        let (identifier, ascending) = parse_order(source)?;
        let key = order_key(identifier)?;
        if order.iter().any(|known| known.key == key) {
            return Err(StoreError::invalid(format!(
                "`order_by` contains duplicate fields: {sources:?}"
            )));
        }
        order.push(OrderBy { key, ascending });
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entity {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

fn entity(name: Option<&str>) -> Result<Entity, StoreError> {
    match name {
        Some("metric" | "metrics") => Ok(Entity::Metric),
        Some("param" | "params" | "parameter" | "parameters") => Ok(Entity::Param),
        Some("tag" | "tags") => Ok(Entity::Tag),
        None | Some("attribute" | "attributes" | "attr" | "run") => Ok(Entity::Attribute),
        Some("dataset" | "datasets") => Ok(Entity::Dataset),
        Some(other) => Err(StoreError::invalid(format!(
            "Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', \
             'attribute', 'dataset']"
        ))),
    }
}

enum Attribute {
    Text(RunText),
    Time(RunTime),
}

fn attribute(key: &str) -> Result<Attribute, StoreError> {
    Ok(match key {
        "run_id" => Attribute::Text(RunText::Id),
        "run_name" | "run name" | "Run name" | "Run Name" => Attribute::Text(RunText::Name),
        "user_id" => Attribute::Text(RunText::User),
        "status" => Attribute::Text(RunText::Status),
        "artifact_uri" => Attribute::Text(RunText::ArtifactUri),
        "start_time" | "created" | "Created" => Attribute::Time(RunTime::Start),
        "end_time" => Attribute::Time(RunTime::End),
        other => {
            return Err(StoreError::invalid(format!(
                "Invalid attribute key '{other}' specified. Valid keys are '{{'run_id', \
                 'run_name', 'user_id', 'status', 'artifact_uri', 'start_time', 'end_time'}}'"
            )));
        }
    })
}

fn clause(comparison: Comparison) -> Result<RunClause, StoreError> {
    let key = comparison.identifier.key.clone();
    Ok(match entity(comparison.identifier.entity.as_deref())? {
        Entity::Metric => RunClause::Metric {
            key,
            test: metric(&comparison)?,
        },
        Entity::Param => RunClause::Param {
            key,
            test: text(comparison, Absence::Asked, What::Param)?,
        },
        Entity::Tag => RunClause::Tag {
            key,
            test: text(comparison, Absence::Asked, What::Tag)?,
        },
        Entity::Attribute => of_attribute(&key, comparison)?,
        Entity::Dataset => RunClause::Dataset {
            attribute: dataset(&key)?,
            test: text(comparison, ALWAYS_THERE, What::Dataset)?,
        },
    })
}

fn of_attribute(key: &str, comparison: Comparison) -> Result<RunClause, StoreError> {
    Ok(match attribute(key)? {
        Attribute::Time(attribute) => {
            let (operator, value) = number(&comparison, &format!("numeric attribute: {key}"))?;
            RunClause::Time {
                attribute,
                operator,
                value,
            }
        }
        Attribute::Text(attribute) => RunClause::Text {
            attribute,
            test: text(comparison, ALWAYS_THERE, What::Attribute)?,
        },
    })
}

fn dataset(key: &str) -> Result<DatasetText, StoreError> {
    match key {
        "name" => Ok(DatasetText::Name),
        "digest" => Ok(DatasetText::Digest),
        "context" => Ok(DatasetText::Context),
        other => Err(StoreError::invalid(format!(
            "Invalid dataset key '{other}' specified. Valid keys are '{{'name', 'digest', 'context'}}'"
        ))),
    }
}

fn order_key(identifier: Identifier) -> Result<RunOrder, StoreError> {
    let key = identifier.key;
    Ok(match entity(identifier.entity.as_deref())? {
        Entity::Metric => RunOrder::Metric(key),
        Entity::Param => RunOrder::Param(key),
        Entity::Tag => RunOrder::Tag(key),
        Entity::Attribute => match attribute(&key)? {
            Attribute::Text(text) => RunOrder::Text(text),
            Attribute::Time(time) => RunOrder::Time(time),
        },
        Entity::Dataset => {
            return Err(StoreError::invalid(format!(
                "Runs cannot be ordered by '{key}' of their datasets"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(source: &str) -> String {
        filter(source).unwrap_err().to_string()
    }

    #[test]
    fn identifiers_have_their_aliases() {
        for (one, other) in [
            ("metric.a > 1", "metrics.a > 1"),
            ("param.a = '1'", "parameters.a = '1'"),
            ("tag.a = '1'", "tags.a = '1'"),
            ("created > 1", "attributes.start_time > 1.0"),
            ("`Run name` = 'x'", "run.run_name = 'x'"),
            ("dataset.name = 'x'", "datasets.name = 'x'"),
        ] {
            assert_eq!(filter(one).unwrap(), filter(other).unwrap(), "{one}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (source, part) in [
            (
                "metrics.a = 'x'",
                "Expected numeric value type for metric. Found 'x'",
            ),
            (
                "metrics.a like 'x'",
                "Expected numeric value type for metric",
            ),
            (
                "metrics.a in (1, 'x')",
                "Expected numeric value type for metric. Found a text in the list of 'a'",
            ),
            ("run_id in (1, 'x')", "got different type in list: (1, 'x')"),
            ("run_id in (1)", "got different type in list: (1,)"),
            (
                "params.a = 5",
                "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 5",
            ),
            (
                "params.a > 'x'",
                "Invalid comparator '>' not one of '=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN', 'IS NULL', 'IS NOT NULL'",
            ),
            ("foo.a = 1", "Invalid entity type 'foo'. Valid values are"),
            (
                "attributes.zzz = '1'",
                "Invalid attribute key 'zzz' specified.",
            ),
            ("dataset.zz = 'x'", "Invalid dataset key 'zz' specified."),
            (
                "start_time like 'x'",
                "Expected numeric value type for numeric attribute: start_time",
            ),
            (
                "run_name is null",
                "IS NULL / IS NOT NULL is only supported for tags, params and metrics, not for 'attribute' 'run_name'",
            ),
        ] {
            assert!(
                refusal(source).contains(part),
                "{source}: {}",
                refusal(source)
            );
        }
    }

    #[test]
    fn nothing_is_ordered_by_twice() {
        let sources = ["created".to_owned(), "start_time DESC".to_owned()];
        assert!(
            order(&sources)
                .unwrap_err()
                .to_string()
                .contains("duplicate fields")
        );
        assert!(order(&["dataset.name".to_owned()]).is_err());
    }
}
