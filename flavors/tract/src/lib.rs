//! ONNX models on tract: pure Rust, inside the binary, no library to install.
//!
//! It has fewer operators than ONNX Runtime, and neither text inputs nor sequences. The maps that
//! `ZipMap` makes at the end of converted classifiers are made here instead. What it cannot serve is
//! refused at load, with the reason. tract may panic on models that it does not expect: a panic is
//! caught, at load and in predictions, and becomes an error. [`Tract`] is the backend.

mod catch;
mod classes;
mod forest;
mod graph;
mod model;
mod operators;
mod plan;
mod recurrent;
mod session;
mod values;
mod zipmap;

use mlrs_backend::{Backend, LoadOptions, Model, ModelSource, Refusal};

/// The version of tract, for the facts of a model.
const VERSION: &str = "0.23.9";
/// What to do where tract is not enough.
const HINT: &str = "ONNX Runtime serves more models: run `mlrs onnxruntime install`";

/// The backend `tract`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tract;

impl Backend for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn flavors(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Box<dyn Model>, Refusal> {
        let path = source.file("data", "model.onnx")?;
        Ok(Box::new(model::TractModel::load(&path, options)?))
    }
}
