//! Processes that print the address they listen on, and the `mlrs` binary among them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::{Answer, Client, Error, workspace_root};

/// What every address line contains.
const ADDRESS_START: &str = "http://127.0.0.1:";
/// How much of standard error goes into a reason, in bytes.
const REASON_LENGTH: u64 = 4000;

/// A child that listens on a loopback port of its own choice. It ends with this value.
#[derive(Debug)]
pub struct AddressedProcess {
    child: Child,
    address: String,
    errors: File,
}

impl AddressedProcess {
    /// Starts the program and waits until a line of its standard output holds an address.
    ///
    /// # Errors
    /// When it cannot be run, ends, or says no address within `patience`.
    pub fn start(command: &mut Command, patience: Duration) -> Result<Self, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let io = |source| Error::io(format!("run `{program}`"), source);
        let errors = tempfile::tempfile().map_err(io)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().map_err(io)?)
            .spawn()
            .map_err(io)?;
        let lines = child.stdout.take().map(addresses);
        let mut started = Self {
            child,
            address: String::new(),
            errors,
        };
        match lines.map(|lines| lines.recv_timeout(patience)) {
            Some(Ok(address)) => {
                started.address = address;
                Ok(started)
            }
            Some(Err(RecvTimeoutError::Timeout)) => {
                Err(started.failure(&program, "it said no address in time"))
            }
            Some(Err(RecvTimeoutError::Disconnected)) | None => {
                let end = started.child.wait().map_err(io)?;
                Err(started.failure(&program, &end.to_string()))
            }
        }
    }

    /// The address, without a slash at its end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the program wrote to standard error so far.
    pub fn log(&mut self) -> String {
        self.errors_of_last(u64::MAX)
    }

    fn errors_of_last(&mut self, bytes: u64) -> String {
        let mut text = Vec::new();
        let length = self.errors.seek(SeekFrom::End(0)).unwrap_or(0);
        let start = SeekFrom::Start(length.saturating_sub(bytes));
        if self.errors.seek(start).is_ok() {
            let _ = self.errors.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// The error for a child that did not start.
    fn failure(&mut self, program: &str, how: &str) -> Error {
        let reason = format!("{how}: {}", self.errors_of_last(REASON_LENGTH));
        Error::NotStarted {
            program: program.to_owned(),
            reason,
        }
    }
}

impl Drop for AddressedProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all lines, so that the child never blocks, and sends the first address among them.
fn addresses(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line)
                && let Some(sender) = sender.take()
            {
                let _ = sender.send(address);
            }
        }
    });
    receiver
}

/// The address in a line of output.
fn address_in(line: &str) -> Option<String> {
    let start = line.find(ADDRESS_START)?;
    let port: String = line[start + ADDRESS_START.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (!port.is_empty()).then(|| format!("{ADDRESS_START}{port}"))
}

/// The `mlrs` binary: `MLRS_BIN`, else built once from this workspace.
///
/// # Errors
/// When it cannot be built.
pub fn mlrs_binary() -> Result<PathBuf, Error> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os("MLRS_BIN") {
        return Ok(PathBuf::from(path));
    }
    BUILT
        .get_or_init(|| build("mlrs"))
        .clone()
        .map_err(Error::Missing)
}

/// The program of an example, a package of this workspace; built from it.
///
/// # Errors
/// When it cannot be built.
pub fn example_binary(package: &str) -> Result<PathBuf, Error> {
    build(package).map_err(Error::Missing)
}

/// Builds the binary that has the name of its package, into the target directory that this test was
/// built into.
fn build(package: &str) -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = test
        .ancestors()
        .nth(2)
        .ok_or("the test lies in no target directory")?;
    let target = folder
        .parent()
        .ok_or("the test lies in no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", package]);
    command.arg("--target-dir").arg(target);
    command.current_dir(workspace_root());
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let output = command
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if output.status.success() {
        Ok(folder.join(format!("{package}{}", std::env::consts::EXE_SUFFIX)))
    } else {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("`{package}` does not build: {errors}"))
    }
}

/// A running `mlrs serve`.
#[derive(Debug)]
pub struct Mlrs {
    process: AddressedProcess,
    client: Client,
}

impl Mlrs {
    /// Serves a model on a free port with these further arguments, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the reason holds what it wrote to standard error.
    pub fn serve(model: &Path, arguments: &[&str]) -> Result<Self, Error> {
        Self::serve_with(model, arguments, &[])
    }

    /// As [`Mlrs::serve`], with these variables in its environment.
    ///
    /// # Errors
    /// When it does not start; the reason holds what it wrote to standard error.
    pub fn serve_with(
        model: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let patience = Duration::from_mins(1);
        let mut command = Command::new(mlrs_binary()?);
        command
            .envs(variables.iter().copied())
            .arg("serve")
            .arg(model)
            .args(["--port", "0"])
            .args(arguments);
        let process = AddressedProcess::start(&mut command, patience)?;
        let served = Self {
            process,
            client: Client::new(),
        };
        let deadline = Instant::now() + patience;
        while !matches!(served.get("/ping"), Ok(Answer { status: 200, .. })) {
            if Instant::now() > deadline {
                let reason = "it was not ready in time".to_owned();
                return Err(Error::NotStarted {
                    program: "mlrs".to_owned(),
                    reason,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }

    /// Its address, without a slash at its end.
    pub fn address(&self) -> &str {
        self.process.address()
    }

    /// Asks for a path that starts with a slash.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer, Error> {
        self.client.get(&format!("{}{path}", self.address()))
    }

    /// Posts to `/invocations`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn invoke(&self, content_type: Option<&str>, body: &[u8]) -> Result<Answer, Error> {
        self.client.post(
            &format!("{}/invocations", self.address()),
            content_type,
            body,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_inside_lines() {
        let address = Some("http://127.0.0.1:8080".to_owned());
        assert_eq!(
            address_in("listening on http://127.0.0.1:8080/ (press ^C)"),
            address
        );
        assert_eq!(address_in("http://127.0.0.1:"), None);
        assert_eq!(address_in("http://0.0.0.0:8080"), None);
    }

    #[test]
    fn a_child_that_says_its_address_is_started() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo wait; echo at http://127.0.0.1:9 now; echo oops >&2; sleep 60",
        ]);
        let mut started = AddressedProcess::start(&mut command, Duration::from_secs(10)).unwrap();
        assert_eq!(started.address(), "http://127.0.0.1:9");
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(started.log(), "oops");
    }

    #[test]
    fn a_child_that_ends_is_an_error_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such model >&2; exit 3"]);
        let error = AddressedProcess::start(&mut command, Duration::from_secs(10)).unwrap_err();
        assert!(
            error.to_string().contains("exit status: 3: no such model"),
            "{error}"
        );
    }

    #[test]
    fn a_silent_child_is_an_error_after_a_while() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let error = AddressedProcess::start(&mut command, Duration::from_millis(50)).unwrap_err();
        assert!(
            error.to_string().contains("said no address in time"),
            "{error}"
        );
    }
}
