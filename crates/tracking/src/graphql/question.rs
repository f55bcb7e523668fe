//! What fields ask of the handlers of the REST API, and what they answered.

use std::cell::RefCell;

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Refused;
use crate::handlers::{artifacts, experiments, lineage, metrics, model_versions, runs};
use crate::sent;
use crate::state::TrackingState;

/// A field of the root with its input, in the words of the REST API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    field: String,
    input: Map<String, Value>,
}

/// An answer of the REST API, or the message of its refusal.
pub(super) type Answered = Result<Value, String>;

impl Question {
    /// The question of a field of the root.
    pub(super) fn new(field: &str, input: Map<String, Value>) -> Self {
        Self {
            field: field.to_owned(),
            input,
        }
    }

    /// The experiment with this id.
    pub(super) fn experiment(id: &str) -> Self {
        Self::with("mlflowGetExperiment", "experiment_id", id)
    }

    /// The versions that were made of this run.
    pub(super) fn versions_of(run_id: &str) -> Self {
        let filter = format!("run_id='{run_id}'");
        Self::with("mlflowSearchModelVersions", "filter", &filter)
    }

    fn with(field: &str, name: &str, value: &str) -> Self {
        Self::new(field, Map::from_iter([(name.to_owned(), value.into())]))
    }

    /// Asks the handler.
    pub(super) async fn ask(&self, state: &TrackingState) -> Answered {
        match self.field.as_str() {
            "mlflowGetExperiment" => self.of(state, experiments::get).await,
            "mlflowGetMetricHistoryBulkInterval" => self.of(state, metrics::sampled_history).await,
            "mlflowGetRun" => self.of(state, runs::get).await,
            "mlflowListArtifacts" => self.of(state, artifacts::list_of_run).await,
            "mlflowSearchDatasets" => self.of(state, lineage::search_datasets).await,
            "mlflowSearchModelVersions" => self.of(state, model_versions::search).await,
            "mlflowSearchRuns" => self.of(state, runs::search).await,
            field => Err(format!("the field `{field}` has no answer")),
        }
    }

    async fn of<T, U, E, F>(
        &self,
        state: &TrackingState,
        handler: impl FnOnce(TrackingState, T) -> F,
    ) -> Answered
    where
        T: DeserializeOwned,
        U: Serialize,
        E: Into<Refused>,
        F: Future<Output = Result<U, E>>,
    {
        let input = Value::Object(self.input.clone());
        let request = sent::value(&input).map_err(|error| error.to_string())?;
        let answered = handler(state.clone(), request).await;
        let answer = answered.map_err(|refused| refused.into().into_message())?;
        serde_json::to_value(answer).map_err(|error| error.to_string())
    }
}

/// Questions with their answers, and those that nobody has asked yet.
#[derive(Default)]
pub(super) struct Known {
    answers: IndexMap<Question, Answered>,
    open: RefCell<IndexSet<Question>>,
}

impl Known {
    /// The answer to a question; without one, the question is noted.
    pub(super) fn answer(&self, question: Question) -> Option<&Answered> {
        let known = self.answers.get(&question);
        if known.is_none() {
            self.open.borrow_mut().insert(question);
        }
        known
    }

    /// The questions that were noted; none afterwards.
    pub(super) fn take_open(&mut self) -> IndexSet<Question> {
        self.open.take()
    }

    /// Keeps an answer.
    pub(super) fn learn(&mut self, question: Question, answer: Answered) {
        self.answers.insert(question, answer);
    }
}
