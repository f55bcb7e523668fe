//! Model directories that mlrs makes of ONNX files, held against those that MLflow makes of the same
//! files, and used by Python: loaded, asked, registered, changed.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod cases;
mod example;
mod predicted;
mod refused;
mod registered;
mod requirements;
mod saved;
mod workshop;
