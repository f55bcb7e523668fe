//! `mlrs pack` and `mlrs unpack`: model directories as `.zip` files.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use mlrs_mlmodel::ModelDirectory;
use mlrs_mlmodel::archive::{self, Limits, Progress};

use crate::{output, progress};

/// Arguments of `mlrs pack`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mlrs pack examples/iris iris.zip")]
pub(crate) struct PackArguments {
    /// The model directory
    directory: PathBuf,
    /// The file to write [default: the directory's name with `.zip`]
    archive: Option<PathBuf>,
}

/// Arguments of `mlrs unpack`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mlrs unpack iris.zip ./iris")]
pub(crate) struct UnpackArguments {
    /// The `.zip` file
    archive: PathBuf,
    /// The directory to make [default: the archive's name without `.zip`]
    directory: Option<PathBuf>,
    /// The most bytes that the files may have together
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
}

/// Runs `mlrs pack`.
pub(crate) fn pack(arguments: &PackArguments) -> anyhow::Result<()> {
    // Only what is a model is packed: the error is better here than where it is unpacked.
    let model = ModelDirectory::open(&arguments.directory)?;
    let archive = arguments
        .archive
        .clone()
        .unwrap_or_else(|| arguments.directory.with_extension("zip"));
    let bar = progress::bytes("packing");
    archive::pack(&model.path, &archive, &mut |progress| {
        advance(&bar, &progress);
    })?;
    bar.finish_and_clear();
    output::line(&archive.display().to_string())
}

/// Runs `mlrs unpack`.
pub(crate) fn unpack(arguments: &UnpackArguments) -> anyhow::Result<()> {
    let directory = arguments
        .directory
        .clone()
        .unwrap_or_else(|| arguments.archive.with_extension(""));
    let mut limits = Limits::default();
    if let Some(bytes) = arguments.max_bytes {
        limits.total_bytes = bytes;
    }
    let bar = progress::bytes("unpacking");
    archive::unpack(&arguments.archive, &directory, &limits, &mut |progress| {
        advance(&bar, &progress);
    })
    .with_context(|| format!("cannot unpack `{}`", arguments.archive.display()))?;
    bar.finish_and_clear();
    ModelDirectory::open(&directory)?;
    output::line(&directory.display().to_string())
}

fn advance(bar: &indicatif::ProgressBar, progress: &Progress<'_>) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
}
