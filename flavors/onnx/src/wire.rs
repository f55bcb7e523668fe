//! The fields of `onnx.proto` that tell what a graph does. Weights are passed over.
//!
//! Numbers of fields: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

#![expect(missing_docs, reason = "the names are those of the format")]

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// Data of tensors that are kept: sizes, axes, shapes. Everything longer is weights.
const KEPT: usize = 4096;

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "6")]
    pub g: Option<InnerGraph>,
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<InnerGraph>,
}

/// A `GraphProto` within the graph, of which only its presence is known.
#[derive(Clone, PartialEq, Message)]
pub struct InnerGraph {}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

/// `TypeProto`; only tensors are known.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// `TensorProto`, its elements only where they are short and lie in the file.
#[derive(Clone, PartialEq, Message)]
pub struct TensorFields {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// [`TensorFields`], decoded without long data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor(pub TensorFields);

/// The fields that hold elements.
const ELEMENTS: [u32; 4] = [4, 5, 7, 9];

impl Message for Tensor {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        self.0.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if !ELEMENTS.contains(&tag) || wire_type != WireType::LengthDelimited {
            return self.0.merge_field(tag, wire_type, buffer, context);
        }
        let length = prost::decode_length_delimiter(&mut *buffer)?;
        if length > buffer.remaining() {
            // The decoder's own error of a field that ends after its message.
            return self
                .0
                .merge_field(tag, wire_type, &mut &[0xff_u8, 0x7f][..], context);
        }
        if length > KEPT {
            buffer.advance(length);
            return Ok(());
        }
        let mut field = Vec::with_capacity(length + 4);
        prost::encoding::encode_varint(length as u64, &mut field);
        field.put(buffer.take(length));
        self.0
            .merge_field(tag, wire_type, &mut field.as_slice(), context)
    }

    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Model {
    /// The version of the operators of ONNX itself.
    pub fn opset(&self) -> i64 {
        let mut imports = self.opset_import.iter();
        let own = imports.find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        own.map_or(1, |set| set.version)
    }
}

impl Node {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|each| each.name == name)
    }

    /// An integer attribute.
    pub fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |each| each.i)
    }

    /// An attribute of several integers.
    pub fn integers(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|each| each.ints.as_slice())
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(&self.attribute(name)?.s).ok()
    }

    /// Whether it holds graphs of its own, as `If`, `Loop` and `Scan` do.
    pub fn has_graphs(&self) -> bool {
        self.attribute
            .iter()
            .any(|each| each.g.is_some() || !each.graphs.is_empty())
    }
}

impl Tensor {
    /// How many elements it has; `None` for sizes that are none.
    pub fn count(&self) -> Option<usize> {
        self.0.dims.iter().try_fold(1_usize, |product, length| {
            product.checked_mul(usize::try_from(*length).ok()?)
        })
    }

    /// Its elements as whole numbers, where they are at hand and of a type of numbers; `None` inside
    /// for one with a fraction.
    pub fn integers(&self) -> Option<Vec<Option<i64>>> {
        let fields = &self.0;
        let whole =
            |value: f32| (value.fract() == 0.0 && value.abs() < 1e9).then_some(value as i64);
        let raw = &fields.raw_data;
        let values: Vec<Option<i64>> = match fields.data_type {
            // FLOAT
            1 if raw.is_empty() => fields
                .float_data
                .iter()
                .map(|value| whole(*value))
                .collect(),
            1 => elements(raw, |bytes| whole(f32::from_le_bytes(bytes))),
            // INT32
            6 if raw.is_empty() => fields
                .int32_data
                .iter()
                .map(|value| Some(i64::from(*value)))
                .collect(),
            6 => elements(raw, |bytes| Some(i64::from(i32::from_le_bytes(bytes)))),
            // INT64
            7 if raw.is_empty() => fields.int64_data.iter().copied().map(Some).collect(),
            7 => elements(raw, |bytes| Some(i64::from_le_bytes(bytes))),
            // BOOL
            9 if raw.is_empty() => fields
                .int32_data
                .iter()
                .map(|value| Some(i64::from(*value != 0)))
                .collect(),
            9 => elements(raw, |bytes: [u8; 1]| Some(i64::from(bytes[0] != 0))),
            _ => return None,
        };
        (Some(values.len()) == self.count()).then_some(values)
    }
}

fn elements<const SIZE: usize, T>(raw: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (elements, _) = raw.as_chunks::<SIZE>();
    elements.iter().map(|bytes| read(*bytes)).collect()
}
