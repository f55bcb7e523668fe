//! Images: built from a model, run, pushed, pulled, and compared with the model outside.
//!
//! They run in a real Docker engine, go to a real registry, and are looked at by another client.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod bases;
mod build;
mod commands;
mod compose;
mod crates;
mod dashboard;
mod debian;
mod deployments;
mod failures;
mod locales;
mod outputs;
mod platform;
mod registries;
mod same;
mod served;
