//! Scenarios as they are written.
//!
//! ```text
//! # a comment
//! POST runs/create {"experiment_id": "${exp}", "start_time": 1}
//!   let run = /run/info/run_id
//!   content-type text/plain
//!   message differs: why
//!   message may differ: why
//!   differs to 400 INVALID_PARAMETER_VALUE: why
//! ```
//! A path without a slash is below `/api/2.0/mlflow/`. `${name}` is what `let` took from an earlier
//! answer by a JSON pointer; `%{x%5}` is five times `x`. `content-type -` sends none.

use std::path::Path;

use mlrs_testing::workspace_root;

/// The requests of a file, in their order.
#[derive(Debug)]
pub struct Scenario {
    /// The name of the file.
    pub name: String,
    /// What is asked.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Where it is written.
    pub line: usize,
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The body.
    pub body: Option<String>,
    /// The content type; none is sent when there is none.
    pub content_type: Option<String>,
    /// Names, and pointers into the answer.
    pub lets: Vec<(String, String)>,
    /// A difference that is meant.
    pub difference: Option<Difference>,
}

/// A difference that is meant.
#[derive(Debug)]
pub enum Difference {
    /// Only the message of an error.
    Message,
    /// The message of an error, which is not always the same in MLflow.
    MessageOfChance,
    /// Status and error code; a code `-` is none.
    To(u16, String),
    /// The body of a good answer.
    Answer,
}

impl Scenario {
    /// Every file of `scenarios/`, by name.
    pub fn all() -> Vec<Self> {
        let folder = workspace_root().join("tests/tracking/scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut requests: Vec<Request> = Vec::new();
        for (index, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match (line.strip_prefix("  "), requests.last_mut()) {
                (Some(detail), Some(request)) => request.add(detail),
                _ => requests.push(Request::parse(line, index + 1)),
            }
        }
        Self { name, requests }
    }
}

impl Request {
    fn parse(line: &str, number: usize) -> Self {
        let mut parts = line.splitn(3, ' ');
        let method = parts.next().unwrap().to_owned();
        let path = parts.next().expect("a path");
        let body = parts.next().map(str::to_owned);
        let path = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/api/2.0/mlflow/{path}"),
        };
        let content_type = body.as_ref().map(|_| "application/json".to_owned());
        Self {
            line: number,
            method,
            path,
            body,
            content_type,
            lets: Vec::new(),
            difference: None,
        }
    }

    fn add(&mut self, detail: &str) {
        if let Some(rest) = detail.strip_prefix("let ") {
            let (name, pointer) = rest.split_once(" = ").expect("`let name = pointer`");
            self.lets.push((name.to_owned(), pointer.to_owned()));
        } else if let Some(kind) = detail.strip_prefix("content-type ") {
            self.content_type = (kind != "-").then(|| kind.to_owned());
        } else if detail.starts_with("message differs: ") {
            self.difference = Some(Difference::Message);
        } else if detail.starts_with("message may differ: ") {
            self.difference = Some(Difference::MessageOfChance);
        } else if detail.starts_with("answer differs: ") {
            self.difference = Some(Difference::Answer);
        } else if let Some(rest) = detail.strip_prefix("differs to ") {
            let (to, _reason) = rest.split_once(": ").expect("a reason");
            let (status, code) = to.split_once(' ').expect("status and code");
            self.difference = Some(Difference::To(status.parse().unwrap(), code.to_owned()));
        } else {
            panic!("`{detail}` is no detail of a request");
        }
    }
}
