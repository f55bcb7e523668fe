//! Registered models, their tags and their aliases.

use mlrs_api::Tag;
use mlrs_api::endpoints::{
    CREATE_REGISTERED_MODEL, DELETE_REGISTERED_MODEL, DELETE_REGISTERED_MODEL_ALIAS,
    DELETE_REGISTERED_MODEL_TAG, GET_MODEL_VERSION_BY_ALIAS, GET_REGISTERED_MODEL,
    RENAME_REGISTERED_MODEL, SEARCH_REGISTERED_MODELS, SET_REGISTERED_MODEL_ALIAS,
    SET_REGISTERED_MODEL_TAG, UPDATE_REGISTERED_MODEL,
};
use mlrs_api::registry::{
    CreateRegisteredModelRequest, GetModelVersionResponse, GetRegisteredModelResponse,
    ModelVersion, RegisteredModel, RegisteredModelRequest, RegistryTagRequest,
    SearchRegisteredModelsResponse,
};

use super::{RegistrySearch, called, tagged};
use crate::servers::Side::Registry;
use crate::tracking::{Pages, TrackingClient, TrackingError};

/// Models asked for at a time; MLflow's default.
const MODELS_PAGE: &str = "100";

impl TrackingClient {
    /// Makes a registered model, without versions. `POST registered-models/create`
    ///
    /// # Errors
    /// [`ErrorCode::ResourceAlreadyExists`](crate::tracking::ErrorCode::ResourceAlreadyExists) when the name is
    /// taken; and when the server does not answer.
    pub async fn create_registered_model(
        &self,
        name: &str,
        description: Option<&str>,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Result<RegisteredModel, TrackingError> {
        let body = CreateRegisteredModelRequest {
            name: Some(name.to_owned()),
            tags: tags.into_iter().map(Into::into).collect(),
            description: description.map(str::to_owned),
        };
        let action = format!("create the registered model `{name}`");
        let answer: GetRegisteredModelResponse = self
            .call(Registry, CREATE_REGISTERED_MODEL, &[], &body, &action)
            .await?;
        Ok(answer.registered_model)
    }

    /// A registered model with its aliases and tags. `GET registered-models/get`
    ///
    /// # Errors
    /// When there is none of this name, or the server does not answer.
    pub async fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        let action = format!("get the registered model `{name}`");
        let answer: GetRegisteredModelResponse = self
            .query(
                Registry,
                GET_REGISTERED_MODEL,
                &[],
                &[("name", name)],
                &action,
            )
            .await?;
        Ok(answer.registered_model)
    }

    /// Finds registered models. `GET registered-models/search`
    pub fn search_registered_models(&self, search: RegistrySearch) -> Pages<RegisteredModel> {
        let action = "search registered models";
        self.pages(action, move |client, token| {
            let search = search.clone();
            async move {
                let query = search.query(MODELS_PAGE, token.as_deref());
                let answer: SearchRegisteredModelsResponse = client
                    .query(Registry, SEARCH_REGISTERED_MODELS, &[], &query, action)
                    .await?;
                Ok((answer.registered_models, answer.next_page_token))
            }
        })
    }

    /// Gives a registered model another name. `POST registered-models/rename`
    ///
    /// # Errors
    /// When there is none of this name, the new name is taken, or the server does not answer.
    pub async fn rename_registered_model(
        &self,
        name: &str,
        new_name: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        let body = RegisteredModelRequest {
            new_name: Some(new_name.to_owned()),
            ..model(name)
        };
        let action = format!("rename the registered model `{name}`");
        let answer: GetRegisteredModelResponse = self
            .call(Registry, RENAME_REGISTERED_MODEL, &[], &body, &action)
            .await?;
        Ok(answer.registered_model)
    }

    /// Describes a registered model. `PATCH registered-models/update`
    ///
    /// # Errors
    /// When there is none of this name, or the server does not answer.
    pub async fn describe_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        let body = RegisteredModelRequest {
            description: Some(description.to_owned()),
            ..model(name)
        };
        let action = format!("describe the registered model `{name}`");
        let answer: GetRegisteredModelResponse = self
            .call(Registry, UPDATE_REGISTERED_MODEL, &[], &body, &action)
            .await?;
        Ok(answer.registered_model)
    }

    /// Deletes a registered model with all its versions, for good.
    /// `DELETE registered-models/delete`
    ///
    /// # Errors
    /// When there is none of this name, or the server does not answer.
    pub async fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError> {
        let action = format!("delete the registered model `{name}`");
        self.order(
            Registry,
            DELETE_REGISTERED_MODEL,
            &[],
            &model(name),
            &action,
        )
        .await
    }

    /// Sets a tag of a registered model. `POST registered-models/set-tag`
    ///
    /// # Errors
    /// When there is none of this name, or the server refuses or does not answer.
    pub async fn set_registered_model_tag(
        &self,
        name: &str,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
            ..tagged(name)
        };
        let action = format!("set the tag `{key}` of the registered model `{name}`");
        self.order(Registry, SET_REGISTERED_MODEL_TAG, &[], &body, &action)
            .await
    }

    /// Removes a tag of a registered model. `DELETE registered-models/delete-tag`
    ///
    /// # Errors
    /// When there is none of this name, or the server does not answer.
    pub async fn delete_registered_model_tag(
        &self,
        name: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            key: Some(key.to_owned()),
            ..tagged(name)
        };
        let action = format!("delete the tag `{key}` of the registered model `{name}`");
        self.order(Registry, DELETE_REGISTERED_MODEL_TAG, &[], &body, &action)
            .await
    }

    /// Points an alias to a version. `POST registered-models/alias`
    ///
    /// # Errors
    /// When there is no such version, the alias is refused, or the server does not answer.
    pub async fn set_alias(
        &self,
        name: &str,
        alias: &str,
        version: &str,
    ) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            version: Some(version.to_owned()),
            alias: Some(alias.to_owned()),
            ..tagged(name)
        };
        let action = format!("point the alias `{alias}` to {}", called(name, version));
        self.order(Registry, SET_REGISTERED_MODEL_ALIAS, &[], &body, &action)
            .await
    }

    /// Removes an alias. `DELETE registered-models/alias`
    ///
    /// # Errors
    /// When there is no such model, or the server does not answer.
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        let body = RegistryTagRequest {
            alias: Some(alias.to_owned()),
            ..tagged(name)
        };
        let action = format!("delete the alias `{alias}` of the registered model `{name}`");
        self.order(Registry, DELETE_REGISTERED_MODEL_ALIAS, &[], &body, &action)
            .await
    }

    /// The version that an alias points to. `GET registered-models/alias`
    ///
    /// # Errors
    /// When there is no such model or alias, or the server does not answer.
    pub async fn version_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let action = format!("get the alias `{alias}` of the registered model `{name}`");
        let query = [("name", name), ("alias", alias)];
        let answer: GetModelVersionResponse = self
            .query(Registry, GET_MODEL_VERSION_BY_ALIAS, &[], &query, &action)
            .await?;
        Ok(answer.model_version)
    }
}

fn model(name: &str) -> RegisteredModelRequest {
    RegisteredModelRequest {
        name: Some(name.to_owned()),
        ..RegisteredModelRequest::default()
    }
}
