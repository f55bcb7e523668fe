//! Requests that must be refused, with the exact status and error of each.

use mlrs_testing::{Mlrs, onnxruntime_library, skipped};

use crate::models::{Signature, directory, iris};
use crate::raw::{exchange, request};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";
/// Values in bodies that no answer may repeat.
const SECRET: &str = "s3cr3t";

/// A served model, and the bad requests that it got.
struct Table {
    served: Mlrs,
    rows: Vec<String>,
    /// Those that were not refused.
    taken: Vec<String>,
}

impl Table {
    fn new(model: &std::path::Path, arguments: &[&str]) -> Self {
        Self {
            served: Mlrs::serve(model, arguments).unwrap(),
            rows: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn tract(model: &std::path::Path) -> Self {
        Self::new(model, &["--backend", "tract"])
    }

    /// Posts bodies to `/invocations`.
    fn post(&mut self, content_type: &str, bodies: &[&str]) {
        for body in bodies {
            self.send(
                "POST /invocations",
                &[("Content-Type", content_type)],
                body.as_bytes(),
            );
        }
    }

    fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = exchange(self.served.address(), &request(line, headers, body));
        let shown = shown(line, headers, body);
        if !(400..500).contains(&answer.status) {
            self.taken.push(format!("{shown}\n    {answer:?}"));
            return;
        }
        let error: serde_json::Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|_| panic!("{shown}: no JSON in {answer:?}"));
        assert_eq!(error["request_id"], "test", "{shown}");
        assert!(error.get("stack_trace").is_none(), "{shown}");
        assert!(!answer.body.contains(SECRET), "{shown}\n{answer:?}");
        assert!(answer.body.len() < 2000, "{shown}\n{answer:?}");
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        self.rows.push(format!(
            "{shown}\n    {} {} {}\n    {}",
            answer.status,
            text("error_code"),
            text("error_class"),
            text("message"),
        ));
    }

    /// Checks that the server still predicts, and returns the table.
    fn end(self, good: &str) -> String {
        let answer = self.served.invoke(Some(JSON), good.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(self.taken.is_empty(), "{}", self.taken.join("\n"));
        self.rows.join("\n")
    }
}

/// A request in one line; long bodies are cut.
fn shown(line: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(body).escape_debug().to_string();
    if text.chars().count() > 160 {
        text = text.chars().take(150).chain("…".chars()).collect();
        text.push_str(&format!(" ({} bytes)", body.len()));
    }
    let headers: String = headers
        .iter()
        .map(|(name, value)| match *name {
            "Content-Type" => format!(" {value}"),
            name => format!(" {name}: {value}"),
        })
        .collect();
    format!("{line}{headers} {text}").replace("POST /invocations ", "")
}

#[test]
fn bodies_that_are_no_request() {
    let mut table = Table::tract(&iris());
    table.post(
        JSON,
        &[
            "",
            " ",
            "{",
            "}",
            "null",
            "true",
            "7",
            "\"text\"",
            "[]",
            "[[5.1, 3.5, 1.4, 0.2]]",
            "{}",
            r#"{"dataframe_split"}"#,
            r#"{"dataframe_split": }"#,
            r#"{"dataframe_split": {"#,
            r#"{"dataframe_split": null}"#,
            r#"{"dataframe_split": []}"#,
            r#"{"dataframe_split": 7}"#,
            r#"{"dataframe_split": {}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length"]}}"#,
            r#"{"dataframe_split": {"data": [[5.1, 3.5, 1.4, 0.2]]}}"#,
            r#"{"dataframe_split": {"columns": "sepal_length", "data": [[1]]}}"#,
            r#"{"dataframe_split": {"columns": [{}], "data": [[1]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": 7}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [7]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4, 5]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4], [1, 2, 3]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]], "index": [0, 1]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]], "spam": 1}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]]}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]]}} x"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4],]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 04]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, .4]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4e]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, --4]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 0x4]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, nan]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, undefined]]}}"#,
            r#"{'dataframe_split': {"columns": [], "data": []}}"#,
            r#"{"dataframe_split": {"columns": ["\ud800"], "data": [[1]]}}"#,
            r#"{"dataframe_split": {"columns": ["\x"], "data": [[1]]}}"#,
            "{\"dataframe_split\": {\"columns\": [\"a\nb\"], \"data\": [[1]]}}",
            r#"{"spam": [1]}"#,
            r#"{"columns": ["a"], "data": [[1]]}"#,
            r#"{"inputs": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}"#,
            r#"{"messages": [{"role": "user", "content": "s3cr3t"}]}"#,
            r#"{"dataframe_records": [{"sepal_length": 1}], "params": 7}"#,
        ],
    );
    let bad_text = b"{\"dataframe_split\": {\"columns\": [\"\xff\"], \"data\": [[1]]}}";
    table.send("POST /invocations", &[("Content-Type", JSON)], bad_text);
    let deep = format!("{{\"inputs\": {}", "[".repeat(100_000));
    let wide = format!("{{\"{}\": 1}}", "s3cr3t".repeat(20_000));
    let long = format!(
        "{{\"dataframe_split\": {{\"columns\": [\"{}\"], \"data\": [[1]]}}}}",
        "x".repeat(100_000)
    );
    let digits = format!("{{\"inputs\": [[1, 2, 3, {}x]]}}", "1".repeat(100_000));
    table.post(JSON, &[&deep, &wide, &long, &digits]);
    let good = std::fs::read_to_string(iris().join("serving_input_example.json")).unwrap();
    insta::assert_snapshot!(table.end(&good));
}

#[test]
fn data_frames_that_do_not_fit() {
    let mut table = Table::tract(&iris());
    table.post(
        JSON,
        &[
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length"], "data": [[1, 2, 3]]}}"#,
            r#"{"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [[1, 2, 3, 4]]}}"#,
            r#"{"dataframe_split": {"columns": ["Sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, "s3cr3t"]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, ""]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, [4]]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, {"x": 4}]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, 3, 4], [1, "s3cr3t", 3, 4]]}}"#,
            r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_length", "petal_length", "petal_width"], "data": [[1, 2, 3, 4]]}}"#,
            r#"{"dataframe_records": {}}"#,
            r#"{"dataframe_records": 7}"#,
            r#"{"dataframe_records": [7]}"#,
            r#"{"dataframe_records": [[1, 2, 3, 4]]}"#,
            r#"{"dataframe_records": [{"sepal_length": 1}]}"#,
            r#"{"dataframe_records": [{"sepal_length": "s3cr3t", "sepal_width": 2, "petal_length": 3, "petal_width": 4}]}"#,
            r#"{"dataframe_records": [{"sepal_length": 1, "sepal_width": 2, "petal_length": 3, "petal_width": 4}, {"sepal_length": {}, "sepal_width": 2, "petal_length": 3, "petal_width": 4}]}"#,
            r#"{"dataframe_records": [{"sepal_length": 1, "sepal_width": 2, "petal_length": 3, "petal_width": 4},]}"#,
            r#"{"dataframe_records": [{"sepal_length": 1, "sepal_width": 2, "petal_length": 3, "petal_width": 4}"#,
            r#"{"inputs": "s3cr3t"}"#,
            r#"{"inputs": [1, 2, 3, 4]}"#,
            r#"{"inputs": {"sepal_length": [1]}}"#,
            r#"{"inputs": {"sepal_length": [1, 2], "sepal_width": [1], "petal_length": [1], "petal_width": [1]}}"#,
            r#"{"inputs": {"sepal_length": ["s3cr3t"], "sepal_width": [1], "petal_length": [1], "petal_width": [1]}}"#,
            r#"{"instances": 7}"#,
            r#"{"instances": [[1, 2, 3]]}"#,
            r#"{"instances": [{"sepal_length": 1}]}"#,
        ],
    );
    table.post(
        CSV,
        &[
            "",
            "\n",
            "s3cr3t",
            "sepal_length,sepal_width,petal_length\n1,2,3\n",
            "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,s3cr3t\n",
            "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,4\n1,2,3,4,5\n",
            "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,\"4\n",
            "sepal_length;sepal_width;petal_length;petal_width\n1;2;3;4\n",
            "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,1.2.3\n",
        ],
    );
    table.send(
        "POST /invocations",
        &[("Content-Type", CSV)],
        b"sepal_length,sepal_width,petal_length,petal_width\n1,2,3,\xff\n",
    );
    let good = std::fs::read_to_string(iris().join("serving_input_example.json")).unwrap();
    insta::assert_snapshot!(table.end(&good));
}

#[test]
fn values_of_another_type() {
    let model = directory(
        "mixed",
        Signature {
            inputs: Some(
                r#"[{"type": "float", "name": "real32", "required": true}, {"type": "double", "name": "real64", "required": true}, {"type": "integer", "name": "small", "required": true}, {"type": "long", "name": "large", "required": true}, {"type": "boolean", "name": "flag", "required": true}]"#,
            ),
            params: None,
        },
    );
    let mut table = Table::tract(model.path());
    let record = |column: &str, value: &str| {
        let fields: Vec<String> = [
            ("real32", "1.5"),
            ("real64", "0.1"),
            ("small", "3"),
            ("large", "4"),
            ("flag", "true"),
        ]
        .iter()
        .map(|(name, good)| format!("\"{name}\": {}", if *name == column { value } else { good }))
        .collect();
        format!("{{\"dataframe_records\": [{{{}}}]}}", fields.join(", "))
    };
    for (column, values) in [
        ("real32", &["1e300", "\"s3cr3t\"", "[1]"][..]),
        ("real64", &["\"1,5\"", "\"0x1p3\"", "{}"]),
        (
            "small",
            &[
                "1.5",
                "2147483648",
                "-2147483649",
                "\"1.5\"",
                "\"seven\"",
                "null",
                "NaN",
                "1e10",
                "[]",
            ],
        ),
        (
            "large",
            &[
                "9223372036854775808",
                "-9223372036854775809",
                "0.5",
                "1e19",
                "Infinity",
                "\"\"",
                "null",
            ],
        ),
        ("flag", &["2", "-1", "0.5", "\"false\"", "null", "[]"]),
    ] {
        for value in values {
            table.post(JSON, &[&record(column, value)]);
        }
    }
    table.post(
        CSV,
        &[
            "real32,real64,small,large,flag\n1.5,0.1,3.5,4,true\n",
            "real32,real64,small,large,flag\n1.5,0.1,3,,true\n",
            "real32,real64,small,large,flag\n1.5,0.1,3,4,maybe\n",
        ],
    );
    insta::assert_snapshot!(table.end(&record("", "")));
}

#[test]
fn tensors_that_do_not_fit() {
    let one = directory(
        "dynamic_2d",
        Signature {
            inputs: Some(
                r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#,
            ),
            params: None,
        },
    );
    let mut table = Table::tract(one.path());
    table.post(
        JSON,
        &[
            r#"{"inputs": 7}"#,
            r#"{"inputs": null}"#,
            r#"{"inputs": []}"#,
            r#"{"inputs": [1, 2, 3]}"#,
            r#"{"inputs": [[1, 2]]}"#,
            r#"{"inputs": [[1, 2, 3, 4]]}"#,
            r#"{"inputs": [[1, 2, 3], [1, 2]]}"#,
            r#"{"inputs": [[1, 2, 3], 4]}"#,
            r#"{"inputs": [[1, 2, [3]]]}"#,
            r#"{"inputs": [[[1, 2, 3]]]}"#,
            r#"{"inputs": [[1, 2, "s3cr3t"]]}"#,
            r#"{"inputs": [[1, 2, 3}"#,
            r#"{"inputs": {"other": [[1, 2, 3]]}}"#,
            r#"{"instances": [[1, 2]]}"#,
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}"#,
        ],
    );
    let first = table.end(r#"{"inputs": [[1, 2, 3]]}"#);
    let two = directory(
        "two_inputs",
        Signature {
            inputs: Some(
                r#"[{"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}, {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}}]"#,
            ),
            params: None,
        },
    );
    let mut table = Table::tract(two.path());
    table.post(
        JSON,
        &[
            r#"{"inputs": {"a": [[1, 2, 3]]}}"#,
            r#"{"inputs": {"b": [[1]]}}"#,
            r#"{"inputs": [[1, 2, 3]]}"#,
            r#"{"inputs": {"a": [[1, 2, 3]], "b": [[1, 2]]}}"#,
            r#"{"inputs": {"a": [[1, 2, 3]], "b": [[1], [2]]}}"#,
            r#"{"inputs": {"a": [[1, 2, 3]], "b": "s3cr3t"}}"#,
            r#"{"inputs": {"a": [[1, 2, 3]], "b": [["s3cr3t"]]}}"#,
        ],
    );
    let second = table.end(r#"{"inputs": {"a": [[1, 2, 3]], "b": [[4]]}}"#);
    insta::assert_snapshot!(format!("{first}\n\ntwo inputs\n\n{second}"));
}

#[test]
fn without_a_signature_the_engine_decides() {
    let model = directory("two_inputs", Signature::default());
    let mut table = Table::tract(model.path());
    table.post(
        JSON,
        &[
            r#"{"inputs": {"a": [[1, 2, 3]]}}"#,
            r#"{"inputs": {"a": [[1, 2, 3]], "b": [1]}}"#,
            r#"{"inputs": {"a": [[1, 2]], "b": [[1]]}}"#,
            r#"{"inputs": {"a": [[1, 2, "s3cr3t"]], "b": [[1]]}}"#,
            r#"{"inputs": {"a": [[1, 2, 3], [4, 5, 6]], "b": [[1]]}}"#,
            r#"{"inputs": {"x": [[1, 2, 3]], "y": [[1]]}}"#,
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}"#,
        ],
    );
    insta::assert_snapshot!(table.end(r#"{"inputs": {"a": [[1, 2, 3]], "b": [[4]]}}"#));
}

#[test]
fn parameters_that_do_not_fit() {
    let model = directory(
        "dynamic_2d",
        Signature {
            inputs: Some(
                r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#,
            ),
            params: Some(
                r#"[{"name": "count", "default": 3, "shape": null, "type": "long"}, {"name": "scale", "default": 0.5, "shape": null, "type": "double"}, {"name": "stops", "default": ["a"], "shape": [-1], "type": "string"}, {"name": "flag", "default": true, "shape": null, "type": "boolean"}]"#,
            ),
        },
    );
    let mut table = Table::tract(model.path());
    for params in [
        "7",
        "[]",
        "\"s3cr3t\"",
        r#"{"count": "s3cr3t"}"#,
        r#"{"count": 1.5}"#,
        r#"{"count": [1]}"#,
        r#"{"count": true}"#,
        r#"{"scale": "s3cr3t"}"#,
        r#"{"scale": {}}"#,
        r#"{"stops": "s3cr3t"}"#,
        r#"{"stops": [["s3cr3t"]]}"#,
        r#"{"stops": [1]}"#,
        r#"{"flag": 1}"#,
        r#"{"flag": "true"}"#,
    ] {
        table.post(
            JSON,
            &[&format!(
                "{{\"inputs\": [[1, 2, 3]], \"params\": {params}}}"
            )],
        );
    }
    insta::assert_snapshot!(table.end(r#"{"inputs": [[1, 2, 3]], "params": {"count": 4}}"#));
}

#[test]
fn text_that_is_none() {
    if let Err(error) = onnxruntime_library() {
        return skipped("bad requests for a model of text", &error.to_string());
    }
    let model = directory(
        "identity_str",
        Signature {
            inputs: Some(r#"[{"type": "string", "name": "x", "required": true}]"#),
            params: None,
        },
    );
    let mut table = Table::new(model.path(), &["--backend", "onnxruntime"]);
    table.post(
        JSON,
        &[
            r#"{"dataframe_records": [{"x": {"s3cr3t": 1}}]}"#,
            r#"{"dataframe_records": [{"x": ["s3cr3t"]}]}"#,
            r#"{"dataframe_records": [{"x": 1}]}"#,
            r#"{"dataframe_records": [{"x": true}]}"#,
            r#"{"dataframe_records": [{"x": null}]}"#,
            r#"{"dataframe_records": [{"y": "s3cr3t"}]}"#,
        ],
    );
    insta::assert_snapshot!(table.end(r#"{"dataframe_records": [{"x": "text"}]}"#));
}

#[test]
fn routes_and_headers() {
    let mut table = Table::new(&iris(), &["--backend", "tract", "--body-limit", "1000"]);
    let body = br#"{"inputs": [[1, 2, 3, 4]]}"#;
    for (line, headers) in [
        ("GET /invocations", &[][..]),
        ("PUT /invocations", &[("Content-Type", JSON)]),
        ("DELETE /invocations", &[]),
        ("PATCH /invocations", &[]),
        ("POST /ping", &[]),
        ("POST /metrics", &[]),
        ("GET /", &[]),
        ("GET /nothing", &[]),
        ("GET /../../etc/passwd", &[]),
        ("GET /invocations%00", &[]),
        ("POST /invocations", &[]),
        ("POST /invocations", &[("Content-Type", "")]),
        ("POST /invocations", &[("Content-Type", "json")]),
        ("POST /invocations", &[("Content-Type", "application/xml")]),
        (
            "POST /invocations",
            &[("Content-Type", "application/x-parquet")],
        ),
        (
            "POST /invocations",
            &[("Content-Type", "application/json; charset=latin-1")],
        ),
        (
            "POST /invocations",
            &[("Content-Type", "text/csv; charset=utf-16")],
        ),
        (
            "POST /invocations",
            &[("Content-Type", "application/json; spam=1; eggs")],
        ),
        (
            "POST /invocations",
            &[
                ("Content-Type", "multipart/form-data; boundary=x"),
                ("Accept", "text/html"),
            ],
        ),
        (
            "POST /invocations",
            &[("Content-Type", JSON), ("Content-Encoding", "br")],
        ),
        (
            "POST /invocations",
            &[("Content-Type", JSON), ("Content-Encoding", "gzip")],
        ),
        (
            "POST /invocations",
            &[("Content-Type", JSON), ("Content-Encoding", "gzip, gzip")],
        ),
    ] {
        table.send(line, headers, body);
    }
    let long = vec![b' '; 1001];
    table.send("POST /invocations", &[("Content-Type", JSON)], &long);
    insta::assert_snapshot!(table.end(r#"{"inputs": {"sepal_length": [1], "sepal_width": [1], "petal_length": [1], "petal_width": [1]}}"#));
}

/// What is no HTTP is answered by the HTTP library, without a body; nothing of it reaches a route.
#[test]
fn what_is_no_http() {
    let served = Mlrs::serve(&iris(), &["--backend", "tract"]).unwrap();
    let long = format!(
        "GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let many = format!(
        "GET /ping HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X-Many: x\r\n".repeat(2000)
    );
    let mut rows = Vec::new();
    for (name, request) in [
        ("no HTTP", "hello\r\n\r\n"),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}"),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("an unknown version", "GET /ping HTTP/9.9\r\n\r\n"),
        ("no path", "GET HTTP/1.1\r\n\r\n"),
        (
            "a header without a colon",
            "GET /ping HTTP/1.1\r\nHost\r\n\r\n",
        ),
        (
            "a length that is no number",
            "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        ),
        (
            "two lengths",
            "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "a chunk whose size is no number",
            "POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n",
        ),
        ("a header too long", &long),
        ("too many headers", &many),
    ] {
        let answer = exchange(served.address(), request.as_bytes());
        assert!(answer.status == 0 || answer.status >= 400, "{name}");
        rows.push(format!("{name}: {}", answer.status));
    }
    assert_eq!(served.get("/ping").unwrap().status, 200);
    insta::assert_snapshot!(rows.join("\n"));
}
