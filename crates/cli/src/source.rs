//! From a URI or a path to a model directory on this machine.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use mlrs_client::{Identity, ModelUri, Progress, Resolver};
use mlrs_mlmodel::ModelDirectory;
use mlrs_mlmodel::archive::Limits;
use mlrs_mlmodel::directory::open_model;
use mlrs_mlmodel::staging::Partial;

use crate::cache::CacheArguments;
use crate::connection::{ConnectionArguments, runtime};
use crate::{output, progress};

/// Arguments of `mlrs pull`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs pull models:/iris/Production ./iris
  mlrs pull models:/iris/Production ./iris --replace --no-cache
  mlrs pull runs:/0123456789abcdef0123456789abcdef/model
  MLFLOW_TRACKING_URI=http://localhost:5000 mlrs pull models:/iris@champion")]
pub(crate) struct PullArguments {
    /// The model, by a URI or a path
    #[arg(
        help = "The model: models:/NAME/VERSION, models:/NAME/STAGE, models:/NAME@ALIAS, models:/m-ID, \
                  runs:/ID/PATH, mlflow-artifacts:/PATH, s3://…, gs://…, abfss://…, or a path"
    )]
    uri: String,
    /// The directory to make, or an empty one to fill [default: keep it in the cache, and print where]
    #[arg(value_name = "DIR", group = "destination")]
    folder: Option<PathBuf>,
    /// The same, said as an option
    #[arg(short, long, value_name = "DIR", group = "destination")]
    directory: Option<PathBuf>,
    /// Put the model in place of what is in the directory
    #[arg(long, requires = "destination")]
    replace: bool,
    /// Keep nothing but the directory: what is downloaded is moved there, and not copied
    #[arg(long, requires = "destination")]
    no_cache: bool,
    #[command(flatten)]
    cache: CacheArguments,
}

/// A model directory, and what the registry said of it.
pub(crate) struct Source {
    /// The directory or archive, as a person would name it.
    pub(crate) path: PathBuf,
    /// The directory.
    pub(crate) directory: ModelDirectory,
    /// The name, version, run and id, as far as they are known.
    pub(crate) identity: Identity,
    /// A folder that an archive was unpacked into, removed when this is dropped or a signal ends the
    /// process.
    scratch: Option<Partial>,
}

impl Source {
    /// The scratch folder, while there is one: for messages.
    pub(crate) fn is_unpacked(&self) -> bool {
        self.scratch.is_some()
    }
}

/// Finds the model and opens its directory.
///
/// # Errors
/// When it cannot be found, downloaded or read.
pub(crate) fn open(uri: &str, cache: &CacheArguments) -> anyhow::Result<Source> {
    let (path, identity) = locate(uri, cache)?;
    if path.is_file() {
        // Always a new folder: in a shared temporary folder, a name that can be guessed may have been
        // taken by somebody else.
        let scratch = tempfile::Builder::new()
            .prefix("mlrs-")
            .tempdir()
            .context("cannot make a temporary folder to unpack the archive into")?;
        let scratch = Partial::of(scratch.keep());
        let bar = progress::bytes("unpacking");
        let directory = open_model(&path, &scratch.path, &Limits::default(), &mut |progress| {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        })?;
        bar.finish_and_clear();
        return Ok(Source {
            path,
            directory,
            identity,
            scratch: Some(scratch),
        });
    }
    Ok(Source {
        directory: ModelDirectory::open(&path)?,
        path,
        identity,
        scratch: None,
    })
}

/// The local path of a model; a plain one costs no set-up.
fn locate(uri: &str, cache: &CacheArguments) -> anyhow::Result<(PathBuf, Identity)> {
    if let ModelUri::Local(path) = ModelUri::parse(uri)? {
        return Ok((path, Identity::default()));
    }
    let resolver = resolver(cache)?;
    let bar = progress::bytes("downloading");
    let shown = bar.clone();
    let report = move |progress: Progress| progress::advance(&shown, progress);
    let found = runtime()?.block_on(resolver.resolve(uri, &report))?;
    bar.finish_and_clear();
    Ok((found.path, found.identity.unwrap_or_default()))
}

/// Runs `mlrs pull`.
pub(crate) fn pull(arguments: &PullArguments) -> anyhow::Result<()> {
    let uri = &arguments.uri;
    let bar = progress::bytes("downloading");
    let shown = bar.clone();
    let report = move |progress: Progress| progress::advance(&shown, progress);
    let found = match arguments.folder.as_ref().or(arguments.directory.as_ref()) {
        Some(directory) => {
            let resolver = if arguments.no_cache {
                Resolver::without_cache(ConnectionArguments::default().settings()?, directory)?
            } else {
                resolver(&arguments.cache)?
            };
            runtime()?.block_on(resolver.pull(uri, directory, arguments.replace, &report))?
        }
        None => runtime()?.block_on(resolver(&arguments.cache)?.resolve(uri, &report))?,
    };
    bar.finish_and_clear();
    output::line(&found.path.display().to_string())
}

fn resolver(cache: &CacheArguments) -> anyhow::Result<Resolver> {
    let settings = ConnectionArguments::default().settings()?;
    Ok(Resolver::new(settings, cache.folder()?)?)
}
