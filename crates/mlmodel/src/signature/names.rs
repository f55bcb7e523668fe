//! The names of types: MLflow's names of scalars, numpy's names of tensor elements.

use std::fmt;

use super::{ColumnType, DataType, TensorType};

impl DataType {
    /// All scalar types, in MLflow's order.
    pub const ALL: [Self; 8] = [
        Self::Boolean,
        Self::Integer,
        Self::Long,
        Self::Float,
        Self::Double,
        Self::String,
        Self::Binary,
        Self::Datetime,
    ];

    /// The name in the `MLmodel` file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Datetime => "datetime",
        }
    }

    /// The type of that name; names are case-sensitive, as in MLflow.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.name() == name)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// `array(long)`, `object(x: long, y?: string)`, `map(double)`: an optional property has a `?`.
impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(formatter),
            Self::Array(items) => write!(formatter, "array({items})"),
            Self::Map(values) => write!(formatter, "map({values})"),
            Self::Any => formatter.write_str("any"),
            Self::SparkVector => formatter.write_str("sparkml_vector"),
            Self::Object(properties) => {
                formatter.write_str("object(")?;
                for (index, property) in properties.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    let optional = if property.required { "" } else { "?" };
                    write!(
                        formatter,
                        "{comma}{}{optional}: {}",
                        property.name, property.kind
                    )?;
                }
                formatter.write_str(")")
            }
        }
    }
}

impl TensorType {
    /// The numpy name, as MLflow writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Str => "str",
            Self::Bytes => "bytes",
            Self::Object => "object",
            Self::Other(name) => name,
        }
    }

    /// The type of a numpy name or code (`float32`, `<f4`, `f4`, `<U12`). Sizes of texts and byte
    /// orders are dropped, as MLflow drops them; an unknown name is kept as [`TensorType::Other`].
    pub fn from_name(name: &str) -> Self {
        Self::from_long_name(name)
            .or_else(|| Self::from_code(name))
            .unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    fn from_long_name(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "bool_" => Self::Bool,
            "int8" | "byte" => Self::Int8,
            "int16" | "short" => Self::Int16,
            "int32" | "intc" => Self::Int32,
            "int64" | "int" | "int_" | "longlong" => Self::Int64,
            "uint8" | "ubyte" => Self::Uint8,
            "uint16" | "ushort" => Self::Uint16,
            "uint32" | "uintc" => Self::Uint32,
            "uint64" | "uint" | "ulonglong" => Self::Uint64,
            "float16" | "half" => Self::Float16,
            "float32" | "single" => Self::Float32,
            "float64" | "float" | "double" => Self::Float64,
            "str" | "str_" | "unicode" => Self::Str,
            "bytes" | "bytes_" => Self::Bytes,
            "object" | "object_" => Self::Object,
            _ => {
                return Self::sized(name, "str", Self::Str)
                    .or_else(|| Self::sized(name, "bytes", Self::Bytes));
            }
        })
    }

    /// `<f4`, `i8`, `|S3`: an optional byte order, a letter, a size.
    fn from_code(name: &str) -> Option<Self> {
        let code = name.strip_prefix(['<', '>', '=', '|']).unwrap_or(name);
        Some(match code {
            "?" | "b1" => Self::Bool,
            "i1" => Self::Int8,
            "i2" => Self::Int16,
            "i4" => Self::Int32,
            "i8" => Self::Int64,
            "u1" => Self::Uint8,
            "u2" => Self::Uint16,
            "u4" => Self::Uint32,
            "u8" => Self::Uint64,
            "f2" => Self::Float16,
            "f4" => Self::Float32,
            "f8" => Self::Float64,
            "O" => Self::Object,
            _ => {
                return Self::sized(code, "U", Self::Str)
                    .or_else(|| Self::sized(code, "S", Self::Bytes));
            }
        })
    }

    fn sized(name: &str, prefix: &str, kind: Self) -> Option<Self> {
        let size = name.strip_prefix(prefix)?;
        size.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(kind)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_byte_orders_are_dropped() {
        for (name, kind) in [
            ("<U4", TensorType::Str),
            ("str128", TensorType::Str),
            ("U", TensorType::Str),
            ("|S3", TensorType::Bytes),
            ("bytes24", TensorType::Bytes),
            (">f8", TensorType::Float64),
            ("<i8", TensorType::Int64),
            ("?", TensorType::Bool),
            ("double", TensorType::Float64),
        ] {
            assert_eq!(TensorType::from_name(name), kind, "{name}");
        }
    }

    #[test]
    fn unknown_names_are_kept() {
        for name in [
            "datetime64[ns]",
            "complex64",
            "Float32",
            "strange",
            "bytesX",
        ] {
            assert_eq!(
                TensorType::from_name(name),
                TensorType::Other(name.to_owned())
            );
        }
    }

    #[test]
    fn scalar_names_are_case_sensitive() {
        assert_eq!(DataType::from_name("long"), Some(DataType::Long));
        assert_eq!(DataType::from_name("Long"), None);
    }
}
