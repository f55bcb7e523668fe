//! Where downloads and libraries are kept.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

/// Where to keep what is downloaded.
#[derive(Clone, Debug, Args)]
pub(crate) struct CacheArguments {
    /// The folder for downloaded models and libraries [default: mlrs in the user's cache folder]
    #[arg(long, env = "MLRS_CACHE_DIR", value_name = "DIR", global = true)]
    cache_dir: Option<PathBuf>,
}

impl CacheArguments {
    /// The folder; it need not exist yet.
    ///
    /// # Errors
    /// When none was named and the system knows no cache folder for this user.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        match &self.cache_dir {
            Some(folder) => Ok(folder.clone()),
            None => dirs::cache_dir()
                .map(|cache| cache.join("mlrs"))
                .context("there is no cache folder for this user; name one with --cache-dir"),
        }
    }
}
