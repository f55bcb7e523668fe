//! An artifact store that does not answer for a while: who needs none is not kept waiting, and what
//! was on its way arrives when it answers again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use mlrs_testing::{Client, MlrsServer, S3Server, skipped};

use crate::ask::artifacts;

/// What answers of the store pass through, as long as it is open.
#[derive(Default)]
struct Valve {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Requests that came while it was closed.
    held: AtomicUsize,
}

impl Valve {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap()
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

/// Passes connections on to `target`, answers through the valve. Gives the address.
fn between(target: &str, valve: &Arc<Valve>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (target, valve) = (target.replace("http://", ""), Arc::clone(valve));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(store) = TcpStream::connect(&target) else {
                return;
            };
            let (from, to) = (client.try_clone().unwrap(), store.try_clone().unwrap());
            let requests = Arc::clone(&valve);
            thread::spawn(move || {
                copy(from, to, || {
                    if requests.is_closed() {
                        requests.held.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
            let answers = Arc::clone(&valve);
            thread::spawn(move || copy(store, client, || answers.pass()));
        }
    });
    address
}

/// Copies until one side ends; `before` each piece is passed on.
fn copy(mut from: TcpStream, mut to: TcpStream, before: impl Fn()) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length) = from.read(&mut piece) {
        before();
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_store_that_is_slow_keeps_nobody_else_waiting() {
    let s3 = match S3Server::start() {
        Ok(s3) => s3,
        Err(error) => return skipped("an artifact store that is slow", &error.to_string()),
    };
    let valve = Arc::new(Valve::default());
    let mut variables = s3.variables();
    let endpoint = variables
        .iter_mut()
        .find(|(name, _)| *name == "MLFLOW_S3_ENDPOINT_URL")
        .unwrap();
    let slow = between(endpoint.1, &valve);
    let destination = ["--artifacts-destination", "s3://box/slow"];
    let direct = MlrsServer::start_with(&destination, &variables).unwrap();
    let through = variables.map(|(name, value)| match name {
        "MLFLOW_S3_ENDPOINT_URL" => (name, slow.as_str()),
        _ => (name, value),
    });
    let server = MlrsServer::start_with(&destination, &through).unwrap();
    let client = Client::new();
    let put = |name: &str, content: &[u8]| {
        let url = format!("{}/{name}", artifacts(&server));
        Client::new().send("PUT", &url, None, Some(content))
    };
    assert_eq!(put("first", b"first").unwrap().status, 200);
    let large: Vec<u8> = (0..=250).cycle().take(12 << 20).collect();

    valve.close();
    let uploaded = AtomicBool::new(false);
    thread::scope(|scope| {
        let upload = scope.spawn(|| {
            let answer = put("large", &large);
            uploaded.store(true, Ordering::Relaxed);
            answer
        });
        let url = format!("{}/first", artifacts(&server));
        let download = scope.spawn(move || Client::new().get(&url));
        while valve.held.load(Ordering::Relaxed) < 2 {
            thread::sleep(Duration::from_millis(10));
        }
        let url = format!("{}/api/2.0/mlflow/experiments/create", server.address());
        for number in 0..100 {
            let body = format!(r#"{{"name": "{number}"}}"#);
            let created = client.post(&url, Some("application/json"), body.as_bytes());
            assert_eq!(created.unwrap().status, 200);
        }
        assert!(!uploaded.load(Ordering::Relaxed), "the store was not slow");
        let listed = client.get(&artifacts(&direct)).unwrap();
        assert!(!listed.body.contains("large"), "{listed:?}");
        valve.open();
        assert_eq!(download.join().unwrap().unwrap().body, "first");
        assert_eq!(upload.join().unwrap().unwrap().status, 200);
    });
    let url = format!("{}/large", artifacts(&direct));
    assert!(client.bytes(&url).unwrap() == large, "another content");
}
