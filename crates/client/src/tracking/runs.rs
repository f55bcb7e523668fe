//! Runs, and what they log, one call each.

use mlrs_api::Tag;
use mlrs_api::endpoints::{
    CREATE_RUN, DELETE_RUN, DELETE_TAG, GET_METRIC_HISTORY, GET_RUN, LOG_BATCH, LOG_METRIC,
    RESTORE_RUN, SEARCH_RUNS, UPDATE_RUN,
};
use mlrs_api::enums::{RunStatus, ViewType};
use mlrs_api::metrics::{
    GetMetricHistoryResponse, LogBatchRequest, LogMetricRequest, Metric, Param, RunTagRequest,
};
use mlrs_api::runs::{
    CreateRunRequest, GetRunResponse, Run, RunIdRequest, RunInfo, SearchRunsRequest,
    SearchRunsResponse, UpdateRunRequest, UpdateRunResponse,
};

use super::{Pages, TrackingClient, TrackingError};
use crate::servers::Side::Tracking;

/// Runs asked for at a time: MLflow's default.
const PAGE: i64 = 1000;
/// Points of a metric asked for at a time: the most that MLflow gives.
const HISTORY_PAGE: &str = "25000";

/// Which runs, and in which order.
#[derive(Debug, Clone, Default)]
pub struct RunSearch {
    request: SearchRunsRequest,
}

impl RunSearch {
    /// Runs of these experiments that are not deleted, the latest first.
    pub fn in_experiments<T: Into<String>>(experiment_ids: impl IntoIterator<Item = T>) -> Self {
        let request = SearchRunsRequest {
            experiment_ids: experiment_ids.into_iter().map(Into::into).collect(),
            ..SearchRunsRequest::default()
        };
        Self { request }
    }

    /// Only those that fit, in MLflow's grammar, such as `metrics.accuracy > 0.9`.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.request.filter = Some(filter.into());
        self
    }

    /// Further key to order by, with `ASC` or `DESC`, such as `metrics.accuracy DESC`.
    #[must_use]
    pub fn order_by(mut self, key: impl Into<String>) -> Self {
        self.request.order_by.push(key.into());
        self
    }

    /// Deleted ones, or both.
    #[must_use]
    pub fn view(mut self, view: ViewType) -> Self {
        self.request.run_view_type = Some(view);
        self
    }
}

impl TrackingClient {
    /// Makes a run that logs nothing by itself; [`Self::start_run`] is the comfortable way.
    /// `POST runs/create`
    ///
    /// # Errors
    /// When the experiment is not there or deleted, or the server does not answer.
    pub async fn create_run(
        &self,
        experiment_id: &str,
        name: Option<&str>,
        start_time: i64,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Result<Run, TrackingError> {
        let tags: Vec<Tag> = tags.into_iter().collect();
        // Servers take the user out of the tag; the field is for those from before that.
        let user = tags.iter().find(|tag| tag.key == "mlflow.user");
        let body = CreateRunRequest {
            experiment_id: Some(experiment_id.to_owned()),
            user_id: user.map(|tag| tag.value.clone()),
            run_name: name.map(str::to_owned),
            start_time: Some(start_time),
            tags: tags.into_iter().map(Into::into).collect(),
        };
        let action = format!("create a run in the experiment `{experiment_id}`");
        let answer: GetRunResponse = self.call(Tracking, CREATE_RUN, &[], &body, &action).await?;
        Ok(answer.run)
    }

    /// A run with its params, tags and the latest point of each metric. `GET runs/get`
    ///
    /// # Errors
    /// When there is none of this id, or the server does not answer.
    pub async fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        let action = format!("get the run `{run_id}`");
        let answer: GetRunResponse = self
            .query(Tracking, GET_RUN, &[], &[("run_id", run_id)], &action)
            .await?;
        Ok(answer.run)
    }

    /// Finds runs. `POST runs/search`
    pub fn search_runs(&self, search: RunSearch) -> Pages<Run> {
        let action = "search runs";
        self.pages(action, move |client, page_token| {
            let body = SearchRunsRequest {
                page_token,
                max_results: Some(PAGE),
                ..search.request.clone()
            };
            async move {
                let answer: SearchRunsResponse = client
                    .call(Tracking, SEARCH_RUNS, &[], &body, action)
                    .await?;
                Ok((answer.runs, answer.next_page_token))
            }
        })
    }

    /// Changes the status, the end (milliseconds since the epoch) and the name of a run; what is none
    /// stays. `POST runs/update`
    ///
    /// # Errors
    /// When there is no active run of this id, or the server does not answer.
    pub async fn update_run(
        &self,
        run_id: &str,
        status: Option<RunStatus>,
        end_time: Option<i64>,
        name: Option<&str>,
    ) -> Result<RunInfo, TrackingError> {
        let body = UpdateRunRequest {
            run_id: Some(run_id.to_owned()),
            status,
            end_time,
            run_name: name.map(str::to_owned),
            ..UpdateRunRequest::default()
        };
        let action = format!("update the run `{run_id}`");
        let answer: UpdateRunResponse =
            self.call(Tracking, UPDATE_RUN, &[], &body, &action).await?;
        Ok(answer.run_info)
    }

    /// Marks a run as deleted. `POST runs/delete`
    ///
    /// # Errors
    /// When there is none of this id, or the server does not answer.
    pub async fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let action = format!("delete the run `{run_id}`");
        self.order(Tracking, DELETE_RUN, &[], &named(run_id), &action)
            .await
    }

    /// Brings a deleted run back. `POST runs/restore`
    ///
    /// # Errors
    /// When there is none of this id, or the server does not answer.
    pub async fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let action = format!("restore the run `{run_id}`");
        self.order(Tracking, RESTORE_RUN, &[], &named(run_id), &action)
            .await
    }

    /// Logs one point of a metric, which may be of a logged model and on a dataset.
    /// `POST runs/log-metric`
    ///
    /// # Errors
    /// When the point is refused, the run or the model is not there, or the server does not answer.
    pub async fn log_metric(
        &self,
        run_id: &str,
        point: impl Into<Metric>,
    ) -> Result<(), TrackingError> {
        let point = point.into();
        let action = format!("log the metric `{}` to the run `{run_id}`", point.key);
        let body = LogMetricRequest {
            run_id: Some(run_id.to_owned()),
            run_uuid: None,
            key: Some(point.key),
            value: Some(point.value),
            timestamp: Some(point.timestamp),
            step: Some(point.step),
            model_id: point.model_id,
            dataset_name: point.dataset_name,
            dataset_digest: point.dataset_digest,
        };
        self.order(Tracking, LOG_METRIC, &[], &body, &action).await
    }

    /// Logs metrics, params and tags in as many requests as the server's limits need: 1000 metrics,
    /// 100 params and 100 tags each. `POST runs/log-batch`
    ///
    /// # Errors
    /// When a value is refused, the run is not there or deleted, or the server does not answer. What
    /// earlier requests logged stays.
    pub async fn log_batch(
        &self,
        run_id: &str,
        metrics: impl IntoIterator<Item = Metric>,
        params: impl IntoIterator<Item = Param>,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Result<(), TrackingError> {
        use super::batch::{Batch, Value};
        let values = (params.into_iter().map(Value::Param))
            .chain(tags.into_iter().map(Value::Tag))
            .chain(metrics.into_iter().map(Value::Metric));
        let mut batch = Batch::default();
        for value in values {
            if let Some(value) = batch.add(value) {
                self.send_batch(run_id, std::mem::take(&mut batch).values())
                    .await?;
                batch.add(value);
            }
        }
        self.send_batch(run_id, batch.values()).await
    }

    /// Sends values that fit into one request.
    pub(super) async fn send_batch(
        &self,
        run_id: &str,
        values: &[super::batch::Value],
    ) -> Result<(), TrackingError> {
        use super::batch::Value;
        if values.is_empty() {
            return Ok(());
        }
        let mut body = LogBatchRequest {
            run_id: Some(run_id.to_owned()),
            ..LogBatchRequest::default()
        };
        for value in values {
            match value.clone() {
                Value::Metric(metric) => body.metrics.push(metric.into()),
                Value::Param(param) => body.params.push(param.into()),
                Value::Tag(tag) => body.tags.push(tag.into()),
            }
        }
        let action = format!("log to the run `{run_id}`");
        self.order(Tracking, LOG_BATCH, &[], &body, &action).await
    }

    /// Removes a tag of a run. `POST runs/delete-tag`
    ///
    /// # Errors
    /// When there is no such tag or run, or the server does not answer.
    pub async fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        let body = RunTagRequest {
            run_id: Some(run_id.to_owned()),
            key: Some(key.to_owned()),
            ..RunTagRequest::default()
        };
        let action = format!("delete the tag `{key}` of the run `{run_id}`");
        self.order(Tracking, DELETE_TAG, &[], &body, &action).await
    }

    /// Every point of a metric, ordered by time, step and value. `GET metrics/get-history`
    ///
    /// ```no_run
    /// use futures_util::TryStreamExt as _;
    /// # use mlrs_client::tracking::{TrackingClient, TrackingError};
    ///
    /// # async fn example(client: TrackingClient, run_id: &str) -> Result<(), TrackingError> {
    /// let mut points = std::pin::pin!(client.metric_history(run_id, "loss").into_stream());
    /// while let Some(point) = points.try_next().await? {
    ///     println!("{} {}", point.step, point.value);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn metric_history(&self, run_id: &str, key: &str) -> Pages<Metric> {
        let (run_id, key) = (run_id.to_owned(), key.to_owned());
        let action = format!("get the metric `{key}` of the run `{run_id}`");
        self.pages(action.clone(), move |client, page_token| {
            let (run_id, key, action) = (run_id.clone(), key.clone(), action.clone());
            async move {
                let mut query = vec![
                    ("run_id", run_id.as_str()),
                    ("metric_key", key.as_str()),
                    ("max_results", HISTORY_PAGE),
                ];
                query.extend(page_token.as_deref().map(|token| ("page_token", token)));
                let answer: GetMetricHistoryResponse = client
                    .query(Tracking, GET_METRIC_HISTORY, &[], &query, &action)
                    .await?;
                Ok((answer.metrics, answer.next_page_token))
            }
        })
    }
}

fn named(run_id: &str) -> RunIdRequest {
    RunIdRequest {
        run_id: Some(run_id.to_owned()),
        run_uuid: None,
    }
}
