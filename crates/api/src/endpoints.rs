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
    /// Parameters go into a JSON body, as with all below.
    Post,
    /// Changes something.
    Patch,
    /// Deletes something.
    Delete,
    /// Uploads a file, which is the body.
    Put,
}

/// Prefix of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// `/api/2.0`
    V2,
    /// `/api/3.0`
    V3,
}

/// The prefix that MLflow's web pages use instead of `/api`, with the same endpoints below it.
pub const AJAX: &str = "/ajax-api";

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
    const fn of(method: Method, template: &'static str) -> Self {
        Self {
            method,
            version: ApiVersion::V2,
            template,
        }
    }

    const fn get(template: &'static str) -> Self {
        Self::of(Method::Get, template)
    }

    const fn post(template: &'static str) -> Self {
        Self::of(Method::Post, template)
    }

    const fn patch(template: &'static str) -> Self {
        Self::of(Method::Patch, template)
    }

    const fn delete(template: &'static str) -> Self {
        Self::of(Method::Delete, template)
    }

    const fn put(template: &'static str) -> Self {
        Self::of(Method::Put, template)
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

macro_rules! endpoints {
    ($($name:ident $method:ident $template:literal,)+) => {
        $(
            #[doc = concat!("`", stringify!($method), " ", $template, "`")]
            pub const $name: Endpoint = Endpoint::$method($template);
        )+

        /// Every endpoint of tracking and the registry that is part of MLflow's own API definition.
        pub const ENDPOINTS: &[Endpoint] = &[$($name,)+];
    };
}

endpoints! {
    // Experiments.
    CREATE_EXPERIMENT post "/mlflow/experiments/create",
    SEARCH_EXPERIMENTS post "/mlflow/experiments/search",
    SEARCH_EXPERIMENTS_BY_QUERY get "/mlflow/experiments/search",
    GET_EXPERIMENT get "/mlflow/experiments/get",
    GET_EXPERIMENT_BY_NAME get "/mlflow/experiments/get-by-name",
    DELETE_EXPERIMENT post "/mlflow/experiments/delete",
    RESTORE_EXPERIMENT post "/mlflow/experiments/restore",
    UPDATE_EXPERIMENT post "/mlflow/experiments/update",
    SET_EXPERIMENT_TAG post "/mlflow/experiments/set-experiment-tag",
    DELETE_EXPERIMENT_TAG post "/mlflow/experiments/delete-experiment-tag",

    // Runs.
    CREATE_RUN post "/mlflow/runs/create",
    UPDATE_RUN post "/mlflow/runs/update",
    DELETE_RUN post "/mlflow/runs/delete",
    RESTORE_RUN post "/mlflow/runs/restore",
    GET_RUN get "/mlflow/runs/get",
    SEARCH_RUNS post "/mlflow/runs/search",
    LOG_METRIC post "/mlflow/runs/log-metric",
    LOG_PARAM post "/mlflow/runs/log-parameter",
    SET_TAG post "/mlflow/runs/set-tag",
    DELETE_TAG post "/mlflow/runs/delete-tag",
    LOG_BATCH post "/mlflow/runs/log-batch",
    LOG_MODEL post "/mlflow/runs/log-model",
    LOG_INPUTS post "/mlflow/runs/log-inputs",
    LOG_OUTPUTS post "/mlflow/runs/outputs",

    // Metrics.
    GET_METRIC_HISTORY get "/mlflow/metrics/get-history",
    GET_METRIC_HISTORY_BULK_INTERVAL get "/mlflow/metrics/get-history-bulk-interval",

    // Logged models.
    CREATE_LOGGED_MODEL post "/mlflow/logged-models",
    FINALIZE_LOGGED_MODEL patch "/mlflow/logged-models/{model_id}",
    GET_LOGGED_MODEL get "/mlflow/logged-models/{model_id}",
    DELETE_LOGGED_MODEL delete "/mlflow/logged-models/{model_id}",
    SEARCH_LOGGED_MODELS post "/mlflow/logged-models/search",
    SET_LOGGED_MODEL_TAGS patch "/mlflow/logged-models/{model_id}/tags",
    DELETE_LOGGED_MODEL_TAG delete "/mlflow/logged-models/{model_id}/tags/{tag_key}",
    LIST_LOGGED_MODEL_ARTIFACTS get "/mlflow/logged-models/{model_id}/artifacts/directories",
    LOG_LOGGED_MODEL_PARAMS post "/mlflow/logged-models/{model_id}/params",

    // Artifacts.
    LIST_RUN_ARTIFACTS get "/mlflow/artifacts/list",
    DOWNLOAD_PROXIED_ARTIFACT get "/mlflow-artifacts/artifacts/<path:artifact_path>",
    UPLOAD_PROXIED_ARTIFACT put "/mlflow-artifacts/artifacts/<path:artifact_path>",
    LIST_PROXIED_ARTIFACTS get "/mlflow-artifacts/artifacts",
    DELETE_PROXIED_ARTIFACT delete "/mlflow-artifacts/artifacts/<path:artifact_path>",
    CREATE_MULTIPART_UPLOAD post "/mlflow-artifacts/mpu/create/<path:artifact_path>",
    COMPLETE_MULTIPART_UPLOAD post "/mlflow-artifacts/mpu/complete/<path:artifact_path>",
    ABORT_MULTIPART_UPLOAD post "/mlflow-artifacts/mpu/abort/<path:artifact_path>",
    PRESIGN_PROXIED_DOWNLOAD get "/mlflow-artifacts/presigned/<path:artifact_path>",
    PRESIGN_UPLOAD post "/mlflow/artifacts/presigned-upload-url",
    PRESIGN_DOWNLOAD post "/mlflow/artifacts/presigned-download-url",

    // Registered models.
    CREATE_REGISTERED_MODEL post "/mlflow/registered-models/create",
    RENAME_REGISTERED_MODEL post "/mlflow/registered-models/rename",
    UPDATE_REGISTERED_MODEL patch "/mlflow/registered-models/update",
    DELETE_REGISTERED_MODEL delete "/mlflow/registered-models/delete",
    GET_REGISTERED_MODEL get "/mlflow/registered-models/get",
    SEARCH_REGISTERED_MODELS get "/mlflow/registered-models/search",
    SET_REGISTERED_MODEL_TAG post "/mlflow/registered-models/set-tag",
    DELETE_REGISTERED_MODEL_TAG delete "/mlflow/registered-models/delete-tag",
    SET_REGISTERED_MODEL_ALIAS post "/mlflow/registered-models/alias",
    DELETE_REGISTERED_MODEL_ALIAS delete "/mlflow/registered-models/alias",
    GET_MODEL_VERSION_BY_ALIAS get "/mlflow/registered-models/alias",
    GET_LATEST_VERSIONS post "/mlflow/registered-models/get-latest-versions",
    GET_LATEST_VERSIONS_BY_QUERY get "/mlflow/registered-models/get-latest-versions",

    // Model versions.
    CREATE_MODEL_VERSION post "/mlflow/model-versions/create",
    UPDATE_MODEL_VERSION patch "/mlflow/model-versions/update",
    TRANSITION_MODEL_VERSION_STAGE post "/mlflow/model-versions/transition-stage",
    DELETE_MODEL_VERSION delete "/mlflow/model-versions/delete",
    GET_MODEL_VERSION get "/mlflow/model-versions/get",
    SEARCH_MODEL_VERSIONS get "/mlflow/model-versions/search",
    GET_MODEL_VERSION_DOWNLOAD_URI get "/mlflow/model-versions/get-download-uri",
    SET_MODEL_VERSION_TAG post "/mlflow/model-versions/set-tag",
    DELETE_MODEL_VERSION_TAG delete "/mlflow/model-versions/delete-tag",
}

/// What a server is and can do; absent on servers before MLflow 3.5.
pub const GET_SERVER_INFO: Endpoint = Endpoint {
    method: Method::Get,
    version: ApiVersion::V3,
    template: "/mlflow/server-info",
};

/// A file of a logged model. Only below `/ajax-api`.
pub const GET_LOGGED_MODEL_ARTIFACT: Endpoint =
    Endpoint::get("/mlflow/logged-models/{model_id}/artifacts/files");

/// Takes a file of a run from MLflow's pages. Only below `/ajax-api`.
pub const UPLOAD_ARTIFACT: Endpoint = Endpoint::post("/mlflow/upload-artifact");

/// Datasets of experiments. Only below `/ajax-api`: MLflow's own definition of it lacks a slash.
pub const SEARCH_DATASETS: Endpoint = Endpoint::post("/mlflow/experiments/search-datasets");

/// Points of a metric of several runs, for charts. Only below `/ajax-api`.
pub const GET_METRIC_HISTORY_BULK: Endpoint = Endpoint::get("/mlflow/metrics/get-history-bulk");

/// All experiments, for clients before MLflow 2.0.
pub const LIST_EXPERIMENTS: Endpoint = Endpoint::get("/mlflow/experiments/list");

/// All registered models, for clients before MLflow 2.0.
pub const LIST_REGISTERED_MODELS: Endpoint = Endpoint::get("/mlflow/registered-models/list");

/// The endpoints that MLflow 1.30, the last before 2.0, has below `/preview` as well: clients from
/// before MLflow 1.0 and programs written against them look there.
pub const PREVIEW: &[Endpoint] = &[
    LIST_EXPERIMENTS,
    CREATE_EXPERIMENT,
    GET_EXPERIMENT,
    DELETE_EXPERIMENT,
    RESTORE_EXPERIMENT,
    UPDATE_EXPERIMENT,
    SET_EXPERIMENT_TAG,
    CREATE_RUN,
    UPDATE_RUN,
    DELETE_RUN,
    RESTORE_RUN,
    GET_RUN,
    SEARCH_RUNS,
    LOG_METRIC,
    LOG_PARAM,
    SET_TAG,
    DELETE_TAG,
    LOG_BATCH,
    LOG_MODEL,
    GET_METRIC_HISTORY,
    LIST_RUN_ARTIFACTS,
    CREATE_REGISTERED_MODEL,
    RENAME_REGISTERED_MODEL,
    UPDATE_REGISTERED_MODEL,
    DELETE_REGISTERED_MODEL,
    GET_REGISTERED_MODEL,
    LIST_REGISTERED_MODELS,
    SEARCH_REGISTERED_MODELS,
    SET_REGISTERED_MODEL_TAG,
    DELETE_REGISTERED_MODEL_TAG,
    GET_LATEST_VERSIONS,
    GET_LATEST_VERSIONS_BY_QUERY,
    CREATE_MODEL_VERSION,
    UPDATE_MODEL_VERSION,
    TRANSITION_MODEL_VERSION_STAGE,
    DELETE_MODEL_VERSION,
    GET_MODEL_VERSION,
    SEARCH_MODEL_VERSIONS,
    GET_MODEL_VERSION_DOWNLOAD_URI,
    SET_MODEL_VERSION_TAG,
    DELETE_MODEL_VERSION_TAG,
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
