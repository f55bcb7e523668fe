//! `mlrs predict`: the way of a request without a server.
//!
//! JSON is one request. CSV is cut into batches of rows, so that a file of any size needs little
//! memory; its answers are joined into one list.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use mlrs_backend::ValueInfo;
use mlrs_payload::{AnswerShape, Compat, Decoded, Format, InputPlan, encode};
use mlrs_runtime::{InService, Settings};

use crate::cache::CacheArguments;
use crate::engine::{self, EngineArguments};
use crate::serve::{CompatChoice, cores};
use crate::{progress, source};

/// Lines of CSV that make a batch, at the most.
const BATCH_LINES: usize = 4096;

/// Bytes of CSV that make a batch, about.
const BATCH_BYTES: usize = 4 << 20;

/// Arguments of `mlrs predict`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs predict -m examples/iris -i examples/iris/serving_input_example.json
  cat flowers.csv | mlrs predict -m models:/iris/Production -t csv -o answers.json")]
pub(crate) struct Arguments {
    /// The model: a directory, a `.zip` of one, or a URI (see `mlrs pull --help`)
    #[arg(short, long, value_name = "URI")]
    pub(crate) model_uri: String,
    /// The file to read; `-` is standard input
    #[arg(short, long, default_value = "-", value_name = "FILE")]
    pub(crate) input_path: PathBuf,
    /// The file to write; `-` is standard output
    #[arg(short, long, default_value = "-", value_name = "FILE")]
    pub(crate) output_path: PathBuf,
    /// What the input is
    #[arg(short = 't', long, value_enum, default_value_t = ContentType::Json, value_name = "TYPE")]
    pub(crate) content_type: ContentType,
    /// Which conversions of input values are allowed
    #[arg(long, value_enum, default_value_t = CompatChoice::Strict, env = "MLRS_COMPAT", value_name = "MODE")]
    pub(crate) compat: CompatChoice,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

/// The formats of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContentType {
    /// One request as `/invocations` takes it.
    Json,
    /// A header and a line for each row.
    Csv,
}

/// A model that is ready to predict.
struct Predictor {
    service: InService,
    plan: InputPlan,
    outputs: Vec<ValueInfo>,
    runtime: tokio::runtime::Runtime,
}

/// Runs `mlrs predict`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let source = source::open(&arguments.model_uri, &arguments.cache)?;
    let candidates = arguments.engine.candidates(arguments.cache.folder().ok());
    let options = arguments.engine.options(1, cores());
    let loaded = engine::load(&arguments.engine, &candidates, &source.directory, &options)?;
    let compat: Compat = arguments.compat.into();
    let plan = InputPlan::compile(
        source.directory.signature.as_ref(),
        loaded.model.inputs(),
        compat,
    );
    let outputs = loaded.model.outputs().to_vec();
    let settings = Settings {
        sessions: 1,
        queue_rows: usize::MAX,
        queue_bytes: usize::MAX,
        batch_rows: 1,
    };
    let predictor = Predictor {
        service: InService::start(loaded.model, settings)?,
        plan,
        outputs,
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?,
    };
    let mut input = open_input(&arguments.input_path)?;
    let mut answer = Answer::new(arguments.output_path);
    match arguments.content_type {
        ContentType::Json => predictor.json(&mut input, &mut answer)?,
        ContentType::Csv => predictor.csv(input, &mut answer)?,
    }
    answer.finish()
}

fn open_input(path: &std::path::Path) -> anyhow::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = std::fs::File::open(path)
        .with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(Box::new(file))
}

impl Predictor {
    /// Answers what was decoded; gives the shape and the text of the answer.
    fn answer(&self, decoded: Decoded) -> anyhow::Result<(AnswerShape, Vec<u8>)> {
        let deadline = Instant::now() + Duration::from_hours(24);
        let prediction = self
            .runtime
            .block_on(self.service.predict(decoded.batch, deadline))?;
        let mut text = Vec::new();
        encode(
            &prediction.output,
            prediction.rows,
            prediction.all,
            &self.outputs,
            decoded.answer,
            self.plan.compat(),
            &mut text,
        )?;
        Ok((decoded.answer, text))
    }

    fn json(&self, input: &mut dyn Read, answer: &mut Answer) -> anyhow::Result<()> {
        let mut body = Vec::new();
        input
            .read_to_end(&mut body)
            .context("the input cannot be read")?;
        let (_, text) = self.answer(self.plan.decode(Format::Json, &body)?)?;
        answer.write(&text)
    }

    fn csv(&self, input: Box<dyn Read>, answer: &mut Answer) -> anyhow::Result<()> {
        let mut lines = Lines {
            input: BufReader::with_capacity(1 << 20, input),
            header: Vec::new(),
        };
        lines.read_header()?;
        let bar = progress::count("predicting", "rows");
        let mut first_row = 0;
        let mut batches = 0;
        let mut body = Vec::new();
        while let Some(rows) = lines.next_batch(&mut body, batches == 0)? {
            let decoded = self.plan.decode_csv_part(&body, first_row)?;
            let (shape, text) = self
                .answer(decoded)
                .with_context(|| format!("in the batch that begins with row {first_row}"))?;
            let inner = if shape == AnswerShape::Records {
                records(&text)
            } else {
                None
            };
            match inner {
                Some(inner) => answer.append(inner)?,
                None if batches == 0 && lines.is_done()? => answer.write(&text)?,
                None => bail!(
                    "the input is too large for a model that answers with arrays: split it into files of {BATCH_LINES} rows"
                ),
            }
            first_row += rows;
            batches += 1;
            bar.set_position(first_row as u64);
        }
        bar.finish_and_clear();
        answer.close_list()
    }
}

/// The records inside `{"predictions":[…]}`.
fn records(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"{\"predictions\":[")?
        .strip_suffix(b"]}")
}

/// CSV text in batches that each begin with the header.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    header: Vec<u8>,
}

impl Lines {
    fn read_header(&mut self) -> anyhow::Result<()> {
        while self.header.trim_ascii().is_empty() {
            self.header.clear();
            if self.record()?.is_none() {
                bail!("the input is empty: a CSV begins with the names of its columns");
            }
        }
        Ok(())
    }

    /// Reads a record to the end of `header`: a line, or several where a field in quotes spans them.
    fn record(&mut self) -> anyhow::Result<Option<()>> {
        let mut record = std::mem::take(&mut self.header);
        let found = self.record_into(&mut record);
        self.header = record;
        found
    }

    fn record_into(&mut self, into: &mut Vec<u8>) -> anyhow::Result<Option<()>> {
        let start = into.len();
        loop {
            let read = self
                .input
                .read_until(b'\n', into)
                .context("the input cannot be read")?;
            if read == 0 {
                return Ok((into.len() > start).then_some(()));
            }
            let quotes = memchr::memchr_iter(b'"', &into[start..]).count();
            if quotes.is_multiple_of(2) {
                return Ok(Some(()));
            }
        }
    }

    /// Fills `body` with the header and the next rows; gives their number, or `None` at the end.
    /// The first batch may be empty.
    fn next_batch(&mut self, body: &mut Vec<u8>, first: bool) -> anyhow::Result<Option<usize>> {
        body.clear();
        body.extend_from_slice(&self.header);
        let mut rows = 0;
        while rows < BATCH_LINES && body.len() < BATCH_BYTES && self.record_into(body)?.is_some() {
            rows += 1;
        }
        Ok((rows > 0 || first).then_some(rows))
    }

    fn is_done(&mut self) -> anyhow::Result<bool> {
        Ok(self
            .input
            .fill_buf()
            .context("the input cannot be read")?
            .is_empty())
    }
}

/// The answer on its way to a file or to standard output. A file appears when it is whole.
struct Answer {
    path: PathBuf,
    file: Option<tempfile::NamedTempFile>,
    in_list: bool,
    wrote_record: bool,
}

impl Answer {
    const fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            in_list: false,
            wrote_record: false,
        }
    }

    fn write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        if self.path.as_os_str() == "-" {
            return std::io::stdout()
                .lock()
                .write_all(text)
                .context("the answer cannot be written");
        }
        if self.file.is_none() {
            let folder = self
                .path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(std::path::Path::new("."));
            self.file = Some(
                tempfile::NamedTempFile::new_in(folder)
                    .with_context(|| format!("`{}` cannot be written", self.path.display()))?,
            );
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(text)
            .with_context(|| format!("`{}` cannot be written", self.path.display()))
    }

    /// Appends records to the one list of the answer.
    fn append(&mut self, records: &[u8]) -> anyhow::Result<()> {
        if !self.in_list {
            self.in_list = true;
            self.write(b"{\"predictions\":[")?;
        }
        if records.is_empty() {
            return Ok(());
        }
        if std::mem::replace(&mut self.wrote_record, true) {
            self.write(b",")?;
        }
        self.write(records)
    }

    fn close_list(&mut self) -> anyhow::Result<()> {
        if self.in_list {
            self.write(b"]}")
        } else {
            Ok(())
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if self.path.as_os_str() == "-" {
            self.write(b"\n")?;
            return Ok(());
        }
        if let Some(file) = self.file.take() {
            file.persist(&self.path)
                .with_context(|| format!("`{}` cannot be written", self.path.display()))?;
        }
        Ok(())
    }
}
