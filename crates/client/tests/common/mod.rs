//! What the tests against made-up servers share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use mlrs_client::{ConnectionSettings, Resolver};

/// A resolver whose pauses between retries are short.
pub fn resolver(address: &str, cache: &Path, more: &[(&str, &str)]) -> Resolver {
    let settings = ConnectionSettings::from_variables(|name| {
        let more = more.iter().find(|(known, _)| *known == name);
        match (more, name) {
            (Some((_, value)), _) => Some((*value).to_owned()),
            (_, "MLFLOW_TRACKING_URI") => Some(address.to_owned()),
            (_, "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR" | "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER") => {
                Some("0".to_owned())
            }
            _ => None,
        }
    });
    Resolver::new(settings.unwrap(), cache).unwrap()
}

/// An error with all its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(" | ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A request as the made-up server saw it: first line and range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub target: String,
    pub range: Option<u64>,
}

/// A server that says what it is told to, down to broken answers, one connection per request.
#[derive(Debug)]
pub struct RawServer {
    pub address: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl RawServer {
    /// Answers each request with the bytes that `answer` makes.
    pub fn start(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(connection, &log, &*answer));
            }
        });
        Self { address, seen }
    }

    /// The ranges asked for of the targets that hold `part`.
    pub fn ranges(&self, part: &str) -> Vec<Option<u64>> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.target.contains(part))
            .map(|seen| seen.range)
            .collect()
    }
}

fn serve(
    mut connection: TcpStream,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> Vec<u8> + Send + Sync),
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = text.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("range: bytes=")?
            .trim_end_matches('-')
            .parse()
            .ok()
    });
    let seen = Seen { target, range };
    log.lock().unwrap().push(seen.clone());
    // A client that went away is no failure of the server.
    let _ = connection.write_all(&answer(&seen));
}

/// A whole JSON answer.
pub fn json(text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}
