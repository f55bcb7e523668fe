//! A server ends when it is told to, whatever its database does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mlrs_testing::{Postgres, mlrs_binary, skipped};

fn start(uri: &str) -> Child {
    Command::new(mlrs_binary().unwrap())
        .args([
            "server",
            "--port",
            "0",
            "--drain",
            "1",
            "--backend-store-uri",
            uri,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn terminate(child: &Child) {
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// How it ended, what it wrote to its log, and how long that took; fails when it does not end.
fn ended(mut child: Child) -> (ExitStatus, String, Duration) {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begin.elapsed();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, log, took)
}

#[test]
fn a_signal_ends_a_server_whose_database_does_not_answer_at_the_start() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let child = start(&format!("postgresql://mlflow@127.0.0.1:{port}/mlflow"));
    let _connection = silent.accept().unwrap();
    terminate(&child);
    let (status, log, took) = ended(child);
    assert_eq!(status.code(), Some(143), "{log}");
    assert!(took < Duration::from_secs(2), "{took:?}: {log}");
}

/// Passes bytes on until it is frozen.
fn pass_on(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut piece) {
        while frozen.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if count == 0 || to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

/// A way to a database that can be frozen: its port.
fn freezable(database: &str, frozen: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (database, frozen) = (database.to_owned(), Arc::clone(frozen));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&database).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let frozen = Arc::clone(&frozen);
                std::thread::spawn(move || pass_on(from, to, &frozen));
            }
        }
    });
    port
}

#[test]
fn a_search_that_hangs_does_not_keep_a_server_alive() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("a search that hangs", &error.to_string()),
    };
    let uri = cluster.database("hangs").unwrap();
    let authority = uri.split('@').nth(1).unwrap();
    let (database, rest) = authority.split_once('/').unwrap();
    let frozen = Arc::new(AtomicBool::new(false));
    let port = freezable(database, &frozen);
    let through = uri.replace(
        &format!("{database}/{rest}"),
        &format!("127.0.0.1:{port}/{rest}"),
    );
    let mut child = start(&through);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split(' ').next().unwrap().to_owned();
    frozen.store(true, Ordering::Relaxed);
    let search =
        "GET /api/2.0/mlflow/experiments/search?max_results=10 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut asking: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(search.as_bytes()).unwrap();
        asking.push(stream);
    }
    std::thread::sleep(Duration::from_millis(500));
    terminate(&child);
    let (status, log, took) = ended(child);
    assert!(status.success(), "{status}: {log}");
    assert!(took < Duration::from_secs(4), "{took:?}: {log}");
    assert!(log.contains("cut_off=4"), "{log}");
}
