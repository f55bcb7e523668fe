//! One request: method, address, body, and from which byte on.

use bytes::Bytes;
use mlrs_api::Method;
use url::Url;

/// One request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Bytes>,
    pub(super) offset: u64,
    pub(super) entity_tag: Option<String>,
}

impl HttpRequest {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            body: None,
            offset: 0,
            entity_tag: None,
        }
    }

    /// A POST with a JSON body.
    pub fn post(url: Url, json: impl Into<Bytes>) -> Self {
        Self::with_json(Method::Post, url, json)
    }

    /// A request of this method with a JSON body.
    pub fn with_json(method: Method, url: Url, json: impl Into<Bytes>) -> Self {
        Self {
            method,
            body: Some(json.into()),
            ..Self::get(url)
        }
    }

    /// A DELETE without a body.
    pub fn delete(url: Url) -> Self {
        Self {
            method: Method::Delete,
            ..Self::get(url)
        }
    }

    /// Asks for the content from this byte on, if it is still the one with this entity tag.
    #[must_use]
    pub fn from_byte(mut self, offset: u64, entity_tag: Option<String>) -> Self {
        self.offset = offset;
        self.entity_tag = entity_tag;
        self
    }
}
