//! The model registry: registered models, their versions, stages, aliases and tags.

mod models;
mod versions;

use mlrs_api::registry::RegistryTagRequest;

pub use versions::NewVersion;

/// Which models or versions, and in which order.
#[derive(Debug, Clone, Default)]
pub struct RegistrySearch {
    filter: Option<String>,
    order_by: Vec<String>,
}

impl RegistrySearch {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that fit, in MLflow's grammar, such as `name = 'iris'`.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Further key to order by, with `ASC` or `DESC`, such as `last_updated_timestamp DESC`.
    #[must_use]
    pub fn order_by(mut self, key: impl Into<String>) -> Self {
        self.order_by.push(key.into());
        self
    }

    fn query<'a>(&'a self, page: &'a str, token: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        let mut query = vec![("max_results", page)];
        query.extend(self.filter.as_deref().map(|filter| ("filter", filter)));
        query.extend(self.order_by.iter().map(|key| ("order_by", key.as_str())));
        query.extend(token.map(|token| ("page_token", token)));
        query
    }
}

/// A version, for messages.
fn called(name: &str, version: &str) -> String {
    format!("version `{version}` of the registered model `{name}`")
}

fn tagged(name: &str) -> RegistryTagRequest {
    RegistryTagRequest {
        name: Some(name.to_owned()),
        ..RegistryTagRequest::default()
    }
}
