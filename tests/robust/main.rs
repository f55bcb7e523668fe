//! What goes wrong in the field, against the built binary: bad requests, bad models, bad clients,
//! and the signal to stop.
//!
//! Exact answers are kept as snapshots beside the tests: a request stands there above its answer.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "helpers of tests fail as tests do"
)]

mod bad_models;
mod bad_requests;
mod clients;
mod costly;
mod mixing;
mod models;
mod pressure;
mod raw;
mod shutdown;
