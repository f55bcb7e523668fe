//! Answers: outputs of an engine as MLflow's JSON.
//!
//! Floats are written with the fewest digits that read back as the same double; single precision
//! is widened first, as Python does, so that `0.1` answers as `0.10000000149011612`.

mod raw;
mod rows;

use std::ops::Range;

use half::{bf16, f16};

use crate::batch::{MapKeys, MapRow, Output, Value};
use crate::tensor::{Tensor, TensorData, ValueInfo};
use crate::{AnswerShape, Compat, EncodeError, with_data};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"predictions": …}`.
    Json(AnswerShape),
    /// A JSON object for each row, each on a line of its own.
    Lines,
    /// CSV: a column for each value of a row.
    Csv {
        /// Whether the first line names the columns.
        header: bool,
    },
    /// The one tensor as an `.npy` file.
    Npy,
}

/// An output, and what of it is to be written.
#[derive(Clone, Debug)]
pub struct Part<'o> {
    /// The output.
    pub output: &'o Output,
    /// Rows, counted in the leading dimension of the outputs.
    pub rows: Range<usize>,
    /// They are the whole output, whatever its shape is.
    pub all: bool,
    /// What the outputs are.
    pub infos: &'o [ValueInfo],
    /// The places of the outputs that are asked for, in the order of the answer; all when absent.
    pub chosen: Option<&'o [usize]>,
}

/// One output and what it is.
type Named<'o> = (&'o Value, &'o ValueInfo);

impl<'o> Part<'o> {
    /// Writes it to the end of `bytes`. Records hold one entry for each output; an output with
    /// several values a row is a list in it, unless `compat` asks for MLflow's flat columns.
    ///
    /// # Errors
    /// When the outputs differ in their rows, so that no records can be made of them, when an
    /// output lacks the rows that are asked for, and when it cannot be written in this form.
    pub fn write(
        &self,
        form: Form,
        compat: Compat,
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let outputs = self.outputs();
        let writer = Writer {
            literals: compat == Compat::Mlflow,
        };
        match form {
            Form::Json(shape) => {
                bytes.extend_from_slice(b"{\"predictions\":");
                match shape {
                    AnswerShape::Tensors => {
                        writer.tensors(&outputs, &self.rows, self.all, bytes)?;
                    }
                    AnswerShape::Records => {
                        let columns = self.columns(&outputs, compat)?;
                        writer.records(&columns, bytes);
                    }
                }
                bytes.push(b'}');
            }
            Form::Lines => {
                rows::lines(&writer, &self.columns(&outputs, Compat::Strict)?, bytes);
            }
            Form::Csv { header } => {
                rows::csv(&self.columns(&outputs, Compat::Strict)?, header, bytes)?;
            }
            Form::Npy => raw::write(&outputs, &self.rows, self.all, bytes)?,
        }
        Ok(())
    }

    fn outputs(&self) -> Vec<Named<'o>> {
        let all = self.output.values.iter().zip(self.infos);
        match self.chosen {
            None => all.collect(),
            Some(chosen) => {
                let all: Vec<Named<'o>> = all.collect();
                chosen
                    .iter()
                    .filter_map(|index| all.get(*index).copied())
                    .collect()
            }
        }
    }

    /// The outputs as columns that have equally many rows.
    fn columns(
        &self,
        outputs: &[Named<'o>],
        compat: Compat,
    ) -> Result<Vec<RecordColumn<'o>>, EncodeError> {
        let columns = outputs
            .iter()
            .map(|(value, info)| RecordColumn::new(value, info, &self.rows, self.all, compat))
            .collect::<Result<Vec<_>, _>>()?;
        if columns
            .windows(2)
            .any(|pair| pair[0].count != pair[1].count)
        {
            return Err(EncodeError("All arrays must be of the same length: the outputs of the model differ in their rows".into()));
        }
        Ok(columns)
    }
}

/// Writes `rows` of an output as `{"predictions": …}` to the end of `json`: see [`Part`].
///
/// # Errors
/// As [`Part::write`].
pub fn encode(
    output: &Output,
    rows: Range<usize>,
    all: bool,
    infos: &[ValueInfo],
    answer: AnswerShape,
    compat: Compat,
    json: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let part = Part {
        output,
        rows,
        all,
        infos,
        chosen: None,
    };
    part.write(Form::Json(answer), compat, json)
}

/// How values are written.
struct Writer {
    /// Non-finite numbers as Python's literals rather than `null`.
    literals: bool,
}

impl Writer {
    /// An object of arrays, keyed by output.
    fn tensors(
        &self,
        outputs: &[Named<'_>],
        rows: &Range<usize>,
        all: bool,
        json: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        json.push(b'{');
        for (index, (value, info)) in outputs.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            text(&info.name, json);
            json.push(b':');
            self.value(value, rows.clone(), all, info, json)?;
        }
        json.push(b'}');
        Ok(())
    }

    fn value(
        &self,
        value: &Value,
        rows: Range<usize>,
        all: bool,
        info: &ValueInfo,
        json: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match value {
            Value::Tensor(tensor) if all => self.nested(&tensor.data, &tensor.shape, 0, json),
            Value::Tensor(tensor) => {
                let width = row_width(tensor, rows.end, info)?;
                let mut shape = tensor.shape.clone();
                shape[0] = rows.len();
                self.nested(&tensor.data, &shape, rows.start * width, json);
            }
            Value::Maps(maps) => {
                let range = if all { 0..maps.len() } else { rows };
                let chosen = maps.get(range).ok_or_else(|| too_few(info))?;
                list(chosen, json, |map, json| self.map(map, json));
            }
            Value::Sequence(tensors) => list(tensors, json, |tensor, json| {
                self.nested(&tensor.data, &tensor.shape, 0, json);
            }),
        }
        Ok(())
    }

    /// A tensor as nested lists, from element `start` on.
    fn nested(&self, data: &TensorData, shape: &[usize], start: usize, json: &mut Vec<u8>) {
        match shape {
            [] => self.element(data, start, json),
            [length] => self.elements(data, start..start + length, json),
            [length, rest @ ..] => {
                let width: usize = rest.iter().product();
                json.push(b'[');
                for index in 0..*length {
                    if index > 0 {
                        json.push(b',');
                    }
                    self.nested(data, rest, start + index * width, json);
                }
                json.push(b']');
            }
        }
    }

    /// A flat list of elements: one type, one loop.
    fn elements(&self, data: &TensorData, range: Range<usize>, json: &mut Vec<u8>) {
        with_data!(data, values => list(values.get(range).unwrap_or_default(), json, |value, json| value.write(self, json)));
    }

    fn element(&self, data: &TensorData, index: usize, json: &mut Vec<u8>) {
        with_data!(data, values => match values.get(index) {
            Some(value) => value.write(self, json),
            None => json.extend_from_slice(b"null"),
        });
    }

    fn map(&self, map: &MapRow, json: &mut Vec<u8>) {
        json.push(b'{');
        let keys = match &map.keys {
            MapKeys::Integers(keys) => keys.len(),
            MapKeys::Strings(keys) => keys.len(),
        };
        for index in 0..keys {
            if index > 0 {
                json.push(b',');
            }
            match &map.keys {
                MapKeys::Integers(keys) => {
                    json.push(b'"');
                    json.extend_from_slice(itoa::Buffer::new().format(keys[index]).as_bytes());
                    json.push(b'"');
                }
                MapKeys::Strings(keys) => text(&keys[index], json),
            }
            json.push(b':');
            self.element(&map.values, index, json);
        }
        json.push(b'}');
    }

    /// A list of records.
    fn records(&self, columns: &[RecordColumn<'_>], json: &mut Vec<u8>) {
        let count = columns.first().map_or(0, |column| column.count);
        json.push(b'[');
        for row in 0..count {
            if row > 0 {
                json.push(b',');
            }
            self.record(columns, row, json);
        }
        json.push(b']');
    }

    /// One record.
    fn record(&self, columns: &[RecordColumn<'_>], row: usize, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&column.key);
            match column.value {
                Value::Tensor(tensor) => {
                    let start = (column.first + row) * column.width;
                    self.nested(&tensor.data, column.tail, start, json);
                }
                Value::Maps(maps) => match maps.get(column.first + row) {
                    Some(map) => self.map(map, json),
                    None => json.extend_from_slice(b"null"),
                },
                Value::Sequence(tensors) => match tensors.get(column.first + row) {
                    Some(tensor) => self.nested(&tensor.data, &tensor.shape, 0, json),
                    None => json.extend_from_slice(b"null"),
                },
            }
        }
        json.push(b'}');
    }

    fn float(&self, value: f64, json: &mut Vec<u8>) {
        if value.is_finite() {
            finite(value, json);
        } else if self.literals {
            json.extend_from_slice(if value.is_nan() {
                b"NaN"
            } else if value > 0.0 {
                b"Infinity"
            } else {
                b"-Infinity"
            });
        } else {
            json.extend_from_slice(b"null");
        }
    }
}

/// One output as a column of records.
struct RecordColumn<'o> {
    /// The name of the output.
    name: &'o str,
    /// The key, the colon included, as JSON.
    key: Vec<u8>,
    value: &'o Value,
    /// Where this request's rows begin.
    first: usize,
    /// Records.
    count: usize,
    /// Elements in a record.
    width: usize,
    /// The shape of a record's value.
    tail: &'o [usize],
}

impl<'o> RecordColumn<'o> {
    fn new(
        value: &'o Value,
        info: &'o ValueInfo,
        rows: &Range<usize>,
        all: bool,
        compat: Compat,
    ) -> Result<Self, EncodeError> {
        let mut key = Vec::new();
        text(&info.name, &mut key);
        key.push(b':');
        let mut column = Self {
            name: &info.name,
            key,
            value,
            first: rows.start,
            count: rows.len(),
            width: 1,
            tail: &[],
        };
        match value {
            Value::Tensor(tensor) => column.of_tensor(tensor, rows, all, compat, info)?,
            Value::Maps(maps) if all => column.count = maps.len(),
            Value::Maps(maps) if maps.len() >= rows.end => {}
            Value::Sequence(tensors) if all => column.count = tensors.len(),
            _ => return Err(too_few(info)),
        }
        Ok(column)
    }

    /// A trailing dimension of one is dropped, as MLflow flattens a column; more are flattened
    /// only where MLflow's answers are asked for.
    fn of_tensor(
        &mut self,
        tensor: &'o Tensor,
        rows: &Range<usize>,
        all: bool,
        compat: Compat,
        info: &ValueInfo,
    ) -> Result<(), EncodeError> {
        let width = if all {
            width_of(tensor)
        } else {
            row_width(tensor, rows.end, info)?
        };
        if all {
            self.first = 0;
            self.count = tensor.shape.first().copied().unwrap_or(1);
        }
        match compat {
            Compat::Mlflow => {
                self.first *= width;
                self.count *= width;
            }
            Compat::Strict => {
                self.width = width;
                let tail = tensor.shape.get(1..).unwrap_or_default();
                self.tail = if matches!(tail, [1]) { &[] } else { tail };
            }
        }
        Ok(())
    }
}

/// Elements behind the leading dimension.
fn width_of(tensor: &Tensor) -> usize {
    tensor.shape.get(1..).unwrap_or_default().iter().product()
}

/// Elements in a row of a tensor that must have at least `rows` rows.
fn row_width(tensor: &Tensor, rows: usize, info: &ValueInfo) -> Result<usize, EncodeError> {
    match tensor.shape.first() {
        Some(leading) if *leading >= rows => Ok(width_of(tensor)),
        _ => Err(too_few(info)),
    }
}

#[cold]
fn too_few(info: &ValueInfo) -> EncodeError {
    EncodeError(format!(
        "the model's output `{}` has fewer rows than its inputs",
        info.name
    ))
}

/// Writes the items of a list.
#[inline]
fn list<T>(items: &[T], json: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    json.push(b'[');
    let mut items = items.iter();
    if let Some(first) = items.next() {
        write(first, json);
        for item in items {
            json.push(b',');
            write(item, json);
        }
    }
    json.push(b']');
}

/// An element that knows how to write itself.
trait Write {
    fn write(&self, writer: &Writer, json: &mut Vec<u8>);
}

macro_rules! write_integer {
    ($($type:ty)*) => {
        $(impl Write for $type {
            #[inline]
            fn write(&self, _writer: &Writer, json: &mut Vec<u8>) {
                json.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        })*
    };
}

write_integer!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Write for bool {
    fn write(&self, _writer: &Writer, json: &mut Vec<u8>) {
        json.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Write for f64 {
    #[inline]
    fn write(&self, writer: &Writer, json: &mut Vec<u8>) {
        writer.float(*self, json);
    }
}

impl Write for f32 {
    #[inline]
    fn write(&self, writer: &Writer, json: &mut Vec<u8>) {
        writer.float(f64::from(*self), json);
    }
}

impl Write for f16 {
    fn write(&self, writer: &Writer, json: &mut Vec<u8>) {
        writer.float(self.to_f64(), json);
    }
}

impl Write for bf16 {
    fn write(&self, writer: &Writer, json: &mut Vec<u8>) {
        writer.float(self.to_f64(), json);
    }
}

impl Write for String {
    fn write(&self, _writer: &Writer, json: &mut Vec<u8>) {
        text(self, json);
    }
}

#[inline]
fn finite(value: f64, json: &mut Vec<u8>) {
    json.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// A float as Python's `repr` writes it.
pub(crate) fn python_float(value: f64, json: &mut Vec<u8>) {
    if value.is_nan() {
        json.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        json.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else {
        let magnitude = value.abs();
        if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
            let text = format!("{value:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            json.extend_from_slice(format!("{mantissa}e{sign}{digits:0>2}").as_bytes());
        } else {
            json.extend_from_slice(format!("{value:?}").as_bytes());
        }
    }
}

/// Text as a JSON string.
fn text(value: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    let mut start = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        json.extend_from_slice(&value.as_bytes()[start..at]);
        if escape.is_empty() {
            json.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            json.extend_from_slice(escape);
        }
        start = at + 1;
    }
    json.extend_from_slice(&value.as_bytes()[start..]);
    json.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{encode, python_float};
    use crate::{
        AnswerShape, Compat, DType, MapKeys, MapRow, Output, Tensor, TensorData, Value, ValueInfo,
        ValueKind,
    };

    fn info(name: &str) -> ValueInfo {
        ValueInfo {
            name: name.into(),
            kind: ValueKind::Tensor {
                dtype: DType::F32,
                shape: None,
            },
        }
    }

    fn answer(
        values: Vec<Value>,
        rows: std::ops::Range<usize>,
        all: bool,
        shape: AnswerShape,
        compat: Compat,
    ) -> Result<String, String> {
        let infos = [info("label"), info("p")];
        let mut text = Vec::new();
        encode(
            &Output { values },
            rows,
            all,
            &infos,
            shape,
            compat,
            &mut text,
        )
        .map_err(|error| error.0)?;
        Ok(String::from_utf8(text).unwrap())
    }

    fn labels() -> Value {
        Value::Tensor(Tensor {
            shape: vec![2],
            data: TensorData::I64(vec![0, 9_007_199_254_740_993]),
        })
    }

    fn matrix() -> Value {
        Value::Tensor(Tensor {
            shape: vec![2, 2],
            data: TensorData::F32(vec![0.1, f32::NAN, f32::INFINITY, 3.0]),
        })
    }

    #[test]
    fn tensors_are_keyed_by_output() {
        let strict = answer(
            vec![labels(), matrix()],
            0..2,
            true,
            AnswerShape::Tensors,
            Compat::Strict,
        );
        assert_eq!(
            strict.unwrap(),
            r#"{"predictions":{"label":[0,9007199254740993],"p":[[0.10000000149011612,null],[null,3.0]]}}"#
        );
        let mlflow = answer(
            vec![labels(), matrix()],
            1..2,
            false,
            AnswerShape::Tensors,
            Compat::Mlflow,
        );
        assert_eq!(
            mlflow.unwrap(),
            r#"{"predictions":{"label":[9007199254740993],"p":[[Infinity,3.0]]}}"#
        );
    }

    #[test]
    fn records_hold_a_list_where_mlflow_fails() {
        let strict = answer(
            vec![labels(), matrix()],
            1..2,
            false,
            AnswerShape::Records,
            Compat::Strict,
        );
        assert_eq!(
            strict.unwrap(),
            r#"{"predictions":[{"label":9007199254740993,"p":[null,3.0]}]}"#
        );
        let mlflow = answer(
            vec![labels(), matrix()],
            0..2,
            true,
            AnswerShape::Records,
            Compat::Mlflow,
        );
        assert!(
            mlflow
                .unwrap_err()
                .starts_with("All arrays must be of the same length")
        );
    }

    #[test]
    fn maps_keep_their_keys_as_text() {
        let map = MapRow {
            keys: MapKeys::Integers(vec![0, 1]),
            values: TensorData::F32(vec![0.5, 0.25]),
        };
        let maps = Value::Maps(vec![map.clone(), map]);
        let text = answer(
            vec![labels(), maps],
            0..1,
            false,
            AnswerShape::Records,
            Compat::Mlflow,
        );
        assert_eq!(
            text.unwrap(),
            r#"{"predictions":[{"label":0,"p":{"0":0.5,"1":0.25}}]}"#
        );
    }

    #[test]
    fn text_is_escaped() {
        let value = Value::Tensor(Tensor {
            shape: vec![1],
            data: TensorData::Str(vec!["a\"\\\n\u{1}é".into()]),
        });
        let text = answer(
            vec![value],
            0..1,
            true,
            AnswerShape::Tensors,
            Compat::Strict,
        )
        .unwrap();
        assert_eq!(
            text,
            "{\"predictions\":{\"label\":[\"a\\\"\\\\\\n\\u0001é\"]}}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn rows_that_are_not_there_are_an_error() {
        assert!(
            answer(
                vec![labels()],
                1..3,
                false,
                AnswerShape::Tensors,
                Compat::Strict
            )
            .is_err()
        );
    }

    #[test]
    fn floats_as_python_writes_them() {
        for (value, expected) in [
            (1e-10, "1e-10"),
            (1e16, "1e+16"),
            (123_456_789.123, "123456789.123"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5, "1.5"),
            (3.0, "3.0"),
        ] {
            let mut text = Vec::new();
            python_float(value, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
