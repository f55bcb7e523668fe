//! Why an ONNX file was refused: [`OnnxError`], with hints as data beside it.

use std::io;
use std::path::PathBuf;

use super::ONNX_LIMIT;

/// Why an ONNX file was refused.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// There is nothing at the path.
    #[error("no ONNX file at `{}`", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// It is a directory or something special.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It has no bytes.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// It has more bytes than an ONNX file can.
    #[error("`{}` has more than {ONNX_LIMIT} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else, or cut short.
    #[error("`{}` is no ONNX file, or a damaged one", path.display())]
    NotOnnx {
        /// The path.
        path: PathBuf,
        /// Why.
        source: prost::DecodeError,
    },
    /// It could be read, but holds no model.
    #[error("`{}` holds no ONNX model", path.display())]
    NoModel {
        /// The path.
        path: PathBuf,
    },
    /// A tensor's location leads out of the folder, or is none.
    #[error("`{}` keeps the tensor `{tensor}` at `{location}`, which is no path inside its folder", path.display())]
    Location {
        /// The ONNX file.
        path: PathBuf,
        /// The tensor, shortened.
        tensor: String,
        /// The location, shortened.
        location: String,
    },
    /// A tensor's place in its file is no number.
    #[error("`{}` does not say where the external data of the tensor `{tensor}` ends", path.display())]
    Extent {
        /// The ONNX file.
        path: PathBuf,
        /// The tensor, shortened.
        tensor: String,
    },
    /// More files than any model has.
    #[error("`{}` keeps its tensors in too many files", path.display())]
    TooManyFiles {
        /// The ONNX file.
        path: PathBuf,
    },
    /// A file with tensors is not there.
    #[error("`{}`, which holds the tensor `{tensor}`, is missing", path.display())]
    NoExternal {
        /// Where it should be.
        path: PathBuf,
        /// The tensor, shortened.
        tensor: String,
    },
    /// A link leads out of the folder of the ONNX file.
    #[error("`{}` leads out of the folder of `{}`", path.display(), onnx.display())]
    Outside {
        /// Where it should be.
        path: PathBuf,
        /// The ONNX file.
        onnx: PathBuf,
    },
    /// A file with tensors ends before a tensor does.
    #[error("`{}` has {bytes} bytes, but the tensor `{tensor}` ends at {needed}", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The tensor, shortened.
        tensor: String,
        /// Where the tensor ends.
        needed: u64,
    },
}

impl OnnxError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Absent { .. } => "check the path",
            Self::NotAFile { .. } => "name the `.onnx` file itself",
            Self::Empty { .. } | Self::NotOnnx { .. } => {
                "the export, download or copy may have been cut short: make the file again"
            }
            Self::TooLarge { .. } => {
                "export the model with external data, so that its tensors lie in files beside it"
            }
            Self::NoModel { .. } => "name a file that an export to ONNX made",
            Self::Location { .. } | Self::Extent { .. } | Self::TooManyFiles { .. } => {
                "no exporter writes this: do not trust the file"
            }
            Self::NoExternal { .. } => {
                "copy all files of the model into one folder; the `.onnx` file alone is not the whole model"
            }
            Self::Outside { .. } => "put the file itself beside the `.onnx` file, not a link",
            Self::TooShort { .. } => {
                "the download or copy was cut short, or the file belongs to another model: fetch it again"
            }
            Self::Unreadable { .. } => return None,
        })
    }
}
