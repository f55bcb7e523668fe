//! One function for each endpoint: ask a rule what the request means, the store to do it, and map.

pub(crate) mod absent;
pub(crate) mod artifacts;
pub(crate) mod experiments;
pub(crate) mod lineage;
pub(crate) mod logged_models;
pub(crate) mod metrics;
pub(crate) mod model_versions;
pub(crate) mod pages;
pub(crate) mod registered_models;
pub(crate) mod runs;
pub(crate) mod server_info;
pub(crate) mod transfers;

use mlrs_store::Page;
use mlrs_store::search::page_token;
use serde::Serialize;

/// The answer of calls that only do something: `{}`.
#[derive(Debug, Serialize)]
pub(crate) struct Done {}

/// The items of a page and the token of the next one.
fn paged<T>(page: Page<T>) -> (Vec<T>, Option<String>) {
    (page.items, page.next_offset.map(page_token::of))
}
