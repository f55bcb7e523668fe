//! Listings of artifacts: of a run, and of the artifact proxy of the server.

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
