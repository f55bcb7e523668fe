//! Values as long as MLflow allows, and longer ones: JSON in tags, profiles of datasets, bodies.

use mlrs_testing::{Client, MlrsServer, Postgres, skipped};
use serde_json::{Value, json};

use crate::ask::{api, parsed, post};

fn new_run(client: &Client, server: &MlrsServer) -> String {
    let made = post(client, &api(server, "runs/create"), &json!({})).unwrap();
    parsed(&made)["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn tag(client: &Client, server: &MlrsServer, run: &str, key: &str) -> Option<String> {
    let found = client.get(&api(server, &format!("runs/get?run_id={run}")));
    let found = parsed(&found.unwrap());
    let tags = found["run"]["data"]["tags"].as_array().unwrap().clone();
    let tag = tags.into_iter().find(|tag| tag["key"] == key)?;
    Some(tag["value"].as_str().unwrap().to_owned())
}

/// What `mlflow.log_table` keeps in a tag, for so many tables.
fn tables(count: usize) -> String {
    let table = |index| json!({ "path": format!("table-{index}.json"), "type": "table" });
    Value::from((0..count).map(table).collect::<Vec<_>>()).to_string()
}

const TAG: &str = "mlflow.loggedArtifacts";

#[test]
fn json_in_a_tag_is_kept_whole() {
    let (server, client) = (MlrsServer::start(&[]).unwrap(), Client::new());
    let long = tables(400);
    assert!(long.len() > 8000);
    let run = new_run(&client, &server);
    let body = json!({ "run_id": run, "key": TAG, "value": long });
    let set = post(&client, &api(&server, "runs/set-tag"), &body).unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(tag(&client, &server, &run, TAG).unwrap(), long);

    let batch = json!({ "run_id": run, "tags": [{ "key": "batch", "value": long }] });
    let set = post(&client, &api(&server, "runs/log-batch"), &batch).unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(tag(&client, &server, &run, "batch").unwrap(), long);

    let first = json!({ "tags": [{ "key": "first", "value": long }] });
    let made = parsed(&post(&client, &api(&server, "runs/create"), &first).unwrap());
    let other = made["run"]["info"]["run_id"].as_str().unwrap();
    assert_eq!(tag(&client, &server, other, "first").unwrap(), long);

    // A text is cut, as MLflow cuts it.
    let body = json!({ "run_id": run, "key": "text", "value": &long[..long.len() - 1] });
    let set = post(&client, &api(&server, "runs/set-tag"), &body).unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(tag(&client, &server, &run, "text").unwrap(), long[..8000]);

    let endless = json!({ "run_id": run, "key": TAG, "value": tables(30_000) });
    let refused = post(&client, &api(&server, "runs/set-tag"), &endless).unwrap();
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(tag(&client, &server, &run, TAG).unwrap(), long);
}

/// Its column takes 8,000 characters there.
#[test]
fn json_in_a_tag_is_refused_where_postgresql_cannot_hold_it() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("long tags on PostgreSQL", &error.to_string()),
    };
    let uri = cluster.database("tags").unwrap();
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    let client = Client::new();
    let run = new_run(&client, &server);
    let set = |count| {
        let body = json!({ "run_id": run, "key": TAG, "value": tables(count) });
        post(&client, &api(&server, "runs/set-tag"), &body).unwrap()
    };
    assert_eq!(set(100).status, 200);
    let refused = set(400);
    assert_eq!(refused.status, 400, "{refused:?}");
    for told in ["INVALID_PARAMETER_VALUE", TAG, "8000"] {
        assert!(refused.body.contains(told), "{told}: {refused:?}");
    }
    assert_eq!(tag(&client, &server, &run, TAG).unwrap(), tables(100));
}

#[test]
fn models_that_a_run_logs_are_all_in_its_history() {
    let (server, client) = (MlrsServer::start(&[]).unwrap(), Client::new());
    let run = new_run(&client, &server);
    for index in 0..60 {
        let path = format!("model-{index}");
        let model = json!({ "artifact_path": path, "run_id": run, "utc_time_created": "x".repeat(20),
            "flavors": { "onnx": { "data": "y".repeat(100) } } });
        let body = json!({ "run_id": run, "model_json": model.to_string() });
        let logged = post(&client, &api(&server, "runs/log-model"), &body).unwrap();
        assert_eq!(logged.status, 200, "{index}: {logged:?}");
    }
    let history = tag(&client, &server, &run, "mlflow.log-model.history").unwrap();
    assert!(history.len() > 8000, "{}", history.len());
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    assert_eq!(history.len(), 60);
    assert_eq!(history[59]["artifact_path"], "model-59");
}

#[test]
fn the_longest_profile_of_a_dataset_fits_into_a_request() {
    let (server, client) = (MlrsServer::start(&[]).unwrap(), Client::new());
    let run = new_run(&client, &server);
    let input = |profile: &str| {
        format!(
            r#"{{"run_id":"{run}","datasets":[{{"dataset":{{"name":"n","digest":"d","source_type":"t","source":"s","profile":"{profile}"}}}}]}}"#
        )
    };
    let log = |body: &str| {
        let url = api(&server, "runs/log-inputs");
        client.post(&url, Some("application/json"), body.as_bytes())
    };
    // Python writes every character beyond ASCII as six.
    let longest = "\\u00e4".repeat(16_777_215);
    let logged = log(&input(&longest)).unwrap();
    assert_eq!(logged.status, 200, "{logged:?}");
    let found = client.bytes(&api(&server, &format!("runs/get?run_id={run}")));
    let found: Value = serde_json::from_slice(&found.unwrap()).unwrap();
    let kept = &found["run"]["inputs"]["dataset_inputs"][0]["dataset"]["profile"];
    assert_eq!(kept.as_str().unwrap().chars().count(), 16_777_215);

    let refused = log(&input(&"a".repeat(16_777_216))).unwrap();
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[test]
fn the_limit_of_bodies_is_an_option() {
    let server = MlrsServer::start(&["--body-limit", "1000"]).unwrap();
    let client = Client::new();
    let create = |length: usize| {
        let body = json!({ "name": "x", "tags": [{ "key": "k", "value": "v".repeat(length) }] });
        post(&client, &api(&server, "experiments/create"), &body).unwrap()
    };
    let refused = create(1000);
    assert_eq!(refused.status, 413, "{refused:?}");
    for told in ["INVALID_PARAMETER_VALUE", "1000 bytes", "--body-limit"] {
        assert!(refused.body.contains(told), "{told}: {refused:?}");
    }
    assert_eq!(create(100).status, 200);
}
