//! `mlrs onnxruntime`: the shared library that the backend `onnxruntime` loads.
//!
//! It is taken out of the official Python wheel. A wheel on disk needs nothing else; without one,
//! the machine's pip fetches it from the index that it is configured for, and checks the digest that
//! the index states.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mlrs_onnxruntime::{Locator, OnnxRuntime, install};

use crate::cache::CacheArguments;
use crate::failure::hinted;
use crate::{output, progress};

/// The version that is installed when none is named; the newest that the tests run with.
const DEFAULT_VERSION: &str = "1.31.1";

/// Arguments of `mlrs onnxruntime`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    cache: CacheArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install the library out of the official wheel
    #[command(
        after_help = "Examples:\n  mlrs onnxruntime install\n  mlrs onnxruntime install --version 1.31.1\n  mlrs onnxruntime install --wheel onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl"
    )]
    Install(InstallArguments),
    /// Print the library that would be used
    Path {
        /// The library, or the folder that holds it
        #[arg(long, value_name = "PATH")]
        onnxruntime: Option<PathBuf>,
        #[arg(long, env = "ORT_DYLIB_PATH", hide = true, value_name = "PATH")]
        ort_dylib_path: Option<OsString>,
    },
}

#[derive(Debug, Args)]
struct InstallArguments {
    /// The version of ONNX Runtime
    #[arg(long, default_value = DEFAULT_VERSION)]
    version: String,
    /// The wheel, already downloaded
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,
    /// The SHA-256 digest that the wheel must have
    #[arg(long, requires = "wheel", value_name = "HEX")]
    sha256: Option<String>,
    /// The package index to ask, instead of the one that the installer is configured for
    #[arg(long, conflicts_with = "wheel", value_name = "URL")]
    index_url: Option<String>,
}

/// Runs `mlrs onnxruntime`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let cache = arguments.cache.folder()?;
    match arguments.action {
        Action::Install(arguments) => install(&arguments, &cache),
        Action::Path {
            onnxruntime,
            ort_dylib_path,
        } => {
            let locator = Locator {
                explicit: onnxruntime,
                environment: ort_dylib_path.map(PathBuf::from),
                cache: Some(cache),
                ..Locator::default()
            };
            let backend = OnnxRuntime::new(locator);
            let (located, _) = backend.library()?;
            output::line(&located.path.display().to_string())
        }
    }
}

fn install(arguments: &InstallArguments, cache: &Path) -> anyhow::Result<()> {
    let download;
    let wheel = if let Some(wheel) = &arguments.wheel {
        wheel
    } else {
        let folder = tempfile::tempdir().context("there is no room for a temporary folder")?;
        download = Download {
            wheel: fetch(arguments, folder.path())?,
            _folder: folder,
        };
        &download.wheel
    };
    let bar = progress::bytes("installing");
    let installed = install::from_wheel(
        wheel,
        cache,
        arguments.sha256.as_deref(),
        &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        },
    )?;
    bar.finish_and_clear();
    output::line(&installed.path.display().to_string())
}

/// A downloaded wheel, and the folder that goes with it.
struct Download {
    wheel: PathBuf,
    _folder: tempfile::TempDir,
}

/// Lets the machine's pip fetch the wheel into `folder`. It shows its own progress, and checks the
/// index's digest.
fn fetch(arguments: &InstallArguments, folder: &Path) -> anyhow::Result<PathBuf> {
    let package = format!("onnxruntime=={}", arguments.version);
    let mut tried = Vec::new();
    for python in ["python3", "python"] {
        let mut command = Command::new(python);
        command
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(folder)
            .arg(&package);
        if let Some(index) = &arguments.index_url {
            command.args(["--index-url", index]);
        }
        // Our standard output is for the path of the library; progress goes beside it.
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        match command.status() {
            Ok(status) if status.success() => return find_wheel(folder),
            Ok(status) => tried.push(format!(
                "`{python} -m pip download {package}` ended with {status}"
            )),
            Err(error) => tried.push(format!("`{python}`: {error}")),
        }
    }
    Err(hinted(
        format!(
            "the wheel of onnxruntime {} cannot be downloaded: {}",
            arguments.version,
            tried.join("; ")
        ),
        "download the `onnxruntime` wheel for this platform elsewhere, and pass it with --wheel FILE",
    ))
}

fn find_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.next().context("the installer downloaded no wheel")
}
