//! The model directory: what MLflow writes beside a model, read and written without loss.
//!
//! The `MLmodel` file says what a model is; everything else in mlrs follows from it.
//! This crate knows files and formats only: no network, no engine, no HTTP. Everything it reads is
//! taken for hostile: sizes are bounded, paths stay inside, nothing panics.

pub mod archive;
pub mod directory;
pub mod disk;
pub mod manifest;
pub mod onnx;
pub mod package;
pub mod python;
mod python_json;
pub mod requirement;
pub mod signature;
pub mod staging;
mod yaml;
mod yaml_text;

pub use directory::{ModelDirectory, open_model};
pub use manifest::Manifest;
pub use signature::Signature;
pub use yaml::{TEXT_LIMIT, YamlError, YamlSyntax, read_texts};
