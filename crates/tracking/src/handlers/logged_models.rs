//! Logged models.

use mlrs_api::logged_models::{
    CreateLoggedModelRequest, FinalizeLoggedModelRequest, GetLoggedModelRequest,
    GetLoggedModelResponse, LogLoggedModelParamsRequest, SearchLoggedModelsRequest,
    SearchLoggedModelsResponse, SetLoggedModelTagsRequest,
};
use mlrs_store::rules::logged_models as rules;
use mlrs_store::rules::values::required;
use mlrs_store::{StoreError, clock};
use serde::de::IgnoredAny;

use crate::call::Named;
use crate::handlers::Done;
use crate::state::TrackingState;

pub(crate) async fn create(
    state: TrackingState,
    request: CreateLoggedModelRequest,
) -> Result<GetLoggedModelResponse, StoreError> {
    let new = rules::create(request, clock::now())?;
    let model = state.store()?.create_logged_model(new).await?;
    Ok(GetLoggedModelResponse { model })
}

pub(crate) async fn get(
    state: TrackingState,
    named: Named,
    request: GetLoggedModelRequest,
) -> Result<GetLoggedModelResponse, StoreError> {
    let deleted = request.allow_deleted.unwrap_or_default();
    let allow_deleted = deleted.eq_ignore_ascii_case("true");
    let id = named.part("model_id");
    let model = state.store()?.logged_model(id, allow_deleted).await?;
    Ok(GetLoggedModelResponse { model })
}

pub(crate) async fn finalize(
    state: TrackingState,
    named: Named,
    request: FinalizeLoggedModelRequest,
) -> Result<GetLoggedModelResponse, StoreError> {
    let status = rules::finalize(&request)?;
    let id = named.part("model_id");
    let store = state.store()?;
    let model = store
        .finalize_logged_model(id, status, clock::now())
        .await?;
    Ok(GetLoggedModelResponse { model })
}

pub(crate) async fn delete(
    state: TrackingState,
    named: Named,
    _request: IgnoredAny,
) -> Result<Done, StoreError> {
    let id = named.part("model_id");
    state.store()?.delete_logged_model(id, clock::now()).await?;
    Ok(Done {})
}

pub(crate) async fn search(
    state: TrackingState,
    request: SearchLoggedModelsRequest,
) -> Result<SearchLoggedModelsResponse, StoreError> {
    let search = rules::search(&request)?;
    let page = state.store()?.search_logged_models(search).await?;
    let next = page.next_offset;
    Ok(SearchLoggedModelsResponse {
        models: page.items,
        next_page_token: next.map(|offset| rules::page_token(&request, offset)),
    })
}

pub(crate) async fn set_tags(
    state: TrackingState,
    named: Named,
    request: SetLoggedModelTagsRequest,
) -> Result<Done, StoreError> {
    let tags = rules::last_of_each(request.tags);
    let id = named.part("model_id");
    state.store()?.set_logged_model_tags(id, tags).await?;
    Ok(Done {})
}

pub(crate) async fn delete_tag(
    state: TrackingState,
    named: Named,
    _request: IgnoredAny,
) -> Result<Done, StoreError> {
    let (id, key) = (named.part("model_id"), named.part("tag_key"));
    state.store()?.delete_logged_model_tag(id, key).await?;
    Ok(Done {})
}

pub(crate) async fn log_params(
    state: TrackingState,
    named: Named,
    request: LogLoggedModelParamsRequest,
) -> Result<Done, StoreError> {
    required(&request.model_id, "model_id")?;
    let params = rules::last_of_each(request.params);
    let id = named.part("model_id");
    state.store()?.log_logged_model_params(id, params).await?;
    Ok(Done {})
}
