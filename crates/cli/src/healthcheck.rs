//! `mlrs healthcheck`: the health check of a container, without a shell or another program in it.
//!
//! It runs every few seconds beside the server, so it opens a socket and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::failure::hinted;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Arguments of `mlrs healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs healthcheck
  mlrs healthcheck --port 5000 --path /health   # a tracking server")]
pub(crate) struct Arguments {
    /// The port that the server listens on
    #[arg(short, long, default_value_t = 5000, env = "MLFLOW_PORT")]
    port: u16,
    /// What is asked: `/ready` of `mlrs serve`, `/health` of `mlrs server`
    #[arg(long, default_value = "/ready", value_parser = path)]
    path: String,
}

/// A path, and nothing that could end its line.
fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a path begins with `/` and has no spaces".to_owned())
    }
}

/// Runs `mlrs healthcheck`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { port, path } = arguments;
    let line = ask(*port, path).with_context(|| format!("no server answers on port {port}"))?;
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(hinted(
            format!("the server on port {port} is not ready: `{path}` answers `{line}`"),
            "look into its log",
        )),
    }
}

/// The first line of the answer. No name is looked up: a container need not know how.
fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let ours = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // A server that listens on addresses of the other kind only.
    let other = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let connect = |address| TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
    let stream = connect(ours).or_else(|error| connect(other).map_err(|_| error))?;
    exchange(stream, path)
}

fn exchange(mut stream: TcpStream, path: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
