//! A server under measurement: started, asked until it answers, weighed, ended.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_mins(2);

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
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

impl Subject {
    /// Starts a server that listens on `port`, or that prints its address when there is none.
    pub fn start(mut command: Command, port: Option<u16>) -> anyhow::Result<Self> {
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
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
        while !subject.answers() {
            if begin.elapsed() > PATIENCE || subject.child.try_wait()?.is_some() {
                bail!("{command:?} did not become ready");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        subject.ready = begin.elapsed();
        Ok(subject)
    }

    fn answers(&self) -> bool {
        self.get_ping()
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn get_ping(&self) -> std::io::Result<String> {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET /ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Resident memory of all its processes, in MiB.
    pub fn resident(&self) -> f64 {
        let group = self.child.id().to_string();
        let mut kibibytes = 0.0;
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let of =
                |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            // The fifth field is the process group; the name before it may hold anything.
            let stat = of("stat");
            let fields = stat.rsplit(") ").next().unwrap_or_default();
            if fields.split(' ').nth(2) != Some(&group) {
                continue;
            }
            let status = of("status");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kibibytes += value
                .and_then(|value| value.trim().parse::<f64>().ok())
                .unwrap_or_default();
        }
        kibibytes / 1024.0
    }
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
