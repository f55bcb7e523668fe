//! The stores of tracking on SQL databases, in MLflow's own schema.
//!
//! The statements are written once, against [`connection::Connection`], a narrow synchronous view of
//! a database; `sqlite` and `postgres` are two. A piece of work is a closure over such a connection:
//! it runs in one transaction, on a thread of its own. What reads ends with its client or at the
//! deadline of the store ([`SqlStore::with_statement_timeout`]); what writes is left out if its client
//! is gone before it begins, and ends at the deadline.
//! Statements are built by [`statement::Statement`], which takes text of the program only: what a
//! user sent is always a bound value.
//!
//! A database that MLflow made is used in place, and MLflow may use it at the same time. An empty one
//! gets MLflow's schema (`schema/`).

pub mod check;
pub mod connection;
mod experiments;
mod garbage;
mod hydrate;
mod import;
mod lineage;
mod log;
mod logged_models;
mod metrics;
mod model_versions;
mod moved;
mod open;
mod page;
mod password_file;
mod pool;
mod postgres;
mod registered_models;
mod relative;
mod runs;
mod sampled;
mod schema;
mod search;
mod sqlite;
pub mod statement;
#[cfg(test)]
mod statement_count;
pub mod uri;
mod watch;

pub use open::{OpenError, SqlStore};
pub use relative::RelativeLocations;
pub use schema::REVISION;
pub use uri::{DatabaseUri, Encryption, PostgresUri, UriError};
