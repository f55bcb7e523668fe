//! Which backend serves a model: the candidates in their order, and what each said.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mlrs_backend::{Backend, LoadOptions, MissingProvider, Model, ModelSource, Refusal};
use mlrs_mlmodel::ModelDirectory;
use mlrs_onnxruntime::{Locator, OnnxRuntime};
use mlrs_tract::Tract;

use crate::failure::hinted;

/// Which engine runs the model, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArguments {
    /// The backend, instead of the first that accepts the model
    #[arg(long, env = "MLRS_BACKEND", value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// The shared library of ONNX Runtime, or the folder that holds it
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// The same from the environment; `--onnxruntime` comes first
    #[arg(long, env = "ORT_DYLIB_PATH", hide = true, value_name = "PATH")]
    pub(crate) ort_dylib_path: Option<OsString>,
    /// When the model asks for an execution provider that is not there (CUDA, say)
    #[arg(long, value_enum, default_value_t = Missing::UseCpu, value_name = "ACTION")]
    pub(crate) missing_provider: Missing,
    /// Bytes that the outputs of one prediction may have; more are answered with 400
    #[arg(long, default_value_t = 256 << 20, env = "MLRS_OUTPUT_LIMIT", value_name = "BYTES")]
    pub(crate) output_limit: usize,
}

/// What to do without an execution provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missing {
    /// Run on the CPU, and say so.
    UseCpu,
    /// Refuse the model.
    Refuse,
}

/// What a candidate said.
pub(crate) struct Candidate {
    /// The backend.
    pub(crate) backend: &'static str,
    /// Why it does not serve the model.
    pub(crate) refusal: Refusal,
}

/// A model that was loaded.
pub(crate) struct Loaded {
    /// The model.
    pub(crate) model: Box<dyn Model>,
    /// The backend that serves it.
    pub(crate) backend: &'static str,
    /// The flavor that it serves.
    pub(crate) flavor: String,
    /// Those before it that refused.
    pub(crate) refused: Vec<Candidate>,
}

impl EngineArguments {
    /// The backends in the order in which they are tried.
    pub(crate) fn candidates(&self, cache: Option<PathBuf>) -> Vec<Box<dyn Backend>> {
        vec![
            Box::new(OnnxRuntime::new(self.locator(cache))),
            Box::new(Tract),
        ]
    }

    /// Where ONNX Runtime is looked for.
    pub(crate) fn locator(&self, cache: Option<PathBuf>) -> Locator {
        Locator {
            explicit: self.onnxruntime.clone(),
            environment: self.ort_dylib_path.clone().map(PathBuf::from),
            cache,
            ..Locator::default()
        }
    }

    /// The library of ONNX Runtime that would be used, and its version.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(crate) fn library(&self, cache: Option<PathBuf>) -> anyhow::Result<(PathBuf, String)> {
        let backend = OnnxRuntime::new(self.locator(cache));
        let (located, version) = backend.library()?;
        Ok((located.path.clone(), version.to_string()))
    }

    /// How models are to be loaded.
    pub(crate) fn options(&self, sessions: usize, threads_per_session: usize) -> LoadOptions {
        let missing_provider = match self.missing_provider {
            Missing::UseCpu => MissingProvider::UseCpu,
            Missing::Refuse => MissingProvider::Refuse,
        };
        LoadOptions {
            sessions,
            threads_per_session,
            missing_provider,
            output_bytes: self.output_limit,
        }
    }
}

/// Asks one backend for one model.
pub(crate) fn try_backend(
    backend: &dyn Backend,
    directory: &ModelDirectory,
    options: &LoadOptions,
) -> Result<(Box<dyn Model>, String), Refusal> {
    let found = backend.flavors().iter().find_map(|key| {
        directory
            .flavor(key)
            .map(|configuration| (*key, configuration))
    });
    let Some((key, configuration)) = found else {
        let wanted = backend.flavors().join("`, `");
        let flavors: Vec<&str> = directory
            .manifest
            .flavors
            .keys()
            .map(String::as_str)
            .collect();
        let has = match flavors.as_slice() {
            [] => "it has none".to_owned(),
            flavors => format!("its flavors are: {}", flavors.join(", ")),
        };
        return Err(
            Refusal::new(format!("the model has no flavor `{wanted}`")).with_hint(format!(
                "{has}; export the model to ONNX and log it with `mlflow.onnx`"
            )),
        );
    };
    let source = ModelSource {
        directory: directory.path.clone(),
        flavor: key.to_owned(),
        configuration: configuration.clone(),
    };
    backend
        .load(&source, options)
        .map(|model| (model, key.to_owned()))
}

/// Loads a model with the first candidate that accepts it, or with the one that was named.
///
/// # Errors
/// When there is none; each candidate's reason is in the message.
pub(crate) fn load(
    arguments: &EngineArguments,
    candidates: &[Box<dyn Backend>],
    directory: &ModelDirectory,
    options: &LoadOptions,
) -> anyhow::Result<Loaded> {
    let named = directory.path.display().to_string();
    load_named(arguments, candidates, directory, &named, options)
}

/// The same for a directory that the user knows by another name.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_named(
    arguments: &EngineArguments,
    candidates: &[Box<dyn Backend>],
    directory: &ModelDirectory,
    named: &str,
    options: &LoadOptions,
) -> anyhow::Result<Loaded> {
    if let Some(name) = &arguments.backend {
        let Some(backend) = candidates.iter().find(|candidate| candidate.name() == name) else {
            let known: Vec<&str> = candidates
                .iter()
                .map(|candidate| candidate.name())
                .collect();
            return Err(hinted(
                format!("there is no backend `{name}`"),
                format!("the backends are: {}", known.join(", ")),
            ));
        };
        let (model, flavor) = try_backend(&**backend, directory, options).map_err(|refusal| {
            anyhow::Error::new(refusal)
                .context(format!("the backend `{name}` does not serve this model"))
        })?;
        return Ok(Loaded {
            model,
            backend: backend.name(),
            flavor,
            refused: Vec::new(),
        });
    }
    let mut refused = Vec::new();
    for backend in candidates {
        match try_backend(&**backend, directory, options) {
            Ok((model, flavor)) => {
                return Ok(Loaded {
                    model,
                    backend: backend.name(),
                    flavor,
                    refused,
                });
            }
            Err(refusal) => refused.push(Candidate {
                backend: backend.name(),
                refusal,
            }),
        }
    }
    Err(nobody(named, &refused))
}

/// No candidate serves the model.
fn nobody(named: &str, refused: &[Candidate]) -> anyhow::Error {
    let mut reasons = String::new();
    for candidate in refused {
        reasons.extend([
            "\n  ",
            candidate.backend,
            ": ",
            &describe(&candidate.refusal),
        ]);
    }
    let message = format!("no backend serves the model in `{named}`{reasons}");
    match refused
        .iter()
        .find_map(|candidate| candidate.refusal.hint.clone())
    {
        Some(hint) => hinted(message, hint),
        None => anyhow::Error::msg(message),
    }
}

/// A refusal in one line, with the cause underneath.
pub(crate) fn describe(refusal: &Refusal) -> String {
    match &refusal.source {
        Some(source) if !refusal.reason.contains(&source.to_string()) => {
            format!("{} ({source})", refusal.reason)
        }
        _ => refusal.reason.clone(),
    }
}
