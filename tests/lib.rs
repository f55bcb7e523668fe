//! Nothing to link against: this package exists for its integration tests.
//!
//! They drive the built `mlrs` binary as a user does. `differential/` asks it and MLflow's own
//! scoring server the same questions, `tracking/` the two tracking servers; `registry/` follows model
//! URIs to a real server; `robust/` has what goes wrong: bad requests, models and clients, and the
//! signal to stop; `command_line/` keeps what is typed and printed in a terminal. `python/` makes the
//! models, the questions and the servers.
