//! Model directories that a run logs: as logged models, or as artifacts on older servers.

use std::path::Path;

use mlrs_api::datasets::LogModelRequest;
use mlrs_api::endpoints::LOG_MODEL;
use mlrs_api::enums::LoggedModelStatus;
use mlrs_api::logged_models::LoggedModelInfo;
use mlrs_api::runs::RunInfo;
use mlrs_artifacts::ArtifactPath;
use mlrs_mlmodel::{Manifest, ModelDirectory};

use super::artifacts::{Artifacts, files_below};
use super::{NewLoggedModel, TrackingClient, TrackingError};
use crate::registry::is_missing_endpoint;
use crate::servers::Side::Tracking;

/// Name of the manifest.
const MANIFEST: &str = "MLmodel";

/// A model that a run logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedModel {
    /// What names it everywhere: `models:/m-…`, or `runs:/…` on servers before MLflow 3.
    pub uri: String,
    /// Where its files are.
    pub artifact_uri: String,
    /// The run that logged it.
    pub run_id: String,
    /// Its id, where the server has logged models.
    pub model_id: Option<String>,
}

impl TrackingClient {
    /// Logs a model directory as a model of a run; see
    /// [`ActiveRun::log_model_directory`](super::ActiveRun::log_model_directory).
    ///
    /// # Errors
    /// When the folder is no model directory, cannot be read, or is not taken.
    pub async fn log_model_directory(
        &self,
        run: &RunInfo,
        name: &str,
        directory: &Path,
    ) -> Result<SavedModel, TrackingError> {
        let model = ModelDirectory::open(directory)?;
        let new = NewLoggedModel::of_run(run).name(name);
        match self.create_logged_model(new).await {
            Ok(created) => self.fill_logged_model(run, created.info, &model).await,
            Err(TrackingError::Call { source, .. }) if is_missing_endpoint(&source) => {
                self.log_as_artifacts(run, name, &model).await
            }
            Err(error) => Err(error),
        }
    }

    /// Uploads the files of a logged model, and says whether that went well.
    async fn fill_logged_model(
        &self,
        run: &RunInfo,
        info: LoggedModelInfo,
        model: &ModelDirectory,
    ) -> Result<SavedModel, TrackingError> {
        let model_id = info.model_id;
        let artifact_uri = info.artifact_uri.filter(|uri| !uri.is_empty());
        let saved = SavedModel {
            uri: format!("models:/{model_id}"),
            artifact_uri: artifact_uri
                .ok_or_else(|| TrackingError::NoLocation(format!("the model `{model_id}`")))?,
            run_id: run.run_id.clone(),
            model_id: Some(model_id.clone()),
        };
        self.log_model_output(&run.run_id, &model_id, 0).await?;
        let root = ArtifactPath::root();
        let uploaded = match self.artifacts_at(&saved.artifact_uri) {
            Ok(artifacts) => upload(&artifacts, &root, &manifest(model, &saved), model).await,
            Err(error) => Err(error),
        };
        if let Err(error) = uploaded {
            let failed = LoggedModelStatus::UploadFailed;
            // The first error counts.
            let _ = self.finalize_logged_model(&model_id, failed).await;
            return Err(error);
        }
        self.finalize_logged_model(&model_id, LoggedModelStatus::Ready)
            .await?;
        Ok(saved)
    }

    /// What logging a model was before MLflow 3: artifacts of the run, and a note of the manifest.
    async fn log_as_artifacts(
        &self,
        run: &RunInfo,
        name: &str,
        model: &ModelDirectory,
    ) -> Result<SavedModel, TrackingError> {
        let root = run.artifact_uri.as_deref().unwrap_or_default();
        let saved = SavedModel {
            uri: format!("runs:/{}/{name}", run.run_id),
            artifact_uri: format!("{}/{name}", root.trim_end_matches('/')),
            run_id: run.run_id.clone(),
            model_id: None,
        };
        let manifest = Manifest {
            artifact_path: Some(name.to_owned()),
            ..manifest(model, &saved)
        };
        let folder = ArtifactPath::parse(name)?;
        upload(&self.artifacts_of(run)?, &folder, &manifest, model).await?;
        let body = LogModelRequest {
            run_id: Some(run.run_id.clone()),
            model_json: Some(serde_json::Value::from(manifest.to_map()).to_string()),
        };
        let action = format!("note the model `{name}` of the run `{}`", run.run_id);
        self.order(Tracking, LOG_MODEL, &[], &body, &action).await?;
        Ok(saved)
    }
}

/// The manifest with the names that the copy on the server has.
fn manifest(model: &ModelDirectory, saved: &SavedModel) -> Manifest {
    let mut manifest = model.manifest.clone();
    manifest.artifact_path = Some(saved.artifact_uri.clone());
    manifest.run_id = Some(saved.run_id.clone());
    manifest.model_id.clone_from(&saved.model_id);
    if saved.model_id.is_some() {
        manifest.model_uuid.clone_from(&saved.model_id);
    }
    manifest
}

/// Uploads the files of a model, the manifest last: without it, there is no model.
async fn upload(
    artifacts: &Artifacts,
    folder: &ArtifactPath,
    manifest: &Manifest,
    model: &ModelDirectory,
) -> Result<(), TrackingError> {
    let mut files = Vec::new();
    for file in files_below(&model.path)? {
        if file.path.as_str() != MANIFEST {
            files.push((folder.join(&file.path)?, file));
        }
    }
    artifacts.upload_files(&files, &crate::silent).await?;
    let place = folder.join(&ArtifactPath::parse(MANIFEST)?)?;
    let text = manifest.to_yaml().into_bytes();
    artifacts.upload_bytes(place.as_str(), text).await
}
