//! Registered models and their aliases.

use mlrs_api::registry::{
    CreateRegisteredModelRequest, GetLatestVersionsRequest, GetLatestVersionsResponse,
    GetModelVersionResponse, GetRegisteredModelResponse, RegisteredModelRequest,
    RegistryTagRequest, SearchRegisteredModelsResponse, SearchRegistryRequest,
};
use mlrs_store::rules::registry as rules;
use mlrs_store::{StoreError, clock};

use crate::handlers::{Done, paged};
use crate::state::TrackingState;

pub(crate) async fn create(
    state: TrackingState,
    request: CreateRegisteredModelRequest,
) -> Result<GetRegisteredModelResponse, StoreError> {
    let new = rules::create(request, clock::now())?;
    let registered_model = state.registry()?.create_registered_model(new).await?;
    Ok(GetRegisteredModelResponse { registered_model })
}

pub(crate) async fn get(
    state: TrackingState,
    request: RegisteredModelRequest,
) -> Result<GetRegisteredModelResponse, StoreError> {
    let name = rules::model_name(&request.name)?;
    let registered_model = state.registry()?.registered_model(name).await?;
    Ok(GetRegisteredModelResponse { registered_model })
}

pub(crate) async fn rename(
    state: TrackingState,
    request: RegisteredModelRequest,
) -> Result<GetRegisteredModelResponse, StoreError> {
    let (name, new_name) = rules::rename(&request)?;
    let registry = state.registry()?;
    let renamed = registry.rename_registered_model(name, new_name, clock::now());
    Ok(GetRegisteredModelResponse {
        registered_model: renamed.await?,
    })
}

pub(crate) async fn update(
    state: TrackingState,
    request: RegisteredModelRequest,
) -> Result<GetRegisteredModelResponse, StoreError> {
    let name = rules::model_name(&request.name)?;
    let description = request.description.unwrap_or_default();
    let registry = state.registry()?;
    let described = registry.describe_registered_model(name, description, clock::now());
    Ok(GetRegisteredModelResponse {
        registered_model: described.await?,
    })
}

pub(crate) async fn delete(
    state: TrackingState,
    request: RegisteredModelRequest,
) -> Result<Done, StoreError> {
    let name = rules::model_name(&request.name)?;
    state.registry()?.delete_registered_model(name).await?;
    Ok(Done {})
}

pub(crate) async fn search(
    state: TrackingState,
    request: SearchRegistryRequest,
) -> Result<SearchRegisteredModelsResponse, StoreError> {
    let search = rules::search_models(&request)?;
    let page = state.registry()?.search_registered_models(search).await?;
    let (registered_models, next_page_token) = paged(page);
    Ok(SearchRegisteredModelsResponse {
        registered_models,
        next_page_token,
    })
}

/// `registered-models/list` of MLflow 1: pages of all, by their names.
pub(crate) async fn list(
    state: TrackingState,
    request: SearchRegistryRequest,
) -> Result<SearchRegisteredModelsResponse, StoreError> {
    let listed = SearchRegistryRequest {
        filter: None,
        order_by: Vec::new(),
        ..request
    };
    search(state, listed).await
}

pub(crate) async fn set_tag(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, tag) = rules::set_model_tag(&request)?;
    state
        .registry()?
        .set_registered_model_tag(name, tag)
        .await?;
    Ok(Done {})
}

pub(crate) async fn delete_tag(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, key) = rules::delete_model_tag(&request)?;
    let registry = state.registry()?;
    registry.delete_registered_model_tag(name, key).await?;
    Ok(Done {})
}

pub(crate) async fn set_alias(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, alias, version) = rules::set_alias(&request)?;
    state.registry()?.set_alias(name, alias, version).await?;
    Ok(Done {})
}

pub(crate) async fn delete_alias(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, alias) = rules::named_alias(&request)?;
    state.registry()?.delete_alias(name, alias).await?;
    Ok(Done {})
}

pub(crate) async fn version_by_alias(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<GetModelVersionResponse, StoreError> {
    let (name, alias) = rules::named_alias(&request)?;
    let model_version = state.registry()?.version_by_alias(name, alias).await?;
    Ok(GetModelVersionResponse { model_version })
}

pub(crate) async fn latest_versions(
    state: TrackingState,
    request: GetLatestVersionsRequest,
) -> Result<GetLatestVersionsResponse, StoreError> {
    let (name, stages) = rules::latest_versions(&request)?;
    let model_versions = state.registry()?.latest_versions(name, stages).await?;
    Ok(GetLatestVersionsResponse { model_versions })
}
