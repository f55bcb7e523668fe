//! `mlrs package`: a model directory out of a model file, without Python.
//!
//! The directory is made beside its destination; the model in it is loaded as `mlrs serve` would load
//! it, which tells its real inputs and outputs, and the example is run on it. Only then does it get
//! its name.

mod example;
mod print;
mod signature;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mlrs_mlmodel::onnx::OnnxFile;
use mlrs_mlmodel::package::{NewModel, Stamp, metadata_of};

use crate::cache::CacheArguments;
use crate::engine::{self, EngineArguments, Loaded};
use crate::output::OutputFormat;
use crate::progress;
use crate::serve::cores;

/// Arguments of `mlrs package`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a model directory of an ONNX file
    #[command(after_help = "Examples:
  mlrs package onnx model.onnx -o ./iris
  mlrs package onnx model.onnx -o ./iris --input-example request.json --metadata owner=anna
  mlrs package onnx model.onnx -o ./iris --input-example flowers.csv --signature signature.json

A signature file holds what MLflow writes into MLmodel, such as
  {\"inputs\": [{\"type\": \"double\", \"name\": \"width\", \"required\": true}], \"outputs\": null}")]
    Onnx(Box<OnnxArguments>),
}

#[derive(Debug, Args)]
struct OnnxArguments {
    /// The ONNX file; files that hold its tensors are found beside it
    model: PathBuf,
    /// The directory to make
    #[arg(short = 'o', long = "output-dir", value_name = "DIR")]
    directory: PathBuf,
    /// A name for the model, noted in its MLmodel file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// An example to run and to keep: a request body as /invocations takes it (JSON), or a CSV file
    #[arg(long, value_name = "FILE")]
    input_example: Option<PathBuf>,
    /// Something to note in the MLmodel file; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    metadata: Vec<(String, String)>,
    /// The signature, instead of the one that the graph tells: JSON, as MLflow writes it
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    cache: CacheArguments,
}

/// Reads `KEY=VALUE`.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Runs `mlrs package`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Onnx(arguments) => onnx(arguments),
    }
}

fn onnx(arguments: &OnnxArguments) -> anyhow::Result<()> {
    let file = OnnxFile::open(&arguments.model)?;
    let example = arguments.input_example.as_deref();
    let example = example.map(example::read).transpose()?;
    let given = arguments.signature.as_deref();
    let given = given.map(signature::read).transpose()?;
    let mut new = NewModel::begin(&arguments.directory, stamp())?;
    let bar = progress::bytes("copying");
    new.add_onnx(&file, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    })?;
    bar.finish_and_clear();
    let loaded = load(arguments, &new)?;
    let model = &*loaded.model;
    let signature = signature::choose(given, model)?;
    if let Some(signature) = &signature {
        new.set_signature(signature);
    }
    if let Some(name) = &arguments.name {
        new.set_name(name);
    }
    let pairs = arguments.metadata.iter();
    let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
    if !arguments.metadata.is_empty() {
        new.set_metadata(metadata_of(pairs));
    }
    if let Some(example) = &example {
        example.run(signature.as_ref(), model)?;
        new.add_example(&example.kept(signature.as_ref())?)?;
    }
    let made = new.finish()?;
    print::made(&made, &loaded, arguments.name.as_deref(), arguments.output)
}

/// Loads the model with the first backend that accepts it, as `mlrs serve` does.
fn load(arguments: &OnnxArguments, new: &NewModel) -> anyhow::Result<Loaded> {
    let candidates = arguments.engine.candidates(arguments.cache.folder().ok());
    let options = arguments.engine.options(1, cores());
    let named = arguments.model.display().to_string();
    engine::load_named(
        &arguments.engine,
        &candidates,
        &new.directory(),
        &named,
        &options,
    )
}

/// A new id, and the time.
fn stamp() -> Stamp {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    Stamp {
        model_uuid: uuid::Uuid::new_v4().simple().to_string(),
        utc_time_created: now.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
    }
}
