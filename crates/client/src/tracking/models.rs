//! Model directories that are logged: as logged models, or as artifacts of a run on older servers.

use std::path::Path;

use mlrs_api::datasets::LogModelRequest;
use mlrs_api::endpoints::LOG_MODEL;
use mlrs_api::enums::{LoggedModelStatus, RunStatus};
use mlrs_api::logged_models::LoggedModelInfo;
use mlrs_api::runs::RunInfo;
use mlrs_artifacts::ArtifactPath;
use mlrs_mlmodel::{Manifest, ModelDirectory};

use super::artifacts::{Artifacts, files_below};
use super::background::now;
use super::{NewLoggedModel, TrackingClient, TrackingError};
use crate::download::ProgressCallback;
use crate::registry::is_missing_endpoint;
use crate::servers::Side::Tracking;

/// Name of the manifest.
const MANIFEST: &str = "MLmodel";

/// A model that was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedModel {
    /// What names it everywhere: `models:/m-…`, or `runs:/…` on servers before MLflow 3.
    pub uri: String,
    /// Where its files are.
    pub artifact_uri: String,
    /// The run that logged it, if one did.
    pub run_id: Option<String>,
    /// Its id, where the server has logged models.
    pub model_id: Option<String>,
}

/// What a model belongs to.
#[derive(Debug, Clone, Copy)]
pub enum ModelOwner<'a> {
    /// A run, and its experiment.
    Run(&'a RunInfo),
    /// The experiment of this id, and no run: what `log_model` of MLflow 3 does where no run is active.
    /// A server before MLflow 3 gets a run for it.
    Experiment(&'a str),
}

impl TrackingClient {
    /// Logs a model directory under a name, and tells `progress` how far the upload is; see
    /// [`ActiveRun::log_model_directory`](super::ActiveRun::log_model_directory).
    ///
    /// # Errors
    /// When the folder is no model directory, cannot be read, or is not taken. What was uploaded by then
    /// belongs to a logged model that is marked as failed.
    pub async fn log_model_directory(
        &self,
        owner: ModelOwner<'_>,
        name: &str,
        directory: &Path,
        progress: &ProgressCallback,
    ) -> Result<SavedModel, TrackingError> {
        let model = ModelDirectory::open(directory)?;
        let (new, run) = match owner {
            ModelOwner::Run(run) => (NewLoggedModel::of_run(run), Some(run)),
            ModelOwner::Experiment(id) => (NewLoggedModel::in_experiment(id), None),
        };
        let upload = Upload {
            model: &model,
            progress,
        };
        match self.create_logged_model(new.name(name)).await {
            Ok(created) => self.fill_logged_model(run, created.info, &upload).await,
            Err(TrackingError::Call { source, .. }) if is_missing_endpoint(&source) => {
                self.log_without_logged_models(owner, name, &upload).await
            }
            Err(error) => Err(error),
        }
    }

    /// Uploads the files of a logged model, and says whether that went well.
    async fn fill_logged_model(
        &self,
        run: Option<&RunInfo>,
        info: LoggedModelInfo,
        upload: &Upload<'_>,
    ) -> Result<SavedModel, TrackingError> {
        let model_id = info.model_id;
        let artifact_uri = info.artifact_uri.filter(|uri| !uri.is_empty());
        let saved = SavedModel {
            uri: format!("models:/{model_id}"),
            artifact_uri: artifact_uri
                .ok_or_else(|| TrackingError::NoLocation(format!("the model `{model_id}`")))?,
            run_id: run.map(|run| run.run_id.clone()),
            model_id: Some(model_id.clone()),
        };
        if let Some(run) = run {
            self.log_model_output(&run.run_id, &model_id, 0).await?;
        }
        let root = ArtifactPath::root();
        let uploaded = match self.artifacts_at(&saved.artifact_uri) {
            Ok(artifacts) => {
                upload
                    .to(&artifacts, &root, &manifest(upload.model, &saved))
                    .await
            }
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

    /// Logs a model on a server before MLflow 3, where every model has a run.
    async fn log_without_logged_models(
        &self,
        owner: ModelOwner<'_>,
        name: &str,
        upload: &Upload<'_>,
    ) -> Result<SavedModel, TrackingError> {
        let experiment_id = match owner {
            ModelOwner::Run(run) => return self.log_as_artifacts(run, name, upload).await,
            ModelOwner::Experiment(id) => id,
        };
        let run = self
            .create_run(experiment_id, Some(name), now(), [])
            .await?;
        let logged = self.log_as_artifacts(&run.info, name, upload).await;
        let status = if logged.is_ok() {
            RunStatus::Finished
        } else {
            RunStatus::Failed
        };
        let ended = self
            .update_run(&run.info.run_id, Some(status), Some(now()), None)
            .await;
        // The first error counts.
        let saved = logged?;
        ended?;
        Ok(saved)
    }

    /// What logging a model was before MLflow 3: artifacts of the run, and a note of the manifest.
    async fn log_as_artifacts(
        &self,
        run: &RunInfo,
        name: &str,
        upload: &Upload<'_>,
    ) -> Result<SavedModel, TrackingError> {
        let root = run.artifact_uri.as_deref().unwrap_or_default();
        let saved = SavedModel {
            uri: format!("runs:/{}/{name}", run.run_id),
            artifact_uri: format!("{}/{name}", root.trim_end_matches('/')),
            run_id: Some(run.run_id.clone()),
            model_id: None,
        };
        let manifest = Manifest {
            artifact_path: Some(name.to_owned()),
            ..manifest(upload.model, &saved)
        };
        let folder = ArtifactPath::parse(name)?;
        upload
            .to(&self.artifacts_of(run)?, &folder, &manifest)
            .await?;
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
    manifest.run_id.clone_from(&saved.run_id);
    manifest.model_id.clone_from(&saved.model_id);
    if saved.model_id.is_some() {
        manifest.model_uuid.clone_from(&saved.model_id);
    }
    manifest
}

/// The files of a model on their way.
struct Upload<'a> {
    model: &'a ModelDirectory,
    progress: &'a ProgressCallback,
}

impl Upload<'_> {
    /// Uploads them, the manifest last: without it, there is no model.
    async fn to(
        &self,
        artifacts: &Artifacts,
        folder: &ArtifactPath,
        manifest: &Manifest,
    ) -> Result<(), TrackingError> {
        let mut files = Vec::new();
        for file in files_below(&self.model.path)? {
            if file.path.as_str() != MANIFEST {
                files.push((folder.join(&file.path)?, file));
            }
        }
        artifacts.upload_files(&files, self.progress).await?;
        let place = folder.join(&ArtifactPath::parse(MANIFEST)?)?;
        let text = manifest.to_yaml().into_bytes();
        artifacts.upload_bytes(place.as_str(), text).await
    }
}
