//! A model directory on disk: [`ModelDirectory`].
//!
//! It reads the `MLmodel` file when it opens, the other files when they are asked for. Paths that
//! the `MLmodel` file names are hostile: [`ModelDirectory::data_path`] is the way to follow them.
//! Errors are in `directory/error.rs`, each with a hint.

mod error;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

pub use error::{FileError, OpenError};

use crate::archive::{self, Limits, Progress};
use crate::manifest::{FILE_NAME, Manifest};
use crate::python::PythonEnvironment;
use crate::signature::Signature;
use crate::yaml::TEXT_LIMIT;

/// Examples and lists of requirements beyond this many bytes are not read.
pub const EXAMPLE_LIMIT: u64 = 64 << 20;

/// A directory with an `MLmodel` file that was read.
#[derive(Clone, Debug)]
pub struct ModelDirectory {
    /// Where it is, as it was given.
    pub path: PathBuf,
    /// The `MLmodel` file.
    pub manifest: Manifest,
    /// The signature, if the model has one.
    pub signature: Option<Signature>,
}

impl ModelDirectory {
    /// Reads the `MLmodel` file of a directory.
    ///
    /// # Errors
    /// When there is no such directory, no `MLmodel` file in it, or one that cannot be read. The
    /// error names the file; [`OpenError::hint`] says what to do.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        let file = path.join(FILE_NAME);
        let text = read_manifest(&path, &file)?;
        let manifest = Manifest::parse(&text).map_err(|source| OpenError::Manifest {
            file: file.clone(),
            source,
        })?;
        let signature = manifest
            .signature()
            .map_err(|source| OpenError::Signature { file, source })?;
        Ok(Self {
            path,
            manifest,
            signature,
        })
    }

    /// The configuration of a flavor, by its key.
    pub fn flavor(&self, key: &str) -> Option<&Map<String, Value>> {
        self.manifest.flavor(key)
    }

    /// The size of all files together, in bytes. Symbolic links are neither followed nor counted.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn size_bytes(&self) -> io::Result<u64> {
        let mut waiting = VecDeque::from([self.path.clone()]);
        let mut size = 0_u64;
        while let Some(directory) = waiting.pop_front() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    waiting.push_back(entry.path());
                } else if kind.is_file() {
                    size = size.saturating_add(entry.metadata()?.len());
                }
            }
        }
        Ok(size)
    }

    /// The real path of something in the directory, by a path relative to it.
    ///
    /// # Errors
    /// When the path is empty or absolute, has a `..`, leads through a symbolic link out of the
    /// directory, or to nothing.
    pub fn data_path(&self, relative: &str) -> Result<PathBuf, FileError> {
        let inside = Path::new(relative);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if relative.is_empty() || relative.contains('\0') || !inside.components().all(plain) {
            return Err(FileError::NotRelative {
                path: relative.to_owned(),
            });
        }
        let full = self.path.join(inside);
        let unreadable = |source| FileError::Unreadable {
            path: full.clone(),
            source,
        };
        let root = fs::canonicalize(&self.path).map_err(unreadable)?;
        let real = fs::canonicalize(&full).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => FileError::Absent { path: full.clone() },
            _ => unreadable(source),
        })?;
        if real.starts_with(&root) {
            Ok(real)
        } else {
            Err(FileError::Outside { path: full })
        }
    }

    /// The example as a request body for the scoring server; `None` when the model has none.
    ///
    /// # Errors
    /// When the file is named but cannot be read, is outside or beyond [`EXAMPLE_LIMIT`].
    pub fn serving_input_example(&self) -> Result<Option<Vec<u8>>, FileError> {
        let info = self.manifest.saved_input_example_info.as_ref();
        self.example(info.and_then(|info| info.serving_input_path.as_deref()))
    }

    /// The example as it was logged; `None` when the model has none.
    ///
    /// # Errors
    /// As [`ModelDirectory::serving_input_example`].
    pub fn input_example(&self) -> Result<Option<Vec<u8>>, FileError> {
        let info = self.manifest.saved_input_example_info.as_ref();
        self.example(info.and_then(|info| info.artifact_path.as_deref()))
    }

    fn example(&self, relative: Option<&str>) -> Result<Option<Vec<u8>>, FileError> {
        relative
            .map(|relative| self.read(relative, EXAMPLE_LIMIT))
            .transpose()
    }

    /// The bytes of a file of at most `limit` bytes; the path may come from the `MLmodel` file.
    ///
    /// # Errors
    /// When there is none, or it is outside, too large, or not readable.
    pub fn read(&self, relative: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        read_file(&self.data_path(relative)?, limit)
    }

    /// The lines of `requirements.txt` without comments and blanks; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn requirements(&self) -> Result<Option<Vec<String>>, FileError> {
        let Some(text) = self.optional_text("requirements.txt")? else {
            return Ok(None);
        };
        let lines = text
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim());
        Ok(Some(
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
        ))
    }

    /// The Python environment: the file that the manifest names, else `python_env.yaml`;
    /// `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn python_env(&self) -> Result<Option<PythonEnvironment>, FileError> {
        let named = self
            .manifest
            .python_function()
            .and_then(|function| function.virtualenv);
        let relative = named.as_deref().unwrap_or("python_env.yaml");
        let Some(text) = self.optional_text(relative)? else {
            return Ok(None);
        };
        let path = self.path.join(relative);
        PythonEnvironment::parse(&text)
            .map(Some)
            .map_err(|source| FileError::Yaml { path, source })
    }

    fn optional_text(&self, relative: &str) -> Result<Option<String>, FileError> {
        let path = match self.data_path(relative) {
            Ok(path) => path,
            Err(FileError::Absent { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = read_file(&path, EXAMPLE_LIMIT)?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| FileError::NotText { path })
    }
}

/// Opens a model directory, or a `.zip` of one, which is unpacked into a new folder below
/// `scratch`. The caller removes that folder when the model is no longer needed.
///
/// # Errors
/// As [`ModelDirectory::open`] and [`archive::unpack`].
pub fn open_model(
    path: &Path,
    scratch: &Path,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ModelDirectory, OpenError> {
    if !path.is_file() || !archive::is_archive(path) {
        return ModelDirectory::open(path);
    }
    let stem = path.file_stem().unwrap_or_default();
    let mut destination = scratch.join(stem);
    let mut attempt = 1_u32;
    while destination.symlink_metadata().is_ok() && attempt < 10_000 {
        attempt += 1;
        let mut name = stem.to_owned();
        name.push(format!("-{attempt}"));
        destination = scratch.join(name);
    }
    archive::unpack(path, &destination, limits, progress).map_err(|source| OpenError::Archive {
        archive: path.to_path_buf(),
        source,
    })?;
    ModelDirectory::open(destination)
}

fn read_manifest(path: &Path, file: &Path) -> Result<String, OpenError> {
    let metadata = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OpenError::Absent {
            path: path.to_owned(),
        },
        _ => OpenError::Unreadable {
            file: path.to_owned(),
            source,
        },
    })?;
    if !metadata.is_dir() {
        return Err(OpenError::NotADirectory {
            path: path.to_owned(),
        });
    }
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => {
            return Err(OpenError::NotAFile {
                file: file.to_owned(),
            });
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::no_manifest(path));
        }
        Err(source) => {
            return Err(OpenError::Unreadable {
                file: file.to_owned(),
                source,
            });
        }
    }
    let bytes = read_file(file, TEXT_LIMIT as u64).map_err(|error| match error {
        FileError::TooLarge { limit, .. } => OpenError::TooLarge {
            file: file.to_owned(),
            limit,
        },
        FileError::Unreadable { source, .. } => OpenError::Unreadable {
            file: file.to_owned(),
            source,
        },
        _ => OpenError::NotText {
            file: file.to_owned(),
        },
    })?;
    let text = String::from_utf8(bytes).map_err(|_| OpenError::NotText {
        file: file.to_owned(),
    })?;
    if text.trim().is_empty() {
        return Err(OpenError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(text)
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // A named pipe would block for ever.
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}
