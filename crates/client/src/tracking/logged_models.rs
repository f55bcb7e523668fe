//! Logged models: what `log_model` makes since MLflow 3, addressed by `m-` ids.
//!
//! [`ActiveRun::log_model_directory`] does all of it for a model directory; here is one call each.

use std::fmt::Display;

use mlrs_api::Tag;
use mlrs_api::datasets::{LogOutputsRequest, ModelOutput};
use mlrs_api::endpoints::{
    CREATE_LOGGED_MODEL, DELETE_LOGGED_MODEL, DELETE_LOGGED_MODEL_TAG, FINALIZE_LOGGED_MODEL,
    GET_LOGGED_MODEL, LOG_LOGGED_MODEL_PARAMS, LOG_OUTPUTS, SEARCH_LOGGED_MODELS,
    SET_LOGGED_MODEL_TAGS,
};
use mlrs_api::enums::LoggedModelStatus;
use mlrs_api::logged_models::{
    CreateLoggedModelRequest, DatasetFilter, FinalizeLoggedModelRequest, GetLoggedModelResponse,
    LogLoggedModelParamsRequest, LoggedModel, OrderByField, SearchLoggedModelsRequest,
    SearchLoggedModelsResponse, SetLoggedModelTagsRequest,
};
use mlrs_api::metrics::Param;
use mlrs_api::runs::RunInfo;
use mlrs_api::tags::SentTag;
use serde_json::json;

use super::{ActiveRun, Artifacts, Pages, Step, TrackingClient, TrackingError};
use crate::servers::Side::Tracking;

/// Models asked for at a time; MLflow's default.
const PAGE: i64 = 100;
/// Most params in a request, as MLflow's client has it.
const MOST_PARAMS: usize = 100;

/// A logged model that is to be made.
///
/// ```no_run
/// use mlrs_client::tracking::{
///     ActiveRun, LoggedModelStatus, NewLoggedModel, Point, TrackingError,
/// };
///
/// # async fn example(run: &ActiveRun, weights: Vec<u8>) -> Result<(), TrackingError> {
/// let client = run.client();
/// let new = NewLoggedModel::of_run(run.info()).name("forest").param("trees", 100);
/// let model_id = client.create_logged_model(new).await?.info.model_id;
/// let files = client.logged_model_artifacts(&model_id).await?;
/// files.upload_bytes("weights.bin", weights).await?;
/// client.finalize_logged_model(&model_id, LoggedModelStatus::Ready).await?;
/// run.log_model_output(&model_id, 0).await?;
/// run.log_point(Point::new("accuracy", 0.97).model(&model_id));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "`create_logged_model` makes it"]
pub struct NewLoggedModel {
    request: CreateLoggedModelRequest,
    params: Vec<Param>,
}

impl NewLoggedModel {
    /// A model in the experiment of this id.
    pub fn in_experiment(experiment_id: impl Into<String>) -> Self {
        let mut new = Self::default();
        new.request.experiment_id = Some(experiment_id.into());
        new
    }

    /// A model that a run makes, in the run's experiment.
    pub fn of_run(run: &RunInfo) -> Self {
        Self::in_experiment(&run.experiment_id).run(&run.run_id)
    }

    /// The run that makes it.
    pub fn run(mut self, run_id: impl Into<String>) -> Self {
        self.request.source_run_id = Some(run_id.into());
        self
    }

    /// Its name for people; the server makes one up otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.request.name = Some(name.into());
        self
    }

    /// Free text, such as the flavor.
    pub fn model_type(mut self, text: impl Into<String>) -> Self {
        self.request.model_type = Some(text.into());
        self
    }

    /// A param to begin with.
    pub fn param(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.params.push(Param::new(key, value.to_string()));
        self
    }

    /// A tag to begin with.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.tags.push(Tag::new(key, value).into());
        self
    }
}

/// Which logged models, and in which order.
///
/// ```
/// use mlrs_client::tracking::LoggedModelSearch;
///
/// let best = LoggedModelSearch::in_experiments(["1"])
///     .filter("metrics.accuracy > 0.9 AND params.trees = '100'")
///     .dataset("iris", Some("3f2a9c"))
///     .order_by("metrics.accuracy DESC");
/// ```
#[derive(Debug, Clone, Default)]
pub struct LoggedModelSearch {
    request: SearchLoggedModelsRequest,
}

impl LoggedModelSearch {
    /// Models of these experiments that are not deleted, the latest first.
    pub fn in_experiments<T: Into<String>>(experiment_ids: impl IntoIterator<Item = T>) -> Self {
        let request = SearchLoggedModelsRequest {
            experiment_ids: experiment_ids.into_iter().map(Into::into).collect(),
            ..SearchLoggedModelsRequest::default()
        };
        Self { request }
    }

    /// Only those that fit, in MLflow's grammar, such as `metrics.accuracy > 0.9`.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.request.filter = filter.into();
        self
    }

    /// Only those with a metric on the dataset of this name, and of this digest if one is given; what
    /// the filter says of metrics is of those. Given more than once, one of the datasets is enough.
    ///
    /// `mlflow server` (3.17) finds nothing where no digest is given.
    #[must_use]
    pub fn dataset(mut self, name: impl Into<String>, digest: Option<&str>) -> Self {
        self.request.datasets.push(DatasetFilter {
            dataset_name: Some(name.into()),
            dataset_digest: digest.map(str::to_owned),
        });
        self
    }

    /// Further key to order by, with `ASC` or `DESC`, such as `metrics.accuracy DESC`.
    #[must_use]
    pub fn order_by(mut self, key: &str) -> Self {
        self.request.order_by.push(order(key));
        self
    }

    /// Further metric to order by, of which only the points on a dataset count: with `ASC` or `DESC`,
    /// the name of the dataset, and its digest if that matters.
    #[must_use]
    pub fn order_by_on(mut self, key: &str, name: impl Into<String>, digest: Option<&str>) -> Self {
        self.request.order_by.push(OrderByField {
            dataset_name: Some(name.into()),
            dataset_digest: digest.map(str::to_owned),
            ..order(key)
        });
        self
    }
}

/// A key to order by, of what SQL and the other searches write.
fn order(key: &str) -> OrderByField {
    let key = key.trim();
    let (field, ascending) = match key.rsplit_once(char::is_whitespace) {
        Some((field, last)) if last.eq_ignore_ascii_case("desc") => (field, false),
        Some((field, last)) if last.eq_ignore_ascii_case("asc") => (field, true),
        _ => (key, true),
    };
    OrderByField {
        field_name: Some(field.trim_end().to_owned()),
        ascending: Some(ascending),
        ..OrderByField::default()
    }
}

impl TrackingClient {
    /// Makes a logged model, which is `Pending` until it is
    /// [finalized](Self::finalize_logged_model). `POST logged-models`
    ///
    /// # Errors
    /// When the experiment is not there, the name is refused, or the server does not answer.
    pub async fn create_logged_model(
        &self,
        new: NewLoggedModel,
    ) -> Result<LoggedModel, TrackingError> {
        let NewLoggedModel {
            mut request,
            params,
        } = new;
        let later = params.len().min(MOST_PARAMS);
        request.params = sent(&params[..later]);
        let name = request.name.as_deref().unwrap_or_default();
        let action = format!("create the logged model `{name}`");
        let answer: GetLoggedModelResponse = self
            .call(Tracking, CREATE_LOGGED_MODEL, &[], &request, &action)
            .await?;
        if later == params.len() {
            return Ok(answer.model);
        }
        let model_id = &answer.model.info.model_id;
        self.log_model_params(model_id, params[later..].iter().cloned())
            .await?;
        self.logged_model(model_id).await
    }

    /// A logged model with its params, tags and metrics. `GET logged-models/{model_id}`
    ///
    /// # Errors
    /// When there is none of this id, it is deleted, or the server does not answer.
    pub async fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        let action = format!("get the logged model `{model_id}`");
        let answer: GetLoggedModelResponse = self
            .query(Tracking, GET_LOGGED_MODEL, &[model_id], &[], &action)
            .await?;
        Ok(answer.model)
    }

    /// Finds logged models. `POST logged-models/search`
    pub fn search_logged_models(&self, search: LoggedModelSearch) -> Pages<LoggedModel> {
        let action = "search logged models";
        self.pages(action, move |client, page_token| {
            let body = SearchLoggedModelsRequest {
                page_token,
                max_results: Some(PAGE),
                ..search.request.clone()
            };
            async move {
                let answer: SearchLoggedModelsResponse = client
                    .call(Tracking, SEARCH_LOGGED_MODELS, &[], &body, action)
                    .await?;
                Ok((answer.models, answer.next_page_token))
            }
        })
    }

    /// The files of a logged model.
    ///
    /// # Errors
    /// When the model is not there, the server does not answer, or its files are in a place that
    /// cannot be reached.
    pub async fn logged_model_artifacts(&self, model_id: &str) -> Result<Artifacts, TrackingError> {
        let uri = self.logged_model(model_id).await?.info.artifact_uri;
        let uri = uri.filter(|uri| !uri.is_empty());
        let what = || format!("the model `{model_id}`");
        self.artifacts_at(&uri.ok_or_else(|| TrackingError::NoLocation(what()))?)
    }

    /// Says whether the files of a logged model are complete. `PATCH logged-models/{model_id}`
    ///
    /// # Errors
    /// When there is no such model, or the server does not answer.
    pub async fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        let body = FinalizeLoggedModelRequest {
            model_id: Some(model_id.to_owned()),
            status: Some(status),
        };
        let action = format!("finalize the logged model `{model_id}`");
        let answer: GetLoggedModelResponse = self
            .call(Tracking, FINALIZE_LOGGED_MODEL, &[model_id], &body, &action)
            .await?;
        Ok(answer.model)
    }

    /// Logs params of a logged model, a hundred in a request. They never change: one that is there
    /// already is refused, and with it the others of its request.
    /// `POST logged-models/{model_id}/params`
    ///
    /// # Errors
    /// When there is no such model, a param is refused, or the server does not answer.
    pub async fn log_model_params(
        &self,
        model_id: &str,
        params: impl IntoIterator<Item = Param>,
    ) -> Result<(), TrackingError> {
        let action = format!("log params of the logged model `{model_id}`");
        let params: Vec<Param> = params.into_iter().collect();
        for part in params.chunks(MOST_PARAMS) {
            let body = LogLoggedModelParamsRequest {
                model_id: Some(model_id.to_owned()),
                params: sent(part),
            };
            self.order(
                Tracking,
                LOG_LOGGED_MODEL_PARAMS,
                &[model_id],
                &body,
                &action,
            )
            .await?;
        }
        Ok(())
    }

    /// Sets tags of a logged model. `PATCH logged-models/{model_id}/tags`
    ///
    /// # Errors
    /// When there is no such model, or the server refuses or does not answer.
    pub async fn set_logged_model_tags(
        &self,
        model_id: &str,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Result<(), TrackingError> {
        let body = SetLoggedModelTagsRequest {
            tags: tags.into_iter().map(Into::into).collect(),
        };
        let action = format!("set tags of the logged model `{model_id}`");
        self.order(Tracking, SET_LOGGED_MODEL_TAGS, &[model_id], &body, &action)
            .await
    }

    /// Removes a tag of a logged model. `DELETE logged-models/{model_id}/tags/{tag_key}`
    ///
    /// `mlflow server` finds no tag with a slash in its name.
    ///
    /// # Errors
    /// When there is no such tag or model, or the server does not answer.
    pub async fn delete_logged_model_tag(
        &self,
        model_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let action = format!("delete the tag `{key}` of the logged model `{model_id}`");
        let parts = [model_id, key];
        self.order(
            Tracking,
            DELETE_LOGGED_MODEL_TAG,
            &parts,
            &json!({}),
            &action,
        )
        .await
    }

    /// Marks a logged model as deleted. `DELETE logged-models/{model_id}`
    ///
    /// # Errors
    /// When there is none of this id, or the server does not answer.
    pub async fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        let action = format!("delete the logged model `{model_id}`");
        self.order(
            Tracking,
            DELETE_LOGGED_MODEL,
            &[model_id],
            &json!({}),
            &action,
        )
        .await
    }

    /// Says that a run made a logged model, at a step of its training. `POST runs/outputs`
    ///
    /// # Errors
    /// When the run or the model is not there, or the server does not answer.
    pub async fn log_model_output(
        &self,
        run_id: &str,
        model_id: &str,
        step: impl Step,
    ) -> Result<(), TrackingError> {
        let body = LogOutputsRequest {
            run_id: Some(run_id.to_owned()),
            models: vec![ModelOutput {
                model_id: model_id.to_owned(),
                step: step.into_step(),
            }],
        };
        let action = format!("log the model `{model_id}` as made by the run `{run_id}`");
        self.order(Tracking, LOG_OUTPUTS, &[], &body, &action).await
    }
}

impl ActiveRun {
    /// Says that this run made a logged model, at a step of its training.
    /// [`log_model_directory`](Self::log_model_directory) does it by itself.
    ///
    /// # Errors
    /// When the model is not there, or the server does not answer.
    pub async fn log_model_output(
        &self,
        model_id: &str,
        step: impl Step,
    ) -> Result<(), TrackingError> {
        self.client()
            .log_model_output(self.id(), model_id, step)
            .await
    }
}

fn sent(params: &[Param]) -> Vec<SentTag> {
    params.iter().cloned().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_the_other_searches_write_it() {
        for (text, field, ascending) in [
            ("metrics.a DESC", "metrics.a", false),
            (" name  asc ", "name", true),
            ("creation_timestamp", "creation_timestamp", true),
            ("metrics.`a b` desc", "metrics.`a b`", false),
            ("metrics.`a b`", "metrics.`a b`", true),
            ("desc", "desc", true),
        ] {
            let found = order(text);
            assert_eq!(found.field_name.as_deref(), Some(field), "{text}");
            assert_eq!(found.ascending, Some(ascending), "{text}");
        }
    }
}
