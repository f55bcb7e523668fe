//! What the server says about itself.

use mlrs_api::server_info::ServerInfo;
use mlrs_store::StoreError;
use serde::de::IgnoredAny;

use crate::state::TrackingState;

/// Everything that is not there yet is off; MLflow's pages hide it then.
pub(crate) async fn get(
    _state: TrackingState,
    _request: IgnoredAny,
) -> Result<ServerInfo, StoreError> {
    Ok(ServerInfo {
        store_type: Some("SqlStore".to_owned()),
        ..ServerInfo::default()
    })
}
