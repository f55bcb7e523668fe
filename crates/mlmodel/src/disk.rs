//! Errors about files: [`FileError`] names the file and what was to be done with it.
//!
//! What to do about one depends on who writes where, so the remedy is left to those who know:
//! [`DiskTrouble`] tells them of what kind it is.

use std::io;
use std::path::{Path, PathBuf};

use crate::staging::Unwritable;

/// A file or a folder could not be worked on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileError {
    /// What was to be done, such as `write`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl From<Unwritable> for FileError {
    fn from(error: Unwritable) -> Self {
        Self {
            action: "write",
            path: error.path,
            source: error.source,
        }
    }
}

/// Turns an [`io::Error`] into one about this file.
pub fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError {
        action,
        path: path.clone(),
        source,
    }
}

/// Makes a folder, and what is missing above it.
///
/// # Errors
/// When the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(failed("create the folder", path))
}

/// An error of the disk that whoever chooses the folder can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// There is no room.
    Full,
    /// This user may not write there.
    Forbidden,
}

impl DiskTrouble {
    /// Of what kind an error is, if it is of one.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some(Self::Forbidden)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_its_kind_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let below = file.join("below");
        let error = create_folder(&below).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot create the folder `{}`", below.display())
        );
        assert_eq!(DiskTrouble::of(&error.source), None);
        for (kind, trouble) in [
            (io::ErrorKind::StorageFull, DiskTrouble::Full),
            (io::ErrorKind::PermissionDenied, DiskTrouble::Forbidden),
        ] {
            assert_eq!(DiskTrouble::of(&kind.into()), Some(trouble));
        }
    }
}
