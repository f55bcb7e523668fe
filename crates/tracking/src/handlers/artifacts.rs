//! Artifacts: listings, the proxy, and downloads for MLflow's pages.

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use mlrs_api::artifacts::{
    FileInfo, ListLoggedModelArtifactsRequest, ListProxiedArtifactsRequest,
    ListProxiedArtifactsResponse, ListRunArtifactsRequest, ListRunArtifactsResponse,
    UploadArtifactRequest,
};
use mlrs_artifacts::ArtifactPath;
use mlrs_http::body::discard;
use mlrs_http::{AdmittedBody, BodyError, BodyLimits};
use mlrs_store::StoreError;
use mlrs_store::rules::limits::PAGE_UPLOAD;
use mlrs_store::rules::runs::run_id_of;
use mlrs_store::rules::values::required;

use crate::artifacts::{AccessError, Root};
use crate::call::{Named, Refused};
use crate::file_answer::{self, Shown};
use crate::handlers::Done;
use crate::state::TrackingState;
use crate::transfers::received;

pub(crate) fn path_of(text: Option<&str>) -> Result<ArtifactPath, AccessError> {
    Ok(ArtifactPath::parse(text.unwrap_or_default())?)
}

/// One level of a root, with paths as seen from it.
async fn list(root: &Root, path: &ArtifactPath) -> Result<Vec<FileInfo>, AccessError> {
    let entries = root.store().list(&root.place(path)?).await?;
    let file = |entry: mlrs_artifacts::Entry| FileInfo {
        path: root.relative(&entry.path),
        is_dir: entry.is_directory,
        file_size: entry.size.map(|size| size as i64),
    };
    Ok(entries.into_iter().map(file).collect())
}

/// Where the artifacts of a run are.
pub(crate) async fn artifact_uri_of_run(
    state: &TrackingState,
    run_id: String,
) -> Result<String, StoreError> {
    let run = state.store()?.run(run_id).await?;
    Ok(run.info.artifact_uri.unwrap_or_default())
}

/// Where the artifacts of a logged model are.
pub(crate) async fn artifact_uri_of_model(
    state: &TrackingState,
    id: String,
) -> Result<String, StoreError> {
    let model = state.store()?.logged_model(id, false).await?;
    Ok(model.info.artifact_uri.unwrap_or_default())
}

pub(crate) async fn list_of_run(
    state: TrackingState,
    request: ListRunArtifactsRequest,
) -> Result<ListRunArtifactsResponse, Refused> {
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let path = path_of(request.path.as_deref())?;
    let uri = artifact_uri_of_run(&state, run_id).await?;
    let files = list(&state.artifacts().root(&uri)?, &path).await?;
    Ok(ListRunArtifactsResponse {
        root_uri: Some(uri),
        files,
        next_page_token: None,
    })
}

pub(crate) async fn list_of_model(
    state: TrackingState,
    named: Named,
    request: ListLoggedModelArtifactsRequest,
) -> Result<ListRunArtifactsResponse, Refused> {
    let path = path_of(request.artifact_directory_path.as_deref())?;
    let uri = artifact_uri_of_model(&state, named.part("model_id")).await?;
    let files = list(&state.artifacts().root(&uri)?, &path).await?;
    Ok(ListRunArtifactsResponse {
        root_uri: Some(uri),
        files,
        next_page_token: None,
    })
}

pub(crate) async fn list_proxied(
    state: TrackingState,
    request: ListProxiedArtifactsRequest,
) -> Result<ListProxiedArtifactsResponse, Refused> {
    let path = path_of(request.path.as_deref())?;
    let mut files = list(&state.artifacts().proxied()?, &path).await?;
    // Names only: the client knows the folder that it asked for.
    for file in &mut files {
        file.path = file.path.rsplit('/').next().unwrap_or_default().to_owned();
    }
    Ok(ListProxiedArtifactsResponse { files })
}

pub(crate) async fn delete_proxied(
    state: TrackingState,
    named: Named,
    _request: serde::de::IgnoredAny,
) -> Result<Done, Refused> {
    let root = state.artifacts().proxied()?;
    let path = path_of(Some(&named.part("artifact_path")))?;
    root.store()
        .delete(&path)
        .await
        .map_err(AccessError::from)?;
    Ok(Done {})
}

pub(crate) async fn download_proxied(
    state: TrackingState,
    named: Named,
    headers: HeaderMap,
    _query: String,
) -> Result<Response, Refused> {
    let root = state.artifacts().proxied()?;
    let path = path_of(Some(&named.part("artifact_path")))?;
    Ok(file_answer::of(&state, &**root.store(), &path, &headers, Shown::Saved).await?)
}

pub(crate) async fn upload_proxied(
    state: TrackingState,
    named: Named,
    headers: HeaderMap,
    _query: String,
    body: Body,
) -> Result<Response, Refused> {
    let mut pieces = body.into_data_stream();
    let taken = take(&state, &named, &mut pieces).await;
    if taken.is_err() {
        discard(&headers, Body::from_stream(pieces)).await;
    }
    taken.map(|()| Response::new(Body::empty()))
}

async fn take(
    state: &TrackingState,
    named: &Named,
    pieces: &mut BodyDataStream,
) -> Result<(), Refused> {
    let root = state.artifacts().proxied()?;
    let path = path_of(Some(&named.part("artifact_path")))?;
    let _place = state.transfers().receive().await?;
    let content = received(pieces, state.limits().read_timeout);
    let written = root.store().create(&path, content).await;
    written.map_err(AccessError::from)?;
    Ok(())
}

/// A file of a run from MLflow's pages: `/ajax-api/2.0/mlflow/upload-artifact?run_uuid=&path=`.
pub(crate) async fn upload_to_run(
    state: TrackingState,
    _named: Named,
    headers: HeaderMap,
    query: String,
    body: Body,
) -> Result<Response, Refused> {
    match place_in_run(&state, &query).await {
        Ok((root, place)) => {
            let read = read_small(&state, &headers, body).await?;
            let content = stream::iter([Ok(read.bytes.clone())]).boxed();
            let written = root.store().create(&place, content).await;
            written.map_err(AccessError::from)?;
            Ok(Response::new(Body::empty()))
        }
        Err(refused) => {
            discard(&headers, body).await;
            Err(refused)
        }
    }
}

/// Where a file of a run goes that its pages upload.
async fn place_in_run(state: &TrackingState, query: &str) -> Result<(Root, ArtifactPath), Refused> {
    let request: UploadArtifactRequest = crate::sent::query(query)?;
    let said = |value: &Option<String>, name| {
        let value = value.clone().filter(|value| !value.is_empty());
        value.ok_or_else(|| StoreError::invalid(format!("Request must specify {name}.")))
    };
    let run_id = said(&request.run_uuid, "run_uuid")?;
    let path = path_of(Some(&said(&request.path, "path")?))?;
    let uri = artifact_uri_of_run(state, run_id).await?;
    let root = state.artifacts().root(&uri)?;
    let place = root.place(&path)?;
    Ok((root, place))
}

/// A body of the size that MLflow's pages may upload.
async fn read_small(
    state: &TrackingState,
    headers: &HeaderMap,
    body: Body,
) -> Result<AdmittedBody, Refused> {
    let limits = BodyLimits {
        bytes: PAGE_UPLOAD,
        ..*state.limits()
    };
    match mlrs_http::body::read(headers, body, &limits, state.budget()).await {
        Ok(read) if read.bytes.is_empty() => {
            Err(StoreError::invalid("Request must specify data.").into())
        }
        Ok(read) => Ok(read),
        Err(BodyError::TooLarge { .. }) => {
            Err(StoreError::invalid("Artifact size is too large. Max size is 10MB.").into())
        }
        Err(error) => Err(Refused::Http(error.into())),
    }
}

/// A file of a run: `/get-artifact?run_id=&path=`.
pub(crate) async fn download_of_run(
    state: TrackingState,
    _named: Named,
    headers: HeaderMap,
    query: String,
) -> Result<Response, Refused> {
    let request: ListRunArtifactsRequest = crate::sent::query(&query)?;
    let run_id = run_id_of(&request.run_id, &request.run_uuid)?;
    let path = path_of(Some(required(&request.path, "path")?))?;
    let uri = artifact_uri_of_run(&state, run_id).await?;
    download(&state, &uri, &path, &headers).await
}

/// A file of a logged model, for MLflow's pages.
pub(crate) async fn download_of_model(
    state: TrackingState,
    named: Named,
    headers: HeaderMap,
    query: String,
) -> Result<Response, Refused> {
    let request: ListLoggedModelArtifactsRequest = crate::sent::query(&query)?;
    let path = path_of(Some(required(
        &request.artifact_file_path,
        "artifact_file_path",
    )?))?;
    let uri = artifact_uri_of_model(&state, named.part("model_id")).await?;
    download(&state, &uri, &path, &headers).await
}

/// A file below a root.
pub(crate) async fn download(
    state: &TrackingState,
    uri: &str,
    path: &ArtifactPath,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let root = state.artifacts().root(uri)?;
    let place = root.place(path)?;
    Ok(file_answer::of(state, &**root.store(), &place, headers, Shown::Saved).await?)
}
