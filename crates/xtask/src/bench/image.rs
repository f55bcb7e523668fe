//! `cargo xtask bench image`: how large images are, how long they take to build and to start, beside
//! what MLflow's own image for the same model has to install.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mlrs_testing::{Client, Docker, copy_files, workspace_root};
use serde_json::Value;

use super::figures::{Target, median, target_table};
use super::{document, release_binary};
use crate::environment::{mlflow_of_the_example, onnxruntime_library, python};

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often everything is built and started
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The binary of mlrs, instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Put the section of the report into this file, too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What one round found, times in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    cold: f64,
    cached: f64,
    other_model: f64,
    start: f64,
    process: f64,
}

/// The sizes of an image in megabytes (10⁶ bytes), and its layers.
struct Size {
    unpacked: f64,
    compressed: f64,
    layers: Vec<(String, f64, f64, String)>,
}

/// Where and with what images are built.
struct Bench {
    mlrs: PathBuf,
    library: PathBuf,
    docker: Docker,
    folder: tempfile::TempDir,
}

/// The names of images in the engine.
const IMAGES: [&str; 2] = ["mlrs-bench/iris:1", "mlrs-bench/iris:2"];

/// Runs the benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let bench = Bench {
        mlrs: match &options.binary {
            Some(binary) => binary.clone(),
            None => release_binary("mlrs")?,
        },
        library: onnxruntime_library(&python()?)?,
        docker: Docker::connect()?,
        folder: tempfile::tempdir()?,
    };
    let other = bench.folder.path().join("other");
    copy_files(&iris(), &other)?;
    std::fs::write(other.join("notes.txt"), "another model")?;
    let mut rounds = Vec::new();
    for round in 0..options.rounds.max(1) {
        rounds.push(bench.round(round, &other)?);
    }
    let onnxruntime = bench.size("onnxruntime")?;
    let tract = bench.size("tract")?;
    for image in IMAGES {
        let _ = bench.docker.run(&["rmi", "--force", image]);
    }
    let installed = installed_megabytes()?;
    let report = report(options, &rounds, &onnxruntime, &tract, installed);
    document::publish(&report, options.write.as_deref())
}

fn iris() -> PathBuf {
    workspace_root().join("examples/iris")
}

impl Bench {
    /// Builds an image, and says how many seconds that took and what was printed.
    fn build(
        &self,
        model: &Path,
        tag: &str,
        cache: &Path,
        more: &[&str],
    ) -> anyhow::Result<(f64, Value)> {
        let begin = Instant::now();
        let output = Command::new(&self.mlrs)
            .args(["image", "build", "--format", "json", "-t", tag, "-m"])
            .arg(model)
            .args(more)
            .env("MLRS_CACHE_DIR", cache)
            .env("ORT_DYLIB_PATH", &self.library)
            .output()?;
        let seconds = begin.elapsed().as_secs_f64();
        if !output.status.success() {
            bail!("no image: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok((seconds, serde_json::from_slice(&output.stdout)?))
    }

    fn round(&self, round: usize, other: &Path) -> anyhow::Result<Round> {
        let cache = self.folder.path().join(format!("cache-{round}"));
        for image in IMAGES {
            let _ = self.docker.run(&["rmi", "--force", image]);
        }
        let (cold, first) = self.build(&iris(), IMAGES[0], &cache, &[])?;
        let (cached, again) = self.build(&iris(), IMAGES[0], &cache, &[])?;
        let (other_model, second) = self.build(other, IMAGES[1], &cache, &[])?;
        if first["digest"] != again["digest"] {
            bail!("the same inputs gave two images");
        }
        let layers = |image: &Value| image["layers"].as_array().cloned().unwrap_or_default();
        let (first, second) = (layers(&first), layers(&second));
        let same = first.iter().zip(&second).filter(|(one, two)| one == two);
        if same.count() + 1 != first.len() {
            bail!("another model changed more than its layer");
        }
        let (start, process) = self.start()?;
        std::fs::remove_dir_all(&cache)?;
        Ok(Round {
            cold,
            cached,
            other_model,
            start,
            process,
        })
    }

    /// Seconds from `docker start` to the first answer of `/ready`; and those of the process alone, by
    /// its own account.
    fn start(&self) -> anyhow::Result<(f64, f64)> {
        let id = self.docker.run(&[
            "create",
            "--read-only",
            "--publish",
            "127.0.0.1::8080",
            IMAGES[0],
        ])?;
        let begin = Instant::now();
        self.docker.run(&["start", &id])?;
        let shown = self.docker.run(&["port", &id, "8080"])?;
        let address = shown.lines().next().unwrap_or_default();
        let client = Client::new();
        let url = format!("http://{address}/ready");
        while !client.get(&url).is_ok_and(|answer| answer.status == 200) {
            if begin.elapsed() > Duration::from_secs(30) {
                bail!("the container does not answer");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let start = begin.elapsed().as_secs_f64();
        let log = self.docker.run(&["logs", &id])?;
        let process = log
            .split_once(" ms to ready")
            .and_then(|(before, _)| before.rsplit('(').next()?.parse::<f64>().ok())
            .context("the container does not say how long it took")?;
        self.docker.run(&["rm", "--force", &id])?;
        Ok((start, process / 1000.0))
    }

    /// The sizes of the image with one backend.
    fn size(&self, backend: &str) -> anyhow::Result<Size> {
        let cache = self.folder.path().join("cache");
        let target = format!("oci:{}", self.folder.path().join(backend).display());
        let more = ["--backend", backend, "--output", &target];
        let (_, image) = self.build(&iris(), "iris:1", &cache, &more)?;
        let megabytes = |value: &Value| value.as_f64().unwrap_or(f64::NAN) / 1e6;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let layers = image["layers"].as_array().cloned().unwrap_or_default();
        Ok(Size {
            unpacked: megabytes(&image["unpacked_bytes"]),
            compressed: megabytes(&image["bytes"]),
            layers: layers
                .iter()
                .map(|layer| {
                    (
                        text(&layer["layer"]),
                        megabytes(&layer["unpacked_bytes"]),
                        megabytes(&layer["bytes"]),
                        text(&layer["content"]),
                    )
                })
                .collect(),
        })
    }
}

/// What `pip` installs for the model, as MLflow's Dockerfile does, in megabytes: all of it but `pip`
/// itself, without the system and the Python below it.
fn installed_megabytes() -> anyhow::Result<f64> {
    let python = mlflow_of_the_example()?;
    let environment = python.ancestors().nth(2).context("no environment")?;
    let mut bytes = 0;
    let mut waiting = vec![environment.join("lib")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
            // Installed with every environment. What `pip` compiles while it installs is in the image.
            let is_own = ["pip", "setuptools"].iter().any(|own| name == *own);
            if kind.is_dir() && !is_own {
                waiting.push(entry.path());
            } else if kind.is_file() {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes as f64 / 1e6)
}

fn report(
    options: &Options,
    rounds: &[Round],
    onnxruntime: &Size,
    tract: &Size,
    installed: f64,
) -> String {
    let figure = |of: fn(&Round) -> f64| Some(median(rounds, of));
    let targets = [
        Target::at_most(
            "image with ONNX Runtime, unpacked, MB",
            Some(onnxruntime.unpacked),
            80.0,
        ),
        Target::at_most(
            "image with ONNX Runtime, compressed, MB",
            Some(onnxruntime.compressed),
            35.0,
        ),
        Target::at_most("image with tract, unpacked, MB", Some(tract.unpacked), 50.0),
        Target::at_most(
            "build into Docker, everything cached, s",
            figure(|round| round.cached),
            2.0,
        ),
        Target::at_most(
            "build into Docker, nothing cached, s",
            figure(|round| round.cold),
            10.0,
        ),
        Target::at_most(
            "second image with another model, s",
            figure(|round| round.other_model),
            1.0,
        ),
        Target::at_most(
            "`docker start` to ready, s",
            figure(|round| round.start),
            0.5,
        ),
        Target::at_most(
            "unpacked, of what MLflow's image installs for the model",
            Some(onnxruntime.unpacked / installed),
            0.1,
        ),
    ];
    let mut text = format!(
        "## Images\n\nMade by `cargo xtask bench image --rounds {}` on {}. Medians of the rounds; MB are \
         10⁶ bytes. The model is [examples/iris](examples/iris).\n\n",
        options.rounds,
        document::machine()
    );
    text.push_str(&target_table(&targets));
    let _ = write!(
        text,
        "\nWhat `pip` installs for the same model, as the Dockerfile of `mlflow models \
         generate-dockerfile` does: {installed:.0} MB, without the system and the Python below it. Of \
         the time to start, {:.0} ms are those of mlrs; the rest is Docker's. Another model changed its \
         own layer only, in every round.\n\n| layer | unpacked MB | compressed MB | content |\n\
         |---|---|---|---|\n",
        median(rounds, |round| round.process) * 1000.0
    );
    for (name, unpacked, compressed, content) in &onnxruntime.layers {
        let _ = writeln!(
            text,
            "| {name} | {unpacked:.2} | {compressed:.2} | {content} |"
        );
    }
    text
}
