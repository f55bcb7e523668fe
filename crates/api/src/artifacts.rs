//! Artifacts: listings of a run and of the artifact proxy of the server, and addresses of files in the
//! store behind it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::number::{nullable, optional_int64};

/// A file or a folder in a listing. The path comes from a server: check it before use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileInfo {
    /// Relative path; to what depends on the endpoint.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// Whether it is a folder.
    #[serde(deserialize_with = "nullable")]
    pub is_dir: bool,
    /// Size in bytes; absent for folders.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub file_size: Option<i64>,
}

/// Answer of `artifacts/list`; paths are relative to `root_uri`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListRunArtifactsResponse {
    /// Root of the artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_uri: Option<String>,
    /// One level of files and folders.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInfo>,
    /// Token of the next page; absent or empty on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Answer of `mlflow-artifacts/artifacts?path=…`; paths are relative to the path asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListProxiedArtifactsResponse {
    /// One level of files and folders.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInfo>,
}

/// Query of `artifacts/list` and of `/get-artifact`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListRunArtifactsRequest {
    /// The run.
    pub run_id: Option<String>,
    /// The run, as clients before MLflow 1.0 say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_uuid: Option<String>,
    /// A folder, or the file to download; the root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Query of the listing and of the files of a logged model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListLoggedModelArtifactsRequest {
    /// A folder; the root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_directory_path: Option<String>,
    /// The file to download.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_file_path: Option<String>,
}

/// Query of `mlflow-artifacts/artifacts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListProxiedArtifactsRequest {
    /// A folder; the root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Body of `mlflow-artifacts/mpu/create/…`; the folder is in the path of the request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateMultipartUploadRequest {
    /// The file on the client's machine. Its last segment is the name of the artifact.
    pub path: Option<String>,
    /// How many parts there will be.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub num_parts: Option<i64>,
}

/// Answer of `mlflow-artifacts/mpu/create/…`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateMultipartUploadResponse {
    /// Name of the upload, where the store has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// Where each part goes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<MultipartUploadCredential>,
}

/// Where one part goes with PUT.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MultipartUploadCredential {
    /// The address, which holds the permission.
    pub url: String,
    /// Number of the part, from 1.
    pub part_number: i64,
    /// Headers that must be sent with it.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, String>,
}

/// Body of `mlflow-artifacts/mpu/complete/…`, and without the parts of `mlflow-artifacts/mpu/abort/…`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndMultipartUploadRequest {
    /// The file on the client's machine, as when the upload began.
    pub path: Option<String>,
    /// Name of the upload, where the store has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// The parts that were sent.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<MultipartUploadPart>,
}

/// A part that was sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MultipartUploadPart {
    /// Number of the part, from 1.
    #[serde(deserialize_with = "optional_int64")]
    pub part_number: Option<i64>,
    /// The mark that the store answered with.
    pub etag: Option<String>,
    /// The address that it went to.
    pub url: Option<String>,
}

/// Answer of `mlflow-artifacts/presigned/…`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PresignedArtifactResponse {
    /// The address, which holds the permission.
    pub url: String,
    /// Headers that must be sent with it.
    #[serde(deserialize_with = "nullable")]
    pub headers: BTreeMap<String, String>,
    /// Size of the file in bytes.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub file_size: Option<i64>,
}

/// Body of `artifacts/presigned-upload-url`, and without a model of
/// `artifacts/presigned-download-url`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PresignedUrlRequest {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The logged model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The file, as seen from the root of the run or model.
    pub path: Option<String>,
    /// Seconds that the address is good for.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub expiration: Option<i64>,
}

/// Answer of `artifacts/presigned-upload-url` and `artifacts/presigned-download-url`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PresignedUrlResponse {
    /// The address, which holds the permission.
    pub presigned_url: String,
    /// Headers that must be sent with it.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, String>,
    /// Size of a file that is to be read, in bytes.
    #[serde(
        deserialize_with = "optional_int64",
        skip_serializing_if = "Option::is_none"
    )]
    pub file_size: Option<i64>,
}

/// Query of `upload-artifact`; the body is the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadArtifactRequest {
    /// The run.
    pub run_uuid: Option<String>,
    /// The file, as seen from the root of the run.
    pub path: Option<String>,
}
