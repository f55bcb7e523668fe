//! A real S3 server for tests: moto, in the Python of the tests, with one empty bucket.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{Client, Error, python};

/// Serves until its input ends.
const SERVER: &str = r#"
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"#;

/// The bucket that is there.
const BUCKET: &str = "box";

/// An S3 server, which ends with this value.
#[derive(Debug)]
pub struct S3Server {
    process: Child,
    address: String,
    client: Client,
}

impl S3Server {
    /// Starts it, with the empty bucket `box`.
    ///
    /// # Errors
    /// When there is no Python, or no moto in it.
    pub fn start() -> Result<Self, Error> {
        let io = |source| Error::io("start moto's S3 server", source);
        let mut process = Command::new(python()?)
            .args(["-c", SERVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io)?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(io)?;
        }
        let server = Self {
            process,
            address: format!("http://127.0.0.1:{}", line.trim()),
            client: Client::new(),
        };
        if line.trim().is_empty() {
            return Err(Error::Missing(
                "moto's S3 server did not start; `cargo xtask test` installs it".to_owned(),
            ));
        }
        server.send("", None)?;
        Ok(server)
    }

    /// Puts an object into the bucket; its key is percent-encoded where it must be.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<(), Error> {
        self.send(&format!("/{key}"), Some(content))
    }

    fn send(&self, path: &str, content: Option<&[u8]>) -> Result<(), Error> {
        let url = format!("{}/{BUCKET}{path}", self.address);
        let answer = self.client.send("PUT", &url, None, content)?;
        if answer.status == 200 {
            return Ok(());
        }
        let reason = format!("{} {}", answer.status, answer.body);
        Err(Error::NoAnswer { url, reason })
    }

    /// The variables that point a program here.
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        [
            ("MLFLOW_S3_ENDPOINT_URL", &self.address),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ]
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
