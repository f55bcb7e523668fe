//! The engine of the process: one library, loaded once, with one environment.
//!
//! ONNX Runtime and its binding hold global state, so this is the one place with a global of ours.
//! What the engine logs goes to the trace log at low levels: what matters comes back as an error
//! value, and is logged where that ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mlrs_backend::Refusal;
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::library::Version;
use crate::locate::Located;

/// A loaded library and its environment.
#[derive(Debug)]
pub(crate) struct Engine {
    pub environment: Environment,
    pub version: Version,
    pub located: Located,
}

static ENGINE: Mutex<Option<Arc<Engine>>> = Mutex::new(None);

/// The engine with that library; the first call starts it. The library has been inspected.
pub(crate) fn start(located: &Located, version: Version) -> Result<Arc<Engine>, Refusal> {
    let mut engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = &*engine {
        if engine.located.path == located.path {
            return Ok(Arc::clone(engine));
        }
        let (running, wanted) = (engine.located.path.display(), located.path.display());
        return Err(Refusal::new(format!(
            "`{running}` is already loaded, so `{wanted}` cannot be"
        )));
    }
    let failed = |path: &PathBuf| format!("ONNX Runtime at `{}` does not start", path.display());
    let environment = ort::init_from(&located.path)
        .map_err(|error| Refusal::new(failed(&located.path)).with_source(error))?
        .with_name("mlrs")
        .with_telemetry(false)
        .with_logger(Arc::new(forward))
        .build()
        .map_err(|error| Refusal::new(failed(&located.path)).with_source(error))?;
    environment.set_log_level(LogLevel::Warning);
    let started = Arc::new(Engine {
        environment,
        version,
        located: located.clone(),
    });
    *engine = Some(Arc::clone(&started));
    Ok(started)
}

fn forward(level: LogLevel, category: &str, _id: &str, place: &str, message: &str) {
    match level {
        LogLevel::Fatal => tracing::error!(category, place, message, "ONNX Runtime reports"),
        LogLevel::Error | LogLevel::Warning => {
            tracing::debug!(category, place, message, "ONNX Runtime reports");
        }
        LogLevel::Info | LogLevel::Verbose => {
            tracing::trace!(category, place, message, "ONNX Runtime reports");
        }
    }
}
