//! A search that costs much ends with its client and at the deadline, and whoever watches the server
//! is told whether its database can be used.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mlrs_testing::{Client, MlrsServer, Postgres, skipped};
use serde_json::{Value, json};

use crate::ask::{api, parsed, post};

/// Runs with a tag of 7,900 characters each.
const RUNS: usize = 200;

/// More than a store has connections.
const SEARCHES: usize = 24;

fn fill(server: &MlrsServer) {
    let client = Client::new();
    let big = "a".repeat(7900);
    for _ in 0..RUNS {
        let tags = json!([{ "key": "big", "value": big }]);
        let body = json!({ "experiment_id": "0", "tags": tags });
        let answer = post(&client, &api(server, "runs/create"), &body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// As much as the grammar lets through, and nothing matches it.
fn costly() -> Value {
    let clause = |number: usize| format!("tags.big LIKE '%_{}b{number}%'", "a".repeat(1000));
    let clauses: Vec<String> = (0..8).map(clause).collect();
    json!({ "experiment_ids": ["0"], "filter": clauses.join(" OR "), "max_results": 1 })
}

/// Sends a search, and leaves.
fn leave(server: &MlrsServer) {
    let address = server.address().trim_start_matches("http://");
    let body = costly().to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: {address}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(20));
}

fn plain(server: &MlrsServer) -> Duration {
    let begin = Instant::now();
    let body = json!({ "experiment_ids": ["0"], "max_results": 1 });
    let answer = post(&Client::new(), &api(server, "runs/search"), &body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    begin.elapsed()
}

fn check(arguments: &[&str]) {
    // No deadline that would help.
    let server =
        MlrsServer::start(&[arguments, &["--statement-timeout", "3600"]].concat()).unwrap();
    fill(&server);
    for _ in 0..SEARCHES {
        leave(&server);
    }
    let took = plain(&server);
    assert!(took < Duration::from_secs(30), "{took:?}");
}

fn check_deadline(arguments: &[&str]) {
    let server = MlrsServer::start(&[arguments, &["--statement-timeout", "1"]].concat()).unwrap();
    fill(&server);
    let begin = Instant::now();
    let answer = post(&Client::new(), &api(&server, "runs/search"), &costly()).unwrap();
    let took = begin.elapsed();
    assert_eq!(answer.status, 400, "{answer:?}");
    let body = parsed(&answer);
    assert_eq!(body["error_code"], "BAD_REQUEST", "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("needs more time of the database"),
        "{message}"
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
    plain(&server);
}

#[test]
fn a_search_ends_with_its_client() {
    check(&[]);
    match Postgres::start() {
        Ok(cluster) => check(&["--backend-store-uri", &cluster.database("left").unwrap()]),
        Err(error) => skipped("searches that were left on PostgreSQL", &error.to_string()),
    }
}

#[test]
fn a_search_ends_at_the_deadline() {
    check_deadline(&[]);
    match Postgres::start() {
        Ok(cluster) => check_deadline(&["--backend-store-uri", &cluster.database("late").unwrap()]),
        Err(error) => skipped("the deadline of searches on PostgreSQL", &error.to_string()),
    }
}

#[test]
fn a_page_ends_where_it_is_large_enough() {
    const LARGE: usize = 36;
    let server = MlrsServer::start(&[]).unwrap();
    let client = Client::new();
    let big = "a".repeat(19_000);
    for number in 0..LARGE {
        let tag = |number: usize| json!({ "key": format!("t{number}"), "value": big });
        let tags: Vec<Value> = (0..60).map(tag).collect();
        let body = json!({ "name": format!("large {number}"), "tags": tags });
        let answer = post(&client, &api(&server, "experiments/create"), &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.status);
    }
    let (mut token, mut sizes) = (String::new(), Vec::new());
    let mut names = std::collections::BTreeSet::new();
    loop {
        let query = format!("experiments/search?max_results=1000&page_token={token}");
        let page = client.bytes(&api(&server, &query)).unwrap();
        sizes.push(page.len());
        let page: Value = serde_json::from_slice(&page).unwrap();
        for experiment in page["experiments"].as_array().unwrap() {
            names.insert(experiment["name"].to_string());
        }
        match page["next_page_token"].as_str() {
            Some(next) => token = next.replace('=', "%3D").replace('+', "%2B"),
            None => break,
        }
    }
    assert_eq!(names.len(), LARGE + 1, "with the default one");
    assert!(sizes.len() >= 2, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < 36 << 20), "{sizes:?}");
}

#[test]
fn filters_have_limits_that_are_named() {
    let server = MlrsServer::start(&[]).unwrap();
    let refused = |filter: String| {
        let body = json!({ "experiment_ids": ["0"], "filter": filter });
        let answer = post(&Client::new(), &api(&server, "runs/search"), &body).unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
        let body = parsed(&answer);
        assert_eq!(body["error_code"], "INVALID_PARAMETER_VALUE", "{body}");
        body["message"].as_str().unwrap().to_owned()
    };
    let like = |length: usize| format!("tags.t LIKE '%{}'", "a".repeat(length));
    // More than 50,000 bytes is more than SQLite takes.
    for length in [1024, 60_000] {
        let message = refused(like(length));
        assert!(message.contains("a pattern may have 1024"), "{message}");
    }
    let message = refused(vec![like(1000); 9].join(" OR "));
    assert!(message.contains("8192 bytes together"), "{message}");
    let message = refused(vec!["tags.t = 'x'"; 201].join(" OR "));
    assert!(message.contains("200 comparisons"), "{message}");
}

#[test]
fn who_watches_is_told_of_the_database() {
    let client = Client::new();
    let server = MlrsServer::start(&["--artifacts-only"]).unwrap();
    assert_eq!(status(&client, &server, "ready"), 200);
    let server = MlrsServer::start(&[]).unwrap();
    assert_eq!(status(&client, &server, "ready"), 200);
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("readiness on PostgreSQL", &error.to_string()),
    };
    let uri = cluster.database("ready").unwrap();
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    assert_eq!(status(&client, &server, "ready"), 200);
    cluster.freeze().unwrap();
    let begin = Instant::now();
    let frozen = (
        status(&client, &server, "ready"),
        status(&client, &server, "health"),
    );
    let took = begin.elapsed();
    cluster.thaw().unwrap();
    assert_eq!(frozen, (503, 200));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(status(&client, &server, "ready"), 200);
    cluster.stop().unwrap();
    assert_eq!(status(&client, &server, "ready"), 503);
}

fn status(client: &Client, server: &MlrsServer, path: &str) -> u16 {
    let answer = client.get(&format!("{}/{path}", server.address()));
    answer.unwrap().status
}
