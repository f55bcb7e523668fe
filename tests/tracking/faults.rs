//! What is away is waited for, what is full is told, and what is not whole is never seen.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use mlrs_testing::{Client, MlrsServer, Postgres, SmallDisk, skipped};
use serde_json::{Value, json};

use crate::ask::{api, parsed, post};

fn new_run(client: &Client, server: &MlrsServer) -> String {
    let answer = post(
        client,
        &api(server, "runs/create"),
        &json!({ "experiment_id": "0" }),
    );
    let run = parsed(&answer.unwrap());
    run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

fn metric(run: &str, key: &str, step: u64) -> Value {
    json!({ "run_id": run, "key": key, "value": step, "timestamp": 1, "step": step })
}

#[test]
fn a_database_that_goes_and_comes_back_is_used_again() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("a database that goes away", &error.to_string()),
    };
    let uri = cluster.database("gone").unwrap();
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    let client = Client::new();
    let run = new_run(&client, &server);
    let url = api(&server, "runs/log-metric");
    assert_eq!(
        post(&client, &url, &metric(&run, "m", 1)).unwrap().status,
        200
    );
    cluster.stop().unwrap();
    for _ in 0..3 {
        let answer = post(&client, &url, &metric(&run, "m", 2)).unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        let body = parsed(&answer);
        assert_eq!(body["error_code"], "TEMPORARILY_UNAVAILABLE", "{body}");
        assert!(!answer.body.contains("postgres@"), "{body}");
    }
    cluster.resume().unwrap();
    assert_eq!(
        post(&client, &url, &metric(&run, "m", 3)).unwrap().status,
        200
    );
    let found = parsed(
        &client
            .get(&api(&server, &format!("runs/get?run_id={run}")))
            .unwrap(),
    );
    assert_eq!(found["run"]["data"]["metrics"][0]["step"], 3, "{found}");
}

#[test]
fn a_full_disk_is_told_and_nothing_half_is_kept() {
    let disk = match SmallDisk::mount("8m") {
        Ok(disk) => disk,
        Err(error) => return skipped("a full disk", &error.to_string()),
    };
    let uri = format!("sqlite:///{}", disk.path().join("mlflow.db").display());
    let files = disk.path().join("files").display().to_string();
    let server = MlrsServer::start(&[
        "--backend-store-uri",
        &uri,
        "--artifacts-destination",
        &files,
    ])
    .unwrap();
    let client = Client::new();
    let run = new_run(&client, &server);
    let artifacts = format!("{}/api/2.0/mlflow-artifacts/artifacts", server.address());
    let put = |name: &str, size: usize| {
        let url = format!("{artifacts}/{name}");
        client
            .send("PUT", &url, None, Some(&vec![7; size]))
            .unwrap()
    };
    assert_eq!(put("small.bin", 1000).status, 200);
    let refused = put("large.bin", 16 << 20);
    assert!(refused.status >= 500, "{refused:?}");
    assert!(refused.body.contains("error_code"), "{refused:?}");
    let listed = parsed(&client.get(&artifacts).unwrap());
    let names: Vec<&str> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["small.bin"]);

    // Fills what is left; the database finds no room then.
    let value = "x".repeat(5000);
    let url = api(&server, "runs/log-batch");
    let (mut kept, mut refused) = (0, None);
    for number in 0..4000 {
        let tags: Vec<Value> = (0..10)
            .map(|tag| json!({ "key": format!("{number}-{tag}"), "value": value }))
            .collect();
        let answer = post(&client, &url, &json!({ "run_id": run, "tags": tags })).unwrap();
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
        kept += 10;
    }
    let refused = refused.expect("the disk was never full");
    assert_eq!(refused.status, 503, "{refused:?}");
    std::fs::remove_file(disk.path().join("files/small.bin")).unwrap();
    let found = client
        .get(&api(&server, &format!("runs/get?run_id={run}")))
        .unwrap();
    let tags = parsed(&found)["run"]["data"]["tags"]
        .as_array()
        .unwrap()
        .len();
    // The name of the run is a tag as well.
    assert_eq!(tags, kept + 1);
}

#[test]
fn a_client_that_leaves_mid_upload_leaves_nothing() {
    let server = MlrsServer::start(&[]).unwrap();
    let address = server.address().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "PUT /api/2.0/mlflow-artifacts/artifacts/dir/half.bin HTTP/1.1\r\nHost: {address}\r\nContent-Length: 10000000\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&vec![1; 1 << 20]).unwrap();
    stream.flush().unwrap();
    thread::sleep(Duration::from_millis(200));
    drop(stream);
    let client = Client::new();
    let url = format!("{}/api/2.0/mlflow-artifacts/artifacts", server.address());
    let empty = || {
        let listed = parsed(&client.get(&format!("{url}?path=dir")).unwrap());
        let files = listed["files"].as_array().map_or(0, Vec::len);
        files == 0 && leftovers(&server.folder().join("mlartifacts")).is_empty()
    };
    let mut gone = false;
    for _ in 0..50 {
        if empty() {
            gone = true;
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert!(gone, "{:?}", leftovers(server.folder()));
    let whole = client
        .send("PUT", &format!("{url}/dir/half.bin"), None, Some(b"whole"))
        .unwrap();
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(
        client.get(&format!("{url}/dir/half.bin")).unwrap().body,
        "whole"
    );
}

/// The files below a folder.
fn leftovers(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                leftovers(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
