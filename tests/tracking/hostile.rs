//! Requests that no client would send, with the exact status and error of each.
//!
//! Every one is refused as the sender's fault; afterwards the server answers as before, and nothing
//! outside of its folders was touched.

use std::fmt::Write as _;

use mlrs_testing::{Client, MlrsServer};
use serde_json::{Value, json};

/// A value in bodies that no answer may repeat in full.
const SECRET: &str = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t";

const RUN: &str = "0123456789abcdef0123456789abcdef";

struct Table {
    server: MlrsServer,
    client: Client,
    rows: String,
    count: usize,
    /// Those that were not refused.
    taken: Vec<String>,
}

impl Table {
    fn new() -> Self {
        Self {
            server: MlrsServer::start(&[]).unwrap(),
            client: Client::new(),
            rows: String::new(),
            count: 0,
            taken: Vec::new(),
        }
    }

    fn send(&mut self, method: &str, path: &str, kind: Option<&str>, body: Option<&[u8]>) {
        let url = format!("{}{path}", self.server.address());
        let shown = shown(method, path, kind, body);
        let answer = match self.client.send(method, &url, kind, body) {
            Ok(answer) => answer,
            Err(error) => {
                self.taken.push(format!("{shown}\n    {error}"));
                return;
            }
        };
        self.count += 1;
        if !(400..500).contains(&answer.status) {
            self.taken.push(format!("{shown}\n    {answer:?}"));
            return;
        }
        let error: Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|_| panic!("{shown}: no JSON in {answer:?}"));
        assert!(!answer.body.contains(SECRET), "{shown}\n{answer:?}");
        assert!(!answer.body.contains("stack"), "{shown}\n{answer:?}");
        assert!(answer.body.len() < 4000, "{shown}\n{answer:?}");
        let text = |key: &str| short(error[key].as_str().unwrap_or_default());
        let (code, message) = (text("error_code"), text("message"));
        assert!(
            !code.is_empty() && !message.is_empty(),
            "{shown}\n{answer:?}"
        );
        writeln!(
            self.rows,
            "{shown}\n    {} {code}\n    {message}",
            answer.status
        )
        .unwrap();
    }

    fn post(&mut self, path: &str, body: &Value) {
        self.post_text(path, body.to_string().as_bytes());
    }

    fn post_text(&mut self, path: &str, body: &[u8]) {
        let path = format!("/api/2.0/mlflow/{path}");
        self.send("POST", &path, Some("application/json"), Some(body));
    }

    fn get(&mut self, path: &str) {
        self.send("GET", path, None, None);
    }
}

fn shown(method: &str, path: &str, kind: Option<&str>, body: Option<&[u8]>) -> String {
    let kind = match kind {
        None | Some("application/json") => String::new(),
        Some(kind) => format!(" [{kind}]"),
    };
    let body = body.map(String::from_utf8_lossy).unwrap_or_default();
    format!("{method} {}{kind} {}", short(path), short(&body))
}

/// A text with its middle left out when it is long, and its control characters written out.
fn short(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let shown: String = if characters.len() > 160 {
        let (head, tail) = (&characters[..100], &characters[characters.len() - 30..]);
        let left_out = characters.len() - 130;
        let (head, tail): (String, String) = (head.iter().collect(), tail.iter().collect());
        format!("{head} …{left_out}… {tail}")
    } else {
        text.to_owned()
    };
    shown
        .chars()
        .map(|character| match character {
            character if character.is_control() => character.escape_default().to_string(),
            character => character.to_string(),
        })
        .collect()
}

fn paths(table: &mut Table) {
    let proxied = "/api/2.0/mlflow-artifacts/artifacts";
    for path in [
        "../secret",
        "a/../../secret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%252e%252e/secret",
        "..%5csecret",
        "a%5c..%5c..%5csecret",
        "%2fetc%2fpasswd",
        "a//b",
        "a/./b",
        "a%00b",
        "C%3A%5Csecret",
        "file%3A%2F%2F%2Fetc%2Fpasswd",
    ] {
        table.get(&format!("{proxied}/{path}"));
        table.send("PUT", &format!("{proxied}/{path}"), None, Some(b"x"));
    }
    table.send("DELETE", &format!("{proxied}/%2e%2e"), None, None);
    let long = "x".repeat(5000);
    table.send("PUT", &format!("{proxied}/{long}"), None, Some(b"x"));
    for path in ["..", "%2e%2e%2f", "/etc", "a%00b", "file:///etc"] {
        table.get(&format!("{proxied}?path={path}"));
        table.get(&format!("/get-artifact?run_id={RUN}&path={path}"));
    }
    table.get("/get-artifact?path=x");
    table.get(&format!("/get-artifact?run_id=..%2F..&path={long}"));
    table.get("/model-versions/get-artifact?name=..&version=1&path=..%2Fx");
    table.get("/model-versions/get-artifact?name=a&version=-1&path=x");
    table.get("/%2e%2e/%2e%2e/etc/passwd");
    table.get("/api/2.0/mlflow/../../../etc/passwd");
    table.get("/api/9.9/mlflow/runs/get");
    table.send("TRACE", "/api/2.0/mlflow/runs/search", None, None);
}

fn names(table: &mut Table) {
    let long = "n".repeat(1001);
    for name in [
        json!(""),
        json!(" \t"),
        json!(null),
        json!(17),
        json!(["a"]),
        json!({ "a": 1 }),
        json!(true),
        json!(long),
    ] {
        table.post("experiments/create", &json!({ "name": name }));
    }
    let body = json!({ "name": "located", "artifact_location": "http://a/?b=c#x" });
    table.post("experiments/create", &body);
    for name in ["", "a/b", "a:b", "../x"] {
        table.post("registered-models/create", &json!({ "name": name }));
    }
    for key in [
        "",
        "../x",
        "/x",
        "a//b",
        ".",
        "a/../b",
        "k\0",
        "emoji🙂",
        "semi;colon",
    ] {
        let metric = json!({ "run_id": RUN, "key": key, "value": 1, "timestamp": 1 });
        table.post("runs/log-metric", &metric);
    }
    for key in ["", "a\nb", "k".repeat(251).as_str()] {
        let param = json!({ "run_id": RUN, "key": key, "value": SECRET });
        table.post("runs/log-parameter", &param);
        table.post(
            "runs/set-tag",
            &json!({ "run_id": RUN, "key": key, "value": SECRET }),
        );
    }
    for alias in ["", "latest", "v1", "a b", "a/b", "💥"] {
        let body = json!({ "name": "m", "alias": alias, "version": "1" });
        table.post("registered-models/alias", &body);
    }
    for version in [
        json!("x"),
        json!("1.5"),
        json!(""),
        json!("99999999999999999999"),
        json!(null),
    ] {
        table.post(
            "model-versions/transition-stage",
            &json!({ "name": "m", "version": version, "stage": "Production" }),
        );
    }
    for source in [
        "../../etc",
        "file:///etc",
        "/etc/passwd",
        "mlflow-artifacts:/../..",
        "models:/",
        "runs:/",
    ] {
        let body = json!({ "name": "m", "source": source });
        table.post("model-versions/create", &body);
    }
}

fn filters(table: &mut Table) {
    let deep = format!("{}params.a = '1'{}", "(".repeat(20_000), ")".repeat(20_000));
    let many = vec!["params.a = '1'"; 5000].join(" OR ");
    for filter in [
        "'",
        "params.a = 'unterminated",
        "params.a = '1'; DROP TABLE runs",
        "params.a = '1' --",
        "1 = 1",
        "'a' = 'a'",
        "params.a = params.b",
        "params.a",
        "params.a =",
        "= '1'",
        "params.a = '1' XOR params.b = '2'",
        "NOT params.a = '1'",
        "((params.a = '1')",
        "params.a = '1')",
        "params..a = '1'",
        ".a = '1'",
        "sqlite_master.name = 'runs'",
        "params.a BETWEEN 1 AND 2",
        "params.a = (SELECT value FROM params)",
        "metrics.m > 'text'",
        "metrics.m > 1e999e",
        "metrics.m LIKE 'x'",
        "metrics.m > 0x10",
        "params.a > 'x'",
        "params.a = 1",
        "attributes.no_such = '1'",
        "attributes.start_time > 'now'",
        "attributes.run_id IN ()",
        "tags.`a = '1'",
        "tags.\"a = '1'",
        "dataset.no_such = 'x'",
        "params.a = '1\0'; x",
        "💥",
        deep.as_str(),
        many.as_str(),
    ] {
        let body = json!({ "experiment_ids": ["0"], "filter": filter });
        table.post("runs/search", &body);
    }
    for filter in [
        "name",
        "name = 1",
        "id = '1'",
        "attribute.name < 'a'",
        "metrics.a > 1",
    ] {
        table.post(
            "experiments/search",
            &json!({ "filter": filter, "max_results": 5 }),
        );
        let query = percent_encoded(filter);
        table.get(&format!(
            "/api/2.0/mlflow/registered-models/search?filter={query}"
        ));
        table.get(&format!(
            "/api/2.0/mlflow/model-versions/search?filter={query}"
        ));
    }
    for order in [
        "params.a; DROP TABLE runs",
        "",
        "metrics.m SIDEWAYS",
        "runs",
        "'a' ASC",
        "1",
    ] {
        let body = json!({ "experiment_ids": ["0"], "order_by": [order] });
        table.post("runs/search", &body);
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

fn bodies(table: &mut Table) {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_in_field = format!("{{\"run_id\": {deep}}}");
    for body in [
        "",
        "{",
        "null",
        "[]",
        "17",
        "\"text\"",
        "{\"run_id\": }",
        "{\"run_id\": \"a\",}",
        "{'run_id': 'a'}",
        "{\"run_id\": \"\\ud800\"}",
        "{\"run_id\": NaN}",
        "{\"run_id\": {\"a\": []}}",
        "\u{feff}{}",
        "{} {}",
        deep.as_str(),
        deep_in_field.as_str(),
    ] {
        table.post_text("runs/log-batch", body.as_bytes());
    }
    table.post_text("runs/log-batch", b"{\"run_id\": \"\xff\xfe\"}");
    let json = b"{\"experiment_ids\": [\"0\"]}".as_slice();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "x",
    ] {
        table.send(
            "POST",
            "/api/2.0/mlflow/runs/search",
            Some(kind),
            Some(json),
        );
    }
    for value in [
        "1e400",
        "\"x\"",
        "[1]",
        "{}",
        "\"1_000\"",
        "\"0x1\"",
        "\"\"",
    ] {
        let body =
            format!(r#"{{"run_id": "{RUN}", "key": "k", "value": {value}, "timestamp": 1}}"#);
        table.post_text("runs/log-metric", body.as_bytes());
    }
    for time in ["1.5", "\"x\"", "9223372036854775808", "1e40", "[]"] {
        let body = format!(r#"{{"run_id": "{RUN}", "key": "k", "value": 1, "timestamp": {time}}}"#);
        table.post_text("runs/log-metric", body.as_bytes());
    }
    let too_many: Vec<Value> = (0..1001)
        .map(|number| json!({ "key": format!("k{number}"), "value": 1, "timestamp": 1 }))
        .collect();
    table.post(
        "runs/log-batch",
        &json!({ "run_id": RUN, "metrics": too_many }),
    );
    let twice = json!({ "key": "k", "value": "1" });
    let other = json!({ "key": "k", "value": "2" });
    table.post(
        "runs/log-batch",
        &json!({ "run_id": RUN, "params": [twice, other] }),
    );
    for results in [
        json!(0),
        json!(-1),
        json!(50_001),
        json!("x"),
        json!(1.5),
        json!([]),
    ] {
        let body = json!({ "experiment_ids": ["0"], "max_results": results });
        table.post("runs/search", &body);
    }
    for token in [
        "x",
        "💥",
        "bm9uZQ==",
        "eyJvZmZzZXQiOiAtMX0=",
        "eyJvZmZzZXQiOiAiYSJ9",
    ] {
        let body = json!({ "experiment_ids": ["0"], "page_token": token });
        table.post("runs/search", &body);
    }
    for id in ["", "x", "-1", "1.5", "9223372036854775808", "0 OR 1=1", "٣"] {
        table.get(&format!(
            "/api/2.0/mlflow/experiments/get?experiment_id={}",
            percent_encoded(id)
        ));
    }
}

#[test]
fn hostile_requests_are_refused_each_with_its_reason() {
    let mut table = Table::new();
    paths(&mut table);
    names(&mut table);
    filters(&mut table);
    bodies(&mut table);
    assert!(table.count >= 100, "{}", table.count);
    let taken = table.taken.join("\n");
    assert!(
        taken.is_empty(),
        "{} not refused:\n{taken}",
        table.taken.len()
    );
    insta::assert_snapshot!("hostile", table.rows);

    // Long lists are no attack: clients ask for the runs of a page by their ids.
    let list = format!("attributes.run_id IN ({})", vec!["'a'"; 50_000].join(", "));
    let body = json!({ "experiment_ids": ["0"], "filter": list }).to_string();
    let url = format!("{}/api/2.0/mlflow/runs/search", table.server.address());
    let kind = Some("application/json");
    let found = table.client.post(&url, kind, body.as_bytes()).unwrap();
    assert_eq!((found.status, found.body.as_str()), (200, "{}"));

    let search = format!(
        "{}/api/2.0/mlflow/experiments/search?max_results=100",
        table.server.address()
    );
    let found = table.client.get(&search).unwrap();
    let found: Value = serde_json::from_str(&found.body).unwrap();
    assert_eq!(found["experiments"].as_array().unwrap().len(), 1, "{found}");
    let folder = std::fs::read_dir(table.server.folder()).unwrap();
    let mut entries: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    entries.sort_unstable();
    entries.retain(|name| !name.starts_with("mlflow.db"));
    assert!(
        entries.iter().all(|name| name == "mlartifacts"),
        "{entries:?}"
    );
}
