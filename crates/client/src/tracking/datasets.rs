//! What runs read: datasets, and logged models.
//!
//! MLflow's `mlflow.log_input`. A dataset is a note (a name, a digest, where it came from); its rows
//! are not uploaded.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use mlrs_api::Tag;
use mlrs_api::datasets::{Dataset, DatasetInput, LogInputsRequest, ModelInput};
use mlrs_api::endpoints::LOG_INPUTS;
use mlrs_mlmodel::disk::failed;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{ActiveRun, TrackingClient, TrackingError};
use crate::servers::Side::Tracking;

/// The tag of an input that says what it was used for.
const CONTEXT: &str = "mlflow.data.context";

/// A dataset that a run reads. MLflow's pages show it with the run, and metrics can be said to be
/// computed on it ([`Point::dataset`](super::Point::dataset)).
///
/// Name and digest together name it in its experiment: what else is said counts the first time only.
///
/// ```no_run
/// use mlrs_client::tracking::{ActiveRun, InputDataset, TrackingError};
///
/// # async fn example(run: &ActiveRun) -> Result<(), TrackingError> {
/// // From a file of this machine: its name, its place, and a digest of what is in it.
/// run.log_input(InputDataset::from_file("iris.csv")?.context("training")).await?;
/// // Or from anywhere.
/// let validation = InputDataset::new("flowers", "3f2a9c")
///     .uri("s3://bucket/flowers.parquet")
///     .columns([("sepal_length", "double"), ("species", "string")])
///     .profile(r#"{"num_rows": 150}"#)
///     .context("validation");
/// run.log_input(validation).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a dataset is logged by `log_input` or `log_inputs`"]
pub struct InputDataset {
    dataset: Dataset,
    tags: Vec<Tag>,
}

impl InputDataset {
    /// A dataset of this name, and of this digest of its contents: at most 500 and 36 characters.
    ///
    /// Its source is the program, until it says otherwise.
    pub fn new(name: impl Into<String>, digest: impl Into<String>) -> Self {
        let dataset = Dataset {
            name: name.into(),
            digest: digest.into(),
            ..Dataset::default()
        };
        let tags = Vec::new();
        // As MLflow's client says it of data that it knows no source of.
        Self { dataset, tags }.source("code", r#"{"tags": {}}"#)
    }

    /// The dataset that a file of this machine is, which is read once for its digest: the first 16
    /// digits of its SHA-256. Its name is the file's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TrackingError> {
        let path = path.as_ref();
        let place = std::fs::canonicalize(path).map_err(failed("find", path))?;
        let digest = digest_of(&place).map_err(failed("read", path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::new(name, digest).uri(place.to_string_lossy()))
    }

    /// Another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.dataset.name = name.into();
        self
    }

    /// Where it came from: a URL, a URI of an object store, or a path.
    pub fn uri(self, uri: impl Into<String>) -> Self {
        let uri = uri.into();
        let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
        // As MLflow's `mlflow.data` names its sources, so that Python can load the dataset from there.
        let (kind, source) = match scheme {
            Some("http" | "https") => ("http", json!({ "url": uri })),
            None | Some("file") => ("local", json!({ "uri": uri })),
            Some(scheme) => (scheme, json!({ "uri": uri })),
        };
        let kind = kind.to_owned();
        self.source(kind, source)
    }

    /// Where it came from, in MLflow's own terms: the kind of the source, and the source, which is
    /// JSON for the kinds that MLflow knows.
    pub fn source(mut self, kind: impl Into<String>, source: impl Display) -> Self {
        self.dataset.source_type = kind.into();
        self.dataset.source = source.to_string();
        self
    }

    /// Its columns by name and type: MLflow's `boolean`, `integer`, `long`, `float`, `double`,
    /// `string`, `binary` or `datetime`.
    pub fn columns<N: Display, T: Display>(
        self,
        columns: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        let column = |(name, kind): (N, T)| json!({ "type": kind.to_string(), "name": name.to_string(), "required": true });
        let columns: Vec<_> = columns.into_iter().map(column).collect();
        self.schema(json!({ "mlflow_colspec": columns }))
    }

    /// Its schema as JSON, such as `{"mlflow_colspec": […]}` or `{"mlflow_tensorspec": …}`.
    pub fn schema(mut self, schema: impl Display) -> Self {
        self.dataset.schema = Some(schema.to_string());
        self
    }

    /// Statistics as JSON, such as `{"num_rows": 150}`.
    pub fn profile(mut self, profile: impl Display) -> Self {
        self.dataset.profile = Some(profile.to_string());
        self
    }

    /// What the run uses it for, such as `training`: the tag `mlflow.data.context`.
    pub fn context(self, context: impl Into<String>) -> Self {
        self.tag(CONTEXT, context)
    }

    /// A tag of this use of it.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.dataset.name
    }

    /// The digest of its contents.
    pub fn digest(&self) -> &str {
        &self.dataset.digest
    }
}

/// MLflow has room for 36 digits; 16 name a file well enough.
fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(&digest.finalize()[..8])),
            count => digest.update(&buffer[..count]),
        }
    }
}

impl From<InputDataset> for DatasetInput {
    fn from(input: InputDataset) -> Self {
        Self {
            tags: input.tags,
            dataset: Some(input.dataset),
        }
    }
}

impl TrackingClient {
    /// Says that a run read these datasets. `POST runs/log-inputs`
    ///
    /// # Errors
    /// When a dataset is refused, the run is not there or deleted, or the server does not answer.
    pub async fn log_inputs(
        &self,
        run_id: &str,
        datasets: impl IntoIterator<Item = InputDataset>,
    ) -> Result<(), TrackingError> {
        let body = LogInputsRequest {
            run_id: Some(run_id.to_owned()),
            datasets: datasets.into_iter().map(Into::into).collect(),
            models: Vec::new(),
        };
        let action = format!("log the datasets that the run `{run_id}` read");
        self.order(Tracking, LOG_INPUTS, &[], &body, &action).await
    }

    /// Says that a run read, such as evaluated, a logged model. `POST runs/log-inputs`
    ///
    /// # Errors
    /// When the run is not there or deleted, or the server does not answer.
    pub async fn log_model_input(&self, run_id: &str, model_id: &str) -> Result<(), TrackingError> {
        let body = LogInputsRequest {
            run_id: Some(run_id.to_owned()),
            datasets: Vec::new(),
            models: vec![ModelInput {
                model_id: model_id.to_owned(),
            }],
        };
        let action = format!("log the model `{model_id}` as read by the run `{run_id}`");
        self.order(Tracking, LOG_INPUTS, &[], &body, &action).await
    }
}

impl ActiveRun {
    /// Says that this run reads a dataset. When this returns, it is there.
    ///
    /// # Errors
    /// When the dataset is refused, or the server does not answer.
    pub async fn log_input(&self, dataset: InputDataset) -> Result<(), TrackingError> {
        self.client().log_inputs(self.id(), [dataset]).await
    }

    /// Says that this run reads, such as evaluates, a logged model.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn log_model_input(&self, model_id: &str) -> Result<(), TrackingError> {
        self.client().log_model_input(self.id(), model_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_as_mlflow_names_it() {
        for (uri, kind, source) in [
            (
                "https://host/a.csv",
                "http",
                r#"{"url":"https://host/a.csv"}"#,
            ),
            ("s3://box/a", "s3", r#"{"uri":"s3://box/a"}"#),
            ("file:///a", "local", r#"{"uri":"file:///a"}"#),
            ("/a/b \"c\"", "local", r#"{"uri":"/a/b \"c\""}"#),
        ] {
            let found = InputDataset::new("d", "1").uri(uri).dataset;
            assert_eq!(
                (found.source_type.as_str(), found.source.as_str()),
                (kind, source)
            );
        }
        let unknown = InputDataset::new("d", "1").dataset;
        assert_eq!(unknown.source_type, "code");
    }

    #[test]
    fn a_file_is_named_by_its_place_and_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flowers.csv");
        std::fs::write(&path, "abc").unwrap();
        let dataset = InputDataset::from_file(&path).unwrap();
        assert_eq!(dataset.name(), "flowers.csv");
        // The SHA-256 of `abc` is an example of FIPS 180-2.
        assert_eq!(dataset.digest(), "ba7816bf8f01cfea");
        assert!(dataset.dataset.source.contains("flowers.csv"));
        let error = InputDataset::from_file(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }

    #[test]
    fn columns_are_written_as_mlflow_writes_a_schema() {
        let dataset = InputDataset::new("d", "1")
            .columns([("x", "double")])
            .dataset;
        let schema: serde_json::Value = serde_json::from_str(&dataset.schema.unwrap()).unwrap();
        assert_eq!(
            schema,
            json!({"mlflow_colspec": [{"type": "double", "name": "x", "required": true}]})
        );
    }
}
