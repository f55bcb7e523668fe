//! The MLflow REST API over stores.
//!
//! A request goes one way: `sent` reads it into its wire type, a function of `handlers` asks a
//! rule of `mlrs-store` what it means and the store to do it, `call` writes the answer, and counts
//! and logs it. Routes come from the endpoint table of `mlrs-api`, each under `/api` and `/ajax-api`.
//!
//! MLflow's web pages are files that somebody built (`pages`); what they ask beyond the REST API is
//! answered by `graphql` and `handlers::absent`. [`garbage`] deletes for good what was deleted,
//! artifacts with it.

mod artifacts;
mod call;
mod field_names;
mod file_answer;
pub mod garbage;
mod graphql;
mod handlers;
mod metrics;
mod pages;
mod registration;
mod remnants;
mod routes;
mod routing;
mod sent;
mod state;
mod transfers;

pub use artifacts::Artifacts;
pub use graphql::GraphqlLimits;
pub use pages::{Pages, PagesError};
pub use remnants::remove_remnants;
pub use routes::router;
pub use state::{StartError, Stores, TrackingSettings, TrackingState};
