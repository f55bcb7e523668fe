//! Answers for parts of MLflow that are not there, where its web pages ask without being told to.
//!
//! Each is what an MLflow server answers that has nothing of the kind: no trace, no dataset for
//! evaluation, no judge, no gateway, no assistant, and no telemetry; of MLflow 3.18 also no issue and
//! no skill. What a button would do is refused ([`REFUSED`]): MLflow's pages have no switch for these
//! buttons. All stand below `/ajax-api` only. Below `/api`, where programs ask, such endpoints are
//! not found, so that no program takes an empty list for the truth.
//!
//! `users/current` is not here: a server without users does not have it, and the pages know that.

use mlrs_api::Method;
use mlrs_http::{ApiError, ErrorCode};
use mlrs_store::StoreError;
use serde_json::Value;

use crate::call::Refused;

/// An endpoint and its only answer.
pub(crate) struct Absent {
    /// Its method.
    pub(crate) method: Method,
    /// Its path.
    pub(crate) path: &'static str,
    answer: &'static str,
}

impl Absent {
    /// The answer, as JSON.
    pub(crate) fn answer(&self) -> Result<Value, StoreError> {
        let json = serde_json::from_str(self.answer);
        json.map_err(|error| StoreError::Internal(Box::new(error)))
    }
}

const fn get(path: &'static str, answer: &'static str) -> Absent {
    Absent {
        method: Method::Get,
        path,
        answer,
    }
}

const fn post(path: &'static str, answer: &'static str) -> Absent {
    Absent {
        method: Method::Post,
        path,
        answer,
    }
}

/// The endpoints.
pub(crate) const ANSWERS: &[Absent] = &[
    // The runs table asks for models to write prompts with.
    get("/ajax-api/2.0/mlflow/gateway-proxy", r#"{"endpoints":[]}"#),
    // Traces of an experiment and of a run.
    post("/ajax-api/3.0/mlflow/traces/search", "{}"),
    post("/ajax-api/3.0/mlflow/traces/metrics", "{}"),
    post("/ajax-api/3.0/mlflow/traces/batchGetInfos", "{}"),
    get("/ajax-api/2.0/mlflow/traces", "{}"),
    post("/ajax-api/3.0/mlflow/datasets/search", "{}"),
    // Reviews of traces, and issues found in them.
    get(
        "/ajax-api/3.0/mlflow/label-schemas/list",
        r#"{"next_page_token":""}"#,
    ),
    get(
        "/ajax-api/3.0/mlflow/review-queues/list",
        r#"{"next_page_token":""}"#,
    ),
    post(
        "/ajax-api/3.0/mlflow/issues/search",
        r#"{"next_page_token":""}"#,
    ),
    post(
        "/ajax-api/3.0/mlflow/issues/schedule/state",
        r#"{"next_fire_time_ms":null}"#,
    ),
    // Registries of other things than models.
    get(
        "/ajax-api/3.0/mlflow/mcp-servers",
        r#"{"mcp_servers":[],"next_page_token":null}"#,
    ),
    get(
        "/ajax-api/3.0/mlflow/mcp-servers/endpoints",
        r#"{"mcp_access_endpoints":[],"next_page_token":null}"#,
    ),
    get(
        "/ajax-api/3.0/mlflow/skills",
        r#"{"skills":[],"next_page_token":null}"#,
    ),
    get("/ajax-api/2.0/mlflow/webhooks", "{}"),
    // The gateway's own pages are hidden; some others offer its endpoints.
    get("/ajax-api/3.0/mlflow/gateway/endpoints/list", "{}"),
    get("/ajax-api/3.0/mlflow/gateway/secrets/list", "{}"),
    get("/ajax-api/3.0/mlflow/gateway/model-definitions/list", "{}"),
    post(
        "/ajax-api/3.0/mlflow/demo/delete",
        r#"{"features_deleted":[],"status":"deleted"}"#,
    ),
    get("/ajax-api/3.0/mlflow/scorers/list", "{}"),
    get(
        "/ajax-api/3.0/mlflow/scorers/online-configs",
        r#"{"configs":[]}"#,
    ),
    // Every page asks whether there is an assistant.
    get(
        "/ajax-api/3.0/mlflow/assistant/config",
        r#"{"providers":{},"projects":{},"remote_access_allowed":false}"#,
    ),
    get(
        "/ajax-api/3.0/mlflow/assistant/providers",
        r#"{"providers":[],"resolved":null,"gateway_vendor_options":{}}"#,
    ),
    // What people do with the pages is nobody's business.
    get(
        "/ajax-api/3.0/mlflow/ui-telemetry",
        r#"{"disable_ui_telemetry":true,"disable_ui_events":[],"ui_rollout_percentage":0}"#,
    ),
    post(
        "/ajax-api/3.0/mlflow/ui-telemetry",
        r#"{"status":"disabled"}"#,
    ),
];

/// What a button of the pages would do, and this server does not.
pub(crate) struct Missing {
    /// Its path; the method is POST.
    pub(crate) path: &'static str,
    what: &'static str,
}

impl Missing {
    /// What the page shows.
    pub(crate) fn refused(&self) -> Result<Value, Refused> {
        let message = format!("This server has no {}.", self.what);
        Err(Refused::Http(ApiError::new(
            ErrorCode::NotImplemented,
            message,
        )))
    }
}

const fn missing(path: &'static str, what: &'static str) -> Missing {
    Missing { path, what }
}

/// The endpoints behind buttons.
pub(crate) const REFUSED: &[Missing] = &[
    missing("/ajax-api/3.0/mlflow/demo/generate", "demo data"),
    missing(
        "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
        "prompt engineering",
    ),
    missing("/ajax-api/2.0/mlflow/gateway-proxy", "gateway"),
    missing("/ajax-api/2.0/mlflow/webhooks", "webhooks"),
    missing(
        "/ajax-api/3.0/mlflow/datasets/create",
        "evaluation datasets",
    ),
    missing("/ajax-api/3.0/mlflow/scorers/register", "judges"),
    missing("/ajax-api/3.0/mlflow/scorer/invoke", "judges"),
    missing("/ajax-api/3.0/mlflow/genai/evaluate/invoke", "evaluation"),
    missing("/ajax-api/3.0/mlflow/issues", "issues"),
    missing("/ajax-api/3.0/mlflow/issues/invoke", "issues"),
    missing(
        "/ajax-api/3.0/mlflow/mcp-servers",
        "registry of MCP servers",
    ),
    missing("/ajax-api/3.0/mlflow/skills", "registry of skills"),
    missing("/ajax-api/3.0/mlflow/assistant/skills/install", "assistant"),
    missing("/ajax-api/3.0/mlflow/label-schemas/create", "reviews"),
    missing("/ajax-api/3.0/mlflow/review-queues/create", "reviews"),
    missing(
        "/ajax-api/3.0/mlflow/review-queues/get-or-create-user",
        "reviews",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_and_for_pages_only() {
        for known in ANSWERS {
            assert!(known.answer().is_ok(), "{}", known.path);
            assert!(known.path.starts_with("/ajax-api/"), "{}", known.path);
        }
        for missing in REFUSED {
            assert!(missing.path.starts_with("/ajax-api/"), "{}", missing.path);
        }
    }
}
