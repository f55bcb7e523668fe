//! Values as a column of text or numbers takes them.

use crate::error::StoreError;
use crate::search::Operator;
use crate::search::parser::{Comparison, Value};

/// A test of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// One of `=`, `!=`, `LIKE`, `ILIKE` with a text.
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

/// What a text may be tested for beyond `=`, `!=`, `LIKE` and `ILIKE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Also {
    /// Nothing.
    Nothing,
    /// Whether it is one of a list.
    Lists,
    /// Whether it is there.
    Presence,
}

/// The test of a text; `what` names it in messages.
pub(super) fn text(comparison: Comparison, also: Also, what: &str) -> Result<TextTest, StoreError> {
    use Operator::{Equal, ILike, In, IsNotNull, IsNull, Like, NotEqual, NotIn};
    let key = comparison.identifier.key;
    match (comparison.operator, comparison.value) {
        (IsNull, _) if also == Also::Presence => Ok(TextTest::Exists(false)),
        (IsNotNull, _) if also == Also::Presence => Ok(TextTest::Exists(true)),
        (operator @ (In | NotIn), Value::List(texts)) if also == Also::Lists => Ok(TextTest::In {
            negated: operator == NotIn,
            texts,
        }),
        (operator @ (Equal | NotEqual | Like | ILike), Value::Text(text)) => {
            Ok(TextTest::Compare(operator, text))
        }
        (_, Value::Number(number)) => Err(StoreError::invalid(format!(
            "Expected a quoted string value for {what} (e.g. 'my-value'). Got value {number}"
        ))),
        (In | NotIn, _) => Err(StoreError::invalid(format!(
            "Comparison with a list of quoted string values is not supported for {what} '{key}'."
        ))),
        (operator, _) => Err(refused(operator, also)),
    }
}

fn refused(operator: Operator, also: Also) -> StoreError {
    let more = match also {
        Also::Nothing => "",
        Also::Lists => ", 'IN', 'NOT IN'",
        Also::Presence => ", 'IS NULL', 'IS NOT NULL'",
    };
    StoreError::invalid(format!(
        "Invalid comparator '{}' not one of '=', '!=', 'LIKE', 'ILIKE'{more}",
        operator.text()
    ))
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
