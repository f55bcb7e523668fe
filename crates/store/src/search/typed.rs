//! Values as a column of text or numbers takes them.

use crate::error::StoreError;
use crate::search::Operator;
use crate::search::parser::{Comparison, Item, Value};

/// A test of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// One of `=`, `!=`, `LIKE`, `ILIKE` with a text. In a pattern, `\` makes the next character
    /// literal.
    Compare(Operator, String),
    /// One of several texts, or none of them.
    In {
        /// None of them.
        negated: bool,
        /// The texts; at least one.
        texts: Vec<String>,
    },
    /// Whether it is there at all.
    Exists(bool),
}

/// A test of a number.
#[derive(Debug, Clone, PartialEq)]
pub enum NumberTest {
    /// One of the six that compare numbers.
    Compare(Operator, f64),
    /// One of several numbers, or none of them.
    In {
        /// None of them.
        negated: bool,
        /// The numbers; at least one.
        numbers: Vec<f64>,
    },
    /// Whether it is there at all.
    Exists(bool),
}

/// Whether something may be asked for with `IS NULL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It may be absent.
    Asked,
    /// It is always there; these may be asked for.
    Never(&'static str),
}

/// What a text is, in the words of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A param.
    Param,
    /// A tag.
    Tag,
    /// A column of what is searched.
    Attribute,
    /// A column of a registered model or a version.
    RegistryAttribute,
    /// A part of a dataset.
    Dataset,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Param => "parameter",
            Self::Tag => "tag",
            Self::Attribute | Self::RegistryAttribute => "attribute",
            Self::Dataset => "dataset",
        }
    }

    /// What its values must be.
    const fn expected(self) -> &'static str {
        match self {
            Self::Param => "a quoted string value for parameter (e.g. 'my-value')",
            Self::Tag => "a quoted string value for tag (e.g. 'my-value')",
            Self::Attribute => "a quoted string value for attributes",
            Self::RegistryAttribute => {
                "a quoted string value or a list of quoted string values for attributes"
            }
            Self::Dataset => "a quoted string value for dataset attributes",
        }
    }
}

/// The test of a text.
pub(super) fn text(
    comparison: Comparison,
    absence: Absence,
    what: What,
) -> Result<TextTest, StoreError> {
    use Operator::{Equal, ILike, In, IsNotNull, IsNull, Like, NotEqual, NotIn};
    let key = comparison.identifier.key;
    match (comparison.operator, comparison.value) {
        (operator @ (IsNull | IsNotNull), _) => match absence {
            Absence::Asked => Ok(TextTest::Exists(operator == IsNotNull)),
            Absence::Never(others) => Err(StoreError::invalid(format!(
                "IS NULL / IS NOT NULL is only supported for {others}, not for '{}' '{key}'",
                what.name()
            ))),
        },
        (operator @ (In | NotIn), Value::List(items)) => Ok(TextTest::In {
            negated: operator == NotIn,
            texts: texts(items)?,
        }),
        (operator @ (Equal | NotEqual | Like | ILike), Value::Text(text)) => {
            Ok(TextTest::Compare(operator, text))
        }
        (_, Value::Number(number)) => Err(StoreError::invalid(format!(
            "Expected {}. Got value {number}",
            what.expected()
        ))),
        (operator, _) => Err(refused(operator, absence)),
    }
}

fn refused(operator: Operator, absence: Absence) -> StoreError {
    let more = match absence {
        Absence::Asked => ", 'IS NULL', 'IS NOT NULL'",
        Absence::Never(_) => "",
    };
    StoreError::invalid(format!(
        "Invalid comparator '{}' not one of '=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'{more}",
        operator.text()
    ))
}

/// The texts of a list, in which numbers are refused: an id that is not quoted is a mistake.
fn texts(items: Vec<Item>) -> Result<Vec<String>, StoreError> {
    if items.iter().any(|item| matches!(item, Item::Number(_))) {
        let shown = items.iter().map(|item| match item {
            Item::Number(number) => number.clone(),
            Item::Text(text) => format!("'{text}'"),
        });
        let mut shown = shown.collect::<Vec<_>>().join(", ");
        if items.len() == 1 {
            shown.push(',');
        }
        return Err(StoreError::invalid(format!(
            "While parsing a list in the query, expected string value, punctuation, or \
             whitespace, but got different type in list: ({shown})"
        )));
    }
    let text = |item| match item {
        Item::Number(text) | Item::Text(text) => text,
    };
    Ok(items.into_iter().map(text).collect())
}

/// Lets numbers stand for their texts: `params.lr = 0.01`, `experiment_id IN (1, 2)`.
pub(super) fn numbers_as_texts(comparison: &mut Comparison) {
    match &mut comparison.value {
        Value::Number(number) => comparison.value = Value::Text(std::mem::take(number)),
        Value::List(items) => {
            for item in items {
                if let Item::Number(number) = item {
                    *item = Item::Text(std::mem::take(number));
                }
            }
        }
        Value::Text(_) | Value::Nothing => {}
    }
}

/// The test of a metric.
pub(super) fn metric(comparison: &Comparison) -> Result<NumberTest, StoreError> {
    use Operator::{In, IsNotNull, IsNull, NotIn};
    match (comparison.operator, &comparison.value) {
        (operator @ (IsNull | IsNotNull), _) => Ok(NumberTest::Exists(operator == IsNotNull)),
        (operator @ (In | NotIn), Value::List(items)) => {
            let number = |item: &Item| match item {
                Item::Number(number) => number.parse().ok(),
                Item::Text(_) => None,
            };
            let numbers: Option<Vec<f64>> = items.iter().map(number).collect();
            let numbers = numbers.ok_or_else(|| {
                StoreError::invalid(format!(
                    "Expected numeric value type for metric. Found a text in the list of '{}'",
                    comparison.identifier.key
                ))
            })?;
            Ok(NumberTest::In {
                negated: operator == NotIn,
                numbers,
            })
        }
        _ => number(comparison, "metric")
            .map(|(operator, value)| NumberTest::Compare(operator, value)),
    }
}

/// The operator and the number of a test of a number; `what` names it in messages.
pub(super) fn number(comparison: &Comparison, what: &str) -> Result<(Operator, f64), StoreError> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let number = match &comparison.value {
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    let Some(number) = number else {
        let found = match &comparison.value {
            Value::Number(text) => text.clone(),
            Value::Text(text) => format!("'{text}'"),
            Value::List(_) => "a list".to_owned(),
            Value::Nothing => comparison.operator.text().to_owned(),
        };
        return Err(StoreError::invalid(format!(
            "Expected numeric value type for {what}. Found {found}"
        )));
    };
    match comparison.operator {
        operator @ (Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual) => {
            Ok((operator, number))
        }
        operator => Err(StoreError::invalid(format!(
            "Invalid comparator '{}' not one of '=', '!=', '<', '<=', '>', '>='",
            operator.text()
        ))),
    }
}
