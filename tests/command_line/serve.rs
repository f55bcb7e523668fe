use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use mlrs_testing::Client;

use crate::terminal::Terminal;

#[test]
fn an_address_that_cannot_be_had_is_an_error() {
    let mut terminal = Terminal::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = terminal.run(&format!("serve iris --port {port} --log-level warn"));
    assert_eq!(ended.code, 1);
    let ended = terminal.run("serve iris --host 203.0.113.7 --port 0 --log-level warn");
    assert_eq!(ended.code, 1);
    let transcript = terminal.transcript().replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(transcript);
    // What the system says of a name differs from machine to machine.
    let ended = terminal.run("serve iris --host nowhere.invalid --port 0 --log-level warn");
    assert_eq!(ended.code, 1);
    assert!(
        ended.errors.contains("give an IP address"),
        "{}",
        ended.errors
    );
}

#[test]
fn a_filter_of_logs_that_is_none_is_named_with_its_variable() {
    let mut terminal = Terminal::new();
    let ended = terminal.run("serve iris --port 0 --log-level a/b");
    assert_eq!(ended.code, 1);
    for told in ["`a/b`", "--log-level", "MLRS_LOG"] {
        assert!(ended.errors.contains(told), "{told}: {}", ended.errors);
    }
}

/// Starts a server, and gives what it says until it is ready, apart from times and ports.
fn said(terminal: &Terminal, words: &str) -> (Running, String) {
    let (out, errors) = (terminal.path("out"), terminal.path("errors"));
    let child = terminal
        .command(words)
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut running = Running {
        child,
        address: String::new(),
    };
    for _ in 0..3000 {
        let text = std::fs::read_to_string(&out).unwrap();
        if text.contains("try it") {
            let (_, address) = text.split_once("http://").unwrap();
            let address = address.split_whitespace().next().unwrap();
            running.address = format!("http://{address}");
            let log = std::fs::read_to_string(&errors).unwrap();
            let text = text.replace(address, "HOST:PORT");
            return (running, text + &log);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{}", std::fs::read_to_string(&errors).unwrap());
}

/// A server that ends with this value.
struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_what_is_served_where_and_why() {
    let terminal = Terminal::new();
    let (running, text) = said(&terminal, "serve iris --port 0");
    for part in [
        "backend=\"onnxruntime\"",
        "mlrs onnxruntime install",
        "backend=\"tract\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        text.starts_with("mlrs serves iris on http://HOST:PORT ("),
        "{text}"
    );
    // The line to paste works as it stands.
    let line = text.lines().find(|line| line.contains("curl")).unwrap();
    let (_, line) = line.split_once("try it: ").unwrap();
    let (_, address) = running.address.split_once("//").unwrap();
    let line = line.replace("HOST:PORT", address);
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.starts_with("{\"predictions\":["), "{line}: {answer}");
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let warning = "whoever reaches this machine over the network may use the model";
    let terminal = Terminal::new();
    let (_running, text) = said(&terminal, "serve iris --port 0 --host 0.0.0.0");
    assert!(text.contains(warning), "{text}");
    let (running, text) = said(
        &terminal,
        "serve iris --port 0 --allowed-hosts models.example",
    );
    assert!(!text.contains(warning), "{text}");
    let client = Client::new();
    let docs = client.get(&format!("{}/docs", running.address)).unwrap();
    assert_eq!(docs.status, 403, "{docs:?}");
}

#[test]
fn what_mlflow_calls_its_command_works() {
    let mut terminal = Terminal::new();
    terminal.set("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "7");
    terminal.set("MLFLOW_MODELS_WORKERS", "2");
    terminal.set("MLFLOW_PORT", "0");
    let words = "models serve -m iris -h 127.0.0.1 --env-manager local --no-conda";
    let (running, text) = said(&terminal, words);
    assert!(text.contains("have no effect"), "{text}");
    let answer = Client::new()
        .post(
            &format!("{}/invocations", running.address),
            Some("text/csv"),
            b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n",
        )
        .unwrap();
    assert_eq!(answer.status, 200);
}
