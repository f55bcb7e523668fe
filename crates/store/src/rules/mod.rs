//! What may be asked: requests checked and made into what a store is asked to do.
//!
//! Limits, defaults and texts are those of MLflow 3.17 (`mlflow/utils/validation.py`,
//! `mlflow/server/handlers.py`); lengths are in characters.

pub mod experiments;
pub mod hosts;
pub mod limits;
pub mod lineage;
pub mod locations;
pub mod logged_models;
pub mod metrics;
mod names;
pub mod registry;
pub mod relative;
pub mod runs;
mod source_pattern;
pub mod transfers;
pub mod values;

pub use hosts::HostPolicy;
pub use source_pattern::{PatternError, SourcePattern};
pub use values::{Names, Truncate, parse_experiment_id, required};
