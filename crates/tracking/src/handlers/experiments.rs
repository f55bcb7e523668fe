//! Experiments.

use mlrs_api::enums::LifecycleStage;
use mlrs_api::experiments::{
    CreateExperimentRequest, CreateExperimentResponse, ExperimentIdRequest, ExperimentTagRequest,
    GetExperimentByNameRequest, GetExperimentResponse, SearchExperimentsRequest,
    SearchExperimentsResponse, UpdateExperimentRequest,
};
use mlrs_store::rules::{experiments as rules, limits};
use mlrs_store::{StoreError, clock};

use crate::handlers::{Done, paged};
use crate::state::TrackingState;

pub(crate) async fn create(
    state: TrackingState,
    request: CreateExperimentRequest,
) -> Result<CreateExperimentResponse, StoreError> {
    let artifacts = state.artifacts();
    let base = artifacts.working_directory();
    let new = rules::create(request, artifacts.hosts(), base, clock::now())?;
    let id = state.store()?.create_experiment(new).await?;
    Ok(CreateExperimentResponse {
        experiment_id: id.to_string(),
    })
}

pub(crate) async fn get(
    state: TrackingState,
    request: ExperimentIdRequest,
) -> Result<GetExperimentResponse, StoreError> {
    let experiment = state.store()?.experiment(rules::named(&request)?).await?;
    Ok(GetExperimentResponse { experiment })
}

pub(crate) async fn get_by_name(
    state: TrackingState,
    request: GetExperimentByNameRequest,
) -> Result<GetExperimentResponse, StoreError> {
    let name = rules::by_name(&request)?;
    let experiment = state.store()?.experiment_by_name(name).await?;
    Ok(GetExperimentResponse { experiment })
}

pub(crate) async fn search(
    state: TrackingState,
    request: SearchExperimentsRequest,
) -> Result<SearchExperimentsResponse, StoreError> {
    let search = rules::search(&request)?;
    let (experiments, next_page_token) = paged(state.store()?.search_experiments(search).await?);
    Ok(SearchExperimentsResponse {
        experiments,
        next_page_token,
    })
}

/// `experiments/list` of MLflow 1: every experiment, or pages where a size is given, by their ids.
pub(crate) async fn list(
    state: TrackingState,
    request: SearchExperimentsRequest,
) -> Result<SearchExperimentsResponse, StoreError> {
    let listed = SearchExperimentsRequest {
        max_results: Some(request.max_results.unwrap_or(limits::PAGE)),
        filter: None,
        order_by: vec!["experiment_id ASC".to_owned()],
        ..request
    };
    search(state, listed).await
}

pub(crate) async fn delete(
    state: TrackingState,
    request: ExperimentIdRequest,
) -> Result<Done, StoreError> {
    set_stage(&state, &request, LifecycleStage::Deleted).await
}

pub(crate) async fn restore(
    state: TrackingState,
    request: ExperimentIdRequest,
) -> Result<Done, StoreError> {
    set_stage(&state, &request, LifecycleStage::Active).await
}

async fn set_stage(
    state: &TrackingState,
    request: &ExperimentIdRequest,
    into: LifecycleStage,
) -> Result<Done, StoreError> {
    let id = rules::named(request)?;
    let changed = state.store()?.set_experiment_stage(id, into, clock::now());
    changed.await?;
    Ok(Done {})
}

pub(crate) async fn update(
    state: TrackingState,
    request: UpdateExperimentRequest,
) -> Result<Done, StoreError> {
    let (id, name) = rules::rename(&request)?;
    state
        .store()?
        .rename_experiment(id, name, clock::now())
        .await?;
    Ok(Done {})
}

pub(crate) async fn set_tag(
    state: TrackingState,
    request: ExperimentTagRequest,
) -> Result<Done, StoreError> {
    let (id, tag) = rules::set_tag(&request)?;
    state
        .store()?
        .set_experiment_tag(id, tag, clock::now())
        .await?;
    Ok(Done {})
}

pub(crate) async fn delete_tag(
    state: TrackingState,
    request: ExperimentTagRequest,
) -> Result<Done, StoreError> {
    let (id, key) = rules::delete_tag(&request)?;
    state.store()?.delete_experiment_tag(id, key).await?;
    Ok(Done {})
}
