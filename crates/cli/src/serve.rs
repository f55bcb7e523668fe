//! `mlrs serve`: a model behind MLflow's scoring protocol.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use mlrs_http::{Descriptors, ServerSettings};
use mlrs_payload::{Compat, InputPlan};
use mlrs_runtime::{InService, Settings};
use mlrs_scoring::{ExampleOutcome, ModelInfo, ScoringSettings, ScoringState};

use crate::cache::CacheArguments;
use crate::ending::{self, Ending};
use crate::engine::{self, EngineArguments, Loaded};
use crate::logging::{self, LogArguments};
use crate::memory;
use crate::output;
use crate::source::{self, Source};

/// Arguments of `mlrs serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs serve examples/iris
  mlrs serve models:/iris/Production --port 8080 --host 0.0.0.0
  mlrs serve runs:/0123456789abcdef0123456789abcdef/model --compat mlflow")]
pub(crate) struct Arguments {
    /// The model: a directory, a `.zip` of one, or a URI (see `mlrs pull --help`)
    #[arg(env = "MLRS_MODEL")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

/// Where to listen, and how to answer.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArguments {
    /// The address to listen on; 0.0.0.0 is all of them
    #[arg(
        long,
        default_value = "127.0.0.1",
        env = "MLFLOW_HOST",
        value_name = "ADDRESS"
    )]
    pub(crate) host: String,
    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 5000, env = "MLFLOW_PORT")]
    pub(crate) port: u16,
    /// Seconds that a request may take from its head to its answer
    #[arg(short, long, default_value_t = 60, env = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Which conversions of input values are allowed
    #[arg(long, value_enum, default_value_t = CompatChoice::Strict, env = "MLRS_COMPAT", value_name = "MODE")]
    pub(crate) compat: CompatChoice,
    /// The path that a proxy puts before those of this server, and may take away again
    #[arg(long, default_value = "", hide_default_value = true, env = "MLRS_ROOT_PATH", value_name = "PATH", value_parser = root_path)]
    pub(crate) root_path: String,
    /// Origins whose web pages may read responses, such as <https://app.example>; `*` stands for any text
    #[arg(
        long,
        value_delimiter = ',',
        env = "MLRS_CORS_ALLOWED_ORIGINS",
        value_name = "ORIGINS"
    )]
    pub(crate) cors_allowed_origins: Vec<String>,
    /// Names of the server in a `Host` header, `*` for any text [default: any]
    #[arg(
        long,
        value_delimiter = ',',
        env = "MLRS_ALLOWED_HOSTS",
        value_name = "HOSTS"
    )]
    pub(crate) allowed_hosts: Vec<String>,
    /// Whether CSV has a line that names the columns, where its content type does not say
    #[arg(long, value_enum, default_value_t = CsvHeader::Present, env = "MLRS_CSV_HEADER", value_name = "WHETHER")]
    pub(crate) csv_header: CsvHeader,
    /// Seconds that requests in flight may take to finish after SIGTERM
    #[arg(long, default_value_t = 25, env = "MLRS_DRAIN", value_name = "SECONDS")]
    pub(crate) drain: u64,
    /// Seconds that the model may take to load and to answer its first request
    #[arg(long, default_value_t = 600, env = "MLRS_LOAD_TIMEOUT", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) load_timeout: u64,
}

/// What a server takes on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Predictions that run at the same time [default: 1 per available core]
    #[arg(short, long, env = "MLFLOW_MODELS_WORKERS", value_name = "COUNT")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Threads that one prediction uses inside the engine [default: cores divided by workers]
    #[arg(long, env = "MLRS_THREADS", value_name = "COUNT")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Rows that may wait for an engine; a request beyond that is answered with 429
    #[arg(
        long,
        default_value_t = 100_000,
        env = "MLRS_QUEUE_ROWS",
        value_name = "ROWS"
    )]
    pub(crate) queue_rows: usize,
    /// Rows that requests may share a batch up to; 1 turns sharing off
    #[arg(
        long,
        default_value_t = 256,
        env = "MLRS_BATCH_ROWS",
        value_name = "ROWS"
    )]
    pub(crate) batch_rows: usize,
    /// Bytes that a request body may have; more are answered with 413
    #[arg(long, default_value_t = 100 << 20, env = "MLRS_BODY_LIMIT", value_name = "BYTES")]
    pub(crate) body_limit: usize,
    /// Bytes that all request bodies may have together; more are answered with 503
    #[arg(long, default_value_t = 400 << 20, env = "MLRS_BYTES_IN_FLIGHT", value_name = "BYTES")]
    pub(crate) bytes_in_flight: usize,
    /// Connections that may be open at the same time; more wait
    #[arg(
        long,
        default_value_t = 8192,
        env = "MLRS_CONNECTIONS",
        value_name = "COUNT"
    )]
    pub(crate) connections: usize,
}

/// The modes of `--compat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompatChoice {
    /// Lossless conversions only; anything else is a 400.
    Strict,
    /// MLflow's numpy casts, and its `NaN` and `Infinity` in answers.
    Mlflow,
}

/// The choices of `--csv-header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CsvHeader {
    /// The first line names the columns.
    Present,
    /// All lines are rows, with columns in the order of the signature: so `SageMaker` sends them.
    Absent,
}

/// A path with a slash before it and none behind; empty for none.
fn root_path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~/".contains(letter);
    if !path.chars().all(is_plain) || path.split('/').any(|part| part == ".." || part == ".") {
        return Err("a path has letters, digits, `-`, `.`, `_`, `~` and `/`".to_owned());
    }
    if path.contains("//") {
        return Err("a path has no part that is empty".to_owned());
    }
    Ok(if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    })
}

impl From<CompatChoice> for Compat {
    fn from(choice: CompatChoice) -> Self {
        match choice {
            CompatChoice::Strict => Self::Strict,
            CompatChoice::Mlflow => Self::Mlflow,
        }
    }
}

/// Cores that this process may use, as the system's scheduler and control groups have it.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl LimitArguments {
    /// Sessions, and threads in each: together no more than there are cores, unless asked for.
    pub(crate) fn threads(&self) -> (usize, usize) {
        let workers = self.workers.map_or_else(cores, NonZeroUsize::get);
        let threads = self
            .threads
            .map_or_else(|| (cores() / workers).max(1), NonZeroUsize::get);
        (workers, threads)
    }
}

/// Runs `mlrs serve`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::start(&arguments.log)?;
    memory::keep_for_next_request();
    let started = Instant::now();
    let ending = Ending::watched(Duration::from_secs(arguments.server.drain))?;
    let source = source::open(&arguments.model, &arguments.cache)?;
    ending.loads(Duration::from_secs(arguments.server.load_timeout));
    let (sessions, threads) = arguments.limits.threads();
    let candidates = arguments.engine.candidates(arguments.cache.folder().ok());
    let options = arguments.engine.options(sessions, threads);
    let loaded = engine::load(&arguments.engine, &candidates, &source.directory, &options)?;
    log_choice(&source, &loaded);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(arguments, source, loaded, sessions, started, ending));
    // What still runs is not waited for.
    runtime.shutdown_background();
    served
}

/// Says which backend serves the model, and why not those before it.
fn log_choice(source: &Source, loaded: &Loaded) {
    for candidate in &loaded.refused {
        let hint = candidate.refusal.hint.as_deref().unwrap_or("none");
        tracing::info!(
            backend = candidate.backend,
            reason = engine::describe(&candidate.refusal),
            hint,
            "a backend does not serve this model"
        );
    }
    let facts: Vec<String> = loaded
        .model
        .facts()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let path = source.directory.path.display();
    tracing::info!(backend = loaded.backend, flavor = loaded.flavor, model = %path, unpacked = source.is_unpacked(), facts = facts.join(" "), "the model is loaded");
}

async fn serve(
    arguments: Arguments,
    source: Source,
    loaded: Loaded,
    sessions: usize,
    started: Instant,
    ending: Ending,
) -> anyhow::Result<()> {
    let descriptors = Descriptors::for_connections(arguments.limits.connections);
    let listener = mlrs_http::bind(&arguments.server.host, arguments.server.port).await?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "whoever reaches this machine over the network may use the model: there are no accounts"
        );
    }
    let (state, service) = prepare(&arguments, &source, loaded, sessions)?;
    warm_up(&state).await;
    state.mark_ready();
    let signal = ending.serves();
    output::line(&format!(
        "mlrs serves {} on http://{address} ({} ms to ready)",
        arguments.model,
        started.elapsed().as_millis()
    ))?;
    output::line(&try_it(&source, mlrs_http::local_target(address)))?;
    let drained = state.clone();
    let ended = async move {
        let signal = signal.await;
        tracing::info!(
            signal,
            "stopping: requests in flight are finished, no new ones are taken"
        );
        drained.begin_drain();
    };
    let settings = ServerSettings {
        drain: Duration::from_secs(arguments.server.drain),
        ..ServerSettings::default()
    }
    .with_connections(descriptors.connections);
    let report = mlrs_http::serve(listener, mlrs_scoring::router(state), settings, ended).await;
    // The workers have nothing left to do, unless a prediction outlived the drain time.
    let stopped = tokio::time::timeout(Duration::from_millis(500), service.stop()).await;
    if stopped.is_err() {
        tracing::warn!("a prediction is still running; it is given up");
    }
    tracing::info!(
        connections = report.accepted,
        cut_off = report.cut_off,
        "stopped"
    );
    if stopped.is_err() {
        // A library that is unloaded under a running prediction would crash.
        drop(source);
        ending::end_now(0);
    }
    Ok(())
}

/// Puts the model in service.
fn prepare(
    arguments: &Arguments,
    source: &Source,
    loaded: Loaded,
    sessions: usize,
) -> anyhow::Result<(ScoringState, Arc<InService>)> {
    let directory = &source.directory;
    let plan = InputPlan::compile(
        directory.signature.as_ref(),
        loaded.model.inputs(),
        arguments.server.compat.into(),
    );
    for warning in plan.warnings() {
        tracing::warn!(reason = warning, "requests of one kind will be refused");
    }
    let info = model_info(&arguments.model, source, &loaded);
    let settings = Settings {
        sessions,
        queue_rows: arguments.limits.queue_rows,
        queue_bytes: arguments.limits.bytes_in_flight,
        batch_rows: arguments.limits.batch_rows,
    };
    let service = Arc::new(InService::start(loaded.model, settings)?);
    let scoring = ScoringSettings {
        body_bytes: arguments.limits.body_limit,
        bytes_in_flight: arguments.limits.bytes_in_flight,
        request_timeout: Duration::from_secs(arguments.server.timeout),
        csv_header: arguments.server.csv_header == CsvHeader::Present,
        root_path: arguments.server.root_path.clone(),
        allowed_origins: arguments.server.cors_allowed_origins.clone(),
        allowed_hosts: arguments.server.allowed_hosts.clone(),
        ..ScoringSettings::default()
    };
    Ok((
        ScoringState::new(info, Arc::clone(&service), plan, scoring)?,
        service,
    ))
}

/// Runs the model on its own example, or on zeros. A failure is told, and no reason not to serve:
/// other requests may do better.
async fn warm_up(state: &ScoringState) {
    match state.warm_up().await {
        Ok(found) => {
            if let ExampleOutcome::Refused(error) = &found.example {
                tracing::warn!(%error, "the serving example of the model was refused");
            }
            let engine = found.engine;
            tracing::info!(
                first_us = engine.first.as_micros() as u64,
                then_us = engine.then.as_micros() as u64,
                rows = engine.rows,
                shares_batches = engine.merges,
                "the model is warm"
            );
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the model failed on its warm-up request");
        }
    }
}

/// What the pages and metrics say of the model.
pub(crate) fn model_info(uri: &str, source: &Source, loaded: &Loaded) -> ModelInfo {
    let directory = &source.directory;
    let identity = &source.identity;
    let name = identity.name.clone().unwrap_or_else(|| {
        let path = std::path::Path::new(uri);
        path.file_stem().map_or_else(
            || uri.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    });
    let serving_example = directory.serving_input_example().unwrap_or_else(|error| {
        tracing::warn!(%error, "the serving example cannot be read");
        None
    });
    ModelInfo {
        name,
        version: identity.version.clone(),
        run_id: identity
            .run_id
            .clone()
            .or_else(|| directory.manifest.run_id.clone()),
        model_id: identity
            .model_id
            .clone()
            .or_else(|| directory.manifest.model_id.clone()),
        flavor: loaded.flavor.clone(),
        backend: loaded.backend.to_owned(),
        signature: directory.signature.clone(),
        serving_example,
    }
}

/// A line to paste into a shell.
fn try_it(source: &Source, address: std::net::SocketAddr) -> String {
    let example = source
        .directory
        .serving_input_example()
        .ok()
        .flatten()
        .and_then(|text| String::from_utf8(text).ok());
    match example.filter(|text| text.len() < 2000 && !text.contains('\'')) {
        Some(text) => {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            format!(
                "try it: curl -H 'Content-Type: application/json' -d '{text}' http://{address}/invocations"
            )
        }
        None => format!("try it in a browser: http://{address}/docs"),
    }
}

#[cfg(test)]
mod tests {
    use super::root_path;

    #[test]
    fn a_root_path_has_a_slash_before_it_and_none_behind() {
        for (text, path) in [
            ("", ""),
            ("/", ""),
            ("models/iris", "/models/iris"),
            ("/models/iris/", "/models/iris"),
        ] {
            assert_eq!(root_path(text).as_deref(), Ok(path), "{text}");
        }
        for text in ["/a//b", "/a/../b", "/a b", "/{a}", "/a?b", "/*"] {
            assert!(root_path(text).is_err(), "{text}");
        }
    }
}
