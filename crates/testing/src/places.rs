//! Where the workspace and the tests' own files lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::Error;

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root
        .ancestors()
        .nth(2)
        .unwrap_or(crate_root)
        .to_path_buf()
}

/// Where the tests keep what is expensive to make: `MLRS_TEST_HOME`, else `.mlrs-test` in the
/// workspace, which git ignores.
pub fn home() -> PathBuf {
    match std::env::var_os("MLRS_TEST_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => workspace_root().join(".mlrs-test"),
    }
}

/// Copies the files of a folder into another one, which is made if it is not there.
///
/// # Errors
/// When a file cannot be read or written, or is a folder.
pub fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    let io = |source| Error::io(format!("copy `{}`", from.display()), source);
    std::fs::create_dir_all(to).map_err(io)?;
    for entry in std::fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(io)?;
    }
    Ok(())
}

/// A small file system of its own, which ends with this value.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one of a size such as `8m`.
    ///
    /// # Errors
    /// When this user may not.
    pub fn mount(size: &str) -> Result<Self, Error> {
        let io = |source| Error::io("mount a small disk", source);
        let folder = tempfile::tempdir().map_err(io)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(io)?;
        if mounted.status.success() {
            return Ok(Self(folder));
        }
        let reason = String::from_utf8_lossy(&mounted.stderr).into_owned();
        Err(Error::Missing(format!("no small disk: {reason}")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// A short name for the contents of these files, as hexadecimal digits: what was made from them
/// can be kept under that name.
///
/// # Errors
/// When a file cannot be read.
pub fn fingerprint(files: &[PathBuf]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for file in files {
        let contents = std::fs::read(file)
            .map_err(|source| Error::io(format!("read `{}`", file.display()), source))?;
        hash.update(contents.len().to_le_bytes());
        hash.update(&contents);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_fingerprint_depends_on_contents_and_their_borders() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let first = fingerprint(&[write("a", "xy"), write("b", "z")]).unwrap();
        let moved = fingerprint(&[write("c", "x"), write("d", "yz")]).unwrap();
        let again = fingerprint(&[write("e", "xy"), write("f", "z")]).unwrap();
        assert_ne!(first, moved);
        assert_eq!(first, again);
        assert_eq!(first.len(), 16);
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = fingerprint(&[PathBuf::from("/nowhere/at-all")]).unwrap_err();
        assert_eq!(error.to_string(), "could not read `/nowhere/at-all`");
    }
}
