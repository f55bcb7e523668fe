//! A Docker engine for the tests, when none answers on this machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mlrs_testing::Docker;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A `dockerd`, which ends with this value.
pub struct DockerEngine {
    process: Child,
    folder: tempfile::TempDir,
}

impl DockerEngine {
    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.path().display())
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // Asked to end, it ends its own children, too.
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.process.wait();
    }
}

/// Nothing when an engine answers; else one that keeps its images in the home of the tests.
pub fn docker_engine(home: &Path) -> anyhow::Result<Option<DockerEngine>> {
    if Docker::connect().is_ok() {
        return Ok(None);
    }
    let folder = tempfile::Builder::new()
        .prefix("mlrs-docker-")
        .tempdir()
        .context("there is no room for a temporary folder")?;
    let data = home.join("docker");
    std::fs::create_dir_all(&data)
        .with_context(|| format!("could not make `{}`", data.display()))?;
    let log = std::fs::File::create(data.join("dockerd.log"))?;
    println!(
        "starting a Docker engine, its images in `{}`",
        data.display()
    );
    let host = format!("unix://{}/socket", folder.path().display());
    let process = Command::new("dockerd")
        .args(["--host", &host])
        .arg("--data-root")
        .arg(data.join("data"))
        .arg("--exec-root")
        .arg(folder.path().join("run"))
        .arg("--pidfile")
        .arg(folder.path().join("pid"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("`dockerd` is needed (Debian: `docker.io` and `iptables`)")?;
    let mut engine = DockerEngine { process, folder };
    let deadline = Instant::now() + PATIENCE;
    while !Docker::answers(&host) {
        let ended = engine.process.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let log = data.join("dockerd.log");
            bail!("`dockerd` does not answer; its log is `{}`", log.display());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Some(engine))
}
