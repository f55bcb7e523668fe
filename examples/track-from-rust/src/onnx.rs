//! The classifier as a model directory of flavor `onnx`: `model.onnx`, `MLmodel` and what Python needs
//! to load it.
//!
//! The messages are the part of `onnx.proto3` (IR version 10) that five operators need.

use std::io;
use std::path::Path;

use prost::Message;

use crate::iris::{MEASUREMENTS, SPECIES};
use crate::model::Classifier;

/// Version of the operators.
const OPSET: i64 = 21;
/// `TensorProto.DataType`
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// `AttributeProto.AttributeType`
const INT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<Opset>,
}

#[derive(Clone, PartialEq, Message)]
struct Opset {
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "Extent", tags = "1, 2")]
    extent: Option<Extent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Extent {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

/// Writes the model directory into an empty folder.
pub fn save(classifier: &Classifier, folder: &Path) -> io::Result<()> {
    let model = Model {
        ir_version: 10,
        producer_name: "track-from-rust".to_owned(),
        graph: Some(graph(classifier)),
        opset_import: vec![Opset { version: OPSET }],
    };
    std::fs::write(folder.join("model.onnx"), model.encode_to_vec())?;
    std::fs::write(
        folder.join("requirements.txt"),
        "mlflow\nonnx\nonnxruntime\n",
    )?;
    std::fs::write(folder.join("MLmodel"), manifest())
}

/// `softmax(measurements · weights + bias)`, its largest column, and each column by itself.
fn graph(classifier: &Classifier) -> Graph {
    let [inputs, classes] = [MEASUREMENTS.len() as i64, SPECIES.len() as i64];
    let weights = classifier.weights.iter().flatten();
    let mut output = vec![value("species", INT64, &[])];
    output.extend(SPECIES.iter().map(|species| value(species, FLOAT, &[1])));
    Graph {
        name: "iris".to_owned(),
        node: vec![
            node(
                "Gemm",
                &["measurements", "weights", "bias"],
                &["scores"],
                &[],
            ),
            node("Softmax", &["scores"], &["probabilities"], &[("axis", 1)]),
            node(
                "ArgMax",
                &["probabilities"],
                &["species"],
                &[("axis", 1), ("keepdims", 0)],
            ),
            node(
                "Split",
                &["probabilities"],
                &SPECIES,
                &[("axis", 1), ("num_outputs", classes)],
            ),
        ],
        initializer: vec![
            tensor("weights", &[inputs, classes], weights),
            tensor("bias", &[classes], classifier.bias.iter()),
        ],
        input: vec![value("measurements", FLOAT, &[inputs])],
        output,
    }
}

fn node(op_type: &str, input: &[&str], output: &[&str], attributes: &[(&str, i64)]) -> Node {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let attribute = attributes.iter().map(|(name, i)| Attribute {
        name: (*name).to_owned(),
        i: *i,
        kind: INT,
    });
    Node {
        input: owned(input),
        output: owned(output),
        op_type: op_type.to_owned(),
        attribute: attribute.collect(),
    }
}

fn tensor<'a>(name: &str, dims: &[i64], values: impl Iterator<Item = &'a f64>) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        data_type: FLOAT,
        float_data: values.map(|value| *value as f32).collect(),
        name: name.to_owned(),
    }
}

/// Any number of rows, and then these extents.
fn value(name: &str, elem_type: i32, extents: &[i64]) -> ValueInfo {
    let rows = Extent::Named("rows".to_owned());
    let fixed = extents.iter().map(|extent| Extent::Fixed(*extent));
    let dim = std::iter::once(rows).chain(fixed).map(|extent| Dimension {
        extent: Some(extent),
    });
    let shape = Shape { dim: dim.collect() };
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(TensorType {
                elem_type,
                shape: Some(shape),
            }),
        }),
    }
}

/// As MLflow writes it; the client adds the run and the id.
fn manifest() -> String {
    let column = |name: &&str, kind: &str| {
        format!(r#"{{"type": "{kind}", "name": "{name}", "required": true}}"#)
    };
    let inputs: Vec<_> = MEASUREMENTS
        .iter()
        .map(|name| column(name, "double"))
        .collect();
    let outputs: Vec<_> = SPECIES.iter().map(|name| column(name, "float")).collect();
    format!(
        "flavors:\n\
         \x20 onnx:\n\
         \x20   data: model.onnx\n\
         \x20   providers:\n\
         \x20   - CPUExecutionProvider\n\
         \x20 python_function:\n\
         \x20   data: model.onnx\n\
         \x20   loader_module: mlflow.onnx\n\
         mlflow_version: 3.17.2\n\
         signature:\n\
         \x20 inputs: '[{}]'\n\
         \x20 outputs: '[{}, {}]'\n\
         \x20 params: null\n",
        inputs.join(", "),
        column(&"species", "long"),
        outputs.join(", ")
    )
}
