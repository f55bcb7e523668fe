//! Clients that send slowly, or nothing, or leave, or do not read: they hold nobody up.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use mlrs_testing::Mlrs;

use crate::models::iris;
use crate::raw::{connect, exchange, request};

const BODY: &str = r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.1, 3.5, 1.4, 0.2]]}}"#;

fn predict() -> Vec<u8> {
    let headers = [("Content-Type", "application/json")];
    request("POST /invocations", &headers, BODY.as_bytes())
}

fn server(arguments: &[&str]) -> Mlrs {
    Mlrs::serve(&iris(), &[&["--backend", "tract"], arguments].concat()).unwrap()
}

/// Predictions by clients that do as they should.
fn others_are_answered(served: &Mlrs) {
    for _ in 0..50 {
        let answer = exchange(served.address(), &predict());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// The value of a metric, labels included in its name.
fn metric(served: &Mlrs, name: &str) -> f64 {
    let text = served.get("/metrics").unwrap().body;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("there is no metric `{name}`"))
        .parse()
        .unwrap()
}

/// Waits until a metric has this value.
fn settles(served: &Mlrs, name: &str, expected: f64) {
    let begin = Instant::now();
    while (metric(served, name) - expected).abs() > 1e-9 {
        let value = metric(served, name);
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{name} is {value}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn silent_and_slow_clients_hold_nobody_up() {
    let served = server(&[]);
    let silent: Vec<TcpStream> = (0..300).map(|_| connect(served.address())).collect();
    let mut slow = Vec::new();
    for index in 0..100 {
        let mut stream = connect(served.address());
        let whole = predict();
        // Cut in the first line, in the headers, in the body.
        let cut = [4, 60, whole.len() - 10][index % 3];
        stream.write_all(&whole[..cut]).unwrap();
        slow.push((stream, whole[cut..].to_vec()));
    }
    others_are_answered(&served);
    // Whoever is slow is answered all the same.
    for (stream, rest) in &mut slow {
        for byte in rest.iter() {
            stream.write_all(&[*byte]).unwrap();
        }
    }
    for (mut stream, _) in slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    drop(silent);
}

#[test]
fn clients_that_leave_leave_nothing_behind() {
    let served = server(&[]);
    let whole = predict();
    for index in 0..300 {
        let mut stream = connect(served.address());
        // In the head, in the body, with the request on its way.
        let cut = [30, whole.len() - 10, whole.len()][index % 3];
        stream.write_all(&whole[..cut]).unwrap();
        if index % 2 == 0 {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }
    others_are_answered(&served);
    settles(&served, "mlrs_bytes_in_flight", 0.0);
    settles(&served, "mlrs_queue_rows", 0.0);
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    let served = server(&[]);
    let rows = vec!["[5.1, 3.5, 1.4, 0.2]"; 50_000].join(",");
    let body = BODY.replace("[5.1, 3.5, 1.4, 0.2]", &rows);
    let headers = [("Content-Type", "application/json")];
    let mut deaf: Vec<TcpStream> = (0..4).map(|_| connect(served.address())).collect();
    for stream in &mut deaf {
        let request = request("POST /invocations", &headers, body.as_bytes());
        stream.write_all(&request).unwrap();
    }
    others_are_answered(&served);
    settles(&served, "mlrs_bytes_in_flight", 0.0);
    // Its answer is not lost as long as it is connected.
    let mut answer = String::new();
    deaf[0].read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(answer.matches("\"species\":0").count(), 50_000);
}

#[test]
fn what_does_not_fit_waits_or_is_told_to_come_back() {
    let served = server(&["--bytes-in-flight", "1000", "--body-limit", "1000"]);
    let whole = predict();
    let mut held = Vec::new();
    for _ in 0..7 {
        let mut stream = connect(served.address());
        stream.write_all(&whole[..whole.len() - 1]).unwrap();
        held.push(stream);
    }
    settles(&served, "mlrs_bytes_in_flight", (7 * BODY.len()) as f64);
    let answer = exchange(served.address(), &whole);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    for mut stream in held {
        stream.write_all(b"}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    }
    others_are_answered(&served);
}
