//! The domain of tracking: what may be asked, what it means, and what a store must do.
//!
//! Five rooms. [`rules`] checks requests and makes of them what a store is asked to do: ids, times,
//! names and limits are made there, in MLflow's words. [`search`] reads the filter grammar into a
//! tree that knows nothing of SQL. The traits in [`traits`] are what a store implements; it stores,
//! and decides only what needs a transaction. [`import`] is how data of another store come in, with
//! ids and times that are made already; [`garbage`] is how data leave for good. Entities are the
//! wire types of `mlrs-api`: MLflow's own entities have the same fields.

pub mod clock;
#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod garbage;
pub mod import;
pub mod rules;
pub mod search;
pub mod traits;

pub use error::{ParamChange, StoreError};
pub use traits::{
    Batch, ExperimentStore, LineageStore, LoggedModelStore, MetricQuery, MetricStore,
    ModelVersionStore, NewExperiment, NewLoggedModel, NewModelVersion, NewRegisteredModel, NewRun,
    Page, RegisteredModelStore, RegistryStore, RunStore, RunUpdate, Stage, StoreHealth,
    TrackingStore,
};
