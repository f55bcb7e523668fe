//! A server under measurement: started, asked until it answers, weighed, ended.

use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::processes::Group;

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a server may take to end when it is asked to.
const FAREWELL: Duration = Duration::from_secs(30);

/// A running server, ended with this value together with all its processes.
pub struct Subject {
    child: Child,
    /// Its address, `http://127.0.0.1:port`.
    pub address: String,
    /// From its start to its first answer.
    pub ready: Duration,
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.signal("KILL");
        drop(self.child.wait());
    }
}

impl Subject {
    /// Starts a server that listens on `port`, or that prints its address when there is none. It is
    /// ready when it answers 200 on the path `probe`.
    pub fn start(mut command: Command, port: Option<u16>, probe: &str) -> anyhow::Result<Self> {
        let mut errors = tempfile::tempfile()?;
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(errors.try_clone()?);
        command.stdout(if port.is_some() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        let begin = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let address = match port {
            Some(port) => format!("http://127.0.0.1:{port}"),
            None => read_address(&mut child)?,
        };
        let mut subject = Self {
            child,
            address,
            ready: Duration::ZERO,
        };
        while !subject.answers(probe) {
            if begin.elapsed() > PATIENCE || subject.child.try_wait()?.is_some() {
                let errors = last_lines(&mut errors)?;
                bail!("{command:?} did not become ready:\n{errors}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        subject.ready = begin.elapsed();
        Ok(subject)
    }

    fn answers(&self, path: &str) -> bool {
        self.get(path)
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Its processes.
    pub fn group(&self) -> Group {
        Group(self.child.id())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.signal("TERM");
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > FAREWELL {
                bail!("`{}` does not end", self.address);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), "--", &group]);
        // The group may have ended before, and nobody needs to read that.
        drop(kill.stderr(Stdio::null()).status());
    }
}

/// A port that nothing listens on.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

/// Lets a command find the programs of the interpreter's environment by their names.
pub fn tools_first(command: &mut Command, python: &Path) {
    let tools = python.parent().unwrap_or(Path::new(""));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", tools.display()));
}

/// The end of what a server wrote to standard error.
fn last_lines(errors: &mut std::fs::File) -> std::io::Result<String> {
    /// Enough for the last message of a traceback.
    const LENGTH: usize = 600;
    let mut text = Vec::new();
    errors.seek(SeekFrom::Start(0))?;
    errors.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LENGTH)..]).into_owned();
    Ok(text.trim().to_owned())
}

fn read_address(child: &mut Child) -> anyhow::Result<String> {
    let output = child.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(output).lines();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(at) = line.find("http://127.0.0.1:") {
            let address = line[at..]
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            // What else it prints must go somewhere.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(address);
        }
    }
    bail!("the server ended before it said its address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such driver >&2; exit 1"]);
        let port = free_port().unwrap();
        let error = Subject::start(command, Some(port), "/").err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("did not become ready:\nno such driver"),
            "{text}"
        );
    }
}
