//! Options of `mlflow server` that have no meaning here: each is refused with the reason, because one
//! that is passed over in silence is taken for one that works.

use clap::Args;

use crate::failure::hinted;

/// Options that are read only to be refused; the last two ask for what is so anyway.
#[derive(Debug, Args)]
pub(super) struct RefusedArguments {
    #[arg(long, hide = true, env = "MLFLOW_READ_REPLICA_BACKEND_STORE_URI")]
    read_replica_backend_store_uri: Option<String>,
    #[arg(
        long,
        hide = true,
        allow_hyphen_values = true,
        env = "MLFLOW_GUNICORN_OPTS"
    )]
    gunicorn_opts: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    waitress_opts: Option<String>,
    #[arg(
        long,
        hide = true,
        allow_hyphen_values = true,
        env = "MLFLOW_UVICORN_OPTS"
    )]
    uvicorn_opts: Option<String>,
    #[arg(long, hide = true)]
    dev: bool,
    #[arg(long, hide = true)]
    app_name: Option<String>,
    #[arg(long, hide = true, env = "MLFLOW_TRACE_ARCHIVAL_CONFIG")]
    trace_archival_config: Option<String>,
    #[arg(long, hide = true)]
    secrets_cache_ttl: Option<String>,
    #[arg(long, hide = true)]
    secrets_cache_max_size: Option<String>,
    #[arg(long, hide = true, env = "MLFLOW_WORKSPACE_STORE_URI")]
    workspace_store_uri: Option<String>,
    #[arg(long, hide = true, env = "MLFLOW_ENABLE_WORKSPACES")]
    enable_workspaces: bool,
    // `/metrics` is always there, and keeps nothing in files.
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_EXPOSE_PROMETHEUS",
        value_name = "DIR"
    )]
    expose_prometheus: Option<String>,
    #[arg(long, hide = true)]
    disable_workspaces: bool,
}

/// What Python's web servers are told.
const OTHER_SERVER: &str = "mlrs brings its own web server: leave the option out, see `mlrs server --help` for what can be set";
const NO_GATEWAY: &str = "there is no gateway whose secrets could be kept: leave the option out";
const NO_WORKSPACES: &str =
    "workspaces are not there yet: leave the option out, or run one server for each team";

impl RefusedArguments {
    /// Refuses the first option that is given.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let given = [
            (
                "read-replica-backend-store-uri",
                self.read_replica_backend_store_uri.is_some(),
                "reads go to the backend store: leave the option out",
            ),
            ("gunicorn-opts", self.gunicorn_opts.is_some(), OTHER_SERVER),
            ("waitress-opts", self.waitress_opts.is_some(), OTHER_SERVER),
            ("uvicorn-opts", self.uvicorn_opts.is_some(), OTHER_SERVER),
            (
                "dev",
                self.dev,
                "there is no code to load again: give `--log-level debug` to see more",
            ),
            (
                "app-name",
                self.app_name.is_some(),
                "authentication is not there yet: put a proxy that authenticates in front of the server",
            ),
            (
                "trace-archival-config",
                self.trace_archival_config.is_some(),
                "traces are not there yet: leave the option out",
            ),
            (
                "secrets-cache-ttl",
                self.secrets_cache_ttl.is_some(),
                NO_GATEWAY,
            ),
            (
                "secrets-cache-max-size",
                self.secrets_cache_max_size.is_some(),
                NO_GATEWAY,
            ),
            (
                "workspace-store-uri",
                self.workspace_store_uri.is_some(),
                NO_WORKSPACES,
            ),
            ("enable-workspaces", self.enable_workspaces, NO_WORKSPACES),
        ];
        match given.into_iter().find(|(_, given, _)| *given) {
            None => Ok(()),
            Some((option, _, reason)) => Err(hinted(
                format!("the option --{option} of `mlflow server` is not supported"),
                reason,
            )),
        }
    }
}
