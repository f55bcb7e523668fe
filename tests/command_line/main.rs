//! Conversations with the built binary, as a person has them in a terminal: what is typed, what is
//! printed, what is left on the disk. They are kept word for word as snapshots beside the tests.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod archives;
mod help;
mod inspect;
mod library;
mod package;
mod predict;
mod serve;
mod terminal;
