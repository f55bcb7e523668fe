//! `mlrs server`: tracking over MLflow's REST API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use mlrs_artifacts::{CloudSettings, open_direct};
use mlrs_http::{BrowserGuard, ServerSettings};
use mlrs_store::rules::Truncate;
use mlrs_store_sql::{DatabaseUri, SqlStore};
use mlrs_tracking::{Artifacts, GraphqlLimits, Pages, TrackingSettings, TrackingState};

use crate::logging::{self, LogArguments};
use crate::output;
use crate::serve::cores;

/// Arguments of `mlrs server`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs server
  mlrs server --backend-store-uri sqlite:////var/lib/mlflow/mlflow.db --host 0.0.0.0 --port 5000
  mlrs server --backend-store-uri 'postgresql://mlflow@db/mlflow?sslmode=verify-full'")]
pub(crate) struct Arguments {
    /// The database of experiments, runs and models; one that MLflow made is used in place
    #[arg(
        long,
        default_value = "sqlite:///mlflow.db",
        env = "MLFLOW_BACKEND_STORE_URI",
        value_name = "URI"
    )]
    backend_store_uri: String,
    /// Where experiments have their artifacts that name no place
    #[arg(
        long,
        default_value = "mlflow-artifacts:/",
        env = "MLFLOW_DEFAULT_ARTIFACT_ROOT",
        value_name = "URI"
    )]
    default_artifact_root: String,
    /// Where artifacts of `mlflow-artifacts:` are kept: a folder, or s3:, gs: or Azure
    #[arg(
        long,
        default_value = "./mlartifacts",
        env = "MLFLOW_ARTIFACTS_DESTINATION",
        value_name = "URI"
    )]
    artifacts_destination: String,
    /// The folder of MLflow's web pages: `mlflow/server/js/build` of its Python package
    #[arg(long, env = "MLRS_UI_DIR", value_name = "DIR")]
    ui_dir: Option<PathBuf>,
    /// The address to listen on; 0.0.0.0 is all of them
    #[arg(
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
    /// Cut values of params and tags that are too long, instead of refusing them
    #[arg(
        long,
        default_value_t = true,
        action = clap::ArgAction::Set,
        env = "MLFLOW_TRUNCATE_LONG_VALUES",
        value_name = "BOOL"
    )]
    truncate_long_values: bool,
    #[command(flatten)]
    graphql: GraphqlArguments,
    #[command(flatten)]
    browsers: BrowserArguments,
    #[command(flatten)]
    log: LogArguments,
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
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments, started))
}

/// How artifacts are reached.
fn artifacts(arguments: &Arguments) -> anyhow::Result<Artifacts> {
    let cloud = CloudSettings::from_variables(|name| std::env::var(name).ok());
    let destination = Artifacts::open_destination(&arguments.artifacts_destination, &cloud)?;
    let mut local_roots: Vec<PathBuf> = destination
        .local_folder()
        .map(Path::to_path_buf)
        .into_iter()
        .collect();
    if let Ok(root) = open_direct(&arguments.default_artifact_root, &cloud) {
        local_roots.extend(root.local_folder().map(Path::to_path_buf));
    }
    Ok(Artifacts {
        destination: Some(destination),
        cloud,
        local_roots,
    })
}

/// The database; a password may come from where PostgreSQL's own programs take it.
fn database(text: &str) -> anyhow::Result<DatabaseUri> {
    Ok(match DatabaseUri::parse(text)? {
        DatabaseUri::Postgres(uri) => match std::env::var("PGPASSWORD") {
            Ok(password) => DatabaseUri::Postgres(Box::new(uri.with_default_password(&password))),
            Err(_) => DatabaseUri::Postgres(uri),
        },
        uri @ DatabaseUri::Sqlite(_) => uri,
    })
}

async fn serve(arguments: &Arguments, started: Instant) -> anyhow::Result<()> {
    let shutdown = mlrs_http::signals::shutdown_signal()
        .context("the handlers of signals cannot be installed")?;
    let pages = arguments.ui_dir.as_deref().map(Pages::open).transpose()?;
    let uri = database(&arguments.backend_store_uri)?;
    let store = SqlStore::open(&uri, &arguments.default_artifact_root).await?;
    let settings = TrackingSettings {
        truncate: if arguments.truncate_long_values {
            Truncate::Cut
        } else {
            Truncate::Refuse
        },
        graphql: GraphqlLimits {
            root_fields: arguments.graphql.graphql_root_fields,
            aliases: arguments.graphql.graphql_aliases,
        },
        ..TrackingSettings::default()
    };
    let state = TrackingState::new(
        Arc::new(store.clone()),
        Arc::new(store),
        artifacts(arguments)?,
        pages,
        settings,
    )?;
    let listener = mlrs_http::bind(&arguments.host, arguments.port).await?;
    let address = listener.local_addr()?;
    output::line(&format!(
        "mlrs server listens on http://{address} ({} ms to ready)",
        started.elapsed().as_millis()
    ))?;
    output::line(&format!(
        "use it: export MLFLOW_TRACKING_URI=http://{address}"
    ))?;
    let ended = async move {
        let signal = shutdown.await;
        tracing::info!(
            signal,
            "stopping: requests in flight are finished, no new ones are taken"
        );
    };
    let settings = ServerSettings {
        drain: Duration::from_secs(arguments.drain),
        ..ServerSettings::default()
    };
    let report = mlrs_http::serve(
        listener,
        mlrs_tracking::router(state, arguments.browsers.guard()?),
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
