//! MLflow's web pages on `mlrs server`: the files themselves, and a walk through the pages with a
//! real browser.

mod files;
mod fill;
mod walk;
