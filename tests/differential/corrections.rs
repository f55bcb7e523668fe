//! Where mlrs answers differently on purpose even in `--compat mlflow`, and models that a server
//! cannot serve at all. Every entry has its reason, and must be used: an entry that nothing needs
//! fails the tests.

use crate::corpus::Answer;

/// A deliberate difference.
#[derive(Debug)]
pub struct Correction {
    /// Which models; `*` stands for anything.
    pub models: &'static str,
    /// Which cases; `*` stands for anything.
    pub cases: &'static str,
    /// MLflow's status.
    pub mlflow: u16,
    /// What MLflow's answer contains, so that an entry covers one cause and nothing else.
    pub says: &'static str,
    /// The status of mlrs.
    pub mlrs: u16,
    /// Why.
    pub reason: &'static str,
}

/// The table.
pub const CORRECTIONS: &[Correction] = &[
    Correction {
        models: "*",
        cases: "content type/None",
        mlflow: 500,
        says: "Internal Server Error",
        mlrs: 415,
        reason: "without a content type MLflow fails in its own code; it is the client's omission",
    },
    Correction {
        models: "*",
        cases: "content type/Application/JSON",
        mlflow: 415,
        says: "This predictor only supports",
        mlrs: 200,
        reason: "media types are compared without regard to case (RFC 9110, 8.3.1)",
    },
    Correction {
        models: "*",
        cases: "content type/application/json; charset=\"utf-8\"",
        mlflow: 415,
        says: "only supports UTF-8",
        mlrs: 200,
        reason: "a parameter's value may be quoted (RFC 9110, 5.6.6)",
    },
    Correction {
        models: "*",
        cases: "document/parquet",
        mlflow: 400,
        says: "Parquet magic bytes",
        mlrs: 415,
        reason: "mlrs does not read Parquet, and says so",
    },
    Correction {
        models: "two_tensors_no_signature",
        cases: "*",
        mlflow: 500,
        says: "Unable to map numpy array input",
        mlrs: 400,
        reason: "one list for a model of two inputs is the client's mistake, not the server's",
    },
    Correction {
        models: "columns_with_string",
        cases: "*",
        mlflow: 400,
        says: "Input must be a list of dictionaries or a single numpy array",
        mlrs: 200,
        reason: "pandas 3 hands text columns to ONNX Runtime in a form that it refuses",
    },
    Correction {
        models: "logistic_arrays",
        cases: "*",
        mlflow: 400,
        says: "All arrays must be of the same length",
        mlrs: 500,
        reason: "outputs that do not fit into one table are the model's fault, not the client's",
    },
    Correction {
        models: "columns_with_string",
        cases: "*",
        mlflow: 400,
        says: "must not be empty",
        mlrs: 200,
        reason: "no rows are a valid request, and have no predictions",
    },
    Correction {
        models: "*",
        cases: "value/*/[]/instances",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "an empty list is no number",
    },
    Correction {
        models: "*",
        cases: "value/*/-9223372036854775809/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "an integer beyond 64 bits where text is declared is a mistake, not its digits",
    },
    Correction {
        models: "*",
        cases: "value/*/18446744073709551616/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "an integer beyond 64 bits where text is declared is a mistake, not its digits",
    },
    Correction {
        models: "*",
        cases: "value/*/123456789012345678901234567890/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "an integer beyond 64 bits where text is declared is a mistake, not its digits",
    },
    Correction {
        models: "*",
        cases: "value/*/[1]/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list or an object where text is declared is a mistake, not its Python text",
    },
    Correction {
        models: "*",
        cases: "value/*/[]/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list or an object where text is declared is a mistake, not its Python text",
    },
    Correction {
        models: "*",
        cases: "value/*/{}/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list or an object where text is declared is a mistake, not its Python text",
    },
    Correction {
        models: "*",
        cases: "value/*/{\"a\": 1}/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list or an object where text is declared is a mistake, not its Python text",
    },
    Correction {
        models: "matrix_string_columns",
        cases: "*/object of nested lists",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list where text is declared is a mistake, not its Python text",
    },
    Correction {
        models: "binary_columns",
        cases: "*/object of nested lists",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "a list where bytes are declared is a mistake, not its Python text",
    },
    Correction {
        models: "binary_columns",
        cases: "inputs/missing key in second object",
        mlflow: 200,
        says: "nan",
        mlrs: 400,
        reason: "bytes that are not there are a mistake, not the text of NaN",
    },
    Correction {
        models: "*",
        cases: "nul/*",
        mlflow: 200,
        says: "predictions",
        mlrs: 200,
        reason: "text goes on behind U+0000; numpy's arrays of text cut it there",
    },
    Correction {
        models: "tensor_uint32",
        cases: "cell/*NaN*",
        mlflow: 200,
        says: "2147483648",
        mlrs: 200,
        reason: "what numpy makes of NaN depends on the length of the array; it is 0 for short ones",
    },
    Correction {
        models: "params_columns",
        cases: "*/nested lists",
        mlflow: 400,
        says: "Invalid object type",
        mlrs: 200,
        reason: "a list of one value stands for a row of one column",
    },
    Correction {
        models: "pipeline_tensors",
        cases: "inputs/batch sizes differ",
        mlflow: 400,
        says: "Non-zero status code",
        mlrs: 500,
        reason: "the engine does not say that the request is at fault",
    },
    Correction {
        models: "*",
        cases: "records/list of lists",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "records are objects",
    },
    Correction {
        models: "sum_unnamed_columns",
        cases: "split/duplicate columns",
        mlflow: 400,
        says: "Failed to enforce schema",
        mlrs: 200,
        reason: "a signature without names does not look at names",
    },
    Correction {
        models: "sum_unnamed_columns",
        cases: "null/*/instances",
        mlflow: 400,
        says: "Failed to enforce schema",
        mlrs: 200,
        reason: "null is a missing number, with and without the names of columns",
    },
    Correction {
        models: "logistic_binary_zipmap",
        cases: "*",
        mlflow: 200,
        says: "NaN",
        mlrs: 200,
        reason: "tract only: its logistic function gives a number for NaN",
    },
    Correction {
        models: "logistic_*_tensor",
        cases: "value/measurements/1e*",
        mlflow: 200,
        says: "predictions",
        mlrs: 200,
        reason: "tract only: its largest of several infinities is the first one",
    },
    Correction {
        models: "two_tensors*",
        cases: "inputs/batch sizes differ",
        mlflow: 200,
        says: "predictions",
        mlrs: 400,
        reason: "tract only: it takes dimensions of one name to be equal, and does not stretch one",
    },
];

/// Whether a correction is about what tract computes: no other backend may differ so.
fn of_tract(correction: &Correction) -> bool {
    correction.reason.starts_with("tract only")
}

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
pub const REFUSED_BY_TRACT: &[(&str, &str)] = &[
    ("binary_columns", "an input is text"),
    ("columns_with_string", "an input is text"),
    (
        "forest_regressor",
        "it has no operator `TreeEnsembleRegressor`",
    ),
    ("matrix_string_columns", "an input is text"),
    ("perceptron_tensor", "it has no operator `Scaler`"),
    (
        "pipeline_columns",
        "it has no operators `OneHotEncoder` and `Scaler`",
    ),
    (
        "pipeline_tensors",
        "it has no operators `OneHotEncoder` and `Scaler`",
    ),
    ("tensor_string", "an input is text"),
    ("text_no_signature", "an input is text"),
    ("three_tensors", "an input is text"),
    ("vector_string_column", "an input is text"),
];

/// Whether a round with this backend must need a correction.
pub fn is_for(backend: &str, correction: &Correction) -> bool {
    of_tract(correction) == (backend == "tract")
}

/// The correction that covers a pair of answers.
pub fn correction(
    backend: &str,
    model: &str,
    case: &str,
    mlflow: &Answer,
    mlrs: &Answer,
) -> Option<usize> {
    CORRECTIONS.iter().position(|correction| {
        (backend == "tract" || !of_tract(correction))
            && correction.mlflow == mlflow.status
            && correction.mlrs == mlrs.status
            && mlflow.body.contains(correction.says)
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

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: String::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_correction_covers_its_own_cause_only() {
        let (model, case) = ("columns_with_string", "split/plain");
        let refused = answer(400, CORRECTIONS[5].says);
        assert_eq!(
            correction("onnxruntime", model, case, &refused, &answer(200, "{}")),
            Some(5)
        );
        assert_eq!(
            correction("onnxruntime", model, case, &refused, &answer(500, "{}")),
            None
        );
        assert_eq!(
            correction(
                "onnxruntime",
                model,
                case,
                &answer(400, "other"),
                &answer(200, "{}")
            ),
            None
        );
        assert_eq!(
            correction(
                "onnxruntime",
                "linear_regression",
                case,
                &refused,
                &answer(200, "{}")
            ),
            None
        );
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("*", ""));
        assert!(matches("a*c", "abbc"));
        assert!(matches("*/x/*", "a/x/b"));
        assert!(!matches("a*c", "abb"));
        assert!(!matches("abc", "abcd"));
    }
}
