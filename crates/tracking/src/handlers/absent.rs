//! Answers for parts of MLflow that are not there, where its web pages ask without being told to.
//!
//! Each is what an MLflow server answers that has nothing of the kind: no trace, no dataset for
//! evaluation, no judge, no gateway, no assistant, and no telemetry. They stand below `/ajax-api`
//! only. Below `/api`, where programs ask, such endpoints are not found, so that no program takes an
//! empty list for the truth.

use mlrs_api::Method;
use mlrs_store::StoreError;
use serde_json::Value;

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
    post("/ajax-api/3.0/mlflow/datasets/search", "{}"),
    get("/ajax-api/3.0/mlflow/scorers/list", "{}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_and_for_pages_only() {
        for known in ANSWERS {
            assert!(known.answer().is_ok(), "{}", known.path);
            assert!(known.path.starts_with("/ajax-api/"), "{}", known.path);
        }
    }
}
