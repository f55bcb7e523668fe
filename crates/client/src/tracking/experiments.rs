//! Experiments.

use mlrs_api::endpoints::{
    CREATE_EXPERIMENT, DELETE_EXPERIMENT, DELETE_EXPERIMENT_TAG, GET_EXPERIMENT,
    GET_EXPERIMENT_BY_NAME, RESTORE_EXPERIMENT, SEARCH_EXPERIMENTS, SET_EXPERIMENT_TAG,
    UPDATE_EXPERIMENT,
};
use mlrs_api::experiments::{
    CreateExperimentRequest, CreateExperimentResponse, Experiment, ExperimentIdRequest,
    ExperimentTagRequest, GetExperimentResponse, SearchExperimentsRequest,
    SearchExperimentsResponse, UpdateExperimentRequest,
};
use mlrs_api::{Tag, enums::ViewType};

use super::{Pages, TrackingClient, TrackingError};
use crate::servers::Side::Tracking;

/// Experiments asked for at a time; the most that MLflow gives.
const PAGE: i64 = 1000;

/// Which experiments, and in which order.
#[derive(Debug, Clone, Default)]
pub struct ExperimentSearch {
    request: SearchExperimentsRequest,
}

impl ExperimentSearch {
    /// All that are not deleted, the latest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that fit, in MLflow's grammar, such as `name LIKE 'iris%'`.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.request.filter = Some(filter.into());
        self
    }

    /// Further key to order by, with `ASC` or `DESC`, such as `name ASC`.
    #[must_use]
    pub fn order_by(mut self, key: impl Into<String>) -> Self {
        self.request.order_by.push(key.into());
        self
    }

    /// Deleted ones, or both.
    #[must_use]
    pub fn view(mut self, view: ViewType) -> Self {
        self.request.view_type = Some(view);
        self
    }
}

impl TrackingClient {
    /// Makes an experiment and returns its id. `POST experiments/create`
    ///
    /// # Errors
    /// [`ErrorCode::ResourceAlreadyExists`](super::ErrorCode::ResourceAlreadyExists) when the name is
    /// taken, also by a deleted one; and when the server does not answer.
    pub async fn create_experiment(
        &self,
        name: &str,
        artifact_location: Option<&str>,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Result<String, TrackingError> {
        let body = CreateExperimentRequest {
            name: Some(name.to_owned()),
            artifact_location: artifact_location.map(str::to_owned),
            tags: tags.into_iter().map(Into::into).collect(),
        };
        let action = format!("create the experiment `{name}`");
        let answer: CreateExperimentResponse = self
            .call(Tracking, CREATE_EXPERIMENT, &[], &body, &action)
            .await?;
        Ok(answer.experiment_id)
    }

    /// The id of the experiment of this name, which is made if there is none.
    ///
    /// # Errors
    /// When the experiment is deleted (restore it first), or the server does not answer.
    pub async fn get_or_create_experiment(&self, name: &str) -> Result<String, TrackingError> {
        if let Some(experiment) = self.experiment_by_name(name).await? {
            return Ok(experiment.experiment_id);
        }
        match self.create_experiment(name, None, []).await {
            // Somebody else was faster.
            Err(error) if error.is_already_exists() => self
                .experiment_by_name(name)
                .await?
                .map(|experiment| experiment.experiment_id)
                .ok_or(error),
            other => other,
        }
    }

    /// An experiment. `GET experiments/get`
    ///
    /// # Errors
    /// When there is none of this id, or the server does not answer.
    pub async fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        let action = format!("get the experiment `{experiment_id}`");
        let query = [("experiment_id", experiment_id)];
        let answer: GetExperimentResponse = self
            .query(Tracking, GET_EXPERIMENT, &[], &query, &action)
            .await?;
        Ok(answer.experiment)
    }

    /// The experiment of this name, deleted or not; none if there is none.
    /// `GET experiments/get-by-name`
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn experiment_by_name(
        &self,
        name: &str,
    ) -> Result<Option<Experiment>, TrackingError> {
        let action = format!("get the experiment `{name}`");
        let query = [("experiment_name", name)];
        let found: Result<GetExperimentResponse, _> = self
            .query(Tracking, GET_EXPERIMENT_BY_NAME, &[], &query, &action)
            .await;
        match found {
            Ok(answer) => Ok(Some(answer.experiment)),
            Err(error) if error.code() == Some(super::ErrorCode::ResourceDoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds experiments. `POST experiments/search`
    pub fn search_experiments(&self, search: ExperimentSearch) -> Pages<Experiment> {
        let action = "search experiments";
        self.pages(action, move |client, page_token| {
            let body = SearchExperimentsRequest {
                page_token,
                max_results: Some(PAGE),
                ..search.request.clone()
            };
            async move {
                let answer: SearchExperimentsResponse = client
                    .call(Tracking, SEARCH_EXPERIMENTS, &[], &body, action)
                    .await?;
                Ok((answer.experiments, answer.next_page_token))
            }
        })
    }

    /// Marks an experiment and its runs as deleted. `POST experiments/delete`
    ///
    /// # Errors
    /// When there is no active one of this id, or the server does not answer.
    pub async fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let action = format!("delete the experiment `{experiment_id}`");
        self.order(
            Tracking,
            DELETE_EXPERIMENT,
            &[],
            &named(experiment_id),
            &action,
        )
        .await
    }

    /// Brings a deleted experiment and its runs back. `POST experiments/restore`
    ///
    /// # Errors
    /// When there is no deleted one of this id, or the server does not answer.
    pub async fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let action = format!("restore the experiment `{experiment_id}`");
        self.order(
            Tracking,
            RESTORE_EXPERIMENT,
            &[],
            &named(experiment_id),
            &action,
        )
        .await
    }

    /// Gives an experiment another name. `POST experiments/update`
    ///
    /// # Errors
    /// When there is no active one of this id, the name is taken, or the server does not answer.
    pub async fn rename_experiment(
        &self,
        experiment_id: &str,
        new_name: &str,
    ) -> Result<(), TrackingError> {
        let body = UpdateExperimentRequest {
            experiment_id: Some(experiment_id.to_owned()),
            new_name: Some(new_name.to_owned()),
        };
        let action = format!("rename the experiment `{experiment_id}`");
        self.order(Tracking, UPDATE_EXPERIMENT, &[], &body, &action)
            .await
    }

    /// Sets a tag of an experiment. `POST experiments/set-experiment-tag`
    ///
    /// # Errors
    /// When there is no active one of this id, or the server refuses or does not answer.
    pub async fn set_experiment_tag(
        &self,
        experiment_id: &str,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        let action = format!("set the tag `{key}` of the experiment `{experiment_id}`");
        let body = tag(experiment_id, key, Some(value));
        self.order(Tracking, SET_EXPERIMENT_TAG, &[], &body, &action)
            .await
    }

    /// Removes a tag of an experiment. `POST experiments/delete-experiment-tag`
    ///
    /// # Errors
    /// When there is no such tag or experiment, or the server does not answer.
    pub async fn delete_experiment_tag(
        &self,
        experiment_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let action = format!("delete the tag `{key}` of the experiment `{experiment_id}`");
        let body = tag(experiment_id, key, None);
        self.order(Tracking, DELETE_EXPERIMENT_TAG, &[], &body, &action)
            .await
    }
}

fn named(experiment_id: &str) -> ExperimentIdRequest {
    ExperimentIdRequest {
        experiment_id: Some(experiment_id.to_owned()),
    }
}

fn tag(experiment_id: &str, key: &str, value: Option<&str>) -> ExperimentTagRequest {
    ExperimentTagRequest {
        experiment_id: Some(experiment_id.to_owned()),
        key: Some(key.to_owned()),
        value: value.map(str::to_owned),
    }
}
