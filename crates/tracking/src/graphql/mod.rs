//! GraphQL, which MLflow's pages use for some of their questions: the same questions as those of
//! the REST API, answered by the same handlers.
//!
//! `schema.graphql` says what there is; `apollo-compiler` parses, validates and executes. Its
//! executor asks for one field after another and does not wait, while handlers do. So a document is
//! executed over what is known already (`resolve`), what that lacks is asked of the handlers
//! (`question`), and then it is executed again: at most once more for each level of questions, of
//! which there are two. A question that several fields share is asked once.

mod limits;
mod question;
mod resolve;

use apollo_compiler::parser::Parser;
use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::{ExecutionResponse, JsonMap};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Schema};
use mlrs_store::StoreError;
use serde::{Deserialize, Serialize};

pub use limits::GraphqlLimits;

use crate::state::TrackingState;
use question::Known;
use resolve::Object;

const SCHEMA: &str = include_str!("schema.graphql");

/// Tokens of a document: ten for each field that MLflow allows.
const TOKENS: usize = 10_000;

/// Levels of a document while it is parsed. [`limits`] counts what MLflow counts; this one keeps the
/// parser from using up its stack before.
const NESTING: usize = 64;

/// How often a document is executed: its fields, those of what they answer, and a last time with
/// everything known.
const ROUNDS: usize = 3;

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Request {
    query: Option<String>,
    variables: Option<JsonMap>,
    operation_name: Option<String>,
}

/// An answer. Errors are texts, as MLflow has them.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    data: Option<JsonMap>,
    errors: Option<Vec<String>>,
}

impl Answer {
    fn refused(errors: Vec<String>) -> Self {
        Self {
            data: None,
            errors: Some(errors),
        }
    }
}

impl From<ExecutionResponse> for Answer {
    fn from(response: ExecutionResponse) -> Self {
        let text = |message: String| match message.strip_prefix("resolver error: ") {
            Some(message) => message.to_owned(),
            None => message,
        };
        let errors = response.errors.into_iter();
        let errors: Vec<String> = errors.map(|error| text(error.message)).collect();
        Self {
            data: response.data,
            errors: (!errors.is_empty()).then_some(errors),
        }
    }
}

/// The schema, ready to be used.
///
/// # Errors
/// When `schema.graphql` is not one, which a test excludes.
pub(crate) fn schema() -> Result<Valid<Schema>, String> {
    let parsed = Schema::parse_and_validate(SCHEMA, "schema.graphql");
    parsed.map_err(|error| texts(&error.errors).join("; "))
}

/// Answers a request.
///
/// # Errors
/// When there is no document, or it cannot be parsed. What is wrong with a document that can be
/// parsed is part of the answer.
pub(crate) async fn handle(state: TrackingState, request: Request) -> Result<Answer, StoreError> {
    let query = request.query.unwrap_or_default();
    let mut parser = Parser::new().recursion_limit(NESTING).token_limit(TOKENS);
    let parsed = parser.parse_ast(query, "query").map_err(|error| {
        let texts = texts(&error.errors).join("; ");
        StoreError::invalid(format!("Syntax Error: {texts}"))
    })?;
    if let Err(error) = state.graphql_limits().check(&parsed) {
        return Ok(Answer::refused(vec![error.to_string()]));
    }
    let document = match parsed.to_executable_validate(state.graphql_schema()) {
        Ok(document) => document,
        Err(error) => return Ok(Answer::refused(texts(&error.errors))),
    };
    let variables = request.variables.unwrap_or_default();
    let name = request.operation_name.as_deref();
    let mut known = Known::default();
    for _ in 1..ROUNDS {
        let answer = execute(&state, &document, name, &variables, &known);
        let open = known.take_open();
        if open.is_empty() {
            return Ok(answer);
        }
        for question in open {
            let answer = question.ask(&state).await;
            known.learn(question, answer);
        }
    }
    Ok(execute(&state, &document, name, &variables, &known))
}

/// Executes a document over what is known; `known` notes what it lacks.
fn execute(
    state: &TrackingState,
    document: &Valid<ExecutableDocument>,
    name: Option<&str>,
    variables: &JsonMap,
    known: &Known,
) -> Answer {
    let execution = Execution::new(state.graphql_schema(), document)
        .raw_variable_values(variables)
        .operation_name(name);
    let executed = execution.and_then(|execution| {
        let operation = document.operations.get(name)?;
        execution.execute_sync(&Object::root(operation.object_type(), known))
    });
    match executed {
        Ok(response) => response.into(),
        Err(error) => Answer::refused(vec![error.message().to_string()]),
    }
}

/// What is wrong with a document, without the drawings that the compiler adds for terminals.
fn texts(errors: &DiagnosticList) -> Vec<String> {
    errors.iter().map(|found| found.error.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_one() {
        let schema = schema().unwrap();
        assert!(schema.get_object("MlflowRunExtension").is_some());
    }
}
