//! What is deleted for good: what it is, and who does it.
//!
//! Deleting in the API only marks; this is what ends what was marked. The rules are those of
//! `mlflow gc`: only what is marked, and, when an age is asked for, only what was marked before.

use async_trait::async_trait;

use crate::error::StoreError;

/// What is to be deleted for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GarbageQuery {
    /// These runs; all that are deleted when absent.
    pub run_ids: Option<Vec<String>>,
    /// These experiments; all that are deleted when absent.
    pub experiment_ids: Option<Vec<i64>>,
    /// These logged models; all that are deleted when absent.
    pub logged_model_ids: Option<Vec<String>>,
    /// Deleted no later than this, in milliseconds since the epoch.
    pub before: Option<i64>,
}

/// A run or a logged model that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarbageItem {
    /// Its id.
    pub id: String,
    /// Root of its artifacts, if it has one.
    pub artifact_root: Option<String>,
}

/// An experiment that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarbageExperiment {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its runs, which go before it or with it.
    pub runs: Vec<GarbageItem>,
    /// Its logged models, which go before it or with it.
    pub logged_models: Vec<GarbageItem>,
}

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Runs, those of the experiments that are deleted among them.
    pub runs: Vec<GarbageItem>,
    /// Logged models.
    pub logged_models: Vec<GarbageItem>,
    /// Experiments.
    pub experiments: Vec<GarbageExperiment>,
}

/// A store that deletes for good.
#[async_trait]
pub trait GarbageStore: Send + Sync {
    /// What a query means. Something that was asked for by its id and may not go is an error.
    async fn garbage(&self, query: GarbageQuery) -> Result<Garbage, StoreError>;
    /// Ends a deleted run with all that it logged.
    async fn erase_run(&self, id: String) -> Result<(), StoreError>;
    /// Ends a deleted logged model with all that was logged about it.
    async fn erase_logged_model(&self, id: String) -> Result<(), StoreError>;
    /// Ends a deleted experiment with everything in it.
    async fn erase_experiment(&self, id: i64) -> Result<(), StoreError>;
}
