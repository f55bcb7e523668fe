//! The benchmarks, and what they share: servers as processes, medians and targets, the report.
//!
//! [`serve`] measures scoring requests, [`tracking`] the tracking server, [`image`] container images.

mod document;
mod figures;
pub mod image;
mod processes;
pub mod serve;
mod subject;
pub mod tracking;

use std::path::PathBuf;
use std::process::Command;

use mlrs_testing::workspace_root;

use crate::environment;

/// Builds a package as it is released, and says where its program lies.
fn release_binary(package: &str) -> anyhow::Result<PathBuf> {
    let root = workspace_root();
    environment::run(
        Command::new("cargo")
            .args(["build", "--release", "-p", package])
            .current_dir(&root),
    )?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release").join(package))
}
