//! Nothing to link against: this package exists for its integration tests.
//!
//! They drive the built `mlrs` binary as a user does. `differential/` asks it and MLflow's own
//! scoring server the same questions; `python/` makes the models, the questions and that server.
