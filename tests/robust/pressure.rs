//! Few file descriptors, and many who take them: others are served all the same.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use mlrs_testing::{AddressedProcess, Client, mlrs_binary};

use crate::models::iris;
use crate::raw::{connect, exchange};

/// A server with so many descriptors: as it begins, and as it may ask for.
fn limited(command: &str, soft: u32, hard: u32) -> AddressedProcess {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" {command}");
    shell.arg("-c").arg(script).arg(mlrs_binary().unwrap());
    AddressedProcess::start(&mut shell, Duration::from_mins(1)).unwrap()
}

fn serve() -> String {
    format!("serve {} --port 0 --backend tract", iris().display())
}

fn ping(address: &str) -> u16 {
    let request = b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    exchange(address, request).status
}

/// Holds as many connections as there are descriptors and more, and asks meanwhile.
fn others_are_answered(server: &AddressedProcess, sent: &str) {
    let held: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = connect(server.address());
            // One that had to make room for others is closed already.
            let _ = stream.write_all(sent.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        let begin = Instant::now();
        assert_eq!(ping(server.address()), 200, "{sent}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{sent}");
    }
    drop(held);
}

#[test]
fn who_holds_every_descriptor_shuts_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("mlflow.db");
    let tracking = format!(
        "server --port 0 --backend-store-uri sqlite:///{} --artifacts-destination {}",
        database.display(),
        folder.path().join("artifacts").display()
    );
    for command in [serve(), tracking] {
        let server = limited(&command, 256, 256);
        for sent in ["", "GET /hea", "GET /health HTTP/1.1\r\nHost: test\r\n\r\n"] {
            others_are_answered(&server, sent);
        }
    }
}

#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_needed() {
    let server = limited(&serve(), 256, 4096);
    let metrics = Client::new()
        .get(&format!("{}/metrics", server.address()))
        .unwrap();
    let raised = metrics
        .body
        .lines()
        .any(|line| line == "process_max_fds 4096");
    assert!(raised, "{}", metrics.body);
}
