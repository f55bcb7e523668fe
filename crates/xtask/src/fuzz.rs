//! Running the fuzz targets: over the inputs that are kept, or in search of new ones.
//!
//! Both need no more than the toolchain of the project. Inputs that are kept run in programs that are
//! built as the tests are; a search wants code that reports what it reaches, which is built apart.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;
use mlrs_testing::{Postgres, workspace_root};

use crate::environment::run;

/// What makes code report what it reaches, as `cargo fuzz` asks for it.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Limits of one input: seconds, and megabytes of the process.
const LIMITS: [&str; 2] = ["-timeout=25", "-rss_limit_mb=4096"];

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, Args)]
pub struct Options {
    /// The targets; all of them unless given
    targets: Vec<String>,
    /// Search for new inputs for so long with each target, instead of running those that are kept
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
}

/// Runs the targets; one that fails does not keep the others from running.
pub fn all(options: &Options) -> anyhow::Result<()> {
    let known = known_targets()?;
    if let Some(unknown) = options
        .targets
        .iter()
        .find(|target| !known.contains(target))
    {
        bail!(
            "no fuzz target `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let targets = match options.targets.as_slice() {
        [] => known.as_slice(),
        chosen => chosen,
    };
    let programs = build(targets, options.seconds.is_some())?;
    let postgres = Postgres::start().and_then(|cluster| {
        let uri = cluster.database("fuzz")?;
        Ok((cluster, uri))
    });
    if let Err(error) = &postgres {
        println!("note: searches run on SQLite only: {error}");
    }
    let uri = postgres.as_ref().ok().map(|(_, uri)| uri.as_str());
    let mut failed = Vec::new();
    for target in targets {
        let mut command = Command::new(programs.join(target));
        command.current_dir(workspace_root()).args(LIMITS);
        command.envs(uri.map(|uri| ("MLRS_FUZZ_POSTGRES", uri)));
        let outcome = match options.seconds {
            None => replay(target, command),
            Some(seconds) => search(target, command, seconds),
        };
        if let Err(error) = outcome {
            println!("{error:#}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("fuzz targets failed: {}", failed.join(", "))
}

fn folder() -> PathBuf {
    workspace_root().join("fuzz")
}

/// The names of the targets, sorted.
fn known_targets() -> anyhow::Result<Vec<String>> {
    let files = files_of(&folder().join("fuzz_targets"))?;
    let names = files.iter().filter_map(|file| file.file_stem()?.to_str());
    Ok(names.map(str::to_owned).collect())
}

/// Builds the programs; gives the folder that they are in.
fn build(targets: &[String], reports: bool) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace_root())
        .args(["build", "--package", "mlrs-fuzz"]);
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    let target_folder = std::env::var_os("CARGO_TARGET_DIR");
    let mut target_folder =
        target_folder.map_or_else(|| workspace_root().join("target"), PathBuf::from);
    if !reports {
        run(command.arg("--target-dir").arg(&target_folder))?;
        return Ok(target_folder.join("debug"));
    }
    // With a target that is named, the flags are not for build scripts and macros, which nobody fuzzes.
    let host = host()?;
    target_folder = target_folder.join("fuzz");
    command.env("RUSTFLAGS", COVERAGE).args(["--target", &host]);
    run(command.arg("--target-dir").arg(&target_folder))?;
    Ok(target_folder.join(host).join("debug"))
}

/// The platform of this machine, as the compiler names it.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.context("could not run `rustc`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .context("`rustc` does not say which platform it runs on")
}

/// Runs every input that is kept, once.
fn replay(target: &str, mut command: Command) -> anyhow::Result<()> {
    let kept = kept_inputs(target)?;
    let mut inputs = files_of(&folder().join("corpus").join(target))?;
    inputs.extend(files_of(kept.path())?);
    let artifacts = artifacts(target)?;
    let output = command
        .arg(artifacts)
        .args(&inputs)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run `{target}`"))?;
    if output.status.success() {
        println!("{target}: {} inputs", inputs.len());
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(60)..)
        .unwrap_or_default();
    bail!(
        "{target} ended with {}:\n{}",
        output.status,
        last.join("\n")
    )
}

/// Searches for new inputs, which are kept for nobody: `fuzz/README.md` says how to keep them.
fn search(target: &str, mut command: Command, seconds: u32) -> anyhow::Result<()> {
    let found = kept_inputs(target)?;
    println!("{target}: {seconds} s");
    let artifacts = artifacts(target)?;
    command
        .arg(artifacts)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-print_final_stats=1", "-verbosity=0"])
        .arg(found.path())
        .arg(folder().join("corpus").join(target));
    run(&mut command)
}

/// Where an input that fails is kept.
fn artifacts(target: &str) -> anyhow::Result<String> {
    let artifacts = folder().join("artifacts").join(target);
    std::fs::create_dir_all(&artifacts)
        .with_context(|| format!("could not make `{}`", artifacts.display()))?;
    Ok(format!("-artifact_prefix={}/", artifacts.display()))
}

/// The inputs that longer runs found, unpacked.
fn kept_inputs(target: &str) -> anyhow::Result<tempfile::TempDir> {
    let unpacked = tempfile::tempdir().context("there is no room for a temporary folder")?;
    let archive = folder().join("corpus").join(format!("{target}.tar.xz"));
    if archive.is_file() {
        run(Command::new("tar")
            .arg("xJf")
            .arg(archive)
            .arg("-C")
            .arg(unpacked.path()))?;
    }
    Ok(unpacked)
}

/// The files below a folder, sorted.
fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("could not read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that nobody builds or that has nothing to begin with is soon forgotten.
    #[test]
    fn every_target_is_built_and_has_seeds() {
        let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
        let targets = known_targets().unwrap();
        assert!(targets.len() >= 19, "{targets:?}");
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
            assert!(readme.contains(&format!("`{target}`")), "{target}");
            let seeds = files_of(&folder().join("corpus").join(&target)).unwrap();
            assert!(!seeds.is_empty(), "{target}");
        }
    }

    #[test]
    fn an_unknown_target_is_named_with_those_that_are_there() {
        let options = Options {
            targets: vec!["yaml".to_owned()],
            seconds: None,
        };
        let error = all(&options).unwrap_err().to_string();
        assert!(
            error.starts_with("no fuzz target `yaml`; there are: archive, "),
            "{error}"
        );
    }
}
