//! The folder with MLflow's web pages, as its build made it.
//!
//! The server adds nothing to the pages and does not know what is in them; it only keeps requests
//! within the folder.

use std::io;
use std::path::{Path, PathBuf};

use mlrs_artifacts::{ArtifactPath, ArtifactStore, LocalStore};

/// The page that loads all others.
pub(crate) const INDEX: &str = "index.html";

/// A folder of web pages.
#[derive(Clone, Debug)]
pub struct Pages(LocalStore);

/// Why a folder has no pages.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// It cannot be read.
    #[error("cannot open the folder of web pages `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The first page is not in it.
    #[error("no `{INDEX}` in the folder of web pages `{}`", .0.display())]
    NoIndex(PathBuf),
}

impl PagesError {
    /// What to do.
    pub const fn hint(&self) -> &'static str {
        "name the folder `mlflow/server/js/build` of MLflow's Python package"
    }
}

impl Pages {
    /// The pages of a folder.
    ///
    /// # Errors
    /// When it cannot be read, or the first page is not in it.
    pub fn open(folder: &Path) -> Result<Self, PagesError> {
        let real = folder.canonicalize().map_err(|source| PagesError::Folder {
            folder: folder.to_path_buf(),
            source,
        })?;
        if !real.join(INDEX).is_file() {
            return Err(PagesError::NoIndex(folder.to_path_buf()));
        }
        Ok(Self(LocalStore::new(real)))
    }

    /// The folder.
    pub(crate) fn store(&self) -> &dyn ArtifactStore {
        &self.0
    }

    /// The place of a file, if it is one of the folder: not a folder, and not a link that leads out.
    pub(crate) async fn find(&self, path: &str) -> Option<ArtifactPath> {
        let place = ArtifactPath::parse(path).ok()?;
        let found = self.0.stat(&place).await.ok()?;
        (!found.is_directory).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_of_the_folder_are_found_and_nothing_else() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("build");
        std::fs::create_dir_all(folder.join("static/js")).unwrap();
        assert!(matches!(Pages::open(&folder), Err(PagesError::NoIndex(_))));
        let none = around.path().join("none");
        assert!(matches!(Pages::open(&none), Err(PagesError::Folder { .. })));

        for file in ["build/index.html", "build/static/js/a.js", "secret"] {
            std::fs::write(around.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("../secret", folder.join("out")).unwrap();
        std::os::unix::fs::symlink("index.html", folder.join("within")).unwrap();
        let pages = Pages::open(&folder).unwrap();
        for path in ["index.html", "static/js/a.js", "within"] {
            assert!(pages.find(path).await.is_some(), "{path}");
        }
        for path in [
            "",
            "static",
            "static/js/",
            "none.js",
            "out",
            "../secret",
            "static/../../secret",
            "%2e%2e/secret",
            "/etc/passwd",
            "a\\b",
            "index.html\0",
        ] {
            assert!(pages.find(path).await.is_none(), "{path}");
        }
    }
}
