//! The endpoint table: which call has which method and path.
//!
//! A path is written as in MLflow's protobuf files, with `{name}` for a part that the caller fills
//! in; [`Endpoint::path`] adds the prefix of its API version and percent-encodes what is filled in.

use std::fmt::Write as _;

/// HTTP method of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Parameters go into the query.
    Get,
    /// Parameters go into a JSON body.
    Post,
}

/// Prefix of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// `/api/2.0`
    V2,
    /// `/api/3.0`
    V3,
}

impl ApiVersion {
    /// The prefix, without a slash at its end.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "/api/2.0",
            Self::V3 => "/api/3.0",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// HTTP method.
    pub method: Method,
    /// Which prefix.
    pub version: ApiVersion,
    /// Path below the prefix, with `{name}` for parts to fill in.
    pub template: &'static str,
}

impl Endpoint {
    const fn get(template: &'static str) -> Self {
        Self {
            method: Method::Get,
            version: ApiVersion::V2,
            template,
        }
    }

    const fn post(template: &'static str) -> Self {
        Self {
            method: Method::Post,
            version: ApiVersion::V2,
            template,
        }
    }

    /// The path from the root of the server, each `{…}` replaced by the next of `parts`,
    /// percent-encoded so that no part can add a segment, a query or a fragment.
    pub fn path(&self, parts: &[&str]) -> String {
        let mut path = String::from(self.version.prefix());
        let mut parts = parts.iter();
        let mut rest = self.template;
        while let Some((before, after)) = rest.split_once('{') {
            path.push_str(before);
            encode_segment(parts.next().copied().unwrap_or_default(), &mut path);
            rest = after.split_once('}').map_or("", |(_, tail)| tail);
        }
        path.push_str(rest);
        path
    }
}

/// Appends `text` with everything but unreserved characters (RFC 3986, 2.3) percent-encoded.
fn encode_segment(text: &str, target: &mut String) {
    for byte in text.bytes() {
        // A segment of dots alone would be read as a step in the hierarchy.
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
        if plain || (byte == b'.' && !text.bytes().all(|other| other == b'.')) {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}");
        }
    }
}

/// `registered-models/get?name=`
pub const GET_REGISTERED_MODEL: Endpoint = Endpoint::get("/mlflow/registered-models/get");
/// `registered-models/alias?name=&alias=`
pub const GET_MODEL_VERSION_BY_ALIAS: Endpoint = Endpoint::get("/mlflow/registered-models/alias");
/// `registered-models/get-latest-versions` with a JSON body.
pub const GET_LATEST_VERSIONS: Endpoint =
    Endpoint::post("/mlflow/registered-models/get-latest-versions");
/// The same with a query, for servers before the POST form.
pub const GET_LATEST_VERSIONS_BY_QUERY: Endpoint =
    Endpoint::get("/mlflow/registered-models/get-latest-versions");
/// `model-versions/get?name=&version=`
pub const GET_MODEL_VERSION: Endpoint = Endpoint::get("/mlflow/model-versions/get");
/// `model-versions/get-download-uri?name=&version=`
pub const GET_MODEL_VERSION_DOWNLOAD_URI: Endpoint =
    Endpoint::get("/mlflow/model-versions/get-download-uri");
/// `runs/get?run_id=`
pub const GET_RUN: Endpoint = Endpoint::get("/mlflow/runs/get");
/// `artifacts/list?run_id=&path=`
pub const LIST_RUN_ARTIFACTS: Endpoint = Endpoint::get("/mlflow/artifacts/list");
/// `logged-models/{model_id}`
pub const GET_LOGGED_MODEL: Endpoint = Endpoint::get("/mlflow/logged-models/{model_id}");
/// `logged-models/search` with a JSON body.
pub const SEARCH_LOGGED_MODELS: Endpoint = Endpoint::post("/mlflow/logged-models/search");
/// `mlflow-artifacts/artifacts?path=`: one level of the proxied store. Files are below the same
/// path, one segment of the address per segment of the file's path.
pub const LIST_PROXIED_ARTIFACTS: Endpoint = Endpoint::get("/mlflow-artifacts/artifacts");
/// `server-info`; absent on older servers.
pub const GET_SERVER_INFO: Endpoint = Endpoint {
    method: Method::Get,
    version: ApiVersion::V3,
    template: "/mlflow/server-info",
};

/// Every endpoint above.
pub const ENDPOINTS: &[Endpoint] = &[
    GET_REGISTERED_MODEL,
    GET_MODEL_VERSION_BY_ALIAS,
    GET_LATEST_VERSIONS,
    GET_LATEST_VERSIONS_BY_QUERY,
    GET_MODEL_VERSION,
    GET_MODEL_VERSION_DOWNLOAD_URI,
    GET_RUN,
    LIST_RUN_ARTIFACTS,
    GET_LOGGED_MODEL,
    SEARCH_LOGGED_MODELS,
    LIST_PROXIED_ARTIFACTS,
    GET_SERVER_INFO,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_prefix_of_its_version() {
        assert_eq!(GET_RUN.path(&[]), "/api/2.0/mlflow/runs/get");
        assert_eq!(GET_SERVER_INFO.path(&[]), "/api/3.0/mlflow/server-info");
    }

    #[test]
    fn what_is_filled_in_cannot_leave_its_segment() {
        let path = |id| GET_LOGGED_MODEL.path(&[id]);
        assert_eq!(path("m-0a1b"), "/api/2.0/mlflow/logged-models/m-0a1b");
        assert_eq!(
            path("../x?y#z"),
            "/api/2.0/mlflow/logged-models/..%2Fx%3Fy%23z"
        );
        assert_eq!(path(".."), "/api/2.0/mlflow/logged-models/%2E%2E");
        assert_eq!(path("ä"), "/api/2.0/mlflow/logged-models/%C3%A4");
    }

    #[test]
    fn no_two_endpoints_are_the_same() {
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            assert!(
                !ENDPOINTS[..index].contains(endpoint),
                "{}",
                endpoint.template
            );
        }
    }
}
