//! Running the tests, and saying at the end what could not run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use mlrs_testing::{SKIPPED_FILE, home, workspace_root};

use crate::docker::{DockerEngine, docker_engine};
use crate::environment::{
    azurite, helm, kserve, kubernetes_models, onnxruntime_library, python, run,
};
use crate::failures::Failures;
use crate::machine::tell_lacks;

/// What the tests are told of this machine.
struct Surroundings {
    variables: Vec<(&'static str, PathBuf)>,
    /// What is missing, and why.
    missing: Vec<String>,
    /// Where tests write what they could not do.
    skipped: PathBuf,
    /// The Docker engine that was started for them, if none answered.
    _engine: Option<DockerEngine>,
}

impl Surroundings {
    /// Prepares everything that can be prepared.
    fn prepare() -> anyhow::Result<Self> {
        let home = home();
        std::fs::create_dir_all(&home)
            .with_context(|| format!("could not make `{}`", home.display()))?;
        let home = home.canonicalize().context("the tests' home has no path")?;
        let skipped = home.join(format!("skipped-{}", std::process::id()));
        let mut variables = vec![
            ("MLRS_TEST_HOME", home.clone()),
            (SKIPPED_FILE, skipped.clone()),
        ];
        let mut missing = Vec::new();
        match python() {
            Ok(python) => {
                match onnxruntime_library(&python) {
                    Ok(library) => variables.push(("ORT_DYLIB_PATH", library)),
                    Err(error) => missing.push(format!("SKIPPED: ONNX Runtime: {error:#}")),
                }
                variables.push(("MLRS_TEST_PYTHON", python));
            }
            Err(error) => missing.push(format!("SKIPPED: Python: {error:#}")),
        }
        match azurite() {
            Ok(program) => variables.push(("MLRS_TEST_AZURITE", program)),
            Err(error) => missing.push(format!("SKIPPED: Azure: {error:#}")),
        }
        let engine = match docker_engine(&home) {
            Ok(engine) => engine,
            Err(error) => {
                missing.push(format!("SKIPPED: Docker: {error:#}"));
                None
            }
        };
        if let Some(engine) = &engine {
            variables.push(("DOCKER_HOST", PathBuf::from(engine.host())));
        }
        match kserve() {
            Ok(folder) => variables.push(("MLRS_TEST_KSERVE", folder)),
            Err(error) => missing.push(format!("SKIPPED: KServe: {error:#}")),
        }
        match helm() {
            Ok(folder) => variables.push(("MLRS_TEST_HELM", folder)),
            Err(error) => missing.push(format!("SKIPPED: Helm: {error:#}")),
        }
        match kubernetes_models() {
            Ok(folder) => variables.push(("MLRS_TEST_KUBERNETES_MODELS", folder)),
            Err(error) => missing.push(format!("SKIPPED: Kubernetes models: {error:#}")),
        }
        Ok(Self {
            variables,
            missing,
            skipped,
            _engine: engine,
        })
    }

    /// Cargo, told of everything.
    fn cargo(&self, require_all: bool) -> Command {
        let mut command = cargo();
        command.current_dir(workspace_root());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if require_all {
            command.env("MLRS_REQUIRE_ALL", "1");
        }
        command
    }

    /// What was missing here and what the tests left out, each once.
    fn left_out(&self) -> Vec<String> {
        let written = std::fs::read_to_string(&self.skipped).unwrap_or_default();
        let _ = std::fs::remove_file(&self.skipped);
        let mut lines = self.missing.clone();
        lines.extend(written.lines().map(str::to_owned));
        lines.sort();
        lines.dedup();
        lines
    }
}

/// Runs the tests: of the whole workspace, or of the targets that these arguments of Cargo choose. One that
/// fails does not end the run.
pub fn all(require_all: bool, filter: Option<&str>, targets: &[String]) -> anyhow::Result<()> {
    tell_lacks();
    let surroundings = Surroundings::prepare()?;
    if require_all && !surroundings.missing.is_empty() {
        bail!(
            "not everything can be tested here:\n{}",
            surroundings.missing.join("\n")
        );
    }
    // Built once, here, so that no test has to.
    run(surroundings
        .cargo(require_all)
        .args(["build", "--package", "mlrs"]))?;
    let mut failures = Failures::default();
    let tests = run_tests(&mut failures, filter, targets, || {
        surroundings.cargo(require_all)
    });
    let left_out = surroundings.left_out();
    for line in &left_out {
        println!("{line}");
    }
    tests?;
    if let Some(summary) = failures.summary() {
        bail!(summary);
    }
    if require_all && !left_out.is_empty() {
        bail!("{} things could not be tested", left_out.len());
    }
    Ok(())
}

/// Documentation tests first, so that the last line is the summary of the main run.
fn run_tests(
    failures: &mut Failures,
    filter: Option<&str>,
    targets: &[String],
    cargo: impl Fn() -> Command,
) -> anyhow::Result<()> {
    if filter.is_none() && targets.is_empty() {
        let arguments = ["test", "--workspace", "--doc", "--no-fail-fast"];
        failures.run(cargo().args(arguments).arg("--quiet"))?;
    }
    let mut command = cargo();
    let has_nextest = has_nextest();
    if has_nextest {
        // A filter may leave packages without tests, and a young workspace may have none at all.
        command.args(["nextest", "run", "--no-fail-fast", "--no-tests=pass"]);
    } else {
        command.args(["test", "--no-fail-fast"]);
    }
    match (targets, has_nextest) {
        ([], true) => command.arg("--workspace"),
        ([], false) => command.args(["--workspace", "--lib", "--bins", "--tests"]),
        (targets, _) => command.args(targets),
    };
    failures.run(command.args(filter))
}

/// Compares the binary with MLflow, or writes the report of how they differ.
pub fn differential(report: Option<&Path>) -> anyhow::Result<()> {
    let surroundings = Surroundings::prepare()?;
    let mut command = surroundings.cargo(true);
    command.args([
        "test",
        "--package",
        "mlrs-tests",
        "--test",
        "differential",
        "--",
    ]);
    match report {
        None => command.arg("--nocapture"),
        Some(path) => {
            let path = std::path::absolute(path).context("the report needs a file name")?;
            command
                .args(["--ignored", "--exact", "report"])
                .env("MLRS_DIFFERENTIAL_REPORT", path)
        }
    };
    let result = run(&mut command);
    let left_out = surroundings.left_out();
    if left_out.is_empty() {
        result
    } else {
        bail!(left_out.join("\n"))
    }
}

/// The Cargo that runs this program.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether `cargo nextest` is installed.
fn has_nextest() -> bool {
    let quiet = cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let skipped = folder.path().join("skipped");
        std::fs::write(&skipped, "SKIPPED: b: c\nSKIPPED: a: b\nSKIPPED: b: c\n").unwrap();
        let surroundings = Surroundings {
            variables: Vec::new(),
            missing: vec!["SKIPPED: Python: absent".to_owned()],
            skipped: skipped.clone(),
            _engine: None,
        };
        let lines = surroundings.left_out();
        assert_eq!(
            lines,
            ["SKIPPED: Python: absent", "SKIPPED: a: b", "SKIPPED: b: c"]
        );
        assert!(!skipped.exists());
    }
}
