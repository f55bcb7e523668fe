//! What an engine takes and gives: the inputs of one prediction, and its outputs.

use crate::tensor::{Tensor, TensorData};

/// The inputs of one prediction, in the order of the engine's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// One tensor for each input of the engine, in its order.
    pub inputs: Vec<Tensor>,
    /// Rows: the leading dimension that all inputs share, or 1 where there is none.
    pub rows: usize,
}

/// The outputs of one prediction, in the order of the engine's outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// One value for each output of the engine, in its order.
    pub values: Vec<Value>,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A map for each row, as the ONNX operator `ZipMap` gives.
    Maps(Vec<MapRow>),
    /// A sequence of tensors.
    Sequence(Vec<Tensor>),
}

/// A map: keys and values in the engine's order, equally many.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRow {
    /// The keys.
    pub keys: MapKeys,
    /// The values, one for each key.
    pub values: TensorData,
}

/// The keys of a [`MapRow`].
#[derive(Clone, Debug, PartialEq)]
pub enum MapKeys {
    /// Integer keys; text in JSON.
    Integers(Vec<i64>),
    /// Text keys.
    Strings(Vec<String>),
}
