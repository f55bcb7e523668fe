//! Where the schemas of Kubernetes' kinds and of those that are installed beside them lie.

use std::path::PathBuf;

use crate::{Error, home};

/// The folder with KServe's Python package: `MLRS_TEST_KSERVE`, else the one that `cargo xtask test`
/// installed.
///
/// # Errors
/// When there is none.
pub fn kserve_package() -> Result<PathBuf, Error> {
    found("MLRS_TEST_KSERVE", "kserve", "kserve/models")
}

/// The folder with the packages of other kinds: `MLRS_TEST_KUBERNETES_MODELS`, else the one that
/// `cargo xtask test` installed.
///
/// # Errors
/// When there is none.
pub fn kubernetes_models() -> Result<PathBuf, Error> {
    found(
        "MLRS_TEST_KUBERNETES_MODELS",
        "kubernetes-models",
        "node_modules/@kubernetes-models",
    )
}

fn found(variable: &str, folder: &str, inside: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os(variable).map_or_else(|| home().join(folder), PathBuf::from);
    if path.join(inside).exists() {
        return Ok(path);
    }
    Err(Error::Missing(format!(
        "there are no schemas in `{}`; `cargo xtask test` installs them",
        path.display()
    )))
}
