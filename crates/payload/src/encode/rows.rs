//! Answers row by row: CSV as pandas writes it, and JSON lines.

use half::{bf16, f16};

use super::{RecordColumn, Writer, finite};
use crate::batch::{MapKeys, MapRow, Value};
use crate::{EncodeError, TensorData, with_data};

/// A JSON object for each row, each on a line of its own.
pub(super) fn lines(writer: &Writer, columns: &[RecordColumn<'_>], text: &mut Vec<u8>) {
    let count = columns.first().map_or(0, |column| column.count);
    for row in 0..count {
        writer.record(columns, row, text);
        text.push(b'\n');
    }
}

/// A line for each row, and one before them that names the columns. An output with several values
/// a row has a column for each: `name_0`, `name_1`, or `name_key` for a map.
pub(super) fn csv(
    columns: &[RecordColumn<'_>],
    header: bool,
    text: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if header {
        let names = columns.iter().map(names).collect::<Result<Vec<_>, _>>()?;
        for (index, name) in names.iter().flatten().enumerate() {
            separate(index, text);
            quoted(name, text);
        }
        text.push(b'\n');
    }
    let count = columns.first().map_or(0, |column| column.count);
    for row in 0..count {
        let mut fields = 0;
        for column in columns {
            write_column(column, row, &mut fields, text)?;
        }
        text.push(b'\n');
    }
    Ok(())
}

fn separate(index: usize, text: &mut Vec<u8>) {
    if index > 0 {
        text.push(b',');
    }
}

/// The names of the columns of an output.
fn names(column: &RecordColumn<'_>) -> Result<Vec<String>, EncodeError> {
    let name = column.name;
    match column.value {
        Value::Tensor(_) if column.width == 1 => Ok(vec![name.to_owned()]),
        Value::Tensor(_) => Ok((0..column.width)
            .map(|index| format!("{name}_{index}"))
            .collect()),
        Value::Maps(maps) => Ok(maps.first().map_or_else(Vec::new, |map| match &map.keys {
            MapKeys::Integers(keys) => keys.iter().map(|key| format!("{name}_{key}")).collect(),
            MapKeys::Strings(keys) => keys.iter().map(|key| format!("{name}_{key}")).collect(),
        })),
        Value::Sequence(_) => Err(no_table(name)),
    }
}

#[cold]
fn no_table(name: &str) -> EncodeError {
    EncodeError(format!(
        "the output `{name}` has no columns for CSV: choose others, or JSON"
    ))
}

fn write_column(
    column: &RecordColumn<'_>,
    row: usize,
    fields: &mut usize,
    text: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let row = column.first + row;
    match column.value {
        Value::Tensor(tensor) => {
            let start = row * column.width;
            write_fields(&tensor.data, start..start + column.width, fields, text);
        }
        Value::Maps(maps) => {
            let (Some(map), Some(first)) = (maps.get(row), maps.first()) else {
                return Err(no_table(column.name));
            };
            if map.keys != first.keys {
                return Err(no_table(column.name));
            }
            let MapRow { values, .. } = map;
            write_fields(values, 0..values.len(), fields, text);
        }
        Value::Sequence(_) => return Err(no_table(column.name)),
    }
    Ok(())
}

fn write_fields(
    data: &TensorData,
    range: std::ops::Range<usize>,
    fields: &mut usize,
    text: &mut Vec<u8>,
) {
    with_data!(data, values => for value in values.get(range).unwrap_or_default() {
        separate(*fields, text);
        *fields += 1;
        value.field(text);
    });
}

/// A value that knows how pandas writes it into CSV.
trait Field {
    fn field(&self, text: &mut Vec<u8>);
}

macro_rules! integer_field {
    ($($type:ty)*) => {
        $(impl Field for $type {
            fn field(&self, text: &mut Vec<u8>) {
                text.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        })*
    };
}

integer_field!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Field for bool {
    fn field(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(if *self { b"True" } else { b"False" });
    }
}

impl Field for f64 {
    fn field(&self, text: &mut Vec<u8>) {
        if self.is_finite() {
            finite(*self, text);
        } else if self.is_infinite() {
            text.extend_from_slice(if *self > 0.0 { b"inf" } else { b"-inf" });
        }
    }
}

impl Field for f32 {
    fn field(&self, text: &mut Vec<u8>) {
        f64::from(*self).field(text);
    }
}

impl Field for f16 {
    fn field(&self, text: &mut Vec<u8>) {
        self.to_f64().field(text);
    }
}

impl Field for bf16 {
    fn field(&self, text: &mut Vec<u8>) {
        self.to_f64().field(text);
    }
}

impl Field for String {
    fn field(&self, text: &mut Vec<u8>) {
        quoted(self, text);
    }
}

/// Text, in quotes where it needs them (RFC 4180). Empty text has them, as nothing is missing.
fn quoted(value: &str, text: &mut Vec<u8>) {
    if !value.is_empty() && !value.contains([',', '"', '\n', '\r']) {
        text.extend_from_slice(value.as_bytes());
        return;
    }
    text.push(b'"');
    text.extend_from_slice(value.replace('"', "\"\"").as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use crate::{
        Compat, Form, MapKeys, MapRow, Output, Part, Tensor, TensorData, Value, ValueInfo,
        ValueKind,
    };

    fn written(values: Vec<Value>, chosen: Option<&[usize]>, form: Form) -> Result<String, String> {
        let info = |name: &str| ValueInfo {
            name: name.into(),
            kind: ValueKind::Sequence,
        };
        let infos = [info("label"), info("p,q"), info("scores")];
        let part = Part {
            output: &Output { values },
            rows: 1..3,
            all: false,
            infos: &infos,
            chosen,
        };
        let mut text = Vec::new();
        part.write(form, Compat::Strict, &mut text)
            .map_err(|error| error.0)?;
        Ok(String::from_utf8(text).unwrap())
    }

    fn values() -> Vec<Value> {
        let words = ["a", "b,\"c\"", ""].map(String::from).to_vec();
        let map = |value| MapRow {
            keys: MapKeys::Strings(vec!["x".into(), "y".into()]),
            values: TensorData::F32(vec![value, 0.5]),
        };
        vec![
            Value::Tensor(Tensor {
                shape: vec![3],
                data: TensorData::Str(words),
            }),
            Value::Tensor(Tensor {
                shape: vec![3, 2],
                data: TensorData::F64(vec![0.0, 0.0, 1.5, f64::NAN, f64::INFINITY, -2.0]),
            }),
            Value::Maps(vec![map(0.0), map(0.25), map(1.0)]),
        ]
    }

    #[test]
    fn csv_has_a_column_for_each_value() {
        assert_eq!(
            written(values(), None, Form::Csv { header: true }).unwrap(),
            "label,\"p,q_0\",\"p,q_1\",scores_x,scores_y\n\
             \"b,\"\"c\"\"\",1.5,,0.25,0.5\n\"\",inf,-2.0,1.0,0.5\n"
        );
        assert_eq!(
            written(values(), Some(&[2, 0]), Form::Csv { header: false }).unwrap(),
            "0.25,0.5,\"b,\"\"c\"\"\"\n1.0,0.5,\"\"\n"
        );
    }

    #[test]
    fn lines_are_records() {
        assert_eq!(
            written(values(), Some(&[1]), Form::Lines).unwrap(),
            "{\"p,q\":[1.5,null]}\n{\"p,q\":[null,-2.0]}\n"
        );
    }

    #[test]
    fn what_has_no_columns_is_refused() {
        let sequence = vec![Value::Sequence(Vec::new())];
        assert!(written(sequence, None, Form::Csv { header: true }).is_err());
        let mut uneven = values();
        if let Value::Maps(maps) = &mut uneven[2] {
            maps[2].keys = MapKeys::Strings(vec!["x".into(), "z".into()]);
        }
        assert!(written(uneven, None, Form::Csv { header: true }).is_err());
    }
}
