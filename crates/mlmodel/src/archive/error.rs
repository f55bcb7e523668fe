//! Why an archive was refused: [`ArchiveError`].

use std::io;
use std::path::PathBuf;

use crate::staging::Unwritable;

/// Why a directory could not be packed, or an archive not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system refuses.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is no zip archive, or a damaged one.
    #[error("`{}` is not a readable zip archive", path.display())]
    NotAnArchive {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: zip::result::ZipError,
    },
    /// The list of entries is longer than any real one.
    #[error("the list of entries in `{}` is too long", path.display())]
    DirectoryTooLarge {
        /// The archive.
        path: PathBuf,
    },
    /// An entry has a name that leads elsewhere.
    #[error("entry `{entry}` has an unsafe name: {problem}")]
    UnsafeName {
        /// The name, shortened.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An entry is neither a file nor a directory.
    #[error("entry `{entry}` is a {kind}, not a file or a directory")]
    UnsafeKind {
        /// The name, shortened.
        entry: String,
        /// What it is.
        kind: &'static str,
    },
    /// Two entries have one name.
    #[error("two entries are named `{entry}`")]
    Duplicate {
        /// The name, shortened.
        entry: String,
    },
    /// Two entries share their name, and which one is not known.
    #[error("two entries of `{}` have the same name", path.display())]
    DuplicateNames {
        /// The archive.
        path: PathBuf,
    },
    /// Entries share bytes, which only a bomb does.
    #[error("entries of `{}` overlap", path.display())]
    Overlapping {
        /// The archive.
        path: PathBuf,
    },
    /// An entry is both a file and a directory.
    #[error("entry `{entry}` is both a file and a directory")]
    Conflict {
        /// The name, shortened.
        entry: String,
    },
    /// Too many entries.
    #[error("{entries} entries, over the limit of {limit}")]
    TooManyEntries {
        /// How many there are.
        entries: u64,
        /// The limit.
        limit: usize,
    },
    /// Too many bytes, unpacked.
    #[error("{bytes} bytes unpacked, over the limit of {limit}")]
    TooLarge {
        /// How many there would be.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Unpacks to far more than a model does.
    #[error("unpacks to more than {limit} times its size, as an archive made to fill a disk does")]
    Bomb {
        /// The limit.
        limit: u64,
    },
    /// An entry is encrypted.
    #[error("entry `{entry}` is encrypted")]
    Encrypted {
        /// The name, shortened.
        entry: String,
    },
    /// An entry is compressed in a way that is not read.
    #[error("entry `{entry}` is compressed by `{method}`, not by deflate")]
    Method {
        /// The name, shortened.
        entry: String,
        /// The method.
        method: String,
    },
    /// The bytes of an entry are damaged.
    #[error("entry `{entry}` is damaged")]
    Damaged {
        /// The name, shortened.
        entry: String,
        /// How it was noticed.
        source: io::Error,
    },
    /// No `MLmodel` file at the root, or in the only folder.
    #[error("no `MLmodel` file in `{}`", path.display())]
    NoManifest {
        /// The archive.
        path: PathBuf,
    },
    /// The place to write is taken.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The archive would be packed into itself.
    #[error("`{}` lies inside the directory to pack", path.display())]
    InsideItself {
        /// The archive.
        path: PathBuf,
    },
    /// Something in the directory cannot be packed.
    #[error("cannot pack `{}`: {problem}", path.display())]
    NotPackable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ArchiveError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotAnArchive { .. } | Self::Damaged { .. } => {
                "the download or the copy may have been cut short: fetch it again"
            }
            Self::DirectoryTooLarge { .. }
            | Self::UnsafeName { .. }
            | Self::UnsafeKind { .. }
            | Self::Duplicate { .. }
            | Self::DuplicateNames { .. }
            | Self::Overlapping { .. }
            | Self::Conflict { .. }
            | Self::Bomb { .. } => {
                "no tool that packs a model writes this: do not trust the archive"
            }
            Self::TooManyEntries { .. } => {
                "if you trust the archive, unpack it yourself and name the folder"
            }
            Self::TooLarge { .. } => {
                "if you trust the archive, unpack it with `mlrs unpack --max-bytes N` and name the folder"
            }
            Self::Encrypted { .. } => "unpack it with the password and name the folder",
            Self::Method { .. } => {
                "unpack it yourself and name the folder, or pack it again with deflate"
            }
            Self::NoManifest { .. } => {
                "the `MLmodel` file must be at the root of the archive or in its only folder"
            }
            Self::Exists { .. } => "remove it, or name another place",
            Self::InsideItself { .. } => "name a place outside of the directory",
            Self::NotPackable { .. } => "replace it by a plain file, or leave it out",
            Self::Io { .. } => return None,
        })
    }
}

impl From<Unwritable> for ArchiveError {
    fn from(Unwritable { path, source }: Unwritable) -> Self {
        Self::Io {
            action: "write",
            path,
            source,
        }
    }
}
