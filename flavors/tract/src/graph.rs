//! The graph of an ONNX file: read, checked, and declared in the words of the contract.
//!
//! The main type is [`Graph`]. `ZipMap` is already off its end, and its operators are known to tract.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use mlrs_backend::{Refusal, TensorInfo, ValueInfo};
use mlrs_payload::{DType, Dim, ValueKind};
use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value as TypeValue};
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use tract_onnx::prelude::Framework;

use crate::catch::caught;
use crate::values::Finish;
use crate::{HINT, classes, operators, recurrent, zipmap};

const DAMAGED: &str = "a download or a copy may have been cut short: fetch the model again";

/// A graph that tract may be able to run.
pub(crate) struct Graph {
    pub proto: ModelProto,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<ValueInfo>,
    /// For each output, what is done with the tensor that tract gives.
    pub finishes: Vec<Finish>,
}

impl Graph {
    /// Reads the file at `path`; `name` is what errors call it.
    pub fn read(framework: &Onnx, path: &Path, name: &str) -> Result<Self, Refusal> {
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
            Refusal::new(format!("`{name}` is not an ONNX model"))
                .with_source(error)
                .with_hint(DAMAGED)
        };
        let mut proto = caught(|| framework.proto_model_for_path(path))
            .map_err(|error| unreadable(error.into()))?;
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        let mut imports = proto.opset_import.iter();
        let opset = imports.find(|set| own(&set.domain));
        let opset = opset.map_or(1, |set| set.version);
        let graph = proto
            .graph
            .as_mut()
            .filter(|graph| !graph.output.is_empty());
        let graph = graph.ok_or_else(|| {
            Refusal::new(format!("`{name}` is not an ONNX model: it has no graph"))
                .with_hint(DAMAGED)
        })?;
        let declared = graph.output.clone();
        let labels = zipmap::strip(graph);
        let names = classes::number(graph);
        operators::check(framework, graph)?;
        recurrent::check(graph)?;
        recurrent::complete(graph, opset);
        let inputs = inputs(graph)?;
        let outputs = declared
            .iter()
            .zip(&labels)
            .map(|(info, labels)| output(info, labels.is_some()))
            .collect::<Result<_, _>>()?;
        let finish = |(labels, names): (_, Option<Vec<String>>)| match labels {
            Some(labels) => Finish::Maps(labels),
            None => names.map_or(Finish::Plain, Finish::Names),
        };
        let finishes = labels.into_iter().zip(names).map(finish).collect();
        Ok(Self {
            proto,
            inputs,
            outputs,
            finishes,
        })
    }

    /// The model for tract, where each dimension of an input that is not fixed is a symbol.
    ///
    /// Dimensions of the same name are the same symbol. Unnamed ones differ, but for `shared_rows`
    /// the unnamed leading ones are the same: tract must know that tables with a column each are
    /// equally long before it can join them.
    pub fn with_symbols(&self, shared_rows: bool) -> (ModelProto, Vec<Vec<Axis>>) {
        let mut symbols = Symbols {
            names: HashMap::new(),
            next: 0,
            shared_rows,
        };
        let axes: Vec<Vec<Axis>> = self
            .inputs
            .iter()
            .map(|input| symbols.axes(input))
            .collect();
        let mut proto = self.proto.clone();
        let by_name: HashMap<&str, &Vec<Axis>> = self
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .zip(&axes)
            .collect();
        for input in proto.graph.iter_mut().flat_map(|graph| &mut graph.input) {
            if let (Some(axes), Some(TypeValue::TensorType(tensor))) = (
                by_name.get(input.name.as_str()),
                input.r#type.as_mut().and_then(|kind| kind.value.as_mut()),
            ) {
                rename(tensor, axes);
            }
        }
        (proto, axes)
    }
}

/// A dimension of an input as tract sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Fixed(usize),
    Symbol(usize),
}

struct Symbols<'graph> {
    names: HashMap<&'graph str, usize>,
    next: usize,
    shared_rows: bool,
}

impl<'graph> Symbols<'graph> {
    fn axes(&mut self, input: &'graph TensorInfo) -> Vec<Axis> {
        let dims = input.shape.iter().flatten().enumerate();
        dims.map(|(index, dim)| match dim {
            Dim::Fixed(length) => Axis::Fixed(*length),
            Dim::Symbolic(name) => self.named(name),
            // No name of a graph is empty, so this one is free.
            Dim::Unknown if index == 0 && self.shared_rows => self.named(""),
            Dim::Unknown => self.fresh(),
        })
        .collect()
    }

    fn named(&mut self, name: &'graph str) -> Axis {
        if let Some(symbol) = self.names.get(name) {
            return Axis::Symbol(*symbol);
        }
        self.names.insert(name, self.next);
        self.fresh()
    }

    fn fresh(&mut self) -> Axis {
        self.next += 1;
        Axis::Symbol(self.next - 1)
    }
}

fn rename(tensor: &mut TensorType, axes: &[Axis]) {
    let dims = tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim);
    for (dim, axis) in dims.zip(axes) {
        dim.value = Some(match axis {
            Axis::Fixed(length) => DimValue::DimValue(*length as i64),
            Axis::Symbol(symbol) => DimValue::DimParam(format!("d{symbol}")),
        });
    }
}

/// The inputs that are not constants: old models list those too.
fn inputs(graph: &GraphProto) -> Result<Vec<TensorInfo>, Refusal> {
    let constants: HashSet<&str> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    let inputs = graph
        .input
        .iter()
        .filter(|input| !constants.contains(input.name.as_str()));
    inputs
        .map(|info| {
            let tensor = tensor_type(info).ok_or_else(|| not_a_tensor("input", &info.name))?;
            let dtype = dtype(tensor).map_err(|kind| unsupported("input", &info.name, &kind))?;
            if dtype == DType::Str {
                return Err(unsupported("input", &info.name, "str"));
            }
            Ok(TensorInfo {
                name: info.name.clone(),
                dtype,
                shape: dims(tensor),
            })
        })
        .collect()
}

fn output(info: &ValueInfoProto, is_map: bool) -> Result<ValueInfo, Refusal> {
    let name = info.name.clone();
    if is_map {
        return Ok(ValueInfo {
            name,
            kind: ValueKind::Maps,
        });
    }
    let tensor = tensor_type(info).ok_or_else(|| not_a_tensor("output", &info.name))?;
    let dtype = dtype(tensor).map_err(|kind| unsupported("output", &info.name, &kind))?;
    Ok(ValueInfo {
        name,
        kind: ValueKind::Tensor {
            dtype,
            shape: dims(tensor),
        },
    })
}

fn tensor_type(info: &ValueInfoProto) -> Option<&TensorType> {
    let TypeValue::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

fn not_a_tensor(side: &str, name: &str) -> Refusal {
    Refusal::new(format!(
        "tract cannot carry the {side} `{name}`, which is not a tensor"
    ))
    .with_hint(HINT)
}

fn unsupported(side: &str, name: &str, kind: &str) -> Refusal {
    Refusal::new(format!(
        "tract cannot carry the {side} `{name}` of type `{kind}`"
    ))
    .with_hint(HINT)
}

fn dtype(tensor: &TensorType) -> Result<DType, String> {
    Ok(
        match DataType::try_from(tensor.elem_type).map_err(|_| tensor.elem_type.to_string())? {
            DataType::Bool => DType::Bool,
            DataType::Int8 => DType::I8,
            DataType::Int16 => DType::I16,
            DataType::Int32 => DType::I32,
            DataType::Int64 => DType::I64,
            DataType::Uint8 => DType::U8,
            DataType::Uint16 => DType::U16,
            DataType::Uint32 => DType::U32,
            DataType::Uint64 => DType::U64,
            DataType::Float16 => DType::F16,
            DataType::Float => DType::F32,
            DataType::Double => DType::F64,
            DataType::String => DType::Str,
            other => return Err(format!("{other:?}").to_lowercase()),
        },
    )
}

fn dims(tensor: &TensorType) -> Option<Vec<Dim>> {
    let dims = &tensor.shape.as_ref()?.dim;
    let dim = |value: &Option<DimValue>| match value {
        Some(DimValue::DimValue(length)) => {
            usize::try_from(*length).map_or(Dim::Unknown, Dim::Fixed)
        }
        Some(DimValue::DimParam(name)) if !name.is_empty() => Dim::Symbolic(name.clone()),
        _ => Dim::Unknown,
    };
    Some(dims.iter().map(|each| dim(&each.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_follow_names_and_rows() {
        let info = |dims: Vec<Dim>| TensorInfo {
            name: "x".to_owned(),
            dtype: DType::F32,
            shape: Some(dims),
        };
        let first = info(vec![
            Dim::Unknown,
            Dim::Fixed(3),
            Dim::Symbolic("t".to_owned()),
        ]);
        let second = info(vec![
            Dim::Unknown,
            Dim::Unknown,
            Dim::Symbolic("t".to_owned()),
        ]);
        let mut apart = Symbols {
            names: HashMap::new(),
            next: 0,
            shared_rows: false,
        };
        assert_eq!(
            apart.axes(&first),
            [Axis::Symbol(0), Axis::Fixed(3), Axis::Symbol(1)]
        );
        assert_eq!(
            apart.axes(&second),
            [Axis::Symbol(2), Axis::Symbol(3), Axis::Symbol(1)]
        );
        let mut shared = Symbols {
            names: HashMap::new(),
            next: 0,
            shared_rows: true,
        };
        assert_eq!(
            shared.axes(&first),
            [Axis::Symbol(0), Axis::Fixed(3), Axis::Symbol(1)]
        );
        assert_eq!(
            shared.axes(&second),
            [Axis::Symbol(0), Axis::Symbol(2), Axis::Symbol(1)]
        );
    }
}
