//! An ONNX file and the files that hold its tensors: [`OnnxFile`].
//!
//! It tells which files make a whole model; the graph itself is for the engines. The file is hostile:
//! its paths must stay in its folder, what they name must be there and as long as the tensors say.

mod error;
mod locales;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use prost::Message as _;

pub use error::OnnxError;
pub use locales::{locales, locales_of};

use crate::signature::shorten;

/// A protobuf message, and so an ONNX file, has less than 2 GiB; larger models keep tensors in other
/// files.
pub const ONNX_LIMIT: u64 = i32::MAX as u64;

/// Most other files that tensors may lie in.
const MOST_FILES: usize = 100_000;

/// An ONNX file on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The other files that its tensors lie in, by location.
    pub external: Vec<ExternalFile>,
}

/// A file that holds tensors of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalFile {
    /// Where the ONNX file says it is: relative to its folder, `/` between names, nothing that leads
    /// out.
    pub location: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

impl OnnxFile {
    /// Reads an ONNX file, and looks at the files that its tensors lie in.
    ///
    /// # Errors
    /// When it cannot be read or is no ONNX file, or when a tensor lies in a file that is absent, too
    /// short, or out of the folder of the ONNX file.
    pub fn open(path: &Path) -> Result<Self, OnnxError> {
        let content = read(path)?;
        let locations = locations(&content).map_err(|problem| problem.at(path))?;
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        let external = locations
            .into_iter()
            .map(|(location, needed)| find(path, folder, location, &needed))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            bytes: content.len() as u64,
            external,
        })
    }

    /// The size of all its files together, in bytes.
    pub fn total_bytes(&self) -> u64 {
        let external = self.external.iter().map(|file| file.bytes);
        external.fold(self.bytes, u64::saturating_add)
    }
}

/// What a file must hold for the most demanding tensor in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The tensor, for messages.
    pub tensor: String,
    /// Up to which byte.
    pub bytes: u64,
}

/// What is wrong inside of an ONNX file.
#[derive(Debug)]
pub enum Malformed {
    /// It cannot be read as the message that an ONNX file is.
    Message(prost::DecodeError),
    /// It is such a message, and no model.
    NoModel,
    /// A tensor's location leads out of the folder, or is none.
    Location {
        /// The tensor.
        tensor: String,
        /// The location.
        location: String,
    },
    /// A tensor's place in its file is no number, or beyond all measure.
    Extent {
        /// The tensor.
        tensor: String,
    },
    /// More files than any model has.
    TooManyFiles,
}

impl Malformed {
    fn at(self, path: &Path) -> OnnxError {
        let path = path.to_owned();
        match self {
            Self::Message(source) => OnnxError::NotOnnx { path, source },
            Self::NoModel => OnnxError::NoModel { path },
            Self::Location { tensor, location } => OnnxError::Location {
                path,
                tensor,
                location,
            },
            Self::Extent { tensor } => OnnxError::Extent { path, tensor },
            Self::TooManyFiles => OnnxError::TooManyFiles { path },
        }
    }
}

/// The locations that the tensors of an ONNX file name, and what each must hold.
///
/// # Errors
/// When the content is no ONNX model, or a location or an extent cannot be used.
pub fn locations(content: &[u8]) -> Result<BTreeMap<String, Needed>, Malformed> {
    let model = wire::Model::decode(content).map_err(Malformed::Message)?;
    if model.ir_version < 1 || model.graph.is_none() {
        return Err(Malformed::NoModel);
    }
    let mut found: BTreeMap<String, Needed> = BTreeMap::new();
    model.for_each_external(&mut |tensor| {
        let name = || shorten(&tensor.name);
        let location = tensor.entry("location").unwrap_or_default();
        let place = relative(location).ok_or_else(|| Malformed::Location {
            tensor: name(),
            location: shorten(location),
        })?;
        let bytes = end(tensor).ok_or_else(|| Malformed::Extent { tensor: name() })?;
        let needed = found.entry(place).or_default();
        if bytes >= needed.bytes {
            *needed = Needed {
                tensor: name(),
                bytes,
            };
        }
        if found.len() > MOST_FILES {
            return Err(Malformed::TooManyFiles);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The byte after a tensor in its file: `offset + length`, where the length may be left to the shape.
/// A length that is too short for the shape is the engine's to refuse.
fn end(tensor: &wire::Tensor) -> Option<u64> {
    let number = |key: &str| match tensor.entry(key) {
        None | Some("") => Some(None),
        Some(text) => text.parse::<u64>().ok().map(Some),
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.or_else(|| tensor.bytes()).unwrap_or(0);
    offset.checked_add(length)
}

/// A location with `/` between plain names; `None` for one that is absolute, leads out or names
/// nothing. A backslash leads out on Windows, and what controls a terminal must not come into messages.
fn relative(location: &str) -> Option<String> {
    if location.contains(|character: char| character == '\\' || character.is_control()) {
        return None;
    }
    let mut names = Vec::new();
    for part in Path::new(location).components() {
        match part {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

fn read(path: &Path) -> Result<Vec<u8>, OnnxError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => OnnxError::Absent {
            path: path.to_owned(),
        },
        _ => OnnxError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // A named pipe would block for ever.
    if !metadata.is_file() {
        return Err(OnnxError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(ONNX_LIMIT + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    match content.len() as u64 {
        0 => Err(OnnxError::Empty {
            path: path.to_owned(),
        }),
        bytes if bytes > ONNX_LIMIT => Err(OnnxError::TooLarge {
            path: path.to_owned(),
        }),
        _ => Ok(content),
    }
}

/// Finds a file that tensors lie in. Links are followed inside the folder only.
fn find(
    onnx: &Path,
    folder: &Path,
    location: String,
    needed: &Needed,
) -> Result<ExternalFile, OnnxError> {
    let tensor = needed.tensor.clone();
    let named = folder.join(&location);
    let unreadable = |path: &Path, source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OnnxError::NoExternal {
            path: path.to_owned(),
            tensor: tensor.clone(),
        },
        _ => OnnxError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let root = folder
        .canonicalize()
        .map_err(|source| unreadable(folder, source))?;
    let path = named
        .canonicalize()
        .map_err(|source| unreadable(&named, source))?;
    if !path.starts_with(&root) {
        return Err(OnnxError::Outside {
            path: named,
            onnx: onnx.to_owned(),
        });
    }
    let metadata = fs::metadata(&path).map_err(|source| unreadable(&named, source))?;
    if !metadata.is_file() {
        return Err(OnnxError::NotAFile { path: named });
    }
    let bytes = metadata.len();
    if bytes < needed.bytes {
        return Err(OnnxError::TooShort {
            path: named,
            bytes,
            tensor,
            needed: needed.bytes,
        });
    }
    Ok(ExternalFile {
        location,
        path,
        bytes,
    })
}

#[cfg(test)]
mod tests;
