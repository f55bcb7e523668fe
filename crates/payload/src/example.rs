//! An example of a model's input, out of a request body: [`example`].
//!
//! Not on the way of a request: it builds the whole tree, because it is to be written again.

use std::borrow::Cow;

use mlrs_mlmodel::package::{Example, ExampleData};
use mlrs_mlmodel::signature::{ColumnType, DataType, Schema, Signature};
use serde_json::{Map, Value, json};

use crate::csv::{self, Reader};
use crate::error::DecodeError;
use crate::json::number::Number;
use crate::json::scanner::Cell;
use crate::plan::Format;

/// The example that a request body is, in the form in which MLflow keeps examples.
///
/// Records and rows of CSV become a data frame by columns, `instances` become `inputs`. Fields of CSV
/// get the type of their column, as pandas gives it: numbers, truth values, else text.
///
/// # Errors
/// When the body is not JSON or CSV, or none of the known shapes. Whether it fits the model is for
/// [`InputPlan::decode`](crate::InputPlan::decode) to say.
pub fn example(
    format: Format,
    body: &[u8],
    signature: Option<&Signature>,
) -> Result<Example, DecodeError> {
    match format {
        Format::Json => {}
        Format::Csv => return of_csv(body, signature),
        Format::CsvRows | Format::Lines | Format::Npy => {
            return Err(DecodeError::malformed(
                "an example is kept of JSON or of CSV with a header",
            ));
        }
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        DecodeError::malformed(format!("the example is not JSON that can be kept: {error}"))
    })?;
    let Value::Object(mut body) = body else {
        return Err(DecodeError::malformed(
            "the example is no request body: it must be a JSON object",
        ));
    };
    let params = match body.remove("params") {
        Some(Value::Object(params)) => Some(params),
        _ => None,
    };
    let columns = signature.and_then(|signature| signature.inputs.as_ref());
    let columns = matches!(columns, Some(Schema::Columns(_)));
    let data = if let Some(split) = body.remove("dataframe_split") {
        of_split(split)
    } else if let Some(records) = body.remove("dataframe_records") {
        of_records(records)
    } else if let Some(instances) = body.remove("instances") {
        Some(nested(of_instances(instances), columns))
    } else {
        body.remove("inputs").map(|inputs| nested(inputs, columns))
    };
    let data = data.ok_or_else(|| {
        DecodeError::malformed(
            "the example is no request body: it needs one of dataframe_split, dataframe_records, instances, \
             inputs",
        )
    })?;
    Ok(Example { data, params })
}

fn nested(value: Value, columns: bool) -> ExampleData {
    if columns || !(value.is_array() || value.is_object()) {
        ExampleData::Json(value)
    } else {
        ExampleData::Tensors(value)
    }
}

fn of_split(split: Value) -> Option<ExampleData> {
    let Value::Object(mut split) = split else {
        return None;
    };
    let Some(Value::Array(rows)) = split.remove("data") else {
        return None;
    };
    let columns = match split.remove("columns") {
        Some(Value::Array(columns)) => Some(columns),
        _ => None,
    };
    Some(ExampleData::Frame { columns, rows })
}

fn of_records(records: Value) -> Option<ExampleData> {
    let Value::Array(records) = records else {
        return None;
    };
    let mut columns: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for record in &records {
        for key in record.as_object()?.keys() {
            if known.insert(key.clone()) {
                columns.push(key.clone());
            }
        }
    }
    let row = |record: &Value| {
        let cells = columns.iter().map(|column| record[column].clone());
        cells.collect::<Value>()
    };
    Some(ExampleData::Frame {
        rows: records.iter().map(row).collect(),
        columns: Some(columns.into_iter().map(Value::from).collect()),
    })
}

/// A list of objects, one a row, turned into an object of lists; anything else as it is.
fn of_instances(instances: Value) -> Value {
    let Value::Array(rows) = &instances else {
        return instances;
    };
    if rows.is_empty() || !rows.iter().all(Value::is_object) {
        return instances;
    }
    let mut tensors: Map<String, Value> = Map::new();
    for row in rows.iter().filter_map(Value::as_object) {
        for (name, value) in row {
            let tensor = tensors.entry(name.clone()).or_insert_with(|| json!([]));
            if let Value::Array(tensor) = tensor {
                tensor.push(value.clone());
            }
        }
    }
    Value::Object(tensors)
}

fn of_csv(body: &[u8], signature: Option<&Signature>) -> Result<Example, DecodeError> {
    let text = csv::text(body)?;
    let mut reader = Reader { text, at: 0 };
    let mut record = Vec::new();
    reader.next(&mut record)?;
    let header: Vec<String> = record
        .iter()
        .map(|field| field.clone().into_owned())
        .collect();
    let mut columns: Vec<Vec<Cow<'_, str>>> = vec![Vec::new(); header.len()];
    while reader.next(&mut record)? {
        let mut fields = record.drain(..);
        for column in &mut columns {
            column.push(fields.next().unwrap_or_default());
        }
    }
    let count = columns.first().map_or(0, Vec::len);
    let columns: Vec<Vec<Value>> = header
        .iter()
        .zip(&columns)
        .map(|(name, column)| {
            if is_text(name, signature) {
                texts(column)
            } else {
                typed(column)
            }
        })
        .collect();
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    Ok(Example {
        data: ExampleData::Frame {
            rows: (0..count).map(row).collect(),
            columns: Some(header.into_iter().map(Value::from).collect()),
        },
        params: None,
    })
}

/// Whether the signature says that a column is text.
fn is_text(name: &str, signature: Option<&Signature>) -> bool {
    match signature.and_then(|signature| signature.inputs.as_ref()) {
        Some(Schema::Columns(columns)) => columns.iter().any(|column| {
            column.name.as_deref() == Some(name)
                && matches!(
                    column.kind,
                    ColumnType::Scalar(DataType::String | DataType::Binary)
                )
        }),
        _ => false,
    }
}

/// The fields of a text column: `NA` is a country there, and only nothing is missing.
fn texts(fields: &[Cow<'_, str>]) -> Vec<Value> {
    let text = |field: &str| match field {
        "" => Value::Null,
        text => json!(text),
    };
    fields.iter().map(|field| text(field)).collect()
}

/// The fields of a column by the type that all of them have.
fn typed(fields: &[Cow<'_, str>]) -> Vec<Value> {
    let cells: Vec<Cell<'_>> = fields
        .iter()
        .map(|field| {
            if csv::is_missing(field) {
                Cell::Null
            } else {
                csv::scalar(field)
            }
        })
        .collect();
    if cells.iter().any(|cell| matches!(cell, Cell::Text(_))) {
        return texts(fields);
    }
    let present = || cells.iter().filter(|cell| **cell != Cell::Null);
    let missing = cells.contains(&Cell::Null);
    let numbers = present().all(|cell| matches!(cell, Cell::Number(_)));
    let whole = !missing && present().all(|cell| matches!(cell, Cell::Number(Number::Integer(_))));
    let truths = !missing && present().all(|cell| matches!(cell, Cell::Bool(_)));
    let value = |(cell, field): (&Cell<'_>, &Cow<'_, str>)| match cell {
        Cell::Null => Value::Null,
        Cell::Number(Number::Integer(number)) if numbers && whole => json!(number),
        Cell::Number(number) if numbers => json!(number.to_f64()),
        Cell::Bool(truth) if truths => json!(truth),
        _ => json!(field),
    };
    cells.iter().zip(fields).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_example(body: &Value) -> Example {
        example(Format::Json, body.to_string().as_bytes(), None).unwrap()
    }

    #[test]
    fn frames_are_kept_by_columns() {
        let split =
            json!({"dataframe_split": {"columns": ["a", "b"], "index": [7], "data": [[1, "x"]]}});
        let records = json!({"dataframe_records": [{"a": 1, "b": "x"}]});
        let kept = json!({"columns": ["a", "b"], "data": [[1, "x"]]});
        for body in [split, records] {
            let example = json_example(&body);
            assert_eq!(example.input(), kept);
            assert_eq!(example.serving(), json!({"dataframe_split": kept}));
        }
        let gaps = json!({"dataframe_records": [{"a": 1}, {"b": 2}]});
        assert_eq!(
            json_example(&gaps).input(),
            json!({"columns": ["a", "b"], "data": [[1, null], [null, 2]]})
        );
    }

    #[test]
    fn tensors_are_kept_as_inputs() {
        for (body, kept) in [
            (json!({"inputs": [[1.5]]}), json!([[1.5]])),
            (json!({"inputs": {"a": [1]}}), json!({"a": [1]})),
            (json!({"instances": [[1.5]]}), json!([[1.5]])),
            (
                json!({"instances": [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}]}),
                json!({"a": [1, 3], "b": [[2], [4]]}),
            ),
        ] {
            let example = json_example(&body);
            assert_eq!(example.info().kind.as_deref(), Some("ndarray"), "{body}");
            assert_eq!(example.input(), kept);
            assert_eq!(example.serving(), json!({"inputs": kept}));
        }
    }

    #[test]
    fn params_go_along() {
        let body = json!({"inputs": [1], "params": {"k": 2}});
        let example = json_example(&body);
        assert_eq!(example.serving(), body);
        assert!(example.info().has_params);
    }

    #[test]
    fn fields_of_csv_get_the_type_of_their_column() {
        let body = "i,f,t,m,g\n1,1,True,x,1\n-2,2.5,False,,\n";
        let example = example(Format::Csv, body.as_bytes(), None).unwrap();
        assert_eq!(
            example.input(),
            json!({
                "columns": ["i", "f", "t", "m", "g"],
                "data": [[1, 1.0, true, "x", 1.0], [-2, 2.5, false, null, null]],
            })
        );
    }

    #[test]
    fn a_text_column_keeps_words_that_pandas_takes_for_missing() {
        let body = "country,name,n\nNA,None,NA\nDE,,1\n";
        let example = example(Format::Csv, body.as_bytes(), None).unwrap();
        let rows = json!([["NA", null, null], ["DE", null, 1.0]]);
        assert_eq!(example.input()["data"], rows);
        let schema = r#"[{"type": "long", "name": "n"}, {"type": "string", "name": "country"}, {"type": "string", "name": "name"}]"#;
        let signature = Signature {
            inputs: Some(Schema::parse(schema).unwrap()),
            ..Signature::default()
        };
        let signed = super::example(Format::Csv, body.as_bytes(), Some(&signature)).unwrap();
        let rows = json!([["NA", "None", null], ["DE", null, 1.0]]);
        assert_eq!(signed.input()["data"], rows);
    }

    #[test]
    fn what_is_no_body_is_refused() {
        for body in [
            "",
            "7",
            "[]",
            "{}",
            "{\"inputs\": NaN}",
            "{\"dataframe_split\": []}",
        ] {
            assert!(
                example(Format::Json, body.as_bytes(), None).is_err(),
                "{body}"
            );
        }
        assert!(example(Format::Csv, b"\xff", None).is_err());
    }
}
