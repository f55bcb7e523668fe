//! `mlrs server`: tracking over MLflow's REST API.

mod artifacts;
mod limits;
mod refused;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use mlrs_http::{BrowserGuard, Descriptors, ServerSettings};
use mlrs_store::rules::{Names, Truncate};
use mlrs_store_sql::{DatabaseUri, SqlStore};
use mlrs_tracking::{GraphqlLimits, Pages, Stores, TrackingSettings, TrackingState};

use crate::database::{self, DatabaseArguments};
use crate::ending::Ending;
use crate::logging::{self, LogArguments};
use crate::output;
use crate::serve::cores;
use artifacts::ArtifactArguments;
use limits::LimitArguments;
use refused::RefusedArguments;

/// Where experiments have their artifacts that name no place, unless it is said.
pub(crate) const DEFAULT_ARTIFACT_ROOT: &str = "mlflow-artifacts:/";

/// Arguments of `mlrs server`.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  mlrs server
  mlrs server --backend-store-uri sqlite:////var/lib/mlflow/mlflow.db --host 0.0.0.0 --port 5000
  mlrs server --backend-store-uri 'postgresql://mlflow@db/mlflow?sslmode=verify-full'"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,
    /// The database of registered models [default: the one above]
    #[arg(
        long,
        env = "MLFLOW_REGISTRY_STORE_URI",
        hide_env_values = true,
        value_name = "URI"
    )]
    registry_store_uri: Option<String>,
    #[command(flatten)]
    artifacts: ArtifactArguments,
    /// Begin every path of this server with this, such as `/mlflow`
    #[arg(
        long,
        env = "MLFLOW_STATIC_PREFIX",
        value_parser = static_prefix,
        value_name = "PATH"
    )]
    static_prefix: Option<String>,
    /// Threads that answer requests [default: the cores of this machine]
    #[arg(
        short,
        long,
        env = "MLFLOW_WORKERS",
        value_parser = clap::value_parser!(u16).range(1..),
        value_name = "COUNT"
    )]
    workers: Option<u16>,
    #[command(flatten)]
    refused: RefusedArguments,
    /// The folder of MLflow's web pages: `mlflow/server/js/build` of its Python package
    #[arg(long, env = "MLRS_UI_DIR", value_name = "DIR")]
    ui_dir: Option<PathBuf>,
    /// The address to listen on; 0.0.0.0 is all of them
    #[arg(
        short = 'h',
        long,
        default_value = "127.0.0.1",
        env = "MLFLOW_HOST",
        value_name = "ADDRESS"
    )]
    host: String,
    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 5000, env = "MLFLOW_PORT")]
    port: u16,
    /// Seconds that requests in flight may take to finish after SIGTERM
    #[arg(long, default_value_t = 25, env = "MLRS_DRAIN", value_name = "SECONDS")]
    drain: u64,
    /// Seconds that a request may take of the database; what costs more is refused
    #[arg(
        long,
        default_value_t = 30,
        env = "MLRS_STATEMENT_TIMEOUT",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        value_name = "SECONDS"
    )]
    statement_timeout: u64,
    /// Cut values of params and tags that are too long, instead of refusing them
    #[arg(
        long,
        default_value_t = true,
        action = clap::ArgAction::Set,
        env = "MLFLOW_TRUNCATE_LONG_VALUES",
        value_name = "BOOL"
    )]
    truncate_long_values: bool,
    /// Take `@ [ ] = ( ) ,` in names of metrics and params, which MLflow refuses
    #[arg(long, env = "MLRS_RELAXED_NAMES")]
    relaxed_names: bool,
    /// Seconds that an address for a download from the object store is good for
    #[arg(
        long,
        default_value_t = 300,
        env = "MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS",
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=604_800)
    )]
    address_seconds: u32,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    graphql: GraphqlArguments,
    #[command(flatten)]
    browsers: BrowserArguments,
    #[command(flatten)]
    log: LogArguments,
    /// Print help
    // `-h` is `--host`, as in MLflow.
    #[arg(long, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
}

/// How much a GraphQL document may ask for.
#[derive(Debug, Args)]
struct GraphqlArguments {
    /// Fields at the root of a GraphQL document
    #[arg(
        long,
        default_value_t = 10,
        env = "MLFLOW_SERVER_GRAPHQL_MAX_ROOT_FIELDS",
        value_name = "COUNT"
    )]
    graphql_root_fields: usize,
    /// Aliases in one level of a GraphQL document
    #[arg(
        long,
        default_value_t = 10,
        env = "MLFLOW_SERVER_GRAPHQL_MAX_ALIASES",
        value_name = "COUNT"
    )]
    graphql_aliases: usize,
}

/// Which web pages may use the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Browsers")]
struct BrowserArguments {
    /// Names of the server in a `Host` header, `*` for any text [default: this machine and private
    /// networks]
    #[arg(
        long,
        env = "MLFLOW_SERVER_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "HOSTS"
    )]
    allowed_hosts: Vec<String>,
    /// Origins whose pages may change something, `*` for any text [default: this machine]
    #[arg(
        long,
        env = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS"
    )]
    cors_allowed_origins: Vec<String>,
    /// Let any page use the server, under any name
    #[arg(long, env = "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE")]
    disable_security_middleware: bool,
    /// Who may show the server's pages in a frame: SAMEORIGIN, DENY or NONE for anybody
    #[arg(
        long,
        default_value = "SAMEORIGIN",
        env = "MLFLOW_SERVER_X_FRAME_OPTIONS",
        value_name = "VALUE"
    )]
    x_frame_options: String,
}

impl BrowserArguments {
    fn guard(&self) -> anyhow::Result<Option<BrowserGuard>> {
        if self.disable_security_middleware {
            return Ok(None);
        }
        let trimmed = |texts: &[String]| {
            let texts = texts.iter().map(|text| text.trim().to_owned());
            texts.filter(|text| !text.is_empty()).collect()
        };
        let options = self.x_frame_options.trim().to_ascii_uppercase();
        let frame_options = match options.as_str() {
            "" | "NONE" => None,
            options => Some(
                options
                    .parse()
                    .context("--x-frame-options is no header value")?,
            ),
        };
        Ok(Some(BrowserGuard {
            allowed_hosts: trimmed(&self.allowed_hosts),
            allowed_origins: trimmed(&self.cors_allowed_origins),
            frame_options,
        }))
    }
}

/// Runs `mlrs server`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    logging::start(&arguments.log)?;
    arguments.refused.check()?;
    let started = Instant::now();
    let ending = Ending::watched(Duration::from_secs(arguments.drain))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.workers.map_or_else(cores, usize::from))
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(arguments, started, ending));
    // What still runs, such as a search, is not waited for.
    runtime.shutdown_background();
    served
}

/// A path that begins with a slash and does not end with one.
fn static_prefix(text: &str) -> Result<String, String> {
    if !text.starts_with('/') || text.ends_with('/') {
        return Err("it must begin with `/` and not end with it".to_owned());
    }
    if text.contains(['{', '}', '*', '?', '#', '%']) || text.contains("//") {
        return Err("it must be a plain path".to_owned());
    }
    Ok(text.to_owned())
}

impl Arguments {
    /// The databases; none when only artifacts are served.
    async fn stores(&self) -> anyhow::Result<Option<Stores>> {
        if self.artifacts.artifacts_only {
            return Ok(None);
        }
        let root = self.artifacts.root()?;
        let uri = self.database.uri()?;
        if self.database.is_new_by_default() && has_runs(Path::new("mlruns")) {
            tracing::warn!(
                "the directory ./mlruns holds runs, which `mlflow server` would show; this server \
                 begins with an empty database: `mlrs import-filestore ./mlruns` brings them in"
            );
        }
        let timeout = Duration::from_secs(self.statement_timeout);
        let open = async |uri: &DatabaseUri| {
            let store = SqlStore::open(uri, &root).await?;
            anyhow::Ok(store.with_statement_timeout(timeout))
        };
        let tracking = open(&uri).await?;
        warn_of_relative_locations(&tracking).await?;
        let registry = match &self.registry_store_uri {
            Some(text) if *text != self.database.backend_store_uri => {
                open(&database::uri(text)?).await?
            }
            _ => tracking.clone(),
        };
        Ok(Some(Stores {
            tracking: Arc::new(tracking),
            registry: Arc::new(registry),
        }))
    }
}

/// Whether a directory is a file store with experiments, as MLflow looks before it makes a database.
fn has_runs(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut experiments = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    experiments.any(|entry| entry.path().join("meta.yaml").exists())
}

/// Files that are logged to such a location are lost to everybody but the client that wrote them.
async fn warn_of_relative_locations(store: &SqlStore) -> anyhow::Result<()> {
    for found in store.relative_locations().await? {
        tracing::warn!(
            column = found.column,
            rows = found.rows,
            example = found.example,
            "artifact locations in the database are relative, so each client writes into its own \
             working directory: see `mlrs db check`"
        );
    }
    Ok(())
}

async fn serve(arguments: &Arguments, started: Instant, ending: Ending) -> anyhow::Result<()> {
    let descriptors = Descriptors::for_connections(ServerSettings::default().connections);
    let pages = arguments.ui_dir.as_deref().map(Pages::open).transpose()?;
    let artifacts = arguments.artifacts.open()?;
    let stores = arguments.stores().await?;
    let settings = TrackingSettings {
        truncate: if arguments.truncate_long_values {
            Truncate::Cut
        } else {
            Truncate::Refuse
        },
        names: if arguments.relaxed_names {
            Names::Relaxed
        } else {
            Names::Mlflow
        },
        source_pattern: arguments.artifacts.source_pattern()?,
        graphql: GraphqlLimits {
            root_fields: arguments.graphql.graphql_root_fields,
            aliases: arguments.graphql.graphql_aliases,
        },
        download_seconds: arguments.address_seconds,
        transfers: descriptors.transfers,
        body_bytes: arguments.limits.body_limit,
        bytes_in_flight: arguments.limits.bytes_in_flight,
        ..TrackingSettings::default()
    };
    tokio::spawn(mlrs_tracking::remove_remnants(
        artifacts.allowed_roots.directories(),
    ));
    let state = TrackingState::new(stores, artifacts, pages, settings)?;
    let listener = mlrs_http::bind(&arguments.host, arguments.port).await?;
    let address = listener.local_addr()?;
    let prefix = arguments.static_prefix.as_deref().unwrap_or_default();
    let signal = ending.serves();
    output::line(&format!(
        "mlrs server listens on http://{address}{prefix} ({} ms to ready)",
        started.elapsed().as_millis()
    ))?;
    output::line(&format!(
        "use it: export MLFLOW_TRACKING_URI=http://{}{prefix}",
        mlrs_http::local_target(address)
    ))?;
    let ended = async move {
        let signal = signal.await;
        tracing::info!(
            signal,
            "stopping: requests in flight are finished, no new ones are taken"
        );
    };
    let settings = ServerSettings {
        drain: Duration::from_secs(arguments.drain),
        ..ServerSettings::default()
    }
    .with_connections(descriptors.connections);
    let report = mlrs_http::serve(
        listener,
        mlrs_tracking::router(state, prefix, arguments.browsers.guard()?),
        settings,
        ended,
    )
    .await;
    tracing::info!(
        connections = report.accepted,
        cut_off = report.cut_off,
        "stopped"
    );
    Ok(())
}
