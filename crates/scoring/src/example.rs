//! A request that the model takes: its serving example, else one made up from the schema.

use std::fmt::Write;

use mlrs_mlmodel::signature::{ColumnSpec, ColumnType, DataType, Schema, TensorSpec, TensorType};
use serde_json::{Map, Value, json};

/// Longer examples are not put into pages.
const LONGEST: usize = 64 << 10;

/// Tensors of more elements are not made up.
const MOST_ELEMENTS: usize = 512;

/// The serving example when it is JSON and of a size to show; else one made up.
pub fn request(serving_example: Option<&[u8]>, inputs: &Schema) -> Value {
    serving_example
        .filter(|text| text.len() <= LONGEST)
        .and_then(|text| serde_json::from_slice(text).ok())
        .unwrap_or_else(|| made_up(inputs))
}

fn made_up(inputs: &Schema) -> Value {
    match inputs {
        Schema::Columns(columns) => json!({ "dataframe_split": split(columns) }),
        Schema::Tensors(tensors) => json!({ "inputs": named_or_single(tensors) }),
    }
}

fn split(columns: &[ColumnSpec]) -> Value {
    let row: Vec<Value> = columns.iter().map(|column| sample(&column.kind)).collect();
    let names: Vec<&str> = columns
        .iter()
        .filter_map(|column| column.name.as_deref())
        .collect();
    if names.len() == columns.len() {
        json!({ "columns": names, "data": [row] })
    } else {
        json!({ "data": [row] })
    }
}

fn named_or_single(tensors: &[TensorSpec]) -> Value {
    if let [TensorSpec { name: None, .. }] = tensors {
        return tensor(&tensors[0]);
    }
    let named = tensors
        .iter()
        .map(|spec| (spec.name.clone().unwrap_or_default(), tensor(spec)));
    Value::Object(named.collect())
}

fn tensor(spec: &TensorSpec) -> Value {
    let shape: Vec<usize> = spec
        .shape
        .iter()
        .map(|length| length.unwrap_or(1))
        .collect();
    let elements = shape
        .iter()
        .try_fold(1usize, |product, length| product.checked_mul(*length));
    if elements.is_none_or(|elements| elements > MOST_ELEMENTS) {
        return json!([]);
    }
    let element = match spec.dtype {
        TensorType::Bool => json!(true),
        TensorType::Float16 | TensorType::Float32 | TensorType::Float64 => json!(0.5),
        TensorType::Str | TensorType::Bytes | TensorType::Object => json!("text"),
        _ => json!(1),
    };
    shape
        .iter()
        .rev()
        .fold(element, |inner, length| Value::Array(vec![inner; *length]))
}

fn sample(kind: &ColumnType) -> Value {
    match kind {
        ColumnType::Scalar(scalar) => match scalar {
            DataType::Boolean => json!(true),
            DataType::Integer | DataType::Long => json!(1),
            DataType::Float | DataType::Double => json!(0.5),
            DataType::String => json!("text"),
            DataType::Binary => json!("AA=="),
            DataType::Datetime => json!("2024-01-01T00:00:00"),
        },
        ColumnType::Array(items) => json!([sample(items)]),
        ColumnType::SparkVector => json!([0.5]),
        ColumnType::Map(values) => json!({ "key": sample(values) }),
        ColumnType::Any => Value::Null,
        ColumnType::Object(properties) => {
            let fields = properties
                .iter()
                .map(|field| (field.name.clone(), sample(&field.kind)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// JSON for people: indented, with a list of scalars on one line.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                new_line(text, index > 0, depth + 1);
                write_value(text, item, depth + 1);
            }
            new_line(text, false, depth);
            text.push(']');
        }
        Value::Array(items) => {
            let inline: Vec<String> = items.iter().map(Value::to_string).collect();
            // Writing to a string does not fail.
            let _ = write!(text, "[{}]", inline.join(", "));
        }
        Value::Object(fields) if !fields.is_empty() => {
            text.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                new_line(text, index > 0, depth + 1);
                let _ = write!(text, "{}: ", Value::from(name.as_str()));
                write_value(text, field, depth + 1);
            }
            new_line(text, false, depth);
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn new_line(text: &mut String, comma: bool, depth: usize) {
    text.push_str(if comma { ",\n" } else { "\n" });
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Schema {
        Schema::parse(text).unwrap()
    }

    #[test]
    fn a_stored_example_wins_when_it_is_json_and_short() {
        let schema = columns(r#"[{"type": "long", "name": "n", "required": true}]"#);
        let stored = br#"{"inputs": [3]}"#;
        assert_eq!(request(Some(stored), &schema), json!({"inputs": [3]}));
        let made_up = json!({"dataframe_split": {"columns": ["n"], "data": [[1]]}});
        assert_eq!(request(Some(b"{\"inputs\": [NaN]}"), &schema), made_up);
        assert_eq!(request(Some(&vec![b' '; LONGEST + 1]), &schema), made_up);
        assert_eq!(request(None, &schema), made_up);
    }

    #[test]
    fn tensors_are_made_up_when_they_are_small() {
        let unnamed = columns(
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]"#,
        );
        assert_eq!(request(None, &unnamed), json!({"inputs": [[0.5, 0.5]]}));
        let images = columns(
            r#"[{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "uint8", "shape": [-1, 224, 224]}}]"#,
        );
        assert_eq!(request(None, &images), json!({"inputs": {"x": []}}));
        let huge = format!(
            r#"[{{"type": "tensor", "tensor-spec": {{"dtype": "uint8", "shape": [{0}, {0}, 4]}}}}]"#,
            u32::MAX
        );
        assert_eq!(request(None, &columns(&huge)), json!({"inputs": []}));
    }

    #[test]
    fn lists_of_scalars_stay_on_one_line() {
        let value = json!({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2.5], [null, "x"]]}, "e": {}});
        insta::assert_snapshot!(pretty(&value), @r#"
        {
          "dataframe_split": {
            "columns": ["a", "b"],
            "data": [
              [1, 2.5],
              [null, "x"]
            ]
          },
          "e": {}
        }
        "#);
    }
}
