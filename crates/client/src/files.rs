//! File operations of downloads, and what to do when they fail.

use std::io;
use std::path::Path;

use mlrs_mlmodel::disk::{DiskTrouble, FileError, failed};

/// What to check, where that is known.
pub fn hint(error: &FileError) -> Option<String> {
    let text = match DiskTrouble::of(&error.source)? {
        DiskTrouble::Full => {
            "the disk is full: free some space or choose another folder for the cache"
        }
        DiskTrouble::Forbidden => "choose a folder for the cache that this user may write to",
    };
    Some(text.to_owned())
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
