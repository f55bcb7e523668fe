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

/// Options of Python's web servers (gunicorn, waitress, uvicorn), and what does the same here.
const SERVER_OPTIONS: &[(&[&str], &str)] = &[
    (
        &["-w", "--workers", "--threads"],
        "`--workers` sets the threads that answer requests",
    ),
    (
        &[
            "-b", "--bind", "--host", "--port", "--listen", "--fd", "--uds",
        ],
        "`--host` and `--port` say where to listen",
    ),
    (
        &["--graceful-timeout", "--timeout-graceful-shutdown"],
        "`--drain` limits how long requests in flight may take at the end",
    ),
    (
        &["--root-path", "--url-prefix", "-e", "--env"],
        "`--static-prefix` is the path that a proxy adds",
    ),
    (
        &[
            "--log-level",
            "--access-logfile",
            "--error-logfile",
            "--log-file",
            "--access-log",
            "--no-access-log",
            "--log-config",
            "--access-logformat",
        ],
        "`--log-level` and `--log-format` say what is logged; `--log-level debug` adds a line for each request",
    ),
    (
        &[
            "--keyfile",
            "--certfile",
            "--ssl-keyfile",
            "--ssl-certfile",
            "--ca-certs",
        ],
        "TLS is ended by a proxy in front of the server",
    ),
    (
        &[
            "--forwarded-allow-ips",
            "--proxy-headers",
            "--trusted-proxy",
            "--trusted-proxy-headers",
        ],
        "`--allowed-hosts` names the server as proxies call it",
    ),
    (
        &[
            "-t",
            "--timeout",
            "--timeout-keep-alive",
            "--keep-alive",
            "--max-requests",
            "--max-requests-jitter",
            "--limit-max-requests",
            "--preload",
            "-k",
            "--worker-class",
            "--loop",
            "--http",
        ],
        "there are no worker processes to time out, restart or choose: leave it out",
    ),
];

/// What to do instead of options of Python's web servers, for those that are known.
fn instead_of(options: &str) -> String {
    let names = options
        .split_whitespace()
        .filter(|word| word.starts_with('-'))
        .filter_map(|word| word.split('=').next());
    let mut advice: Vec<String> = Vec::new();
    for name in names {
        let known = SERVER_OPTIONS
            .iter()
            .find(|(known, _)| known.contains(&name));
        let text = match known {
            Some((_, text)) => format!("instead of `{name}`, {text}"),
            None => format!("`{name}` has no counterpart"),
        };
        if !advice.contains(&text) {
            advice.push(text);
        }
    }
    advice.push("see `mlrs server --help` for what can be set".to_owned());
    format!("mlrs brings its own web server: {}", advice.join("; "))
}

const NO_GATEWAY: &str = "there is no gateway whose secrets could be kept: leave the option out";
const NO_WORKSPACES: &str =
    "workspaces are not there yet: leave the option out, or run one server for each team";

impl RefusedArguments {
    /// Refuses the first option that is given.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let given = self.of_python().or_else(|| self.of_mlflow());
        match given {
            None => Ok(()),
            Some((option, reason)) => Err(hinted(
                format!("the option --{option} of `mlflow server` is not supported"),
                reason,
            )),
        }
    }

    /// The first option for Python's web servers, with what does the same here.
    fn of_python(&self) -> Option<(&'static str, String)> {
        let options = [
            ("gunicorn-opts", &self.gunicorn_opts),
            ("waitress-opts", &self.waitress_opts),
            ("uvicorn-opts", &self.uvicorn_opts),
        ];
        options
            .into_iter()
            .find_map(|(option, value)| Some((option, instead_of(value.as_ref()?))))
    }

    /// The first option for a part of MLflow that is not there, with the reason.
    fn of_mlflow(&self) -> Option<(&'static str, String)> {
        let given = [
            (
                "read-replica-backend-store-uri",
                self.read_replica_backend_store_uri.is_some(),
                "reads go to the backend store: leave the option out",
            ),
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
        let first = given.into_iter().find(|(_, given, _)| *given);
        first.map(|(option, _, reason)| (option, reason.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_other_web_servers_name_what_does_the_same() {
        for (options, expected) in [
            ("--workers 4", "instead of `--workers`, `--workers` sets"),
            ("-w=4 --timeout=60", "instead of `-w`, `--workers` sets"),
            (
                "-w=4 --timeout=60",
                "instead of `--timeout`, there are no worker",
            ),
            ("--root-path /mlflow", "`--static-prefix`"),
            ("--timeout-graceful-shutdown 5", "`--drain`"),
            ("--log-level debug", "`--log-level` and `--log-format`"),
            ("--bind 0.0.0.0:80", "`--host` and `--port`"),
            ("--unheard-of", "`--unheard-of` has no counterpart"),
            (
                "x",
                "mlrs brings its own web server: see `mlrs server --help`",
            ),
        ] {
            let advice = instead_of(options);
            assert!(advice.contains(expected), "{options}: {advice}");
        }
    }
}
