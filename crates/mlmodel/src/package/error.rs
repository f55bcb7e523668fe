//! Why a model directory could not be written: [`PackageError`], with hints as data beside it.

use std::io;
use std::path::PathBuf;

use crate::staging::Unwritable;

/// Why a model directory could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The destination is taken.
    #[error("`{}` exists already and is not an empty directory", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// The destination has no name that could be given, such as `.`.
    #[error("`{}` does not name a directory to make", path.display())]
    Unnamed {
        /// The destination.
        path: PathBuf,
    },
    /// A file with tensors has the name of another file of a model directory.
    #[error(
        "the model keeps tensors in `{location}`, a name that a model directory has for another file"
    )]
    Taken {
        /// Its location, as the ONNX file has it.
        location: String,
    },
    /// A file had another size when it was looked at.
    #[error("`{}` changed while it was copied", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system does not let read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not let write.
    #[error("cannot write `{}`", path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PackageError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Exists { .. } => "remove it, or name another place",
            Self::Unnamed { .. } => "name a new directory, such as `./model`",
            Self::Taken { .. } => "export the model with another name for its external data",
            Self::Changed { .. } => "wait until whatever writes it is done, and try again",
            Self::Unreadable { .. } | Self::Unwritable { .. } => return None,
        })
    }
}

impl From<Unwritable> for PackageError {
    fn from(Unwritable { path, source }: Unwritable) -> Self {
        Self::Unwritable { path, source }
    }
}
