//! A real Docker engine and a real image registry for tests.
//!
//! The engine is that of `DOCKER_HOST`, or the one of this machine; `cargo xtask test` starts one when
//! none answers. It is used through Docker's own program, as a user does.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Answer, Client, Error};

/// How long a container or a registry may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Docker engine that answers.
#[derive(Debug)]
pub struct Docker {
    _private: (),
}

impl Docker {
    /// Looks for it.
    ///
    /// # Errors
    /// When none answers.
    pub fn connect() -> Result<Self, Error> {
        let docker = Self { _private: () };
        match docker.run(&["version", "--format", "{{.Server.Version}}"]) {
            Ok(_) => Ok(docker),
            Err(error) => Err(Error::Missing(format!("no Docker engine answers: {error}"))),
        }
    }

    /// Whether an engine answers at an address, as `DOCKER_HOST` has it.
    pub fn answers(host: &str) -> bool {
        program("docker", &["--host", host, "version"]).is_ok()
    }

    /// Runs a command of Docker, and gives what it printed.
    ///
    /// # Errors
    /// When it fails; the reason holds what it wrote to standard error.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        program("docker", arguments)
    }

    /// Starts a container of an image in the background.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        &self,
        options: &[&str],
        image: &str,
        arguments: &[&str],
    ) -> Result<Container, Error> {
        let whole = [&["run", "--detach"], options, &[image], arguments].concat();
        Ok(Container {
            id: self.run(&whole)?,
            client: Client::new(),
        })
    }
}

/// Runs a program, and gives what it printed, trimmed.
///
/// # Errors
/// When it cannot be run or fails; the reason holds what it wrote to standard error.
pub fn program(name: &str, arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::io(format!("run `{name}`"), source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(Error::NotStarted {
        program: format!("{name} {}", arguments.join(" ")),
        reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// A container, which is removed with this value.
#[derive(Debug)]
pub struct Container {
    id: String,
    client: Client,
}

impl Container {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The address of a port that was published on a free one of this machine.
    ///
    /// # Errors
    /// When it was not, or the container has ended.
    pub fn address(&self, port: u16) -> Result<String, Error> {
        let shown = program("docker", &["port", &self.id, &port.to_string()]);
        let shown = shown.map_err(|error| self.failure(&error.to_string()))?;
        let line = shown.lines().next().unwrap_or_default();
        Ok(format!("http://{line}"))
    }

    /// Waits until a route of a published port answers 200, and gives the address.
    ///
    /// # Errors
    /// When it does not in time, or the container ends; the reason holds its log.
    pub fn ready(&self, port: u16, route: &str) -> Result<String, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let address = self.address(port)?;
            let answer = self.client.get(&format!("{address}{route}"));
            if matches!(answer, Ok(Answer { status: 200, .. })) {
                return Ok(address);
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("`{route}` answers {answer:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote.
    ///
    /// # Errors
    /// When it is not there.
    pub fn log(&self) -> Result<String, Error> {
        let output = Command::new("docker").args(["logs", &self.id]).output();
        let output = output.map_err(|source| Error::io("run `docker logs`", source))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Something of its state, as `docker inspect --format` has it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn inspect(&self, format: &str) -> Result<String, Error> {
        program("docker", &["inspect", "--format", format, &self.id])
    }

    fn failure(&self, how: &str) -> Error {
        Error::NotStarted {
            program: "the container".to_owned(),
            reason: format!("{how}: {}", self.log().unwrap_or_default()),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = program("docker", &["rm", "--force", "--volumes", &self.id]);
    }
}

/// A real image registry on loopback, which ends with this value: Debian's `docker-registry`.
#[derive(Debug)]
pub struct ImageRegistry {
    process: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl ImageRegistry {
    /// Starts an empty one that lets everybody in.
    ///
    /// # Errors
    /// When the program is not there, or does not answer.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(None)
    }

    /// Starts an empty one that lets in those of a file of `htpasswd`, bcrypt.
    ///
    /// # Errors
    /// When the program is not there, or does not answer.
    pub fn start_for(accounts: &Path) -> Result<Self, Error> {
        Self::start_with(Some(accounts))
    }

    fn start_with(accounts: Option<&Path>) -> Result<Self, Error> {
        let io = |source| Error::io("start `docker-registry`", source);
        let folder = tempfile::tempdir().map_err(io)?;
        // It takes no port of its own choice; this one is free now.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(io)?
            .port();
        let host = format!("127.0.0.1:{port}");
        let root = folder.path().join("data");
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp: {{addr: '{host}'}}\n",
            root.display()
        );
        if let Some(accounts) = accounts {
            let _ = write!(
                text,
                "auth:\n  htpasswd: {{realm: tests, path: {}}}\n",
                accounts.display()
            );
        }
        let config = folder.path().join("config.yml");
        std::fs::write(&config, text).map_err(io)?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Error::Missing(format!("`docker-registry` cannot be run: {error}")))?;
        let mut registry = Self {
            process,
            host,
            folder,
        };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&mut self) -> Result<(), Error> {
        let url = format!("http://{}/v2/", self.host);
        let client = Client::new();
        let deadline = Instant::now() + PATIENCE;
        while client.get(&url).is_err() {
            // Somebody else may have taken the port.
            let has_ended = !matches!(self.process.try_wait(), Ok(None));
            if has_ended || Instant::now() > deadline {
                return Err(Error::NotStarted {
                    program: "docker-registry".to_owned(),
                    reason: "it does not answer".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its host and port: what names of images in it begin with.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The folder that holds its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for ImageRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
