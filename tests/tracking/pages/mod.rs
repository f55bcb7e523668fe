//! MLflow's web pages on `mlrs server`: the files themselves.

mod files;
