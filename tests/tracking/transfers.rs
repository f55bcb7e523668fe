//! Files that clients send to the object store themselves, by addresses that the server signs; and
//! files that MLflow's pages upload.

use std::path::{Path, PathBuf};
use std::process::Command;

use mlrs_testing::{
    AzureServer, Client, MlflowServer, MlrsServer, S3Server, python, skipped, workspace_root,
};
use serde_json::{Value, json};

const PROXY: &str = "/api/2.0/mlflow-artifacts";
const DESTINATION: [&str; 2] = ["--artifacts-destination", "s3://box/team"];

/// The same, and a root in the bucket that experiments may name, which only mlrs asks for.
const WITH_ROOT: [&str; 4] = [
    "--artifacts-destination",
    "s3://box/team",
    "--allowed-artifact-roots",
    "s3://box/direct",
];

/// What the store must be for any of this.
fn store(what: &str) -> Option<(PathBuf, S3Server)> {
    match (python(), S3Server::start()) {
        (Ok(python), Ok(s3)) => Some((python, s3)),
        (Err(error), _) | (_, Err(error)) => {
            skipped(what, &error.to_string());
            None
        }
    }
}

fn post(server: &str, path: &str, body: &Value) -> (u16, Value) {
    let (url, body) = (format!("{server}{path}"), body.to_string());
    let answer = Client::new()
        .post(&url, Some("application/json"), body.as_bytes())
        .unwrap();
    (answer.status, parsed(&answer.body))
}

fn get(server: &str, path: &str) -> (u16, Value) {
    let answer = Client::new().get(&format!("{server}{path}")).unwrap();
    (answer.status, parsed(&answer.body))
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| json!(body))
}

/// Python's client with a large file. Tells the root of its run.
fn send_parts(
    python: &Path,
    server: &MlrsServer,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> String {
    let output = Command::new(python)
        .arg(workspace_root().join("tests/python/send_parts.py"))
        .args(arguments)
        .env("MLFLOW_TRACKING_URI", server.address())
        .env("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
        .env("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
        .env("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "10000000")
        .env("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "6291456")
        .env("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", "6291456")
        .envs(variables.iter().copied())
        .current_dir(server.folder())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    told["root"].as_str().unwrap().to_owned()
}

/// Whether a server was asked for what begins so.
fn was_asked(log: &str, method: &str, path: &str) -> bool {
    let (method, path) = (
        format!("method={method} "),
        format!("path=\"{PROXY}/{path}"),
    );
    let mut lines = log.lines();
    lines.any(|line| line.contains(&method) && line.contains(&path))
}

#[test]
fn python_sends_large_files_to_azure_in_parts() {
    let (python, azure) = match (python(), AzureServer::start()) {
        (Ok(python), Ok(azure)) => (python, azure),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("files in parts in Azure", &error.to_string());
        }
    };
    let uri = format!("{}/team", azure.uri());
    let arguments = ["--artifacts-destination", &uri, "--log-level", "debug"];
    let mut server = MlrsServer::start_with(&arguments, &azure.variables()).unwrap();
    let (status, info) = get(server.address(), "/api/3.0/mlflow/server-info");
    assert_eq!(status, 200);
    assert_eq!(
        (
            &info["multipart_uploads_enabled"],
            &info["multipart_downloads_enabled"]
        ),
        (&json!(true), &json!(false))
    );
    let root = send_parts(&python, &server, &[], &[]);
    // The upload did not go through the server; the download did, as with MLflow. The library does
    // not sign for names that are percent-encoded: such a file goes through the server.
    let log = server.log();
    assert!(
        was_asked(&log, "POST", &format!("mpu/create/{root}")),
        "{log}"
    );
    assert!(
        was_asked(&log, "POST", &format!("mpu/complete/{root}")),
        "{log}"
    );
    assert!(
        was_asked(&log, "GET", &format!("artifacts/{root}")),
        "{log}"
    );
    assert!(
        !was_asked(&log, "PUT", &format!("artifacts/{root}")),
        "{log}"
    );
    let root = send_parts(&python, &server, &["encoded"], &[]);
    let log = server.log();
    assert!(
        was_asked(&log, "POST", &format!("mpu/create/{root}")),
        "{log}"
    );
    assert!(
        was_asked(&log, "PUT", &format!("artifacts/{root}")),
        "{log}"
    );
    assert!(
        !log.contains("sig=") && !log.contains("AccountKey"),
        "{log}"
    );

    // Blocks of another upload are none of this one, and a blob is not made of made-up names.
    let file = json!({"path": "b.bin", "num_parts": 1});
    let begin = || post(server.address(), &format!("{PROXY}/mpu/create/x"), &file).1;
    let (one, other) = (begin(), begin());
    let address = |begun: &Value| begun["credentials"][0]["url"].as_str().unwrap().to_owned();
    assert_ne!(address(&one), address(&other));
    let sent = Client::new().send("PUT", &address(&one), None, Some(b"one"));
    assert_eq!(sent.unwrap().status, 201);
    let complete = |url: &str| {
        let parts = json!([{"part_number": 1, "etag": "", "url": url}]);
        let body = json!({"path": "b.bin", "parts": parts});
        post(server.address(), &format!("{PROXY}/mpu/complete/x"), &body)
    };
    for wrong in ["", "http://x/?blockid=bWxmbG93", &address(&other)] {
        let (status, answer) = complete(wrong);
        assert_eq!(status, 400, "{answer} {wrong}");
        assert!(!answer.to_string().contains("sig"), "{answer}");
    }
    assert_eq!(complete(&address(&one)), (200, json!({})));
    let read = format!("{}{PROXY}/artifacts/x/b.bin", server.address());
    assert_eq!(Client::new().get(&read).unwrap().body, "one");
}

#[test]
fn python_sends_and_reads_large_files_in_parts() {
    let Some((python, s3)) = store("files in parts") else {
        return;
    };
    let server = MlrsServer::start_with(&WITH_ROOT, &s3.variables()).unwrap();
    let root = send_parts(&python, &server, &["s3"], &s3.variables());
    let key = format!("/box/team/{root}/deep/er/");

    // It did go there in parts, and not through the server, which would write pieces of 8 MiB.
    let requests = s3.requests().unwrap();
    let of_key = |method: &str, query: &str, status: &str| {
        let begin = format!("{method} {key}");
        let is_one = |request: &&String| {
            request.starts_with(&begin) && request.contains(query) && request.ends_with(status)
        };
        requests.iter().filter(is_one).count()
    };
    assert_eq!(of_key("POST", "?uploads", " 200"), 1, "{requests:#?}");
    for part in 1..=5 {
        let number = format!("partNumber={part}&");
        assert_eq!(of_key("PUT", &number, " 200"), 1, "{part}: {requests:#?}");
    }
    assert_eq!(of_key("PUT", "", ""), 5, "{requests:#?}");
    assert_eq!(of_key("POST", "?uploadId=", " 200"), 1, "{requests:#?}");
    // Five ranges of the client, and one of the test.
    assert_eq!(
        of_key("GET", "X-Amz-Signature=", " 206"),
        6,
        "{requests:#?}"
    );
    assert_eq!(of_key("GET", "", ""), 6, "{requests:#?}");
}

/// An address without what is never the same twice: `path?name=value&…`, sorted.
fn shape_of(address: &str) -> String {
    let (_, rest) = address.split_once("://").unwrap();
    let (path, query) = rest[rest.find('/').unwrap()..].split_once('?').unwrap();
    let mut query: Vec<&str> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if ["X-Amz-Signature", "X-Amz-Date", "uploadId"].contains(&name) => {
                name
            }
            _ => pair,
        })
        .collect();
    query.sort_unstable();
    format!("{path}?{}", query.join("&"))
}

/// An answer without what is never the same twice.
fn shape(mut answer: Value) -> Value {
    if !answer.is_object() {
        return answer;
    }
    for field in ["url", "presigned_url"] {
        if let Some(address) = answer[field].as_str() {
            answer[field] = json!(shape_of(address));
        }
    }
    if answer["upload_id"].is_string() {
        answer["upload_id"] = json!("a text");
    }
    if let Some(parts) = answer["credentials"].as_array_mut() {
        for part in parts {
            *part = shape(part.take());
        }
    }
    // mlrs tells the id of the request as well.
    if let Some(error) = answer.as_object_mut() {
        error.remove("request_id");
        error.remove("sqlstate");
    }
    answer
}

/// The same question to both, once with what each calls its run.
struct Both {
    servers: [(String, String); 2],
}

impl Both {
    fn new(mlflow: &str, mlrs: &str, root: Option<&str>) -> Self {
        let run = |server: &str| {
            let id = root.map_or_else(
                || json!("0"),
                |root| {
                    let new = json!({"name": "direct", "artifact_location": root});
                    let path = "/api/2.0/mlflow/experiments/create";
                    post(server, path, &new).1["experiment_id"].take()
                },
            );
            let path = "/api/2.0/mlflow/runs/create";
            let run = post(server, path, &json!({"experiment_id": id})).1;
            let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
            (server.to_owned(), run)
        };
        Self {
            servers: [run(mlflow), run(mlrs)],
        }
    }

    fn ask(&self, path: &str, body: Option<&Value>) -> [(u16, Value); 2] {
        self.servers.clone().map(|(server, run)| {
            let path = path.replace("RUN", &run);
            let (status, answer) = match body {
                None => get(&server, &path),
                Some(body) => {
                    let body = body.to_string().replace("RUN", &run);
                    post(&server, &path, &parsed(&body))
                }
            };
            let shown = shape(answer).to_string().replace(&run, "RUN");
            (status, parsed(&shown))
        })
    }

    /// Asks both, who must agree.
    fn agree(&self, path: &str, body: Option<&Value>) -> (u16, Value) {
        let [mlflow, mlrs] = self.ask(path, body);
        assert_eq!(mlrs, mlflow, "{path} {body:?}");
        mlrs
    }
}

#[test]
fn addresses_are_those_of_mlflow() {
    let Some((_, s3)) = store("addresses of MLflow") else {
        return;
    };
    let mlflow = MlflowServer::start_with(&DESTINATION, &s3.variables()).unwrap();
    let mlrs = MlrsServer::start_with(&WITH_ROOT, &s3.variables()).unwrap();
    s3.put("team/a/page.html", b"<p>").unwrap();
    s3.put("direct/RUN", b"").unwrap();
    let both = Both::new(mlflow.address(), mlrs.address(), None);

    for path in ["x", "x/deep%20er/%C3%A4", "x+y"] {
        let body = json!({"path": "/tmp/a b+ä.bin", "num_parts": 2});
        let path = format!("{PROXY}/mpu/create/{path}");
        assert_eq!(both.agree(&path, Some(&body)).0, 200);
    }
    let (status, found) = both.agree(&format!("{PROXY}/presigned/a/page.html"), None);
    assert_eq!((status, &found["file_size"]), (200, &json!(3)));
    for prefix in ["/api/2.0", "/ajax-api/2.0"] {
        both.agree(
            &format!("{prefix}/mlflow-artifacts/presigned/a/page.html"),
            None,
        );
        for what in ["upload", "download"] {
            let path = format!("{prefix}/mlflow/artifacts/presigned-{what}-url");
            let (status, _) = both.agree(&path, Some(&json!({"run_id": "RUN", "path": "x"})));
            assert_eq!(status, 400, "{path}");
        }
    }
    let [expected, found] = both.ask("/api/3.0/mlflow/server-info", None);
    for field in [
        "multipart_uploads_enabled",
        "multipart_downloads_enabled",
        "presigned_upload_run_id_supported",
        "presigned_upload_model_id_supported",
    ] {
        assert_eq!(
            (&expected.1[field], &found.1[field]),
            (&json!(true), &json!(true))
        );
    }
    refusals(&both);

    let both = Both::new(mlflow.address(), mlrs.address(), Some("s3://box/direct"));
    let upload = "/api/2.0/mlflow/artifacts/presigned-upload-url";
    for name in ["a b/ä.bin", "page.html", "model.json", "table.csv", "x.tar"] {
        for body in [
            json!({"run_id": "RUN", "path": name}),
            json!({"run_id": "RUN", "path": name, "expiration": 60}),
        ] {
            assert_eq!(both.agree(upload, Some(&body)).0, 200, "{name}");
        }
    }
    for (_, run) in &both.servers {
        s3.put(&format!("direct/{run}/artifacts/a%20b/n%C3%A4me"), b"12")
            .unwrap();
    }
    let download = "/api/2.0/mlflow/artifacts/presigned-download-url";
    for expiration in [json!(null), json!(1), json!("604800")] {
        let body = json!({"run_id": "RUN", "path": "a b/näme", "expiration": expiration});
        let (status, found) = both.agree(download, Some(&body));
        assert_eq!((status, &found["file_size"]), (200, &json!(2)));
    }
}

/// Requests that MLflow refuses as well, in the same words.
fn refusals(both: &Both) {
    let upload = "/api/2.0/mlflow/artifacts/presigned-upload-url";
    let download = "/api/2.0/mlflow/artifacts/presigned-download-url";
    let create = format!("{PROXY}/mpu/create/x");
    for (path, body) in [
        (upload, json!({})),
        (upload, json!({"path": "x"})),
        (upload, json!({"path": "x", "run_id": "a", "model_id": "b"})),
        (upload, json!({"path": "../x", "run_id": "RUN"})),
        (upload, json!({"path": "x", "run_id": "nobody"})),
        (download, json!({})),
        (download, json!({"run_id": "RUN"})),
        (download, json!({"run_id": "nobody", "path": "x"})),
        (
            download,
            json!({"run_id": "RUN", "path": "x", "expiration": 0}),
        ),
        (
            download,
            json!({"run_id": "RUN", "path": "x", "expiration": 604_801}),
        ),
        (&create, json!({})),
        (&create, json!({"path": "a", "num_parts": "many"})),
    ] {
        let (status, _) = both.agree(path, Some(&body));
        assert!((400..500).contains(&status), "{path} {body}: {status}");
    }
}

#[test]
fn a_folder_takes_files_of_pages_and_no_parts() {
    if let Err(error) = python() {
        return skipped("transfers to a folder", &error.to_string());
    }
    let (mlflow, mlrs) = (
        MlflowServer::start().unwrap(),
        MlrsServer::start(&[]).unwrap(),
    );
    let both = Both::new(mlflow.address(), mlrs.address(), None);
    let file = json!({"path": "a.bin", "num_parts": 1});
    let end =
        json!({"path": "a.bin", "upload_id": "x", "parts": [{"part_number": 1, "etag": "e"}]});
    for (call, body) in [
        ("create", &file),
        ("create", &json!({"path": "a.bin"})),
        ("complete", &end),
        ("abort", &end),
    ] {
        let (status, answer) = both.agree(&format!("{PROXY}/mpu/{call}/x"), Some(body));
        assert_eq!(
            (status, &answer["error_code"]),
            (501, &json!("NOT_IMPLEMENTED"))
        );
    }
    assert_eq!(both.agree(&format!("{PROXY}/presigned/x"), None).0, 501);
    let [expected, found] = both.ask("/api/3.0/mlflow/server-info", None);
    for field in ["multipart_uploads_enabled", "multipart_downloads_enabled"] {
        assert_eq!(
            (&expected.1[field], &found.1[field]),
            (&json!(false), &json!(false))
        );
    }
    page_uploads(&both);
    let both = Both::new(
        mlflow.address(),
        mlrs.address(),
        Some("/tmp/mlrs-tests-nothing-here"),
    );
    for what in ["upload", "download"] {
        let path = format!("/api/2.0/mlflow/artifacts/presigned-{what}-url");
        let (status, _) = both.agree(&path, Some(&json!({"run_id": "RUN", "path": "x"})));
        assert_eq!(status, 501, "{path}");
    }
}

/// Requests that are to be refused, each with its status and its answer.
struct Refusals {
    address: String,
    all: Vec<(u16, (u16, Value))>,
}

impl Refusals {
    fn call(&self, call: &str, body: &Value) -> (u16, Value) {
        post(&self.address, &format!("{PROXY}/mpu/{call}"), body)
    }

    fn expect(&mut self, status: u16, call: &str, body: &Value) {
        let answer = self.call(call, body);
        self.all.push((status, answer));
    }

    fn paths(&mut self) {
        let path = [
            json!(null),
            json!(""),
            json!(".."),
            json!("a/.."),
            json!("%2e%2e"),
            json!("a/"),
            json!("a\u{0}b"),
            json!("x".repeat(300)),
            json!(7),
        ];
        for path in path {
            self.expect(400, "create/x", &json!({"path": path, "num_parts": 1}));
        }
        for folder in [
            "..%2fsecret",
            "%2e%2e/%2e%2e/x",
            "a/%252e%252e/b",
            "%2fetc",
            "a%5cb",
            "a%00b",
        ] {
            let parts = json!([{"part_number": 1, "etag": "e"}]);
            let body = json!({"path": "a", "num_parts": 1, "upload_id": "u", "parts": parts});
            for call in ["create", "complete", "abort"] {
                self.expect(400, &format!("{call}/{folder}"), &body);
            }
            let found = get(&self.address, &format!("{PROXY}/presigned/{folder}"));
            self.all.push((400, found));
        }
    }

    fn counts(&mut self) {
        let counts = [
            json!(null),
            json!(0),
            json!(-1),
            json!(10_001),
            json!(i64::MAX),
            json!("x"),
            json!(1.5),
            json!([1]),
        ];
        for count in counts {
            self.expect(400, "create/x", &json!({"path": "a", "num_parts": count}));
        }
    }

    fn ends(&mut self, id: &Value) {
        let wrong = json!([{"part_number": 1, "etag": "\"00000000000000000000000000000000\""}]);
        for parts in [
            json!(null),
            json!([]),
            json!([{}]),
            json!([{"part_number": 1}]),
            json!([{"part_number": 2, "etag": "e"}]),
            json!([{"part_number": 1, "etag": "e"}, {"part_number": 1, "etag": "e"}]),
            json!([{"part_number": 1, "etag": "</ETag><x>"}]),
            json!([{"part_number": "x", "etag": "e"}]),
            json!([1]),
            json!("parts"),
            wrong.clone(),
        ] {
            let body = json!({"path": "a", "upload_id": id, "parts": parts});
            self.expect(400, "complete/x", &body);
        }
        // Of an id that it does not know moto makes a 500 of its own; only of one to abort, S3's 404.
        for (status, id) in [
            (400, json!("a\nb")),
            (400, json!("x".repeat(3000))),
            (404, json!(null)),
        ] {
            let body = json!({"path": "a", "upload_id": id, "parts": wrong});
            self.expect(status, "complete/x", &body);
        }
        for (status, id) in [(404, "nobody"), (404, "../../x"), (400, "&x=y")] {
            self.expect(status, "abort/x", &json!({"path": "a", "upload_id": id}));
        }
    }
}

#[test]
fn hostile_transfers_are_refused_as_the_senders_fault() {
    let Some((_, s3)) = store("hostile transfers") else {
        return;
    };
    let arguments = [&DESTINATION[..], &["--log-level", "debug"]].concat();
    let mut server = MlrsServer::start_with(&arguments, &s3.variables()).unwrap();
    let address = server.address().to_owned();
    let mut refusals = Refusals {
        address: address.clone(),
        all: Vec::new(),
    };
    refusals.paths();
    refusals.counts();
    for absent in ["nothing/here", "x"] {
        let found = get(&address, &format!("{PROXY}/presigned/{absent}"));
        refusals.all.push((404, found));
    }
    let many = json!({"path": "a", "num_parts": 10_000});
    let (status, begun) = refusals.call("create/x", &many);
    assert_eq!(status, 200);
    assert_eq!(begun["credentials"].as_array().unwrap().len(), 10_000);
    let first = begun["credentials"][0]["url"].as_str().unwrap();
    let sent = Client::new().send("PUT", first, None, Some(b"small"));
    assert_eq!(sent.unwrap().status, 200);
    refusals.ends(&begun["upload_id"]);
    for (status, (found, body)) in &refusals.all {
        assert_eq!(found, status, "{body} {}", server.log());
        let text = body.to_string();
        assert!(text.len() < 2000 && body["message"].is_string(), "{text}");
        assert!(
            !text.contains("127.0.0.1") && !text.contains("Amz"),
            "{text}"
        );
    }

    // Nothing of it is in the way of the upload. The MD5 of `small` is what S3 calls the part.
    let part = json!({"part_number": 1, "etag": "\"eb5c1399a871211c7e7ed732d15e3a8b\""});
    let end = json!({"path": "a", "upload_id": begun["upload_id"], "parts": [part]});
    assert_eq!(refusals.call("complete/x", &end), (200, json!({})));
    let found = Client::new().get(&format!("{address}{PROXY}/artifacts/x/a"));
    assert_eq!(found.unwrap().body, "small");
    let log = server.log();
    for secret in [s3.variables()[2].1, "X-Amz-Signature", "X-Amz-Credential"] {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(log.contains("answered"), "{log}");
}

/// Small files from MLflow's pages.
fn page_uploads(both: &Both) {
    let path = "/ajax-api/2.0/mlflow/upload-artifact";
    let large = vec![b'x'; (10 << 20) + 1];
    let whole = vec![b'y'; 10 << 20];
    let cases: [(&str, &[u8], u16); 8] = [
        ("?run_uuid=RUN&path=folder/a%20b.txt", b"hello", 200),
        ("?run_uuid=RUN&path=whole.bin", &whole, 200),
        ("?path=a", b"x", 400),
        ("?run_uuid=RUN", b"x", 400),
        ("?run_uuid=RUN&path=a", b"", 400),
        ("?run_uuid=RUN&path=..%2fa", b"x", 400),
        ("?run_uuid=nobody&path=a", b"x", 404),
        ("?run_uuid=RUN&path=large", &large, 400),
    ];
    for (query, body, status) in cases {
        let [expected, found] = both.servers.clone().map(|(server, run)| {
            let url = format!("{server}{path}{}", query.replace("RUN", &run));
            let answer = Client::new().send("POST", &url, None, Some(body)).unwrap();
            (answer.status, shape(parsed(&answer.body)))
        });
        assert_eq!(found, expected, "{query}");
        assert_eq!(found.0, status, "{query}");
    }
    for (server, run) in &both.servers {
        let read = |path: &str| {
            let url = format!("{server}/get-artifact?run_id={run}&path={path}");
            Client::new().bytes(&url).unwrap()
        };
        assert_eq!(read("folder/a%20b.txt"), b"hello");
        assert!(read("whole.bin") == whole);
    }
}
