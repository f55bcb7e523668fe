//! Filters and orders of logged models.

use mlrs_api::enums::LoggedModelStatus;
use mlrs_api::logged_models::{DatasetFilter, OrderByField};

use crate::error::StoreError;
use crate::search::parser::{Comparison, Identifier, parse};
use crate::search::typed::{
    Absence, NumberTest, TextTest, What, metric, number, numbers_as_texts, text,
};
use crate::search::{Filter, Operator, OrderBy};

/// A comparison of a logged model.
#[derive(Debug, Clone, PartialEq)]
pub enum LoggedModelClause {
    /// Any point of a metric, on one of the datasets of the search.
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
    /// A text of the model itself.
    Text {
        /// Which one.
        attribute: LoggedModelText,
        /// The test.
        test: TextTest,
    },
    /// The status is one of these, or none of them.
    Status {
        /// None of them.
        negated: bool,
        /// The numbers of the statuses.
        statuses: Vec<i64>,
    },
    /// A time of the model, in milliseconds since the epoch.
    Time {
        /// Which one.
        attribute: LoggedModelTime,
        /// One of the six that compare numbers.
        operator: Operator,
        /// The number.
        value: f64,
    },
}

/// The texts of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedModelText {
    /// `model_id`
    Id,
    /// `name`
    Name,
    /// `model_type`
    Type,
    /// `source_run_id`
    SourceRun,
    /// `artifact_location`
    ArtifactLocation,
    /// `status_message`
    StatusMessage,
}

/// The times of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedModelTime {
    /// `creation_timestamp`
    Creation,
    /// `last_updated_timestamp`
    LastUpdate,
}

/// What logged models are ordered by; what is absent comes last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedModelOrder {
    /// The latest point of a metric.
    Metric {
        /// Its name.
        key: String,
        /// Only points on the dataset of this name.
        dataset_name: Option<String>,
        /// Only points on the dataset with this digest.
        dataset_digest: Option<String>,
    },
    /// A text of the model.
    Text(LoggedModelText),
    /// A time of the model.
    Time(LoggedModelTime),
    /// The status, by its number.
    Status,
}

/// Which logged models are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModelSearch {
    /// Where to look.
    pub experiment_ids: Vec<i64>,
    /// What must be true of them.
    pub filter: Filter<LoggedModelClause>,
    /// Metrics must be on one of these; any when empty.
    pub datasets: Vec<DatasetFilter>,
    /// In which order; then the latest made first, then by id.
    pub order: Vec<OrderBy<LoggedModelOrder>>,
    /// How many at most.
    pub limit: u64,
    /// How many to leave out.
    pub offset: u64,
}

const ALWAYS_THERE: Absence = Absence::Never("tags, params and metrics");

/// Orders of one search.
pub const MOST_ORDERS: usize = 8;

/// Reads a filter of logged models.
///
/// # Errors
/// When it is not of the grammar, or compares what cannot be compared.
pub fn filter(source: &str) -> Result<Filter<LoggedModelClause>, StoreError> {
    parse(source)?.try_map(&mut clause)
}

/// Reads orders of logged models.
///
/// # Errors
/// When one cannot be ordered by, or there are too many.
pub fn order(fields: &[OrderByField]) -> Result<Vec<OrderBy<LoggedModelOrder>>, StoreError> {
    if fields.len() > MOST_ORDERS {
        return Err(StoreError::invalid(format!(
            "Logged models can be ordered by at most {MOST_ORDERS} fields. Got {}.",
            fields.len()
        )));
    }
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let read = |field: &OrderByField| {
        let name = field.field_name.as_deref().unwrap_or_default();
        let key = match name.split_once('.') {
            Some(("metrics", key)) => LoggedModelOrder::Metric {
                key: key.to_owned(),
                dataset_name: filled(&field.dataset_name),
                dataset_digest: filled(&field.dataset_digest),
            },
            Some(_) => {
                return Err(StoreError::invalid(format!(
                    "Invalid order by field name: {name}. Only metrics are supported."
                )));
            }
            None => match attribute(name) {
                Some(Attribute::Text(text)) => LoggedModelOrder::Text(text),
                Some(Attribute::Time(time)) => LoggedModelOrder::Time(time),
                Some(Attribute::Status) => LoggedModelOrder::Status,
                None => {
                    return Err(StoreError::invalid(format!(
                        "Invalid order by field name: {name}"
                    )));
                }
            },
        };
        Ok(OrderBy {
            key,
            ascending: field.ascending.unwrap_or(true),
        })
    };
    fields.iter().map(read).collect()
}

enum Attribute {
    Text(LoggedModelText),
    Time(LoggedModelTime),
    Status,
}

fn attribute(key: &str) -> Option<Attribute> {
    Some(match key {
        "model_id" => Attribute::Text(LoggedModelText::Id),
        "name" => Attribute::Text(LoggedModelText::Name),
        "model_type" => Attribute::Text(LoggedModelText::Type),
        "source_run_id" => Attribute::Text(LoggedModelText::SourceRun),
        "artifact_location" => Attribute::Text(LoggedModelText::ArtifactLocation),
        "status_message" => Attribute::Text(LoggedModelText::StatusMessage),
        "creation_time" | "creation_timestamp" | "creation_timestamp_ms" => {
            Attribute::Time(LoggedModelTime::Creation)
        }
        "last_updated_timestamp" | "last_updated_timestamp_ms" => {
            Attribute::Time(LoggedModelTime::LastUpdate)
        }
        "status" => Attribute::Status,
        _ => return None,
    })
}

fn clause(mut comparison: Comparison) -> Result<LoggedModelClause, StoreError> {
    let Identifier { entity, key } = comparison.identifier.clone();
    match entity.as_deref() {
        Some("metrics" | "metric") => {
            let test = metric(&comparison)?;
            Ok(LoggedModelClause::Metric { key, test })
        }
        Some("params" | "param") => {
            numbers_as_texts(&mut comparison);
            let test = text(comparison, Absence::Asked, What::Param)?;
            Ok(LoggedModelClause::Param { key, test })
        }
        Some("tags" | "tag") => {
            numbers_as_texts(&mut comparison);
            let test = text(comparison, Absence::Asked, What::Tag)?;
            Ok(LoggedModelClause::Tag { key, test })
        }
        None | Some("attributes" | "attribute") => of_attribute(&key, comparison),
        Some(other) => Err(StoreError::invalid(format!(
            "Invalid entity type: '{other}'. Expected one of ['attributes', 'metrics', 'params', \
             'tags']."
        ))),
    }
}

fn of_attribute(key: &str, comparison: Comparison) -> Result<LoggedModelClause, StoreError> {
    let known = attribute(key).ok_or_else(|| {
        StoreError::invalid(format!(
            "Invalid attribute key '{key}' specified. Valid keys are 'model_id', 'name', \
             'model_type', 'source_run_id', 'status', 'creation_timestamp', \
             'last_updated_timestamp'"
        ))
    })?;
    Ok(match known {
        Attribute::Text(attribute) => LoggedModelClause::Text {
            attribute,
            test: text(comparison, ALWAYS_THERE, What::Attribute)?,
        },
        Attribute::Time(attribute) => {
            let (operator, value) = number(&comparison, &format!("numeric attribute: {key}"))?;
            LoggedModelClause::Time {
                attribute,
                operator,
                value,
            }
        }
        Attribute::Status => of_status(comparison)?,
    })
}

fn of_status(mut comparison: Comparison) -> Result<LoggedModelClause, StoreError> {
    numbers_as_texts(&mut comparison);
    let (negated, texts) = match text(comparison, ALWAYS_THERE, What::Attribute)? {
        TextTest::Compare(Operator::Equal, text) => (false, vec![text]),
        TextTest::Compare(Operator::NotEqual, text) => (true, vec![text]),
        TextTest::In { negated, texts } => (negated, texts),
        TextTest::Compare(..) | TextTest::Exists(_) => {
            return Err(StoreError::invalid(
                "Invalid comparison operator for status. Expected one of ('=', '!=', 'IN', 'NOT IN').",
            ));
        }
    };
    let statuses = texts.iter().filter_map(|text| status(text));
    Ok(LoggedModelClause::Status {
        negated,
        statuses: statuses.collect(),
    })
}

/// The number of a status, by its name on the wire, the short form of it, or its number.
fn status(text: &str) -> Option<i64> {
    let name = text.strip_prefix("LOGGED_MODEL_").unwrap_or(text);
    LoggedModelStatus::from_name(&format!("LOGGED_MODEL_{name}"))
        .map(|status| i64::from(status.number()))
        .or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_texts_of_params() {
        assert_eq!(
            filter("params.lr = 0.01").unwrap(),
            filter("params.lr = '0.01'").unwrap()
        );
    }

    #[test]
    fn statuses_have_names_and_numbers() {
        let ready = filter("status = 'READY'").unwrap();
        assert_eq!(filter("status = 'LOGGED_MODEL_READY'").unwrap(), ready);
        assert_eq!(filter("attributes.status IN ('2')").unwrap(), ready);
        assert!(filter("status LIKE 'R%'").is_err());
    }

    #[test]
    fn only_attributes_and_metrics_are_ordered_by() {
        let by = |name: &str| {
            order(&[OrderByField {
                field_name: Some(name.to_owned()),
                ..OrderByField::default()
            }])
        };
        by("metrics.a.b").unwrap();
        by("creation_timestamp").unwrap();
        assert!(by("params.a").is_err());
        assert!(by("nothing").is_err());
    }
}
