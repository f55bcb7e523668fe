//! Versions of registered models.

use axum::response::Response;
use http::HeaderMap;
use mlrs_api::registry::{
    CreateModelVersionRequest, GetDownloadUriResponse, GetModelVersionResponse,
    ModelVersionRequest, RegistryTagRequest, SearchModelVersionsResponse, SearchRegistryRequest,
};
use mlrs_store::rules::registry as rules;
use mlrs_store::rules::values::required;
use mlrs_store::{StoreError, clock};

use crate::call::{Named, Refused};
use crate::handlers::artifacts::{download, path_of};
use crate::handlers::{Done, paged};
use crate::registration;
use crate::state::TrackingState;

pub(crate) async fn create(
    state: TrackingState,
    request: CreateModelVersionRequest,
) -> Result<GetModelVersionResponse, StoreError> {
    let registration = registration::resolve(&state, &request).await?;
    let registry = state.registry()?;
    let model_version = registry.create_model_version(registration.new).await?;
    if let Some(model_id) = registration.model_id {
        let (name, version) = (model_version.name.clone(), model_version.version.clone());
        let version = version.parse().unwrap_or_default();
        state.store()?.note_version(model_id, name, version).await?;
    }
    Ok(GetModelVersionResponse { model_version })
}

pub(crate) async fn get(
    state: TrackingState,
    request: ModelVersionRequest,
) -> Result<GetModelVersionResponse, StoreError> {
    let (name, version) = rules::named_version(&request)?;
    let model_version = state.registry()?.model_version(name, version).await?;
    Ok(GetModelVersionResponse { model_version })
}

pub(crate) async fn update(
    state: TrackingState,
    request: ModelVersionRequest,
) -> Result<GetModelVersionResponse, StoreError> {
    let (name, version) = rules::named_version(&request)?;
    let registry = state.registry()?;
    let now = clock::now();
    let described = registry.describe_model_version(name, version, request.description, now);
    Ok(GetModelVersionResponse {
        model_version: described.await?,
    })
}

pub(crate) async fn transition(
    state: TrackingState,
    request: ModelVersionRequest,
) -> Result<GetModelVersionResponse, StoreError> {
    let (name, version, to, archive) = rules::transition(&request)?;
    let registry = state.registry()?;
    let now = clock::now();
    let moved = registry.transition_model_version(name, version, to, archive, now);
    Ok(GetModelVersionResponse {
        model_version: moved.await?,
    })
}

pub(crate) async fn delete(
    state: TrackingState,
    request: ModelVersionRequest,
) -> Result<Done, StoreError> {
    let (name, version) = rules::named_version(&request)?;
    let registry = state.registry()?;
    registry
        .delete_model_version(name, version, clock::now())
        .await?;
    Ok(Done {})
}

pub(crate) async fn search(
    state: TrackingState,
    request: SearchRegistryRequest,
) -> Result<SearchModelVersionsResponse, StoreError> {
    let search = rules::search_versions(&request)?;
    let page = state.registry()?.search_model_versions(search).await?;
    let (model_versions, next_page_token) = paged(page);
    Ok(SearchModelVersionsResponse {
        model_versions,
        next_page_token,
    })
}

pub(crate) async fn download_uri(
    state: TrackingState,
    request: ModelVersionRequest,
) -> Result<GetDownloadUriResponse, StoreError> {
    let (name, version) = rules::named_version(&request)?;
    let artifact_uri = state.registry()?.download_uri(name, version).await?;
    Ok(GetDownloadUriResponse { artifact_uri })
}

pub(crate) async fn set_tag(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, version, tag) = rules::set_version_tag(&request)?;
    let registry = state.registry()?;
    registry.set_model_version_tag(name, version, tag).await?;
    Ok(Done {})
}

pub(crate) async fn delete_tag(
    state: TrackingState,
    request: RegistryTagRequest,
) -> Result<Done, StoreError> {
    let (name, version, key) = rules::delete_version_tag(&request)?;
    let registry = state.registry()?;
    registry
        .delete_model_version_tag(name, version, key)
        .await?;
    Ok(Done {})
}

/// A file of a version: `/model-versions/get-artifact?name=&version=&path=`.
pub(crate) async fn download_file(
    state: TrackingState,
    _named: Named,
    headers: HeaderMap,
    query: String,
) -> Result<Response, Refused> {
    let request: ModelVersionRequest = crate::sent::query(&query)?;
    let (name, version) = rules::named_version(&request)?;
    let path = path_of(Some(required(&request.path, "path")?))?;
    let uri = state.registry()?.download_uri(name, version).await?;
    download(&state, &uri, &path, &headers).await
}
