//! Where Helm lies, and the schemas of kinds that are installed beside Kubernetes' own.

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

/// Helm's program in the folder `MLRS_TEST_HELM`, else the one that `cargo xtask test` installed.
///
/// # Errors
/// When there is none.
pub fn helm() -> Result<PathBuf, Error> {
    let program = "bin/helm";
    Ok(found("MLRS_TEST_HELM", "helm", program)?.join(program))
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
    let wanted = path.join(inside);
    if wanted.exists() {
        return Ok(path);
    }
    Err(Error::Missing(format!(
        "there is no `{}`; `cargo xtask test` installs it",
        wanted.display()
    )))
}
