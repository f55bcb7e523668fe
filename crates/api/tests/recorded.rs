//! Answers recorded from a real MLflow 3.17 server, and the odd spellings other servers use.
#![allow(missing_docs)]

use mlrs_api::artifacts::ListProxiedArtifactsResponse;
use mlrs_api::logged_models::{GetLoggedModelResponse, SearchLoggedModelsResponse};
use mlrs_api::registry::{GetLatestVersionsResponse, GetModelVersionResponse};
use mlrs_api::runs::GetRunResponse;
use mlrs_api::server_info::ServerInfo;

#[test]
fn a_model_version_is_read() {
    let answer: GetModelVersionResponse = serde_json::from_str(
        r#"{"model_version": {"name": "reg", "version": "1", "creation_timestamp": 1795000000000,
            "last_updated_timestamp": 1795000000001, "current_stage": "Production",
            "description": "", "source": "models:/m-0123456789abcdef0123456789abcdef",
            "run_id": "", "status": "READY", "run_link": "", "aliases": ["champ"],
            "tags": [{"key": "a", "value": "b"}], "something_new": {"x": [1]}}}"#,
    )
    .unwrap();
    assert_eq!(answer.model_version.version, "1");
    assert_eq!(answer.model_version.aliases, ["champ"]);
    assert_eq!(
        answer.model_version.creation_timestamp,
        Some(1_795_000_000_000)
    );
    assert_eq!(answer.model_version.model_id, None);
}

#[test]
fn an_empty_answer_and_null_fields_are_empty_lists() {
    for text in ["{}", r#"{"model_versions":null}"#] {
        let answer: GetLatestVersionsResponse = serde_json::from_str(text).unwrap();
        assert!(answer.model_versions.is_empty());
    }
    let listing: ListProxiedArtifactsResponse = serde_json::from_str(
        r#"{"files":[{"path":"MLmodel","is_dir":false,"file_size":"12"},{"path":"d","is_dir":true}]}"#,
    )
    .unwrap();
    assert_eq!(listing.files[0].file_size, Some(12));
    assert!(listing.files[1].is_dir);
}

#[test]
fn runs_and_logged_models_are_read() {
    let run: GetRunResponse = serde_json::from_str(
        r#"{"run":{"info":{"run_uuid":"r","run_id":"r","experiment_id":"1","start_time":"17",
            "artifact_uri":"mlflow-artifacts:/1/r/artifacts"},"data":{},"inputs":{},"outputs":{}}}"#,
    )
    .unwrap();
    assert_eq!(run.run.info.start_time, Some(17));
    let model: GetLoggedModelResponse = serde_json::from_str(
        r#"{"model":{"info":{"model_id":"m-1","experiment_id":"1","name":"clf",
            "artifact_uri":"mlflow-artifacts:/1/models/m-1/artifacts","source_run_id":"r"}}}"#,
    )
    .unwrap();
    assert_eq!(model.model.info.source_run_id.as_deref(), Some("r"));
    let page: SearchLoggedModelsResponse =
        serde_json::from_str(r#"{"models":[],"next_page_token":""}"#).unwrap();
    assert!(page.models.is_empty());
}

#[test]
fn server_info_of_an_older_server_has_defaults() {
    let info: ServerInfo = serde_json::from_str(r#"{"store_type":"SqlStore"}"#).unwrap();
    assert_eq!(info.store_type.as_deref(), Some("SqlStore"));
    assert!(!info.multipart_downloads_enabled);
}
