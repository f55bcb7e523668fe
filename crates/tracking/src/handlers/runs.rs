//! Runs, and what they log.

use mlrs_api::enums::LifecycleStage;
use mlrs_api::metrics::{LogBatchRequest, LogMetricRequest, RunTagRequest};
use mlrs_api::runs::{
    CreateRunRequest, GetRunResponse, RunIdRequest, SearchRunsRequest, SearchRunsResponse,
    UpdateRunRequest, UpdateRunResponse,
};
use mlrs_store::rules::{metrics, runs as rules};
use mlrs_store::{StoreError, clock};

use crate::handlers::{Done, paged};
use crate::state::TrackingState;

pub(crate) async fn create(
    state: TrackingState,
    request: CreateRunRequest,
) -> Result<GetRunResponse, StoreError> {
    let new = rules::create(request, state.truncate())?;
    let run = state.store()?.create_run(new).await?;
    Ok(GetRunResponse { run })
}

pub(crate) async fn get(
    state: TrackingState,
    request: RunIdRequest,
) -> Result<GetRunResponse, StoreError> {
    let run = state.store()?.run(rules::named(&request)?).await?;
    Ok(GetRunResponse { run })
}

pub(crate) async fn update(
    state: TrackingState,
    request: UpdateRunRequest,
) -> Result<UpdateRunResponse, StoreError> {
    let (id, update) = rules::update(request)?;
    let run_info = state.store()?.update_run(id, update).await?;
    Ok(UpdateRunResponse { run_info })
}

pub(crate) async fn delete(
    state: TrackingState,
    request: RunIdRequest,
) -> Result<Done, StoreError> {
    set_stage(&state, &request, LifecycleStage::Deleted).await
}

pub(crate) async fn restore(
    state: TrackingState,
    request: RunIdRequest,
) -> Result<Done, StoreError> {
    set_stage(&state, &request, LifecycleStage::Active).await
}

async fn set_stage(
    state: &TrackingState,
    request: &RunIdRequest,
    into: LifecycleStage,
) -> Result<Done, StoreError> {
    let id = rules::named(request)?;
    state.store()?.set_run_stage(id, into, clock::now()).await?;
    Ok(Done {})
}

pub(crate) async fn search(
    state: TrackingState,
    request: SearchRunsRequest,
) -> Result<SearchRunsResponse, StoreError> {
    let search = rules::search(&request)?;
    let (runs, next_page_token) = paged(state.store()?.search_runs(search).await?);
    Ok(SearchRunsResponse {
        runs,
        next_page_token,
    })
}

pub(crate) async fn log_metric(
    state: TrackingState,
    request: LogMetricRequest,
) -> Result<Done, StoreError> {
    let (run_id, batch) = metrics::log_metric(request, state.names())?;
    state.store()?.log(run_id, batch).await?;
    Ok(Done {})
}

pub(crate) async fn log_param(
    state: TrackingState,
    request: RunTagRequest,
) -> Result<Done, StoreError> {
    let (run_id, batch) = metrics::log_param(request, state.truncate(), state.names())?;
    let logged = state.store()?.log(run_id, batch).await;
    logged.map_err(StoreError::of_one_param)?;
    Ok(Done {})
}

pub(crate) async fn set_tag(
    state: TrackingState,
    request: RunTagRequest,
) -> Result<Done, StoreError> {
    let (run_id, batch) = metrics::set_tag(request, state.truncate())?;
    state.store()?.log(run_id, batch).await?;
    Ok(Done {})
}

pub(crate) async fn delete_tag(
    state: TrackingState,
    request: RunTagRequest,
) -> Result<Done, StoreError> {
    let (run_id, key) = metrics::delete_tag(&request)?;
    state.store()?.delete_tag(run_id, key).await?;
    Ok(Done {})
}

pub(crate) async fn log_batch(
    state: TrackingState,
    request: LogBatchRequest,
) -> Result<Done, StoreError> {
    let (run_id, batch) = metrics::log_batch(request, state.truncate(), state.names())?;
    state.store()?.log(run_id, batch).await?;
    Ok(Done {})
}
