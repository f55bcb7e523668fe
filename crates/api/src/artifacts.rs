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
    #[serde(deserialize_with = "optional_int64")]
    pub file_size: Option<i64>,
}

/// Answer of `artifacts/list`; paths are relative to `root_uri`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListRunArtifactsResponse {
    /// Root of the run's artifacts.
    pub root_uri: Option<String>,
    /// One level of files and folders.
    #[serde(deserialize_with = "nullable")]
    pub files: Vec<FileInfo>,
    /// Token of the next page; absent or empty on the last one.
    pub next_page_token: Option<String>,
}

/// Answer of `mlflow-artifacts/artifacts?path=…`; paths are relative to the path asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListProxiedArtifactsResponse {
    /// One level of files and folders.
    #[serde(deserialize_with = "nullable")]
    pub files: Vec<FileInfo>,
}
