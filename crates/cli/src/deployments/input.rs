//! The input of `mlrs deployments predict`: what `pandas.read_json` would read, as a request.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::failure::hinted;

/// A request to a scoring server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// The keys of the scoring protocol: a file that has one is a request already.
const REQUEST_KEYS: [&str; 4] = [
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
];

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or is no table.
pub(super) fn read(path: &Path) -> anyhow::Result<Input> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
    {
        return Ok(Input {
            content_type: "text/csv",
            body: bytes,
        });
    }
    let value: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` is no JSON", path.display()))?;
    let request = request(value).ok_or_else(|| {
        hinted(
            format!("`{}` is no table", path.display()),
            "write a list of rows, an object of columns, or a request of the scoring protocol",
        )
    })?;
    Ok(Input {
        content_type: "application/json",
        body: serde_json::to_vec(&request)?,
    })
}

/// The request that a value means.
fn request(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if REQUEST_KEYS.iter().any(|key| map.contains_key(*key)) => {
            Some(Value::Object(map))
        }
        Value::Object(columns) => by_columns(&columns),
        Value::Array(rows) if rows.iter().all(Value::is_object) && !rows.is_empty() => {
            Some(json!({"dataframe_records": rows}))
        }
        _ => None,
    }
}

/// Columns of rows by their index, or in their order.
fn by_columns(columns: &Map<String, Value>) -> Option<Value> {
    let names: Vec<&String> = columns.keys().collect();
    let cells: Option<Vec<Vec<&Value>>> = match columns.values().next()? {
        Value::Object(first) => {
            let index: Vec<&String> = first.keys().collect();
            let column = |column: &Value| -> Option<Vec<Value>> {
                let column = column
                    .as_object()
                    .filter(|column| column.len() == index.len())?;
                index.iter().map(|row| column.get(*row).cloned()).collect()
            };
            let cells: Option<Vec<Vec<Value>>> = columns.values().map(column).collect();
            return Some(split(&names, &rows_of(&cells?)));
        }
        Value::Array(first) => columns
            .values()
            .map(|column| {
                let column = column
                    .as_array()
                    .filter(|column| column.len() == first.len());
                column.map(|column| column.iter().collect())
            })
            .collect(),
        _ => None,
    };
    let cells: Vec<Vec<Value>> = cells?
        .into_iter()
        .map(|column| column.into_iter().cloned().collect())
        .collect();
    Some(split(&names, &rows_of(&cells)))
}

fn rows_of(columns: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect()
}

fn split(names: &[&String], rows: &[Vec<Value>]) -> Value {
    json!({"dataframe_split": {"columns": names, "data": rows}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_pandas_become_requests() {
        let split = json!({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 3], [2, 4]]}});
        let by_index = json!({"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}});
        assert_eq!(request(by_index), Some(split.clone()));
        let in_order = json!({"a": [1, 2], "b": [3, 4]});
        assert_eq!(request(in_order), Some(split.clone()));
        assert_eq!(request(split.clone()), Some(split));
        let rows = json!([{"a": 1}, {"a": 2}]);
        assert_eq!(
            request(rows.clone()),
            Some(json!({"dataframe_records": rows}))
        );
    }

    #[test]
    fn what_is_no_table_is_none() {
        for value in [
            json!(1),
            json!([]),
            json!([1]),
            json!({}),
            json!({"a": 1}),
            json!({"a": [1], "b": [1, 2]}),
            json!({"a": {"0": 1}, "b": {"1": 1}}),
        ] {
            assert_eq!(request(value.clone()), None, "{value}");
        }
    }
}
