//! A gate in front of a server: it writes down what is asked for, and may want a password.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Passes requests on, one per connection. It closes with this value.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: String,
    /// The value of `Authorization` that opens the gate; without one it is open.
    key: Option<&'static str>,
    asked: Mutex<Vec<String>>,
    closed: AtomicBool,
}

impl Gate {
    /// A gate in front of the server at this address.
    pub fn before(server: &str, key: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server: server.trim_start_matches("http://").to_owned(),
            key,
            asked: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that went away is no failure of the gate.
                std::thread::spawn(move || drop(pass(client, &state)));
            }
        });
        Self { address, state }
    }

    /// Its address, as of a server.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for since the last time, without host and query.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.asked.lock().unwrap())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections, which then gives the port back.
        drop(TcpStream::connect(self.address));
    }
}

fn pass(mut client: TcpStream, state: &State) -> std::io::Result<()> {
    let Some((head, body)) = read_request(&mut client)? else {
        return Ok(());
    };
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    state.asked.lock().unwrap().push(path.to_owned());
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if state.key.is_some() && header("authorization") != state.key {
        let text = "You are not authenticated.";
        let length = text.len();
        return write!(
            client,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"mlflow\"\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
    }
    let mut server = TcpStream::connect(&state.server)?;
    let lines = head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    for line in lines {
        write!(server, "{line}\r\n")?;
    }
    server.write_all(b"Connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// The head without its empty line, and as much body as it announces.
fn read_request(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).trim_end().to_owned();
    let length = head
        .lines()
        .find_map(|line| {
            let lower = line.to_ascii_lowercase();
            lower.strip_prefix("content-length:")?.trim().parse().ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok(Some((head, body)))
}
