//! A model directory in the making: [`NewModel`], laid out as `mlflow.onnx.save_model` of MLflow 3.17
//! does it.
//!
//! Everything is written into a folder beside the destination, which gets its name when it is whole
//! and on the disk; what is given up leaves nothing behind. Nothing here runs a model: the signature
//! and the example come from whoever did.

mod environment;
mod error;
mod example;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use environment::{ONNX_VERSION, PYTHON_VERSION};
pub use error::PackageError;
pub use example::{Example, ExampleData};

use crate::archive::{PIECE, Progress};
use crate::manifest::FILE_NAME;
use crate::onnx::OnnxFile;
use crate::signature::Signature;
use crate::staging::Partial;
use crate::{Manifest, ModelDirectory};

/// The MLflow whose layout is written.
pub const MLFLOW_VERSION: &str = "3.17.2";

/// The name that an ONNX file gets, as MLflow has it.
const ONNX_NAME: &str = "model.onnx";

/// Names that other files of the directory have.
const TAKEN: [&str; 7] = [
    FILE_NAME,
    ONNX_NAME,
    environment::CONDA,
    environment::PYTHON,
    environment::REQUIREMENTS,
    example::INPUT,
    example::SERVING,
];

/// What makes a model directory one of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// 32 hexadecimal digits.
    pub model_uuid: String,
    /// `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    pub utc_time_created: String,
}

/// A model directory that is being written.
#[derive(Debug)]
pub struct NewModel {
    partial: Partial,
    destination: PathBuf,
    manifest: Manifest,
}

impl NewModel {
    /// Begins a model directory at a path where there is nothing yet, or an empty directory.
    ///
    /// # Errors
    /// When something is there, or the folder around it cannot be written.
    pub fn begin(destination: &Path, stamp: Stamp) -> Result<Self, PackageError> {
        if destination.file_name().is_none() {
            return Err(PackageError::Unnamed {
                path: destination.to_owned(),
            });
        }
        if !is_free(destination)? {
            return Err(PackageError::Exists {
                path: destination.to_owned(),
            });
        }
        let manifest = Manifest {
            mlflow_version: Some(MLFLOW_VERSION.to_owned()),
            model_uuid: Some(stamp.model_uuid),
            utc_time_created: Some(stamp.utc_time_created),
            // MLflow writes these two as null.
            extra: ["model_id", "prompts"]
                .map(|key| (key.to_owned(), Value::Null))
                .into_iter()
                .collect(),
            ..Manifest::default()
        };
        Ok(Self {
            partial: Partial::beside(destination)?,
            destination: destination.to_owned(),
            manifest,
        })
    }

    /// Copies an ONNX file and the files that hold its tensors, and enters the flavors `onnx` and
    /// `python_function`. The files keep their bytes.
    ///
    /// # Errors
    /// When a file cannot be read or written, changes meanwhile, or has the name of another.
    pub fn add_onnx(
        &mut self,
        onnx: &OnnxFile,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), PackageError> {
        let total = onnx.total_bytes();
        let mut done = 0;
        self.copy(&onnx.path, ONNX_NAME, onnx.bytes, &mut |piece| {
            done += piece;
            progress(Progress {
                name: ONNX_NAME,
                done_bytes: done,
                total_bytes: total,
            });
        })?;
        for file in &onnx.external {
            let location = &file.location;
            let first = location.split('/').next().unwrap_or_default();
            if TAKEN.iter().any(|name| name.eq_ignore_ascii_case(first)) {
                return Err(PackageError::Taken {
                    location: location.clone(),
                });
            }
            self.copy(&file.path, location, file.bytes, &mut |piece| {
                done += piece;
                progress(Progress {
                    name: location,
                    done_bytes: done,
                    total_bytes: total,
                });
            })?;
        }
        for (key, flavor) in environment::flavors(ONNX_NAME) {
            self.manifest.flavors.insert(key.to_owned(), flavor);
        }
        Ok(())
    }

    /// The directory as it is so far, to load the model from.
    pub fn directory(&self) -> ModelDirectory {
        ModelDirectory {
            path: self.partial.path.clone(),
            manifest: self.manifest.clone(),
            signature: None,
        }
    }

    /// Gives the model a name, which stands where MLflow notes under which one a model was logged.
    pub fn set_name(&mut self, name: &str) {
        self.manifest.artifact_path = Some(name.to_owned());
    }

    /// Enters the signature.
    pub fn set_signature(&mut self, signature: &Signature) {
        self.manifest.signature = Some(signature.to_map());
        self.manifest.is_signature_from_type_hint = Some(false);
        self.manifest.type_hint_from_example = Some(false);
    }

    /// Enters what the user attaches.
    pub fn set_metadata(&mut self, metadata: Map<String, Value>) {
        self.manifest.metadata = Some(Value::Object(metadata));
    }

    /// Writes `input_example.json` and `serving_input_example.json`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add_example(&mut self, example: &Example) -> Result<(), PackageError> {
        self.write(example::INPUT, &example.input_text())?;
        self.write(example::SERVING, &example.serving_text())?;
        self.manifest.saved_input_example_info = Some(example.info());
        Ok(())
    }

    /// Writes `MLmodel` and the files about Python, and gives the directory its name.
    ///
    /// # Errors
    /// When something cannot be written, or something else has appeared at the destination.
    pub fn finish(mut self) -> Result<ModelDirectory, PackageError> {
        let unlisted = |source| PackageError::Unwritable {
            path: self.partial.path.clone(),
            source,
        };
        let size = self.directory().size_bytes().map_err(unlisted)?;
        self.manifest.model_size_bytes = (size > 0).then_some(size);
        self.write(FILE_NAME, &self.manifest.to_yaml())?;
        let example = self.manifest.saved_input_example_info.as_ref();
        let frame = example.is_some_and(|info| info.kind.as_deref() == Some("dataframe"));
        for (name, text) in environment::files(frame) {
            self.write(name, &text)?;
        }
        sync(&self.partial.path)?;
        self.partial.finish(&self.destination)?;
        let parent = self.destination.parent();
        sync(
            parent
                .filter(|parent| *parent != Path::new(""))
                .unwrap_or(Path::new(".")),
        )?;
        let signature = self
            .manifest
            .signature
            .as_ref()
            .and_then(|map| Signature::from_map(map).ok());
        Ok(ModelDirectory {
            path: self.destination,
            manifest: self.manifest,
            signature,
        })
    }

    /// Copies a file of a known size to a name in the directory.
    fn copy(
        &self,
        from: &Path,
        name: &str,
        bytes: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), PackageError> {
        let unreadable = |source| PackageError::Unreadable {
            path: from.to_owned(),
            source,
        };
        let (mut target, path) = self.create(name)?;
        let unwritable = |source| PackageError::Unwritable {
            path: path.clone(),
            source,
        };
        let mut source = File::open(from).map_err(unreadable)?;
        let mut piece = vec![0_u8; PIECE];
        let mut copied = 0_u64;
        loop {
            let count = source.read(&mut piece).map_err(unreadable)?;
            if count == 0 {
                break;
            }
            target.write_all(&piece[..count]).map_err(unwritable)?;
            copied += count as u64;
            progress(count as u64);
        }
        if copied != bytes {
            return Err(PackageError::Changed {
                path: from.to_owned(),
            });
        }
        target.sync_all().map_err(unwritable)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PackageError> {
        let (mut file, path) = self.create(name)?;
        let written = file.write_all(text.as_bytes());
        written
            .and_then(|()| file.sync_all())
            .map_err(|source| PackageError::Unwritable { path, source })
    }

    fn create(&self, name: &str) -> Result<(File, PathBuf), PackageError> {
        let path = self.partial.path.join(name);
        let folder = path.parent().unwrap_or(&self.partial.path);
        let made = fs::create_dir_all(folder)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path));
        match made {
            Ok(file) => Ok((file, path)),
            Err(source) => Err(PackageError::Unwritable { path, source }),
        }
    }
}

/// Whether there is nothing at a path, or an empty directory.
fn is_free(path: &Path) -> Result<bool, PackageError> {
    let unreadable = |source| PackageError::Unreadable {
        path: path.to_owned(),
        source,
    };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(unreadable(source)),
        Ok(found) if found.is_dir() => {
            let mut entries = fs::read_dir(path).map_err(unreadable)?;
            Ok(entries.next().is_none())
        }
        Ok(_) => Ok(false),
    }
}

/// Has the names in a folder on the disk before it is called whole.
fn sync(folder: &Path) -> Result<(), PackageError> {
    let synced = if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all())
    } else {
        Ok(())
    };
    synced.map_err(|source| PackageError::Unwritable {
        path: folder.to_owned(),
        source,
    })
}

/// The `metadata` of `KEY=VALUE` pairs: all values are texts.
pub fn metadata_of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests;
