//! What a tracking server says about itself.

use serde::{Deserialize, Serialize};

use crate::number::nullable;

/// Answer of `server-info`; older servers answer 404.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the answer is a list of abilities, and each is its own"
)]
pub struct ServerInfo {
    /// `SqlStore`, `FileStore` or unknown.
    pub store_type: Option<String>,
    /// Whether requests may carry a workspace header.
    #[serde(deserialize_with = "nullable")]
    pub workspaces_enabled: bool,
    /// Whether uploads may go in parts to presigned addresses.
    #[serde(deserialize_with = "nullable")]
    pub multipart_uploads_enabled: bool,
    /// Whether downloads may go in parts from presigned addresses.
    #[serde(deserialize_with = "nullable")]
    pub multipart_downloads_enabled: bool,
    /// Whether `artifacts/presigned-upload-url` takes a run; whether its store signs is another thing.
    #[serde(deserialize_with = "nullable")]
    pub presigned_upload_run_id_supported: bool,
    /// Whether it takes a logged model.
    #[serde(deserialize_with = "nullable")]
    pub presigned_upload_model_id_supported: bool,
    /// Parts that an operator can turn off.
    #[serde(deserialize_with = "nullable")]
    pub features_enabled: FeaturesEnabled,
}

/// Parts of a server that its web pages show only where they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeaturesEnabled {
    /// The gateway to language models.
    #[serde(deserialize_with = "nullable")]
    pub gateway: bool,
    /// Looking for issues in traces at set times; pages of MLflow 3.18 ask for it.
    #[serde(deserialize_with = "nullable")]
    pub scheduled_issue_detection: bool,
}
