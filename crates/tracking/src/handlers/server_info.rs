//! What the server says about itself.

use mlrs_api::server_info::ServerInfo;
use mlrs_store::StoreError;
use serde::de::IgnoredAny;

use crate::state::TrackingState;

/// Everything that is not there yet is off; MLflow's pages hide it then. Python's client takes the way
/// of large files from here.
pub(crate) async fn get(
    state: TrackingState,
    _request: IgnoredAny,
) -> Result<ServerInfo, StoreError> {
    let destination = state.artifacts().destination.as_ref();
    Ok(ServerInfo {
        store_type: Some("SqlStore".to_owned()),
        multipart_uploads_enabled: destination
            .is_some_and(|store| store.multipart_uploads().is_some()),
        multipart_downloads_enabled: destination
            .is_some_and(|store| store.presigned_files().is_some()),
        presigned_upload_run_id_supported: true,
        presigned_upload_model_id_supported: true,
        ..ServerInfo::default()
    })
}
