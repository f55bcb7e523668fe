//! Fields of the schema, read out of answers of the REST API.
//!
//! The types of the schema are those of the REST API with other names: `run_id` is `runId`, 64-bit
//! integers are texts. MLflow reads them from protobuf messages, where a field that is not set has
//! the default of its type; so absent fields are empty texts, zeros and empty lists here, not null. Absent enumerations are null.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::serde_json_bytes::ByteString;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use serde_json::{Map, Value};

use super::question::{Answered, Known, Question};

/// The type of runs, which know their experiment and their versions.
const RUN: &str = "MlflowRunExtension";
/// The type of latest metrics, in which a value that is no number is null.
const METRIC: &str = "MlflowMetricExtension";
/// The one type that is null when it is absent: it belongs to no message.
const API_ERROR: &str = "ApiError";

/// An object: its type, and what the REST API says of it.
pub(super) struct Object<'d> {
    kind: &'d str,
    value: &'d Value,
    known: &'d Known,
}

impl<'d> Object<'d> {
    /// The object that an operation begins with.
    pub(super) fn root(kind: &'d str, known: &'d Known) -> Self {
        Self {
            kind,
            value: &Value::Null,
            known,
        }
    }

    fn is_root(&self) -> bool {
        matches!(self.kind, "Query" | "Mutation")
    }

    /// A field of the root: the whole answer to its question.
    fn answer<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let arguments = info.arguments();
        match info.field_name() {
            "test" => {
                let output = arguments.get("inputString").cloned();
                return Ok(ResolvedValue::object(Echo(output.unwrap_or_default())));
            }
            // MLflow's schema has it, and its server no answer.
            "testMutation" => return Ok(ResolvedValue::null()),
            _ => {}
        }
        let input = arguments.get("input").and_then(JsonValue::as_object);
        let input = input.ok_or_else(|| refused("the argument `input` is missing"))?;
        let question = Question::new(info.field_name(), snake_case_keys(input)?);
        self.part(info, question, "")
    }

    /// The answer to a question, or a field of it; null until it is known.
    fn part<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
        question: Question,
        name: &str,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        let Some(answered) = self.known.answer(question) else {
            return Ok(ResolvedValue::null());
        };
        let whole = of(answered)?;
        let value = if name.is_empty() {
            Some(whole)
        } else {
            whole.get(name)
        };
        self.resolved(info.schema(), &info.field_definition().ty, value)
    }

    fn text(&self, path: &str) -> &'d str {
        let found = self.value.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default()
    }

    /// A value as its type has it.
    fn resolved<'a>(
        &'a self,
        schema: &'a Schema,
        kind: &'a Type,
        value: Option<&'a Value>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        if let Type::List(item) | Type::NonNullList(item) = kind {
            let items = value.and_then(Value::as_array);
            let items = items.into_iter().flatten();
            let items = items.map(move |value| self.resolved(schema, item, Some(value)));
            return Ok(ResolvedValue::List(Box::new(items)));
        }
        let name = kind.inner_named_type().as_str();
        match schema.types.get(name) {
            Some(ExtendedType::Object(_)) if value.is_none() && name == API_ERROR => {
                Ok(ResolvedValue::null())
            }
            Some(ExtendedType::Object(_)) => Ok(ResolvedValue::object(Object {
                kind: name,
                value: value.unwrap_or(&Value::Null),
                known: self.known,
            })),
            Some(ExtendedType::Enum(_)) => Ok(ResolvedValue::leaf(value.and_then(Value::as_str))),
            _ => self.leaf(name, value).map(ResolvedValue::Leaf),
        }
    }

    /// A scalar as its type has it.
    fn leaf(&self, kind: &str, value: Option<&Value>) -> Result<JsonValue, FieldError> {
        Ok(match (kind, value) {
            ("LongString", value) => match value {
                Some(Value::String(text)) => text.as_str().into(),
                Some(value) => value.to_string().into(),
                None => "0".into(),
            },
            // GraphQL has no infinities; MLflow tells the largest numbers, as which they are stored.
            ("Float", Some(Value::String(text))) if text == "Infinity" => f64::MAX.into(),
            ("Float", Some(Value::String(text))) if text == "-Infinity" => f64::MIN.into(),
            ("Float", Some(Value::String(_))) if self.kind == METRIC => JsonValue::Null,
            ("Float", Some(Value::String(text))) => {
                let text = text.to_ascii_lowercase().replace("infinity", "inf");
                let message = format!("Float cannot represent non numeric value: {text}");
                return Err(FieldError { message });
            }
            (_, Some(value)) => value.clone().into(),
            ("Boolean", None) => false.into(),
            ("Float", None) => 0.0.into(),
            ("Int", None) => 0.into(),
            (_, None) => "".into(),
        })
    }
}

impl ObjectValue for Object<'_> {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn resolve_field<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        if self.is_root() {
            return self.answer(info);
        }
        match (self.kind, info.field_name()) {
            (RUN, "experiment") => {
                let question = Question::experiment(self.text("/info/experiment_id"));
                self.part(info, question, "experiment")
            }
            (RUN, "modelVersions") => {
                let question = Question::versions_of(self.text("/info/run_id"));
                self.part(info, question, "model_versions")
            }
            (_, name) => {
                let value = self.value.get(snake_case(name));
                self.resolved(info.schema(), &info.field_definition().ty, value)
            }
        }
    }
}

/// What `test` answers: what it was asked.
struct Echo(JsonValue);

impl ObjectValue for Echo {
    fn type_name(&self) -> &'static str {
        "Test"
    }

    fn resolve_field<'a>(
        &'a self,
        _info: &'a ResolveInfo<'a>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        Ok(ResolvedValue::leaf(self.0.clone()))
    }
}

fn of(answered: &Answered) -> Result<&Value, FieldError> {
    answered.as_ref().map_err(|message| refused(message))
}

fn refused(message: &str) -> FieldError {
    FieldError {
        message: message.to_owned(),
    }
}

/// An input in the words of the REST API.
fn snake_case_keys(input: &JsonMap) -> Result<Map<String, Value>, FieldError> {
    let field = |(name, value): (&ByteString, &JsonValue)| {
        let value = serde_json::to_value(value).map_err(|error| refused(&error.to_string()))?;
        Ok((snake_case(name.as_str()), value))
    };
    input.iter().map(field).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rest_api() {
        assert_eq!(snake_case("experimentIds"), "experiment_ids");
        assert_eq!(snake_case("name"), "name");
    }
}
