//! A loaded model: the recipe for its sessions, and the first session, made at load.
//!
//! The engine reads the model through its path, so that external data files are found and mapped.
//! The main type is [`OnnxModel`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mlrs_backend::{
    Batching, Cost, LoadOptions, MissingProvider, Model, ModelSource, Refusal, Session,
};
use mlrs_backend::{TensorInfo, ValueInfo};
use mlrs_onnx::Conduct;
use ort::session::builder::SessionBuilder;

use crate::declared;
use crate::engine::Engine;
use crate::options::SessionOptions;
use crate::providers::{self, CPU, Chosen, Provider};
use crate::session::OnnxSession;
use crate::shared::SharedSession;

/// A model of the `onnx` flavor on ONNX Runtime.
pub(crate) struct OnnxModel {
    recipe: Recipe,
    missing: Vec<String>,
    inputs: Arc<[TensorInfo]>,
    outputs: Vec<ValueInfo>,
    conduct: Conduct,
    output_bytes: usize,
    /// The session of all workers, or, with an accelerator, of the first.
    first: Mutex<Option<Arc<SharedSession>>>,
}

/// All that it takes to make a session.
struct Recipe {
    engine: Arc<Engine>,
    path: PathBuf,
    name: String,
    options: SessionOptions,
    accelerators: Vec<Provider>,
    threads: usize,
    workers: usize,
}

const UNLOADABLE: &str = "if a download or a copy was cut short or left files out, fetch the model again; \
     for operators that are too new, run `mlrs onnxruntime install --version` with a newer version";

/// How the engine says that the machine lacks a locale; its name follows, and a colon.
const NO_LOCALE: &str = "Failed to construct locale with name:";

/// What to do when the machine lacks a locale that an operator needs.
fn locale_hint(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once(NO_LOCALE)?;
    let name = rest.split(':').next().unwrap_or_default();
    let language = name.split(['.', '@']).next().unwrap_or_default();
    Some(format!(
        "this machine has no locale `{name}`: make it with `localedef -i {language} -f UTF-8 {name}` \
         (Debian: package `locales`), or export the model with the locale `C.UTF-8`"
    ))
}

impl OnnxModel {
    pub fn load(
        engine: Arc<Engine>,
        source: &ModelSource,
        path: PathBuf,
        load: &LoadOptions,
    ) -> Result<Self, Refusal> {
        let options = SessionOptions::read(&source.configuration)?;
        let requested = providers::read(&source.configuration)?;
        let chosen = providers::choose(&requested, load.missing_provider, providers::is_available)?;
        report(&chosen);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let threads = options
            .intra_threads
            .unwrap_or(load.threads_per_session.max(1));
        let accelerators = chosen.accelerators;
        let mut recipe = Recipe {
            engine,
            path,
            name,
            options,
            accelerators,
            threads,
            workers: load.sessions.max(1),
        };
        let mut missing = chosen.missing;
        let first = recipe.first(load.missing_provider, &mut missing)?;
        let inputs: Arc<[TensorInfo]> = declared::inputs(&first)?.into();
        let outputs = declared::outputs(&first)?;
        let conduct = mlrs_onnx::conduct(&recipe.path, &inputs, &outputs)?;
        Ok(Self {
            recipe,
            missing,
            inputs,
            outputs,
            conduct,
            output_bytes: load.output_bytes,
            first: Mutex::new(Some(Arc::new(share(first)?))),
        })
    }
}

fn share(session: ort::session::Session) -> Result<SharedSession, Refusal> {
    SharedSession::new(session).map_err(|error| Refusal::new(error.message().to_owned()))
}

fn report(chosen: &Chosen) {
    if chosen.notable {
        tracing::warn!(missing = ?chosen.missing, "execution providers that the model asks for are not there");
    }
}

impl Recipe {
    /// The first session. Providers that are built in may still fail to start; then the policy decides.
    fn first(
        &mut self,
        policy: MissingProvider,
        missing: &mut Vec<String>,
    ) -> Result<ort::session::Session, Refusal> {
        let error = match self.session() {
            Ok(session) => return Ok(session),
            Err(error) if self.accelerators.is_empty() => return Err(error),
            Err(error) => error,
        };
        let failed: Vec<String> = self
            .accelerators
            .drain(..)
            .map(|provider| provider.name)
            .collect();
        // Loading on the CPU tells a provider that fails from a model that is wrong.
        let session = self.session()?;
        if policy == MissingProvider::Refuse {
            return Err(providers::refusal(&failed).with_source(error));
        }
        tracing::warn!(?failed, reason = %error, "execution providers do not start; the CPU is used instead");
        missing.extend(failed);
        Ok(session)
    }

    fn session(&self) -> Result<ort::session::Session, Refusal> {
        // The binding panics on types that it does not know, such as sparse tensors.
        let made = catch_unwind(AssertUnwindSafe(|| {
            self.builder()?.commit_from_file(&self.path)
        }));
        let version = self.engine.version;
        let reason = format!("`{}` cannot be loaded by ONNX Runtime {version}", self.name);
        let refusal = match made {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => {
                Refusal::new(format!("{reason}: {}", error.message())).with_source(error)
            }
            Err(_) => Refusal::new(format!(
                "{reason}: it has a type of value that the binding does not know"
            )),
        };
        let hint = locale_hint(&refusal.reason).unwrap_or_else(|| UNLOADABLE.to_owned());
        Err(refusal.with_hint(hint))
    }

    fn builder(&self) -> ort::Result<SessionBuilder> {
        let accelerators: Vec<_> = self
            .accelerators
            .iter()
            .filter_map(providers::dispatch)
            .collect();
        // Threads that spin while they wait take the cores from the other workers. Memory patterns
        // are kept for each shape that ever came. The arena stays on: without it a small model takes
        // as much memory, and some tenths of a microsecond more.
        let mut builder = ort::session::Session::builder(&self.engine.environment)?
            .with_execution_providers(accelerators)?
            .with_intra_threads(self.pool())?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?;
        if let Some(threads) = self.options.inter_threads {
            builder = builder.with_inter_threads(threads)?;
        }
        if let Some(parallel) = self.options.parallel {
            builder = builder.with_parallel_execution(parallel)?;
        }
        if let Some(level) = self.options.optimization {
            builder = builder.with_optimization_level(level)?;
        }
        for (key, value) in &self.options.entries {
            builder = builder.with_config_entry(key, value)?;
        }
        Ok(builder)
    }

    /// Threads of a session's pool, of which the caller is one: for all workers, where they share it.
    fn pool(&self) -> usize {
        if self.is_shared() {
            (self.threads - 1) * self.workers + 1
        } else {
            self.threads
        }
    }

    /// Whether all workers run one session; accelerators do not promise that they may.
    fn is_shared(&self) -> bool {
        self.accelerators.is_empty()
    }

    fn providers(&self) -> String {
        let names = self
            .accelerators
            .iter()
            .map(|provider| provider.name.as_str());
        names.chain([CPU]).collect::<Vec<_>>().join(", ")
    }
}

impl Model for OnnxModel {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    fn batching(&self) -> Batching {
        self.conduct.batching
    }

    fn cost(&self) -> Cost {
        self.conduct.cost
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let engine = &self.recipe.engine;
        let library = format!(
            "{} ({})",
            engine.located.path.display(),
            engine.located.origin
        );
        let mut facts = vec![
            ("engine", format!("ONNX Runtime {}", engine.version)),
            ("library", library),
            ("providers", self.recipe.providers()),
            ("threads_per_session", self.recipe.threads.to_string()),
            ("batching", self.conduct.fact.clone()),
        ];
        if !self.missing.is_empty() {
            facts.push(("missing_providers", self.missing.join(", ")));
        }
        facts
    }

    fn session(&self) -> Result<Box<dyn Session>, Refusal> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = if self.recipe.is_shared() {
            first.clone()
        } else {
            first.take()
        };
        drop(first);
        let session = match kept {
            Some(session) => session,
            None => Arc::new(share(self.recipe.session()?)?),
        };
        let session = OnnxSession::new(session, Arc::clone(&self.inputs), self.output_bytes)
            .map_err(|error| Refusal::new(error.message().to_owned()))?;
        Ok(Box::new(session))
    }
}
