//! Data on its way to a model and back.
//!
//! A request body becomes a [`Batch`] of [`Tensor`]s in the engine's own layout, and an
//! [`Output`] becomes an answer. An [`InputPlan`], compiled once when a model is loaded, says for
//! each column of a payload which tensor it goes to and how; text becomes a number once, in place.
//! This crate does no I/O and knows no engine.

mod batch;
mod binary;
mod convert;
mod csv;
mod encode;
mod error;
mod example;
mod frame;
mod graph;
mod inferred;
mod json;
mod lines;
mod nested;
mod params;
mod plan;
mod raw;
mod tensor;

pub use batch::{Batch, MapKeys, MapRow, Output, Value};
pub use encode::{Form, Part, encode};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use example::example;
pub use graph::{Misfit, check_output, check_signature, signature_of};
pub use plan::{AnswerShape, Compat, Decoded, Format, InputPlan};
pub use tensor::{DType, Dim, Tensor, TensorData, TensorInfo, ValueInfo, ValueKind};
