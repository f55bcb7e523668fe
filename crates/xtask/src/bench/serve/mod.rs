//! `cargo xtask bench serve`: mlrs beside a bare handler and beside MLflow, on one machine in one
//! run, with the same bodies and the same load.
//!
//! Machines are noisy, so the subjects take turns and the median of the rounds counts; what is
//! compared are ratios. Before anything is measured, all subjects must give the same predictions.

pub mod baseline;
mod load;
mod memory;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use mlrs_testing::{Client, workspace_root};

use super::figures::Load;
use super::subject::{Subject, free_port, tools_first};
use super::{document, release_binary};
use crate::environment;
pub use memory::{MemoryOptions, run as memory};

/// How to measure.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Seconds of load for each figure
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// How often the subjects take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leave the Python servers out
    #[arg(long)]
    skip_python: bool,
    /// Put the sections of the report into this file, too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// A model, a body, and what they are called in the table.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    model: &'static str,
    body: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        name: "logistic, 1 row, data frame",
        model: "logistic-columns",
        body: "split-1.json",
    },
    Case {
        name: "logistic, 1 row, tensor",
        model: "logistic-tensor",
        body: "inputs-1.json",
    },
    Case {
        name: "forest of 100, 1 row, data frame",
        model: "forest-columns",
        body: "split-1.json",
    },
    Case {
        name: "logistic, 1,000 rows, data frame",
        model: "logistic-columns",
        body: "split-1000.json",
    },
    Case {
        name: "logistic, 1,000 rows, tensor",
        model: "logistic-tensor",
        body: "inputs-1000.json",
    },
];

/// What every server answers when it is ready.
const PROBE: &str = "/ping";

const LIMIT: &str = "bare handler";
const VALUE: &str = "serde_json::Value";
const ONNXRUNTIME: &str = "mlrs, ONNX Runtime";
const TRACT: &str = "mlrs, tract";
const MLFLOW: &str = "mlflow models serve";
const MLSERVER: &str = "MLServer";

/// The figures of one subject in one case.
#[derive(Clone, Copy, Debug)]
struct Figures {
    load: Load,
    /// From start to first answer, in milliseconds.
    ready: f64,
    /// Resident memory after the load, in MiB.
    memory: f64,
}

/// Case and subject → figures of each round.
type Measured = BTreeMap<(&'static str, &'static str), Vec<Figures>>;

/// The tools of a run.
struct Bench {
    options: Options,
    folder: PathBuf,
    python: PathBuf,
    /// The interpreter that has MLServer, where it can be installed.
    mlserver: Option<PathBuf>,
    library: PathBuf,
    mlrs: PathBuf,
}

/// Runs `cargo xtask bench serve`.
pub fn run(options: Options) -> anyhow::Result<()> {
    let bench = Bench::prepare(options)?;
    let mut measured = Measured::new();
    for round in 0..bench.options.rounds.max(1) {
        for case in CASES {
            println!("round {}: {}", round + 1, case.name);
            bench.measure(case, &mut measured)?;
        }
    }
    let table = report::markdown(&measured, &bench.options);
    document::publish(&table, bench.options.write.as_deref())
}

impl Bench {
    /// Builds what is measured, and makes the models and the bodies.
    fn prepare(options: Options) -> anyhow::Result<Self> {
        // One after the other: built together they would share the features of their libraries, and
        // the handler with `serde_json::Value` would read floats exactly, and slower, as mlrs does.
        let mlrs = release_binary("mlrs")?;
        release_binary("xtask")?;
        let python = environment::python()?;
        let library = environment::onnxruntime_library(&python)?;
        let folder = mlrs_testing::home().join("bench");
        std::fs::create_dir_all(&folder)?;
        if !folder.join("inputs-1000.json").exists() {
            environment::run(
                Command::new(&python)
                    .arg(workspace_root().join("crates/xtask/bench/make_models.py"))
                    .arg(&folder),
            )?;
        }
        let mlserver = if options.skip_python {
            None
        } else {
            environment::mlserver()
                .inspect_err(|error| println!("MLServer is left out: {error:#}"))
                .ok()
        };
        Ok(Self {
            options,
            folder,
            python,
            mlserver,
            library,
            mlrs,
        })
    }

    fn subjects(&self) -> Vec<&'static str> {
        let all = [LIMIT, VALUE, ONNXRUNTIME, TRACT, MLFLOW, MLSERVER];
        let takes_part = |name: &&str| match *name {
            MLFLOW => !self.options.skip_python,
            MLSERVER => self.mlserver.is_some(),
            _ => true,
        };
        all.into_iter().filter(takes_part).collect()
    }

    /// Measures all subjects in one case, one after the other.
    fn measure(&self, case: Case, measured: &mut Measured) -> anyhow::Result<()> {
        let mut expected: Option<serde_json::Value> = None;
        for name in self.subjects() {
            let subject = self.start(name, case)?;
            let path = match name {
                LIMIT => "limit",
                VALUE => "value",
                _ => "invocations",
            };
            let url = format!("{}/{path}", subject.address);
            let body = self.folder.join(case.body);
            if path == "invocations" {
                let answer = predictions(&url, &body)?;
                if expected.get_or_insert_with(|| answer.clone()) != &answer {
                    bail!("{name} predicts otherwise in the case `{}`", case.name);
                }
            }
            load::run(&url, &body, 1, &self.folder)?;
            let load = load::run(&url, &body, self.options.seconds, &self.folder)?;
            let figures = Figures {
                load,
                ready: subject.ready.as_secs_f64() * 1e3,
                memory: subject.group().resident(),
            };
            measured.entry((case.name, name)).or_default().push(figures);
        }
        Ok(())
    }

    fn start(&self, name: &str, case: Case) -> anyhow::Result<Subject> {
        let model = self.folder.join(case.model);
        let mut command = Command::new(&self.mlrs);
        command
            .arg("serve")
            .arg(&model)
            .args(["--port", "0", "--onnxruntime"])
            .arg(&self.library);
        match name {
            ONNXRUNTIME => {
                command.args(["--backend", "onnxruntime"]);
            }
            TRACT => {
                command.args(["--backend", "tract"]);
            }
            MLFLOW => return self.start_mlflow(&model),
            MLSERVER => return self.start_mlserver(&model),
            _ => {
                command = Command::new(self.mlrs.with_file_name("xtask"));
                command.arg("bench-baseline");
            }
        }
        Subject::start(command, None, PROBE)
    }

    fn start_mlflow(&self, model: &Path) -> anyhow::Result<Subject> {
        let port = free_port()?;
        let mut command = Command::new(&self.python);
        command
            .args([
                "-m",
                "mlflow",
                "models",
                "serve",
                "--env-manager",
                "local",
                "-h",
                "127.0.0.1",
                "-m",
            ])
            .arg(model);
        command.args(["-p", &port.to_string()]);
        // The command starts `uvicorn` by its name.
        tools_first(&mut command, &self.python);
        Subject::start(command, Some(port), PROBE)
    }

    fn start_mlserver(&self, model: &Path) -> anyhow::Result<Subject> {
        let python = self.mlserver.as_deref().context("there is no MLServer")?;
        let folder = self.folder.join("mlserver");
        std::fs::create_dir_all(&folder)?;
        let settings = serde_json::json!({
            "name": "mlserver",
            "implementation": "mlserver_mlflow.MLflowRuntime",
            "parameters": {"uri": model},
        });
        std::fs::write(folder.join("model-settings.json"), settings.to_string())?;
        let port = free_port()?;
        let mut command = Command::new(python.with_file_name("mlserver"));
        command.arg("start").arg(&folder).envs([
            ("MLSERVER_HOST", "127.0.0.1".to_owned()),
            // Its worker processes do not start with the event loop of today's Python.
            ("MLSERVER_PARALLEL_WORKERS", "0".to_owned()),
            ("MLSERVER_HTTP_PORT", port.to_string()),
            ("MLSERVER_GRPC_PORT", free_port()?.to_string()),
            ("MLSERVER_METRICS_PORT", free_port()?.to_string()),
        ]);
        tools_first(&mut command, python);
        Subject::start(command, Some(port), PROBE)
    }
}

/// The labels that a server predicts for a body.
fn predictions(url: &str, body: &Path) -> anyhow::Result<serde_json::Value> {
    let answer = Client::new().post(url, Some("application/json"), &std::fs::read(body)?)?;
    if answer.status != 200 {
        bail!("`{url}` answered {}: {}", answer.status, answer.body);
    }
    Ok(serde_json::from_str(&answer.body)?)
}
