//! Files of a folder that somebody else wrote: bounded, and never outside of it.
//!
//! Symbolic links are not followed, whatever they point to; what is no plain file is not opened;
//! texts have a largest size. Paths in messages are those below the root.

use std::fs::{File, FileType};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::meta::MetaError;

/// The largest file that holds one value: 1 MiB. MLflow writes at most 8000 characters.
const LARGEST_VALUE: u64 = 1 << 20;

/// The largest `meta.yaml`: 32 MiB. The profile of a dataset may have half of that.
const LARGEST_META: u64 = 32 << 20;

/// Folders within each other that a key such as `a/b/c` may lead through.
const DEEPEST_KEY: usize = 64;

/// Bytes of all values of one folder of keys.
const LARGEST_SUM: usize = 256 << 20;

/// The file that says what a folder is.
pub(crate) const META: &str = "meta.yaml";

/// The folder of a run, logged model or trace that holds its artifacts.
const ARTIFACTS: &str = "artifacts";

/// Folders of an experiment whose folders have artifacts of their own.
const OWNERS: [&str; 2] = ["models", "traces"];

/// Why something in the folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refuses.
    #[error("`{}` cannot be read", path.display())]
    Io {
        /// The file or folder, below the root.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is not there.
    #[error("there is no `{}`", path.display())]
    Missing {
        /// The file, below the root.
        path: PathBuf,
    },
    /// A symbolic link, which could lead out of the folder.
    #[error("`{}` is a symbolic link, and those are not followed", path.display())]
    Link {
        /// The link, below the root.
        path: PathBuf,
    },
    /// A folder where a file should be, or a device.
    #[error("`{}` is no plain {wanted}", path.display())]
    Kind {
        /// What it should be.
        wanted: &'static str,
        /// The path, below the root.
        path: PathBuf,
    },
    /// Larger than anything that MLflow writes.
    #[error("`{}` has more than {limit} bytes", path.display())]
    Large {
        /// The file, below the root.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// Folders within folders without end.
    #[error("`{}` has folders deeper than {DEEPEST_KEY}", path.display())]
    Deep {
        /// The folder, below the root.
        path: PathBuf,
    },
    /// A file or a name that is not UTF-8.
    #[error("`{}` is not UTF-8", path.display())]
    Encoding {
        /// The file, below the root.
        path: PathBuf,
    },
    /// A `meta.yaml` that is no YAML, or not of the form it should have.
    #[error("`{}` is not what MLflow writes", path.display())]
    Yaml {
        /// The file, below the root.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: MetaError,
    },
    /// A field of a `meta.yaml` that has no possible value.
    #[error("`{}`: {reason}", path.display())]
    Field {
        /// The file, below the root.
        path: PathBuf,
        /// Which field, and what is wrong.
        reason: String,
    },
    /// A line that is no point of a metric.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Line {
        /// The file, below the root.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A folder below the root, or the root itself.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: Arc<Path>,
    path: PathBuf,
}

/// What is in a folder, in the order of names.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// Names of folders.
    pub(crate) folders: Vec<String>,
    /// Names of files.
    pub(crate) files: Vec<String>,
    /// What is not read.
    pub(crate) refused: Vec<ReadError>,
}

impl Entries {
    fn has_only_folders(&self) -> bool {
        !self.folders.is_empty() && self.files.is_empty() && self.refused.is_empty()
    }
}

impl Folder {
    /// The root itself, which may be a link: who names it means what it points to.
    pub(crate) fn root(path: &Path) -> io::Result<Self> {
        Ok(Self {
            root: path.canonicalize()?.into(),
            path: PathBuf::new(),
        })
    }

    /// A folder in this one.
    pub(crate) fn folder(&self, name: &str) -> Self {
        Self {
            root: Arc::clone(&self.root),
            path: self.path.join(name),
        }
    }

    /// The path below the root, for messages.
    pub(crate) fn shown(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            return self.path.clone();
        }
        self.path.join(name)
    }

    /// Nothing is joined for the folder itself: a slash at the end would follow a link.
    fn real(&self, name: &str) -> PathBuf {
        if self.path.as_os_str().is_empty() && name.is_empty() {
            return self.root.to_path_buf();
        }
        self.root.join(self.shown(name))
    }

    /// The folder on the disk.
    pub(crate) fn location(&self) -> PathBuf {
        self.real("")
    }

    /// The kind of something in this folder; none when it is not there.
    fn kind(&self, name: &str) -> Result<Option<FileType>, ReadError> {
        match self.real(name).symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => Err(ReadError::Link {
                path: self.shown(name),
            }),
            Ok(metadata) => Ok(Some(metadata.file_type())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(name, source)),
        }
    }

    fn failed(&self, name: &str, source: io::Error) -> ReadError {
        ReadError::Io {
            path: self.shown(name),
            source,
        }
    }

    /// What is in it; nothing when it is not there.
    pub(crate) fn entries(&self) -> Result<Entries, ReadError> {
        let mut entries = Entries::default();
        match self.kind("")? {
            None => return Ok(entries),
            Some(kind) if !kind.is_dir() => {
                return Err(ReadError::Kind {
                    wanted: "folder",
                    path: self.path.clone(),
                });
            }
            Some(_) => {}
        }
        let read = self.location().read_dir();
        for entry in read.map_err(|source| self.failed("", source))? {
            let entry = entry.map_err(|source| self.failed("", source))?;
            let path = self.path.join(entry.file_name());
            let Ok(name) = entry.file_name().into_string() else {
                entries.refused.push(ReadError::Encoding { path });
                continue;
            };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => entries.folders.push(name),
                Ok(kind) if kind.is_file() => entries.files.push(name),
                Ok(kind) if kind.is_symlink() => entries.refused.push(ReadError::Link { path }),
                Ok(_) => entries.refused.push(ReadError::Kind {
                    wanted: "file",
                    path,
                }),
                Err(source) => entries.refused.push(ReadError::Io { path, source }),
            }
        }
        entries.folders.sort_unstable();
        entries.files.sort_unstable();
        Ok(entries)
    }

    /// Whether it holds artifacts and nothing else: a server that has its runs in a database keeps
    /// artifacts in the same places.
    pub(crate) fn has_only_artifacts(&self) -> bool {
        let entries = self.entries().unwrap_or_default();
        entries.has_only_folders() && entries.folders == [ARTIFACTS]
    }

    /// Whether it is an experiment of which there are only artifacts.
    pub(crate) fn is_experiment_of_artifacts(&self) -> bool {
        let entries = self.entries().unwrap_or_default();
        let is_of_artifacts = |name: &String| {
            let folder = self.folder(name);
            if !OWNERS.contains(&name.as_str()) {
                return folder.has_only_artifacts();
            }
            let owners = folder.entries().unwrap_or_default();
            owners.has_only_folders()
                && owners
                    .folders
                    .iter()
                    .all(|owner| folder.folder(owner).has_only_artifacts())
        };
        entries.has_only_folders() && entries.folders.iter().all(is_of_artifacts)
    }

    /// The same, where everything must be readable.
    fn all_entries(&self) -> Result<Entries, ReadError> {
        let mut entries = self.entries()?;
        match entries.refused.pop() {
            Some(refused) => Err(refused),
            None => Ok(entries),
        }
    }

    /// Names of the folders in it, where everything must be readable.
    pub(crate) fn folders(&self) -> Result<Vec<String>, ReadError> {
        Ok(self.all_entries()?.folders)
    }

    /// Opens a plain file.
    pub(crate) fn open(&self, name: &str) -> Result<File, ReadError> {
        match self.kind(name)? {
            None => Err(ReadError::Missing {
                path: self.shown(name),
            }),
            Some(kind) if !kind.is_file() => Err(ReadError::Kind {
                wanted: "file",
                path: self.shown(name),
            }),
            Some(_) => File::open(self.real(name)).map_err(|source| self.failed(name, source)),
        }
    }

    fn text(&self, name: &str, limit: u64) -> Result<String, ReadError> {
        let mut bytes = Vec::new();
        let file = self.open(name)?;
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.failed(name, source))?;
        if bytes.len() as u64 > limit {
            return Err(ReadError::Large {
                path: self.shown(name),
                limit,
            });
        }
        String::from_utf8(bytes).map_err(|_| ReadError::Encoding {
            path: self.shown(name),
        })
    }

    /// The text of its `meta.yaml`.
    pub(crate) fn meta(&self) -> Result<String, ReadError> {
        self.text(META, LARGEST_META)
    }

    /// The text of a file that holds one value.
    pub(crate) fn value(&self, name: &str) -> Result<String, ReadError> {
        self.text(name, LARGEST_VALUE)
    }

    /// Keys of a folder of keys, such as `loss` or `train/loss`: its files and those in its folders.
    pub(crate) fn keys(&self) -> Result<Vec<String>, ReadError> {
        let mut keys = Vec::new();
        self.collect_keys("", 0, &mut keys)?;
        Ok(keys)
    }

    fn collect_keys(
        &self,
        prefix: &str,
        depth: usize,
        keys: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        if depth > DEEPEST_KEY {
            return Err(ReadError::Deep {
                path: self.path.clone(),
            });
        }
        let entries = self.all_entries()?;
        for name in entries.files {
            keys.push(format!("{prefix}{name}"));
        }
        for name in entries.folders {
            let inner = format!("{prefix}{name}/");
            self.folder(&name).collect_keys(&inner, depth + 1, keys)?;
        }
        Ok(())
    }

    /// Keys of a folder of keys with their values.
    pub(crate) fn values(&self) -> Result<Vec<(String, String)>, ReadError> {
        let mut values = Vec::new();
        let mut sum = 0;
        for key in self.keys()? {
            let value = self.value(&key)?;
            sum += key.len() + value.len();
            if sum > LARGEST_SUM {
                return Err(ReadError::Large {
                    path: self.path.clone(),
                    limit: LARGEST_SUM as u64,
                });
            }
            values.push((key, value));
        }
        Ok(values)
    }
}
