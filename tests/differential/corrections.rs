//! Where mlrs answers differently on purpose even in `--compat mlflow`, and models that a server
//! cannot serve at all. Every entry has its reason, and must be used: an entry that nothing needs
//! fails the tests.

/// A deliberate difference.
#[derive(Debug)]
pub struct Correction {
    /// Which models; `*` stands for anything.
    pub models: &'static str,
    /// Which cases; `*` stands for anything.
    pub cases: &'static str,
    /// MLflow's status.
    pub mlflow: u16,
    /// The status of mlrs.
    pub mlrs: u16,
    /// Why.
    pub reason: &'static str,
}

/// The table.
pub const CORRECTIONS: &[Correction] = &[Correction {
    models: "*",
    cases: "content type/None",
    mlflow: 500,
    mlrs: 415,
    reason: "without a content type MLflow fails in its own code; it is the client's omission",
}];

/// Models that MLflow loads and then answers (almost) every request with an error, and why.
pub const NEVER_SERVED_BY_MLFLOW: &[(&str, &str)] = &[
    (
        "logistic_arrays",
        "outputs of different lengths do not fit into one table",
    ),
    (
        "pipeline_columns",
        "columns reach the engine as vectors where it wants matrices",
    ),
    (
        "vector_double_column",
        "the table reaches the engine as a matrix where it wants a vector",
    ),
    (
        "vector_string_column",
        "the table reaches the engine as a matrix where it wants a vector",
    ),
    (
        "sum_long_in_float_graph",
        "whole numbers are not converted for a graph of floats",
    ),
    (
        "sum_boolean_double",
        "booleans and numbers make a table of objects",
    ),
];

/// Models that tract refuses, and why.
pub const REFUSED_BY_TRACT: &[(&str, &str)] = &[];

/// The correction that covers an answer.
pub fn correction(model: &str, case: &str, mlflow: u16, mlrs: u16) -> Option<usize> {
    CORRECTIONS.iter().position(|correction| {
        correction.mlflow == mlflow
            && correction.mlrs == mlrs
            && matches(correction.models, model)
            && matches(correction.cases, case)
    })
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut borders = text.char_indices().map(|(i, _)| i).chain([text.len()]);
            borders.any(|i| matches(rest, &text[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("*", ""));
        assert!(matches("a*c", "abbc"));
        assert!(matches("*/x/*", "a/x/b"));
        assert!(!matches("a*c", "abb"));
        assert!(!matches("abc", "abcd"));
    }
}
