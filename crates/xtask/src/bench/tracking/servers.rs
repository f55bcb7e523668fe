//! The subjects: how each of the three servers is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::bench::subject::{Subject, free_port, tools_first};

/// What every server answers when it is ready, and needs its database for.
const PROBE: &str = "/api/2.0/mlflow/experiments/get?experiment_id=0";

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Server {
    /// `mlrs server`
    Mlrs,
    /// `mlflow server`
    Mlflow,
    /// `FastTrackML`'s `fml server`
    Fasttrackml,
}

impl Server {
    /// All of them, in the order in which they take turns.
    pub const ALL: [Self; 3] = [Self::Mlrs, Self::Mlflow, Self::Fasttrackml];

    /// What it is called in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Mlrs => "mlrs",
            Self::Mlflow => "MLflow",
            Self::Fasttrackml => "FastTrackML",
        }
    }

    /// Whether it samples histories on the server and proxies artifacts.
    pub fn offers_all(self) -> bool {
        self != Self::Fasttrackml
    }
}

/// The programs, as far as they take part.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary `mlrs`.
    pub mlrs: PathBuf,
    /// An interpreter with MLflow.
    pub mlflow: Option<PathBuf>,
    /// The interpreter of the environment with `FastTrackML`.
    pub fasttrackml: Option<PathBuf>,
}

impl Programs {
    /// Starts a server on a database, with its files in a folder of its own, and waits for its
    /// first answer.
    pub fn start(&self, server: Server, database: &str, folder: &Path) -> anyhow::Result<Subject> {
        let port = free_port()?;
        let artifacts = folder.join("artifacts");
        let mut command = match server {
            Server::Mlrs => Command::new(&self.mlrs),
            Server::Mlflow => {
                let python = self.mlflow.as_deref().context("there is no MLflow")?;
                let mut command = Command::new(python);
                command.args(["-m", "mlflow"]);
                // The command starts `uvicorn` by its name.
                tools_first(&mut command, python);
                command
            }
            Server::Fasttrackml => {
                let python = self.fasttrackml.as_deref();
                Command::new(
                    python
                        .context("there is no FastTrackML")?
                        .with_file_name("fml"),
                )
            }
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
            command.env_remove(name);
        }
        command.arg("server");
        if server == Server::Fasttrackml {
            command
                .args(["--listen-address", &format!("127.0.0.1:{port}")])
                // Three slashes before the root, where MLflow wants four.
                .args(["--database-uri", &database.replacen("///", "//", 1)])
                .arg("--default-artifact-root")
                .arg(&artifacts);
        } else {
            command
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--backend-store-uri", database])
                .arg("--artifacts-destination")
                .arg(&artifacts);
        }
        command.current_dir(folder).env("TMPDIR", folder);
        Subject::start(command, Some(port), PROBE)
    }
}
