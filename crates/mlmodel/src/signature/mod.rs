//! Model signatures: the columns, tensors and parameters that a model takes and gives.
//!
//! The grammar is that of `mlflow/types/schema.py` (MLflow 3.17). In the `MLmodel` file a schema
//! is a JSON text inside YAML. This module holds the types; [`Schema::parse`], [`Signature::from_map`]
//! and [`Schema::to_json`] are their codec, [`Schema::describe`] gives the rows of a table.

mod describe;
mod error;
mod json;
mod names;
mod param;
mod parse;

use serde_json::{Map, Value};

use crate::python_json;

pub use describe::{ColumnRow, ParameterRow};
pub use error::SignatureError;
pub(crate) use error::shorten;
pub(crate) use parse::found;

/// A scalar type of a column, with the names that MLflow writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `boolean`: numpy `bool`.
    Boolean,
    /// `integer`: 32-bit signed.
    Integer,
    /// `long`: 64-bit signed.
    Long,
    /// `float`: 32-bit.
    Float,
    /// `double`: 64-bit.
    Double,
    /// `string`: text.
    String,
    /// `binary`: bytes, base64 in JSON data frames.
    Binary,
    /// `datetime`: nanoseconds since the epoch, no time zone.
    Datetime,
}

/// The type of a column: a scalar, or a nesting of them.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    /// One value a row.
    Scalar(DataType),
    /// A list of any length.
    Array(Box<ColumnType>),
    /// Named properties, sorted by name.
    Object(Vec<Property>),
    /// Any keys, values of one type.
    Map(Box<ColumnType>),
    /// Anything.
    Any,
    /// Spark's vector: a list of doubles.
    SparkVector,
}

/// A property of [`ColumnType::Object`].
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its key.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it must be there.
    pub required: bool,
}

/// One column of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Its name; either all columns of a schema have one or none has.
    pub name: Option<String>,
    /// Its type.
    pub kind: ColumnType,
    /// Whether a request must carry it.
    pub required: bool,
}

/// The element type of a tensor, by its numpy name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TensorType {
    /// `bool`.
    Bool,
    /// `int8`.
    Int8,
    /// `int16`.
    Int16,
    /// `int32`.
    Int32,
    /// `int64`.
    Int64,
    /// `uint8`.
    Uint8,
    /// `uint16`.
    Uint16,
    /// `uint32`.
    Uint32,
    /// `uint64`.
    Uint64,
    /// `float16`.
    Float16,
    /// `float32`.
    Float32,
    /// `float64`.
    Float64,
    /// `str`: text of any length.
    Str,
    /// `bytes`.
    Bytes,
    /// `object`.
    Object,
    /// Any other numpy name (`complex64`, `datetime64[ns]`, …), kept as it was written.
    Other(String),
}

/// One tensor of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Its name; at most one tensor of a schema has none.
    pub name: Option<String>,
    /// Its element type.
    pub dtype: TensorType,
    /// Its shape; `None` is a variable dimension (`-1` in the file).
    pub shape: Vec<Option<usize>>,
}

/// What a model takes or gives: columns or tensors, never both.
#[derive(Clone, Debug, PartialEq)]
pub enum Schema {
    /// A data frame.
    Columns(Vec<ColumnSpec>),
    /// One unnamed tensor, or named ones.
    Tensors(Vec<TensorSpec>),
}

/// A parameter of a prediction, with its default.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name.
    pub name: String,
    /// Its type: a scalar, or an object.
    pub kind: ColumnType,
    /// The value when a request names none.
    pub default: Value,
    /// `Some` for a list of that type (`[-1]` in the file), `None` for one value.
    pub shape: Option<Vec<i64>>,
}

/// The signature of a model. Each part may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// What it takes.
    pub inputs: Option<Schema>,
    /// What it gives.
    pub outputs: Option<Schema>,
    /// What a request may set beside the data.
    pub params: Option<Vec<ParamSpec>>,
}

/// Schemas are small; a text beyond this many bytes is refused before it is read.
pub const SCHEMA_SIZE_LIMIT: usize = 16 << 20;

impl Schema {
    /// Reads the JSON text of a schema, as the `MLmodel` file holds it.
    ///
    /// # Errors
    /// When the text is not JSON or breaks the grammar or a rule of `mlflow.types.Schema`; the error
    /// names the column and the JSON path.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        parse::schema(&json::read(text)?)
    }

    /// Writes the schema as MLflow does: `json.dumps` with its spaces and ASCII escapes.
    pub fn to_json(&self) -> String {
        python_json::write(&json::schema_value(self))
    }

    /// How many columns or tensors it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Columns(columns) => columns.len(),
            Self::Tensors(tensors) => tensors.len(),
        }
    }

    /// Whether it has no column at all; a parsed schema never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names in order; `None` for an unnamed column or tensor.
    pub fn names(&self) -> Vec<Option<&str>> {
        match self {
            Self::Columns(columns) => columns
                .iter()
                .map(|column| column.name.as_deref())
                .collect(),
            Self::Tensors(tensors) => tensors
                .iter()
                .map(|tensor| tensor.name.as_deref())
                .collect(),
        }
    }
}

impl Signature {
    /// Reads the `signature` map of an `MLmodel` file. Each value is a JSON text, null or absent;
    /// a list written straight into the YAML is accepted too.
    ///
    /// # Errors
    /// When a part is neither, or its schema is refused; the error names the part.
    pub fn from_map(map: &Map<String, Value>) -> Result<Self, SignatureError> {
        let schema = |part: &'static str| -> Result<Option<Schema>, SignatureError> {
            let Some(value) = json::part(map.get(part), part)? else {
                return Ok(None);
            };
            parse::schema(&value)
                .map(Some)
                .map_err(|error| error.in_part(part))
        };
        let params = match json::part(map.get("params"), "params")? {
            Some(value) => Some(param::list(&value).map_err(|error| error.in_part("params"))?),
            None => None,
        };
        Ok(Self {
            inputs: schema("inputs")?,
            outputs: schema("outputs")?,
            params,
        })
    }

    /// Writes the map of an `MLmodel` file: three keys, JSON texts or null.
    pub fn to_map(&self) -> Map<String, Value> {
        let text = |part: Option<String>| part.map_or(Value::Null, Value::String);
        let params = self.params.as_deref().filter(|params| !params.is_empty());
        let mut map = Map::new();
        map.insert(
            "inputs".to_owned(),
            text(self.inputs.as_ref().map(Schema::to_json)),
        );
        map.insert(
            "outputs".to_owned(),
            text(self.outputs.as_ref().map(Schema::to_json)),
        );
        map.insert("params".to_owned(), text(params.map(json::write_params)));
        map
    }
}
