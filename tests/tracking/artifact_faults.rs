//! Artifacts that are none, places that are elsewhere, and who does not take what was asked for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use mlrs_testing::{Answer, Client, MlflowServer, MlrsServer, mlrs_binary, python, skipped};
use serde_json::{Value, json};

use crate::ask::{api, artifacts, parsed, post};

/// Links in the artifact directory, and what they lead to.
fn make_links(root: &Path, outside: &Path) {
    std::fs::create_dir_all(root.join("real")).unwrap();
    std::fs::create_dir_all(outside).unwrap();
    std::fs::write(outside.join("secret"), "geheim").unwrap();
    std::fs::write(root.join("real/file"), "within").unwrap();
    symlink(outside, root.join("etc")).unwrap();
    symlink(outside.join("secret"), root.join("passwd")).unwrap();
    symlink("real", root.join("within")).unwrap();
}

fn names(answer: &Answer) -> Vec<String> {
    let files = parsed(answer)["files"].as_array().cloned();
    let name = |file: &Value| file["path"].as_str().unwrap().to_owned();
    files.unwrap_or_default().iter().map(name).collect()
}

/// What a server says to everything that can be done through a link.
fn ask_through_links(client: &Client, base: &str) -> Vec<(String, u16)> {
    let mut answers = Vec::new();
    for (method, path) in [
        ("GET", "/etc/secret"),
        ("GET", "/passwd"),
        ("PUT", "/etc/secret"),
        ("PUT", "/etc/new"),
        ("PUT", "/etc/new/new"),
        ("PUT", "/passwd"),
        ("GET", "?path=etc"),
        ("GET", "/within/file"),
        ("PUT", "/within/new"),
        ("GET", "?path=within"),
    ] {
        let body = (method == "PUT").then_some(b"overwritten".as_slice());
        let url = format!("{base}{path}");
        let answer = client.send(method, &url, None, body).unwrap();
        assert!(
            !answer.body.contains("geheim"),
            "{method} {path}: {answer:?}"
        );
        answers.push((format!("{method} {path}"), answer.status));
    }
    answers
}

#[test]
fn links_out_of_the_artifact_directory_are_refused_as_mlflow_refuses_them() {
    let server = MlrsServer::start(&[]).unwrap();
    let (root, outside) = (
        server.folder().join("mlartifacts"),
        server.folder().join("outside"),
    );
    make_links(&root, &outside);
    let client = Client::new();
    let base = artifacts(&server);
    let answers = ask_through_links(&client, &base);
    for (asked, status) in &answers {
        let expected = if asked.contains("within") { 200 } else { 400 };
        assert_eq!(*status, expected, "{asked}");
    }
    // MLflow deletes through links; nobody should.
    let deleted = client.send("DELETE", &format!("{base}/etc/secret"), None, None);
    assert_eq!(deleted.unwrap().status, 400);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    let kept = std::fs::read_to_string(outside.join("secret")).unwrap();
    assert_eq!(kept, "geheim");

    // The root of a run behind a link is no other way in.
    let create =
        json!({ "name": "linked", "artifact_location": root.join("etc").display().to_string() });
    let experiment = post(&client, &api(&server, "experiments/create"), &create).unwrap();
    let experiment = parsed(&experiment)["experiment_id"].clone();
    let create = json!({ "experiment_id": experiment });
    let run = parsed(&post(&client, &api(&server, "runs/create"), &create).unwrap());
    let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    std::fs::create_dir_all(outside.join(&run).join("artifacts")).unwrap();
    std::fs::write(outside.join(&run).join("artifacts/secret"), "geheim").unwrap();
    for path in [
        format!("/api/2.0/mlflow/artifacts/list?run_id={run}"),
        format!("/get-artifact?run_id={run}&path=secret"),
    ] {
        let answer = client.get(&format!("{}{path}", server.address())).unwrap();
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }

    if let Err(error) = python() {
        return skipped(
            "links in MLflow's own artifact directory",
            &error.to_string(),
        );
    }
    let oracle = MlflowServer::start().unwrap();
    let (root, outside) = (
        oracle.folder().join("artifacts"),
        oracle.folder().join("outside"),
    );
    make_links(&root, &outside);
    let base = format!("{}/api/2.0/mlflow-artifacts/artifacts", oracle.address());
    assert_eq!(ask_through_links(&client, &base), answers);
}

#[test]
fn a_listing_shows_what_can_be_read() {
    let server = MlrsServer::start(&[]).unwrap();
    let root = server.folder().join("mlartifacts");
    std::fs::create_dir_all(root.join(".mlrs-uploads")).unwrap();
    std::fs::write(root.join(".mlrs-uploads/half"), "half").unwrap();
    std::fs::write(root.join("back\\slash"), "x").unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let (client, base) = (Client::new(), artifacts(&server));
    let listed = client.get(&base).unwrap();
    assert_eq!(
        (listed.status, names(&listed)),
        (200, vec!["file".to_owned()])
    );
    let uploads = client.get(&format!("{base}?path=.mlrs-uploads")).unwrap();
    assert_eq!((uploads.status, names(&uploads)), (200, vec![]));
    let half = format!("{base}/.mlrs-uploads/half");
    for (method, expected) in [("GET", 404), ("PUT", 400), ("DELETE", 400)] {
        let body = (method == "PUT").then_some(b"x".as_slice());
        let answer = client.send(method, &half, None, body).unwrap();
        assert_eq!(answer.status, expected, "{method}: {answer:?}");
    }
    assert_eq!(
        std::fs::read_to_string(root.join(".mlrs-uploads/half")).unwrap(),
        "half"
    );
}

#[test]
fn places_that_cannot_be_are_the_client_s_error() {
    let server = MlrsServer::start(&[]).unwrap();
    let (client, base) = (Client::new(), artifacts(&server));
    let put = |path: &str| {
        client
            .send("PUT", &format!("{base}/{path}"), None, Some(b"x"))
            .unwrap()
    };
    assert_eq!(put("a/file").status, 200);
    for path in ["a/file/below", "a/file/below/that", "a"] {
        let answer = put(path);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_eq!(
            parsed(&answer)["error_code"],
            "INVALID_PARAMETER_VALUE",
            "{path}"
        );
    }
    let below = client.get(&format!("{base}/a/file/below")).unwrap();
    assert_eq!(below.status, 404, "{below:?}");
    for (index, location) in ["dbfs:/x", "foo:/x", "s3:/x", "s3:///x"].iter().enumerate() {
        let create = json!({ "name": index.to_string(), "artifact_location": location });
        let created = post(&client, &api(&server, "experiments/create"), &create).unwrap();
        if created.status != 200 {
            assert_eq!(created.status, 400, "{location}: {created:?}");
            continue;
        }
        let create = json!({ "experiment_id": parsed(&created)["experiment_id"] });
        let run = parsed(&post(&client, &api(&server, "runs/create"), &create).unwrap());
        let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let listed = client
            .get(&api(&server, &format!("artifacts/list?run_id={run}")))
            .unwrap();
        assert_eq!(listed.status, 400, "{location}: {listed:?}");
    }
}

#[test]
fn an_error_repeats_no_megabyte() {
    let server = MlrsServer::start(&[]).unwrap();
    let client = Client::new();
    let long = "x".repeat(1 << 20);
    for (path, body) in [
        (
            "experiments/create",
            json!({ "name": 1, "artifact_location": long }),
        ),
        (
            "experiments/create",
            json!({ "name": "a", "artifact_location": format!("runs:/{long}") }),
        ),
        ("runs/create", json!({ "experiment_id": long })),
        (
            "runs/search",
            json!({ "experiment_ids": ["0"], "filter": format!("{long} = 1") }),
        ),
        (
            "runs/search",
            json!({ "experiment_ids": ["0"], "order_by": [long] }),
        ),
        (
            "runs/log-metric",
            json!({ "run_id": long, "key": "k", "value": 1, "timestamp": 1 }),
        ),
        (
            "registered-models/get-latest-versions",
            json!({ "name": long }),
        ),
    ] {
        let answer = post(&client, &api(&server, path), &body).unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(
            answer.body.len() < 10_000,
            "{path}: {} bytes",
            answer.body.len()
        );
    }
}

#[test]
fn a_browser_runs_nothing_of_an_artifact() {
    let server = MlrsServer::start(&[]).unwrap();
    let (client, base) = (Client::new(), artifacts(&server));
    for name in ["page.html", "image.svg", "text.txt"] {
        let url = format!("{base}/{name}");
        client
            .send("PUT", &url, None, Some(b"<script>alert(1)</script>"))
            .unwrap();
        let found = client.ask("GET", &url, &[]).unwrap();
        for (header, expected) in [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            ),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(
                found.headers.get(header).map(String::as_str),
                Some(expected),
                "{name}"
            );
        }
        assert!(found.headers["content-disposition"].starts_with("attachment"));
    }
}

/// A server whose process can be looked at and ended.
struct Watched {
    child: Child,
    address: String,
}

impl Watched {
    fn start(folder: &Path) -> Self {
        let database = format!("sqlite:///{}", folder.join("mlflow.db").display());
        let mut child = Command::new(mlrs_binary().unwrap())
            .args(["server", "--port", "0", "--backend-store-uri", &database])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    /// Memory of the process that is its own, in MiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .unwrap();
        let kilobytes = line.split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() >> 10
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn downloads_that_are_not_read_cost_little_and_shut_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mlartifacts");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("large"), vec![7; 32 << 20]).unwrap();
    let server = Watched::start(folder.path());
    let before = server.resident();
    let path = "/api/2.0/mlflow-artifacts/artifacts/large";
    let deaf: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 100, "200 unread downloads cost {grown} MiB");
    let url = format!("http://{}{path}", server.address);
    let read = Client::new().bytes(&url).unwrap();
    assert_eq!(read.len(), 32 << 20);
    drop(deaf);
}

#[test]
fn what_a_killed_server_left_of_an_upload_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = folder.path().join("mlartifacts/.mlrs-uploads");
    let mut server = Watched::start(folder.path());
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "PUT /api/2.0/mlflow-artifacts/artifacts/new HTTP/1.1\r\nHost: localhost\r\n\
                Content-Length: 1000\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).unwrap();
    let begin = Instant::now();
    let remnant = loop {
        let mut found = std::fs::read_dir(&uploads).into_iter().flatten();
        if let Some(Ok(file)) = found.next() {
            break file.path();
        }
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "nothing is written"
        );
        std::thread::sleep(Duration::from_millis(10));
    };
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(remnant.exists());
    // As if it had been restarted later.
    let file = std::fs::File::options().write(true).open(&remnant).unwrap();
    let long_ago = SystemTime::now() - Duration::from_mins(10);
    file.set_modified(long_ago).unwrap();
    let _server = Watched::start(folder.path());
    let begin = Instant::now();
    while uploads.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "it is still there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
