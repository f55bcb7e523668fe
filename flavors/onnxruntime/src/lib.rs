//! ONNX models on ONNX Runtime, whose shared library is found and loaded at run time.
//!
//! [`OnnxRuntime`] is the backend; [`Locator`] says where the library is looked for, [`install`]
//! takes it out of an official wheel. A process loads one library, once: ONNX Runtime keeps global
//! state. Nothing here downloads, and nothing reads the environment.
//!
//! Memory: each session is an ONNX Runtime session of its own, with its own copy of the weights,
//! because `Run` is not safe to call twice at the same time with every execution provider. Weights
//! in external data files are mapped, so their pages are shared until the engine rearranges them.

mod declared;
mod engine;
pub mod install;
mod library;
mod locate;
mod model;
mod options;
mod providers;
mod session;
mod shared;
mod values;

use std::sync::OnceLock;

use mlrs_backend::{Backend, LoadOptions, Model, ModelSource, Refusal};

pub use library::{LibraryError, MINIMUM_VERSION, Version, inspect};
pub use locate::{Located, Locator, Origin};

/// The backend `onnxruntime`.
#[derive(Debug)]
pub struct OnnxRuntime {
    locator: Locator,
    found: OnceLock<(Located, Version)>,
}

impl OnnxRuntime {
    /// The backend with the library that `locator` finds; it is looked for when it is needed.
    pub const fn new(locator: Locator) -> Self {
        Self {
            locator,
            found: OnceLock::new(),
        }
    }

    /// The library that is used, and its version. Found once; a failure is tried again.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn library(&self) -> Result<&(Located, Version), Refusal> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let located = self.locator.locate()?;
        let version = inspect(&located.path).map_err(|error| {
            let hint = "run `mlrs onnxruntime install`, or set ORT_DYLIB_PATH to another library";
            Refusal::new(error.to_string())
                .with_source(error)
                .with_hint(hint)
        })?;
        Ok(self.found.get_or_init(|| (located, version)))
    }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn flavors(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Box<dyn Model>, Refusal> {
        let path = source.file("data", "model.onnx")?;
        let (located, version) = self.library()?;
        let engine = engine::start(located, *version)?;
        Ok(Box::new(model::OnnxModel::load(
            engine, source, path, options,
        )?))
    }
}
