//! A real S3 server for tests: moto, in the Python of the tests, with one empty bucket.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{Client, Error, python};

/// Serves until its input ends; writes a line for each request to the file of its argument. A client of
/// Google's store, which has no account of S3, is given one; signatures are not looked at.
const SERVER: &str = r#"
import logging
import sys
import werkzeug.serving
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer
answer = DomainDispatcherApplication.__call__
def with_account(self, environ, start_response):
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header.strip() in ("", "Bearer") and "X-Amz-" not in environ.get("QUERY_STRING", ""):
        environ["HTTP_AUTHORIZATION"] = (
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=none")
    return answer(self, environ, start_response)
DomainDispatcherApplication.__call__ = with_account
werkzeug.serving._log_add_style = False
requests = logging.getLogger("werkzeug")
requests.setLevel(logging.INFO)
requests.propagate = False
requests.addHandler(logging.FileHandler(sys.argv[1]))
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"#;

/// The key that signs; a test may look for it where it must not be.
const SECRET: &str = "s3-key-that-nobody-may-see";

/// The bucket that is there.
const BUCKET: &str = "box";

/// An S3 server, which ends with this value.
#[derive(Debug)]
pub struct S3Server {
    process: Child,
    address: String,
    client: Client,
    log: tempfile::NamedTempFile,
}

impl S3Server {
    /// Starts it, with the empty bucket `box`.
    ///
    /// # Errors
    /// When there is no Python, or no moto in it.
    pub fn start() -> Result<Self, Error> {
        let io = |source| Error::io("start moto's S3 server", source);
        let log = tempfile::NamedTempFile::new().map_err(io)?;
        let mut process = Command::new(python()?)
            .args(["-c", SERVER])
            .arg(log.path())
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
            log,
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

    /// The requests so far, each as `METHOD path?query status`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn requests(&self) -> Result<Vec<String>, Error> {
        let log = std::fs::read_to_string(self.log.path());
        let log = log.map_err(|source| Error::io("read what moto was asked", source))?;
        // The common log format: `… "METHOD path HTTP/1.1" status -`.
        let request = |line: &str| {
            let (_, rest) = line.split_once('"')?;
            let (asked, status) = rest.rsplit_once(" HTTP/1.1\" ")?;
            Some(format!("{asked} {}", status.split(' ').next()?))
        };
        Ok(log.lines().filter_map(request).collect())
    }

    /// The variables that point a program here.
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        [
            ("MLFLOW_S3_ENDPOINT_URL", &self.address),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
