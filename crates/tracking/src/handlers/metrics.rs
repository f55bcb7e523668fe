//! The history of metrics.

use mlrs_api::metrics::{
    GetMetricHistoryBulkIntervalRequest, GetMetricHistoryBulkRequest, GetMetricHistoryBulkResponse,
    GetMetricHistoryRequest, GetMetricHistoryResponse,
};
use mlrs_store::StoreError;
use mlrs_store::rules::metrics as rules;

use crate::handlers::paged;
use crate::state::TrackingState;

pub(crate) async fn history(
    state: TrackingState,
    request: GetMetricHistoryRequest,
) -> Result<GetMetricHistoryResponse, StoreError> {
    let query = rules::history(&request)?;
    let (metrics, next_page_token) = paged(state.store()?.metric_history(query).await?);
    Ok(GetMetricHistoryResponse {
        metrics,
        next_page_token,
    })
}

pub(crate) async fn history_of_runs(
    state: TrackingState,
    request: GetMetricHistoryBulkRequest,
) -> Result<GetMetricHistoryBulkResponse, StoreError> {
    let (key, limit) = rules::history_of_runs(&request)?;
    let store = state.store()?;
    let metrics = store
        .metric_history_of_runs(request.run_id, key, limit)
        .await?;
    Ok(GetMetricHistoryBulkResponse { metrics })
}

pub(crate) async fn sampled_history(
    state: TrackingState,
    request: GetMetricHistoryBulkIntervalRequest,
) -> Result<GetMetricHistoryBulkResponse, StoreError> {
    let sample = rules::sampled_history(&request)?;
    let store = state.store()?;
    let metrics = store
        .sampled_metric_history(request.run_ids, sample.key, sample.steps, sample.points)
        .await?;
    Ok(GetMetricHistoryBulkResponse { metrics })
}
