//! Tensors as engines hold them: a shape, and one contiguous row-major buffer of one type.

use half::{bf16, f16};

/// The element type of a [`Tensor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// Truth values, a byte each.
    Bool,
    /// 8-bit signed.
    I8,
    /// 16-bit signed.
    I16,
    /// 32-bit signed.
    I32,
    /// 64-bit signed.
    I64,
    /// 8-bit unsigned.
    U8,
    /// 16-bit unsigned.
    U16,
    /// 32-bit unsigned.
    U32,
    /// 64-bit unsigned.
    U64,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision: bfloat16.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// UTF-8 text.
    Str,
}

impl DType {
    /// The numpy name: `float32`, `int64`, `bool`, `str` … numpy itself has no `bfloat16`.
    pub const fn numpy_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Str => "str",
        }
    }

    /// Bytes of one element; for text, of its handle.
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::Str => size_of::<String>(),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.numpy_name())
    }
}

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// Any length; dimensions with the same name are equal in one request.
    Symbolic(String),
    /// Any length.
    Unknown,
}

/// An input of an engine, as the loaded model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the graph.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape; `None` when the model declares no rank.
    pub shape: Option<Vec<Dim>>,
}

/// An output of an engine, as the loaded model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name in the graph.
    pub name: String,
    /// What it is.
    pub kind: ValueKind,
}

/// The kind of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A tensor; the shape is `None` when the model declares no rank.
    Tensor {
        /// Its element type.
        dtype: DType,
        /// Its shape.
        shape: Option<Vec<Dim>>,
    },
    /// A sequence of maps, one a row, as the ONNX operator `ZipMap` gives.
    Maps,
    /// A sequence of tensors.
    Sequence,
}

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "each variant is the vector of the type it names"
)]
pub enum TensorData {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Str(Vec<String>),
}

/// Runs an expression with `$values` bound to the vector inside a [`TensorData`].
#[macro_export]
macro_rules! with_data {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            $crate::TensorData::Bool($values) => $body,
            $crate::TensorData::I8($values) => $body,
            $crate::TensorData::I16($values) => $body,
            $crate::TensorData::I32($values) => $body,
            $crate::TensorData::I64($values) => $body,
            $crate::TensorData::U8($values) => $body,
            $crate::TensorData::U16($values) => $body,
            $crate::TensorData::U32($values) => $body,
            $crate::TensorData::U64($values) => $body,
            $crate::TensorData::F16($values) => $body,
            $crate::TensorData::BF16($values) => $body,
            $crate::TensorData::F32($values) => $body,
            $crate::TensorData::F64($values) => $body,
            $crate::TensorData::Str($values) => $body,
        }
    };
}

impl TensorData {
    /// An empty buffer of `dtype` with room for `capacity` elements.
    pub fn with_capacity(dtype: DType, capacity: usize) -> Self {
        match dtype {
            DType::Bool => Self::Bool(Vec::with_capacity(capacity)),
            DType::I8 => Self::I8(Vec::with_capacity(capacity)),
            DType::I16 => Self::I16(Vec::with_capacity(capacity)),
            DType::I32 => Self::I32(Vec::with_capacity(capacity)),
            DType::I64 => Self::I64(Vec::with_capacity(capacity)),
            DType::U8 => Self::U8(Vec::with_capacity(capacity)),
            DType::U16 => Self::U16(Vec::with_capacity(capacity)),
            DType::U32 => Self::U32(Vec::with_capacity(capacity)),
            DType::U64 => Self::U64(Vec::with_capacity(capacity)),
            DType::F16 => Self::F16(Vec::with_capacity(capacity)),
            DType::BF16 => Self::BF16(Vec::with_capacity(capacity)),
            DType::F32 => Self::F32(Vec::with_capacity(capacity)),
            DType::F64 => Self::F64(Vec::with_capacity(capacity)),
            DType::Str => Self::Str(Vec::with_capacity(capacity)),
        }
    }

    /// The element type.
    pub const fn dtype(&self) -> DType {
        match self {
            Self::Bool(_) => DType::Bool,
            Self::I8(_) => DType::I8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::U8(_) => DType::U8,
            Self::U16(_) => DType::U16,
            Self::U32(_) => DType::U32,
            Self::U64(_) => DType::U64,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::Str(_) => DType::Str,
        }
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        with_data!(self, values => values.len())
    }

    /// Makes it `length` elements long: cut off, or filled up with zeros, `false` or empty text.
    pub fn resize(&mut self, length: usize) {
        with_data!(self, values => resize(values, length));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn resize<T: Clone + Default>(values: &mut Vec<T>, length: usize) {
    values.resize(length, T::default());
}

/// A tensor: its shape, and the elements in row-major order.
///
/// The product of `shape` is the number of elements; a shape of no dimensions is one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The lengths of its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: TensorData,
}

impl Tensor {
    /// Bytes that the elements take, text by its length.
    pub fn bytes(&self) -> usize {
        match &self.data {
            TensorData::Str(values) => values
                .iter()
                .map(|text| size_of::<String>() + text.len())
                .sum(),
            other => other.len() * other.dtype().size(),
        }
    }
}
