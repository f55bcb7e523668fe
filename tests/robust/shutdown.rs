//! SIGTERM: what was accepted is answered, and the process ends well.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mlrs_testing::mlrs_binary;

use crate::models::iris;
use crate::raw::{connect, read_answer, request};

const ROWS: usize = 200;

/// A server whose end can be looked at.
struct Stoppable {
    child: Child,
    address: String,
    log: mpsc::Receiver<String>,
}

fn start(arguments: &[&str]) -> Stoppable {
    let mut child = Command::new(mlrs_binary().unwrap())
        .arg("serve")
        .arg(iris())
        .args(["--port", "0", "--backend", "tract", "--log-format", "json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split(' ').next().unwrap().to_owned();
    let (sender, log) = mpsc::channel();
    let errors = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    Stoppable {
        child,
        address,
        log,
    }
}

impl Stoppable {
    fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the server has seen the signal.
    fn is_stopping(&self) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if let Ok(line) = self.log.recv_timeout(Duration::from_secs(10))
                && line.contains("stopping")
            {
                return;
            }
        }
        panic!("the server does not stop");
    }

    /// How it ended, and the last lines of its log.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let lines: Vec<String> = self.log.iter().collect();
        (status, lines.join("\n"))
    }
}

fn body() -> String {
    let rows = vec!["[5.1, 3.5, 1.4, 0.2]"; ROWS].join(",");
    format!(
        "{{\"dataframe_split\": {{\"columns\": [\"sepal_length\", \"sepal_width\", \"petal_length\", \"petal_width\"], \"data\": [{rows}]}}}}"
    )
}

fn is_whole(body: &str) -> bool {
    body.matches("\"species\":0").count() == ROWS && body.ends_with("]}")
}

#[test]
fn every_request_that_has_begun_is_answered() {
    let served = start(&[]);
    let headers = [("Content-Type", "application/json")];
    let whole = request("POST /invocations", &headers, body().as_bytes());
    let mut begun = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&served.address);
        stream.write_all(&whole[..whole.len() / 2]).unwrap();
        begun.push(stream);
    }
    // Idle, and never used.
    let idle = connect(&served.address);
    std::thread::sleep(Duration::from_millis(200));
    served.signal("TERM");
    served.is_stopping();
    for stream in &mut begun {
        stream.write_all(&whole[whole.len() / 2..]).unwrap();
    }
    for mut stream in begun {
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(is_whole(&answer.body));
    }
    drop(idle);
    let (status, log) = served.end();
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("\"cut_off\":0"), "{log}");
}

/// What one client saw until its server was gone.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    /// A new connection, or an answer, broke in the middle.
    lost: Vec<String>,
}

/// Asks again and again, on one connection until a response says that it closes; then on a new one,
/// until there is no server any more. A request that was sent whole and has no response is lost, also
/// on a connection that was used before.
fn ask_on(address: &str, whole: &[u8], stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    'connections: while let Ok(mut stream) = TcpStream::connect(address) {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        for used in 0.. {
            if stop.load(Ordering::Relaxed) {
                break 'connections;
            }
            let sent = stream.write_all(whole);
            match read_one(&mut stream) {
                Ok((head, body)) if is_whole(&body) => {
                    seen.answered += 1;
                    if head.contains("connection: close") {
                        continue 'connections;
                    }
                }
                Ok((_, body)) => seen.lost.push(format!("cut: {} bytes", body.len())),
                Err(count) => {
                    seen.lost.push(format!(
                        "{count} bytes after {used} answers, sent: {sent:?}"
                    ));
                    continue 'connections;
                }
            }
        }
    }
    seen
}

/// The head and body of one answer; the number of bytes that came when it broke off.
fn read_one(stream: &mut TcpStream) -> Result<(String, String), usize> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if length == Some(body.len()) {
                return Ok((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return Err(bytes.len()),
        }
    }
}

#[test]
fn a_stop_under_load_loses_no_request_that_was_sent() {
    // What is lost is lost in the moment of the stop, so there are several.
    for _ in 0..5 {
        let served = start(&[]);
        let headers = [("Content-Type", "application/json")];
        let whole = request("POST /invocations", &headers, body().as_bytes());
        let text = String::from_utf8(whole).unwrap();
        let whole = Arc::new(text.replace("Connection: close\r\n", "").into_bytes());
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (address, whole) = (served.address.clone(), Arc::clone(&whole));
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || ask_on(&address, &whole, &stop))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        served.signal("TERM");
        let (status, log) = served.end();
        stop.store(true, Ordering::Relaxed);
        let seen: Vec<Seen> = clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect();
        assert!(seen.iter().all(|seen| seen.answered > 0), "{seen:?}");
        let lost: Vec<&String> = seen.iter().flat_map(|seen| &seen.lost).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert!(status.success(), "{status}: {log}");
        assert!(log.contains("\"cut_off\":0"), "{log}");
    }
}

#[test]
fn what_does_not_end_in_time_is_cut_off_and_said() {
    let served = start(&["--drain", "1"]);
    let headers = [("Content-Type", "application/json")];
    let whole = request("POST /invocations", &headers, body().as_bytes());
    let mut stuck = connect(&served.address);
    stuck.write_all(&whole[..whole.len() / 2]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    served.signal("INT");
    served.is_stopping();
    let (status, log) = served.end();
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("\"cut_off\":1"), "{log}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let served = start(&["--drain", "60"]);
    let mut stuck = connect(&served.address);
    stuck
        .write_all(b"POST /invocations HTTP/1.1\r\nContent-Length: 9\r\n\r\n[")
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    served.signal("TERM");
    served.is_stopping();
    served.signal("INT");
    let (status, log) = served.end();
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(log.contains("stopped at once"), "{log}");
}

/// A model whose tensors are in a pipe that nobody writes to: whoever reads it waits for ever.
fn endless() -> tempfile::TempDir {
    let folder = crate::models::directory("external", crate::models::Signature::default());
    let pipe = folder.path().join("external.onnx.data");
    let made = Command::new("mkfifo").arg(pipe).status().unwrap();
    assert!(made.success());
    folder
}

/// `mlrs serve` of a model that does not load.
fn start_stuck(model: &std::path::Path, arguments: &[&str]) -> Child {
    let child = Command::new(mlrs_binary().unwrap())
        .arg("serve")
        .arg(model)
        .args(["--port", "0", "--backend", "tract"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    child.unwrap()
}

/// How it ended, and what it said; fails when it does not end in time.
fn ended(mut child: Child) -> (ExitStatus, String) {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, errors)
}

#[test]
fn a_model_that_never_loads_is_given_up_and_a_signal_ends_it() {
    let model = endless();
    let (status, errors) = ended(start_stuck(model.path(), &["--load-timeout", "1"]));
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("within 1 s"), "{errors}");
    assert!(errors.contains("--load-timeout"), "{errors}");
    for (signal, expected) in [("TERM", 143), ("INT", 130)] {
        let child = start_stuck(model.path(), &[]);
        std::thread::sleep(Duration::from_millis(500));
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let (status, errors) = ended(child);
        assert_eq!(status.code(), Some(expected), "{errors}");
    }
}
