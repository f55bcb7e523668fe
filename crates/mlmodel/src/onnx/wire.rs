//! The few fields of `onnx.proto` that tell where tensors lie, and which locale an operator needs. Everything else is passed over while it
//! is read, weights too; nesting is bounded by the decoder.
//!
//! Numbers of fields: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use prost::Message;

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "20")]
    pub training: Vec<Training>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// `TrainingInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Training {
    #[prost(message, optional, tag = "1")]
    pub initialization: Option<Graph>,
    #[prost(message, optional, tag = "2")]
    pub algorithm: Option<Graph>,
}

/// `FunctionProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Function {
    #[prost(message, repeated, tag = "7")]
    pub nodes: Vec<Node>,
    #[prost(message, repeated, tag = "11")]
    pub attributes: Vec<Attribute>,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializers: Vec<SparseTensor>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, tag = "4")]
    pub operator: String,
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "3")]
    pub number: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub text: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    pub graph: Option<Graph>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub texts: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    pub sparse_tensor: Option<SparseTensor>,
    #[prost(message, repeated, tag = "23")]
    pub sparse_tensors: Vec<SparseTensor>,
}

/// `SparseTensorProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    pub values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    pub indices: Option<Tensor>,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `TensorProto.DataLocation.EXTERNAL`.
pub(super) const EXTERNAL: i32 = 1;

impl Model {
    /// Calls `visit` with each tensor that lies in another file.
    pub fn for_each_external<E>(
        &self,
        visit: &mut dyn FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let training = self.training.iter();
        let trained = training.flat_map(|part| part.initialization.iter().chain(&part.algorithm));
        for graph in self.graph.iter().chain(trained) {
            graph.visit(visit)?;
        }
        for function in &self.functions {
            let of_nodes = function.nodes.iter().flat_map(|node| &node.attributes);
            for attribute in of_nodes.chain(&function.attributes) {
                attribute.visit(visit)?;
            }
        }
        Ok(())
    }
}

impl Graph {
    fn visit<E>(&self, visit: &mut dyn FnMut(&Tensor) -> Result<(), E>) -> Result<(), E> {
        let sparse = self.sparse_initializers.iter();
        for tensor in self
            .initializers
            .iter()
            .chain(sparse.flat_map(SparseTensor::parts))
        {
            tensor.visit(visit)?;
        }
        let attributes = self.nodes.iter().flat_map(|node| &node.attributes);
        for attribute in attributes {
            attribute.visit(visit)?;
        }
        Ok(())
    }
}

impl Attribute {
    fn visit<E>(&self, visit: &mut dyn FnMut(&Tensor) -> Result<(), E>) -> Result<(), E> {
        let sparse = self.sparse_tensor.iter().chain(&self.sparse_tensors);
        let tensors = self.tensor.iter().chain(&self.tensors);
        for tensor in tensors.chain(sparse.flat_map(SparseTensor::parts)) {
            tensor.visit(visit)?;
        }
        for graph in self.graph.iter().chain(&self.graphs) {
            graph.visit(visit)?;
        }
        Ok(())
    }
}

impl SparseTensor {
    fn parts(&self) -> impl Iterator<Item = &Tensor> {
        self.values.iter().chain(&self.indices)
    }
}

impl Tensor {
    fn visit<E>(&self, visit: &mut dyn FnMut(&Self) -> Result<(), E>) -> Result<(), E> {
        if self.data_location == EXTERNAL {
            visit(self)
        } else {
            Ok(())
        }
    }

    /// What `external_data` has under a key.
    pub fn entry(&self, key: &str) -> Option<&str> {
        let mut entries = self.external_data.iter();
        let entry = entries.find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    }

    /// Bytes that its elements take; `None` for texts, for types that are not known, and for sizes
    /// beyond all measure.
    pub fn bytes(&self) -> Option<u64> {
        let bits: u64 = match self.data_type {
            // FLOAT, INT32, UINT32
            1 | 6 | 12 => 32,
            // UINT8, INT8, BOOL, the FLOAT8 types
            2 | 3 | 9 | 17..=20 | 24 => 8,
            // UINT16, INT16, FLOAT16, BFLOAT16
            4 | 5 | 10 | 16 => 16,
            // INT64, DOUBLE, UINT64, COMPLEX64
            7 | 11 | 13 | 14 => 64,
            // COMPLEX128
            15 => 128,
            // UINT4, INT4, FLOAT4E2M1
            21..=23 => 4,
            _ => return None,
        };
        let elements = self.dims.iter().try_fold(1_u64, |product, dim| {
            product.checked_mul(u64::try_from(*dim).ok()?)
        })?;
        Some(elements.checked_mul(bits)?.div_ceil(8))
    }
}
