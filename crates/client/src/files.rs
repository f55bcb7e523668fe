//! File operations whose errors name the file and what was to be done with it.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation failed.
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

impl FileError {
    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        let text = match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full: free some space or choose another folder for the cache"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder for the cache that this user may write to"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Turns an [`io::Error`] into a [`FileError`] about this path.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError {
        action,
        path,
        source,
    }
}

/// Creates a folder and what is missing above it.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(failed("create the folder", path))
}

/// Removes a folder with everything in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove the folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a small file and waits until it is on the disk.
pub fn write_durably(path: &Path, content: &[u8]) -> Result<(), FileError> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).map_err(failed("create", path))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
}

/// Moves a folder within a file system and makes the move durable where the system can.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(failed("move the download to", to))?;
    // Folders cannot be opened for this on every system; then the rename is as durable as it gets.
    if let Some(Ok(folder)) = to.parent().map(std::fs::File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}
