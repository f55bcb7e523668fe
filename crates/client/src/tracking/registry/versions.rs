//! Versions of registered models, their stages and tags.

use mlrs_api::Tag;
use mlrs_api::endpoints::{
    CREATE_MODEL_VERSION, DELETE_MODEL_VERSION, DELETE_MODEL_VERSION_TAG, GET_MODEL_VERSION,
    SEARCH_MODEL_VERSIONS, SET_MODEL_VERSION_TAG, TRANSITION_MODEL_VERSION_STAGE,
    UPDATE_MODEL_VERSION,
};
use mlrs_api::registry::{
    CreateModelVersionRequest, GetModelVersionResponse, ModelVersion, ModelVersionRequest,
    RegistryTagRequest, SearchModelVersionsResponse,
};

use super::{RegistrySearch, called, tagged};
use crate::locate::locate;
use crate::servers::Side::Registry;
use crate::tracking::{Pages, SavedModel, TrackingClient, TrackingError};
use crate::uri::ModelUri;

/// Versions asked for at a time.
const VERSIONS_PAGE: &str = "10000";

/// A version that is to be made.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    request: CreateModelVersionRequest,
}

impl NewVersion {
    /// A version of the registered model `name`, made of a model that was logged.
    pub fn of(name: impl Into<String>, model: &SavedModel) -> Self {
        // As MLflow's client: a logged model is named by its id, artifacts of a run by their place.
        let source = match &model.model_id {
            Some(_) => model.uri.clone(),
            None => model.artifact_uri.clone(),
        };
        let mut new = Self::from_source(name, source);
        new.request.run_id.clone_from(&model.run_id);
        new.request.model_id.clone_from(&model.model_id);
        new
    }

    /// A version of the registered model `name` with its files at a URI: `models:/m-…`, `runs:/…`,
    /// `mlflow-artifacts:/…`, `s3://…`
    pub fn from_source(name: impl Into<String>, source: impl Into<String>) -> Self {
        let source = source.into();
        let model_id = source
            .strip_prefix("models:/")
            .filter(|rest| crate::uri::is_logged_model_id(rest))
            .map(str::to_owned);
        Self {
            request: CreateModelVersionRequest {
                name: Some(name.into()),
                source: Some(source),
                model_id,
                ..CreateModelVersionRequest::default()
            },
        }
    }

    /// The run that logged it.
    #[must_use]
    pub fn run(mut self, run_id: impl Into<String>) -> Self {
        self.request.run_id = Some(run_id.into());
        self
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.request.description = Some(text.into());
        self
    }

    /// A tag to begin with.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.tags.push(Tag::new(key, value).into());
        self
    }
}

impl TrackingClient {
    /// Makes the registered model if there is none, and a version of it.
    /// `POST registered-models/create`, `POST model-versions/create`
    ///
    /// # Errors
    /// When the source is refused, or the server does not answer.
    pub async fn register_model(&self, new: NewVersion) -> Result<ModelVersion, TrackingError> {
        let name = new.request.name.as_deref().unwrap_or_default();
        match self.create_registered_model(name, None, []).await {
            Err(error) if !error.is_already_exists() => Err(error),
            _ => self.create_model_version(new).await,
        }
    }

    /// Makes a version of a registered model. `POST model-versions/create`
    ///
    /// A source `runs:/…` is looked up first, as MLflow's client does: it is a model among the
    /// artifacts of the run, or else the logged model of that name.
    ///
    /// # Errors
    /// When there is no such model, the source is refused, or the server does not answer.
    pub async fn create_model_version(
        &self,
        mut new: NewVersion,
    ) -> Result<ModelVersion, TrackingError> {
        let source = new.request.source.clone().unwrap_or_default();
        if let Ok(uri @ ModelUri::Run { .. }) = ModelUri::parse(&source) {
            self.find_in_run(&uri, &mut new.request).await?;
        }
        let name = new.request.name.as_deref().unwrap_or_default();
        let action = format!("create a version of the registered model `{name}`");
        let answer: GetModelVersionResponse = self
            .call(Registry, CREATE_MODEL_VERSION, &[], &new.request, &action)
            .await?;
        Ok(answer.model_version)
    }

    /// Puts the place that a `runs:/…` means into a request, and what it is.
    async fn find_in_run(
        &self,
        uri: &ModelUri,
        request: &mut CreateModelVersionRequest,
    ) -> Result<(), TrackingError> {
        let located = locate(self.lookups(), uri).await?.unwrap_or_default();
        request.run_id = located.identity.run_id;
        if let Some((root, path)) = located.places.first() {
            let files = self.artifacts_at(root)?.list(path.as_str()).await?;
            if files.iter().any(|file| file.path.name() == "MLmodel") {
                let root = root.trim_end_matches('/');
                request.source = Some(format!("{root}/{}", path.as_str()));
                return Ok(());
            }
        }
        if let Some(model_id) = located.identity.model_id {
            request.source = Some(format!("models:/{model_id}"));
            request.model_id = Some(model_id);
        }
        Ok(())
    }

    /// A version. `GET model-versions/get`
    ///
    /// # Errors
    /// When there is no such version, or the server does not answer.
    pub async fn model_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let action = format!("get {}", called(name, version));
        let query = [("name", name), ("version", version)];
        let answer: GetModelVersionResponse = self
            .query(Registry, GET_MODEL_VERSION, &[], &query, &action)
            .await?;
        Ok(answer.model_version)
    }

    /// Finds versions. `GET model-versions/search`
    pub fn search_model_versions(&self, search: RegistrySearch) -> Pages<ModelVersion> {
        let action = "search model versions";
        self.pages(action, move |client, token| {
            let search = search.clone();
            async move {
                let query = search.query(VERSIONS_PAGE, token.as_deref());
                let answer: SearchModelVersionsResponse = client
                    .query(Registry, SEARCH_MODEL_VERSIONS, &[], &query, action)
                    .await?;
                Ok((answer.model_versions, answer.next_page_token))
            }
        })
    }

    /// Describes a version. `PATCH model-versions/update`
    ///
    /// # Errors
    /// When there is no such version, or the server does not answer.
    pub async fn describe_model_version(
        &self,
        name: &str,
        version: &str,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let body = ModelVersionRequest {
            description: Some(description.to_owned()),
            ..one_version(name, version)
        };
        let action = format!("describe {}", called(name, version));
        let answer: GetModelVersionResponse = self
            .call(Registry, UPDATE_MODEL_VERSION, &[], &body, &action)
            .await?;
        Ok(answer.model_version)
    }

    /// Moves a version to a stage: `None`, `Staging`, `Production` or `Archived`. With
    /// `archive_existing`, the other versions of that stage are archived.
    /// `POST model-versions/transition-stage`
    ///
    /// # Errors
    /// When there is no such version or stage, or the server does not answer.
    pub async fn transition_stage(
        &self,
        name: &str,
        version: &str,
        stage: &str,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError> {
        let body = ModelVersionRequest {
            stage: Some(stage.to_owned()),
            archive_existing_versions: Some(archive_existing),
            ..one_version(name, version)
        };
        let action = format!("move {} to the stage `{stage}`", called(name, version));
        let answer: GetModelVersionResponse = self
            .call(
                Registry,
                TRANSITION_MODEL_VERSION_STAGE,
                &[],
                &body,
                &action,
            )
            .await?;
        Ok(answer.model_version)
    }

    /// Deletes a version, for good. `DELETE model-versions/delete`
    ///
    /// # Errors
    /// When there is no such version, or the server does not answer.
    pub async fn delete_model_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<(), TrackingError> {
        let action = format!("delete {}", called(name, version));
        let body = one_version(name, version);
        self.order(Registry, DELETE_MODEL_VERSION, &[], &body, &action)
            .await
    }

    /// Sets a tag of a version. `POST model-versions/set-tag`
    ///
    /// # Errors
    /// When there is no such version, or the server refuses or does not answer.
    pub async fn set_model_version_tag(
        &self,
        name: &str,
        version: &str,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            version: Some(version.to_owned()),
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
            ..tagged(name)
        };
        let action = format!("set the tag `{key}` of {}", called(name, version));
        self.order(Registry, SET_MODEL_VERSION_TAG, &[], &body, &action)
            .await
    }

    /// Removes a tag of a version. `DELETE model-versions/delete-tag`
    ///
    /// # Errors
    /// When there is no such version, or the server does not answer.
    pub async fn delete_model_version_tag(
        &self,
        name: &str,
        version: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            version: Some(version.to_owned()),
            key: Some(key.to_owned()),
            ..tagged(name)
        };
        let action = format!("delete the tag `{key}` of {}", called(name, version));
        self.order(Registry, DELETE_MODEL_VERSION_TAG, &[], &body, &action)
            .await
    }
}

fn one_version(name: &str, version: &str) -> ModelVersionRequest {
    ModelVersionRequest {
        name: Some(name.to_owned()),
        version: Some(version.to_owned()),
        ..ModelVersionRequest::default()
    }
}
