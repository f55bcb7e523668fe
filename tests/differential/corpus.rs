//! The models, the requests and MLflow's answers, made once and kept in the tests' home under the
//! fingerprint of the scripts that made them.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use mlrs_testing::{Error, Oracle, fingerprint, home, python, workspace_root};
use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Its name within the model.
    pub case: String,
    /// The header, if it is sent.
    pub content_type: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
}

impl Request {
    /// The body as it goes over the wire.
    pub fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .expect("base64"),
            (None, None) => Vec::new(),
        }
    }
}

/// An answer as it is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl From<mlrs_testing::Answer> for Answer {
    fn from(answer: mlrs_testing::Answer) -> Self {
        let mlrs_testing::Answer {
            status,
            content_type,
            body,
        } = answer;
        Self {
            status,
            content_type,
            body,
        }
    }
}

/// What `make_models.py` writes about one model.
#[derive(Debug, Deserialize)]
struct Listed {
    exact: bool,
    requests: Vec<Request>,
}

/// One model of the corpus.
#[derive(Debug)]
pub struct Model {
    /// Whether numbers must be equal to the last bit.
    pub exact: bool,
    /// What it is asked.
    pub requests: Vec<Request>,
    /// What MLflow answered, in the order of the requests.
    pub answers: Vec<Answer>,
}

/// Everything that the rounds need.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    /// The models by name.
    pub models: BTreeMap<String, Model>,
}

impl Corpus {
    /// Makes what is missing and reads it.
    pub fn prepare() -> Result<Self, Error> {
        let folder = home().join(format!("models-{}", fingerprint(&scripts()?)?));
        std::fs::create_dir_all(home()).map_err(|e| Error::io("make the tests' home", e))?;
        let lock = File::create(home().join("models.lock"))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|e| Error::io("lock the tests' home", e))?;
        if !folder.exists() {
            make(&folder)?;
        }
        drop(lock);
        let listed: BTreeMap<String, Listed> = read(&folder.join("requests.json"))?;
        let mut answers: BTreeMap<String, Vec<Answer>> = read(&folder.join("answers.json"))?;
        let models = listed
            .into_iter()
            .map(|(name, Listed { exact, requests })| {
                let answers = answers.remove(&name).unwrap_or_default();
                (
                    name,
                    Model {
                        exact,
                        requests,
                        answers,
                    },
                )
            })
            .collect();
        Ok(Self { folder, models })
    }

    /// The directory of a model.
    pub fn directory(&self, model: &str) -> PathBuf {
        self.folder.join(model)
    }
}

/// An error with what caused it.
pub fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The files that decide what the corpus is.
fn scripts() -> Result<Vec<PathBuf>, Error> {
    let folder = workspace_root().join("tests/python");
    let entries = std::fs::read_dir(&folder).map_err(|e| Error::io("list `tests/python`", e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|p| p.is_file())
        .collect();
    files.sort();
    Ok(files)
}

/// Makes the models and asks MLflow, in a folder that gets its name when it is complete.
fn make(folder: &Path) -> Result<(), Error> {
    let unfinished = folder.with_extension("unfinished");
    let _ = std::fs::remove_dir_all(&unfinished);
    let output = Command::new(python()?)
        .arg(workspace_root().join("tests/python/make_models.py"))
        .arg(&unfinished)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .map_err(|e| Error::io("run Python", e))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Missing(format!(
            "the models could not be made: {errors}"
        )));
    }
    let listed: BTreeMap<String, Listed> = read(&unfinished.join("requests.json"))?;
    let oracle = Oracle::start(&unfinished)?;
    let mut answers: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for (name, model) in listed {
        for request in &model.requests {
            let content_type = request.content_type.as_deref();
            let answer = oracle.invoke(&name, content_type, &request.body())?;
            answers.entry(name.clone()).or_default().push(answer.into());
        }
    }
    let text = serde_json::to_string(&answers).expect("answers are plain data");
    std::fs::write(unfinished.join("answers.json"), text)
        .and_then(|()| std::fs::rename(&unfinished, folder))
        .map_err(|e| Error::io(format!("keep `{}`", folder.display()), e))
}

/// Reads a document.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let what = || format!("read `{}`", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(what(), e))?;
    serde_json::from_str(&text).map_err(|e| Error::io(what(), e.into()))
}
