//! Artifacts that a client sends to the store behind the server itself, or reads there.

use mlrs_api::artifacts::{
    CreateMultipartUploadRequest, CreateMultipartUploadResponse, EndMultipartUploadRequest,
    MultipartUploadCredential, PresignedArtifactResponse, PresignedUrlRequest,
    PresignedUrlResponse,
};
use mlrs_artifacts::{ArtifactPath, FinishedPart, StoreError as ArtifactError};
use mlrs_store::StoreError;
use mlrs_store::rules::limits::DEFAULT_UPLOAD_SECONDS;
use mlrs_store::rules::required;
use mlrs_store::rules::transfers::{self as rules, Owner, Transfer};
use serde::de::IgnoredAny;

use crate::artifacts::{AccessError, Root, UPLOAD_IN_PARTS};
use crate::call::{Named, Refused};
use crate::file_answer::guessed;
use crate::handlers::Done;
use crate::handlers::artifacts::{artifact_uri_of_model, artifact_uri_of_run, path_of};
use crate::state::TrackingState;

/// The store behind the server, and the place of the artifact in it: the folder is in the path of the
/// request, the name in its body. A server that serves no artifacts says that first.
fn target(
    state: &TrackingState,
    named: &Named,
    name: Result<&str, StoreError>,
) -> Result<(Root, ArtifactPath), Refused> {
    let root = state.artifacts().proxied()?;
    let name = name?;
    let folder = path_of(Some(&named.part("artifact_path")))?;
    let name = path_of(Some(name))?;
    let place = folder.join(&name).map_err(AccessError::from)?;
    Ok((root, place))
}

pub(crate) async fn create(
    state: TrackingState,
    named: Named,
    request: CreateMultipartUploadRequest,
) -> Result<CreateMultipartUploadResponse, Refused> {
    let (root, place) = target(&state, &named, rules::file_name(&request.path))?;
    let uploads = root.uploads()?;
    let count = rules::part_count(request.num_parts)?;
    let begun = uploads.begin(&place, count).await;
    let begun = begun.map_err(|error| match error {
        // The client then sends the file through the server.
        ArtifactError::Unsupported { .. } => AccessError::Unsupported(UPLOAD_IN_PARTS),
        other => other.into(),
    })?;
    let credential = |(url, part_number)| MultipartUploadCredential {
        url,
        part_number,
        ..MultipartUploadCredential::default()
    };
    Ok(CreateMultipartUploadResponse {
        upload_id: begun.upload_id,
        credentials: begun
            .addresses
            .into_iter()
            .zip(1..)
            .map(credential)
            .collect(),
    })
}

pub(crate) async fn complete(
    state: TrackingState,
    named: Named,
    request: EndMultipartUploadRequest,
) -> Result<Done, Refused> {
    let (root, place) = target(&state, &named, rules::file_name(&request.path))?;
    let uploads = root.uploads()?;
    let id = rules::upload_id(&request.upload_id)?;
    let finished = |(mark, address): (&str, &str)| FinishedPart {
        entity_tag: mark.to_owned(),
        address: address.to_owned(),
    };
    let parts = rules::finished_parts(&request.parts)?;
    let parts: Vec<_> = parts.into_iter().map(finished).collect();
    let completed = uploads.complete(&place, id, &parts).await;
    completed.map_err(AccessError::from)?;
    Ok(Done {})
}

pub(crate) async fn abort(
    state: TrackingState,
    named: Named,
    request: EndMultipartUploadRequest,
) -> Result<Done, Refused> {
    let (root, place) = target(&state, &named, rules::file_name(&request.path))?;
    let uploads = root.uploads()?;
    let id = rules::upload_id(&request.upload_id)?;
    let aborted = uploads.abort(&place, id).await;
    aborted.map_err(AccessError::from)?;
    Ok(Done {})
}

pub(crate) async fn presign_proxied(
    state: TrackingState,
    named: Named,
    _request: IgnoredAny,
) -> Result<PresignedArtifactResponse, Refused> {
    let root = state.artifacts().proxied()?;
    let path = path_of(Some(&named.part("artifact_path")))?;
    let presigned = root.presigned("Multipart download")?;
    let lifetime = rules::lifetime(None, state.download_seconds())?;
    let download = presigned.download(&path, lifetime).await;
    let download = download.map_err(AccessError::from)?;
    Ok(PresignedArtifactResponse {
        url: download.address,
        file_size: Some(download.size as i64),
        ..PresignedArtifactResponse::default()
    })
}

pub(crate) async fn presign_upload(
    state: TrackingState,
    request: PresignedUrlRequest,
) -> Result<PresignedUrlResponse, Refused> {
    const WHAT: &str = "Presigned upload";
    let path = required(&request.path, "path")?;
    let owner = rules::owner(&request)?;
    let path = path_of(Some(path))?;
    let lifetime = rules::lifetime(request.expiration, DEFAULT_UPLOAD_SECONDS)?;
    let uri = artifact_uri_of(&state, owner).await?;
    rules::check_direct(&uri, Transfer::Upload)?;
    let root = state.artifacts().signing_root(&uri, WHAT)?;
    let presigned = root.presigned(WHAT)?;
    let content_type = guessed(path.name());
    let place = root.place(&path)?;
    let address = presigned.upload(&place, content_type, lifetime).await;
    Ok(PresignedUrlResponse {
        presigned_url: address.map_err(AccessError::from)?,
        headers: [("Content-Type".to_owned(), content_type.to_owned())].into(),
        file_size: None,
    })
}

pub(crate) async fn presign_download(
    state: TrackingState,
    request: PresignedUrlRequest,
) -> Result<PresignedUrlResponse, Refused> {
    const WHAT: &str = "Presigned download";
    let run_id = required(&request.run_id, "run_id")?.to_owned();
    let path = path_of(Some(required(&request.path, "path")?))?;
    let lifetime = rules::lifetime(request.expiration, state.download_seconds())?;
    let uri = artifact_uri_of(&state, Owner::Run(run_id)).await?;
    rules::check_direct(&uri, Transfer::Download)?;
    let root = state.artifacts().signing_root(&uri, WHAT)?;
    let presigned = root.presigned(WHAT)?;
    let download = presigned.download(&root.place(&path)?, lifetime).await;
    let download = download.map_err(AccessError::from)?;
    Ok(PresignedUrlResponse {
        presigned_url: download.address,
        file_size: Some(download.size as i64),
        ..PresignedUrlResponse::default()
    })
}

async fn artifact_uri_of(state: &TrackingState, owner: Owner) -> Result<String, StoreError> {
    match owner {
        Owner::Run(id) => artifact_uri_of_run(state, id).await,
        Owner::LoggedModel(id) => artifact_uri_of_model(state, id).await,
    }
}
