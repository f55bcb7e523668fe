//! What runs read and made.

use mlrs_api::datasets::{
    LogInputsRequest, LogModelRequest, LogOutputsRequest, SearchDatasetsRequest,
    SearchDatasetsResponse,
};
use mlrs_store::StoreError;
use mlrs_store::rules::lineage as rules;

use crate::handlers::Done;
use crate::state::TrackingState;

pub(crate) async fn log_inputs(
    state: TrackingState,
    request: LogInputsRequest,
) -> Result<Done, StoreError> {
    let (run_id, datasets, models) = rules::log_inputs(request)?;
    state.store()?.log_inputs(run_id, datasets, models).await?;
    Ok(Done {})
}

pub(crate) async fn log_outputs(
    state: TrackingState,
    request: LogOutputsRequest,
) -> Result<Done, StoreError> {
    let (run_id, models) = rules::log_outputs(request)?;
    state.store()?.log_outputs(run_id, models).await?;
    Ok(Done {})
}

pub(crate) async fn log_model(
    state: TrackingState,
    request: LogModelRequest,
) -> Result<Done, StoreError> {
    let (run_id, model) = rules::log_model(&request)?;
    state.store()?.record_model(run_id, model).await?;
    Ok(Done {})
}

pub(crate) async fn search_datasets(
    state: TrackingState,
    request: SearchDatasetsRequest,
) -> Result<SearchDatasetsResponse, StoreError> {
    let experiment_ids = rules::datasets(&request)?;
    let dataset_summaries = state.store()?.datasets(experiment_ids).await?;
    Ok(SearchDatasetsResponse { dataset_summaries })
}
