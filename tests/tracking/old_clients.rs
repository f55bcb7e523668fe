//! Clients from before MLflow 2.0: the endpoints that MLflow 1.30 had and later ones do not.

use mlrs_testing::{Client, MlrsServer};
use serde_json::{Value, json};

use crate::ask::{api, parsed, post};

fn names(answer: &Value, list: &str) -> Vec<String> {
    let items = answer[list].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

#[test]
fn lists_are_those_of_mlflow_1_30() {
    let (server, client) = (MlrsServer::start(&[]).unwrap(), Client::new());
    for name in ["b", "a", "gone"] {
        let body = json!({ "name": name });
        let made = post(&client, &api(&server, "experiments/create"), &body).unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        post(&client, &api(&server, "registered-models/create"), &body).unwrap();
    }
    let gone = json!({ "experiment_id": "3" });
    post(&client, &api(&server, "experiments/delete"), &gone).unwrap();

    let get = |path: &str| parsed(&client.get(&api(&server, path)).unwrap());
    let experiments = |query: &str| names(&get(&format!("experiments/list{query}")), "experiments");
    // By their ids, all of them; a filter is nothing there.
    assert_eq!(experiments(""), ["Default", "b", "a"]);
    assert_eq!(experiments("?view_type=DELETED_ONLY"), ["gone"]);
    assert_eq!(experiments("?view_type=ALL").len(), 4);
    assert_eq!(experiments("?filter=name%3D'a'").len(), 3);
    let page = get("experiments/list?max_results=2");
    assert_eq!(names(&page, "experiments"), ["Default", "b"]);
    let token = page["next_page_token"].as_str().unwrap();
    assert_eq!(
        experiments(&format!("?max_results=2&page_token={token}")),
        ["a"]
    );
    assert_eq!(
        get("experiments/list?max_results=0")["error_code"],
        "INVALID_PARAMETER_VALUE"
    );

    let models = |query: &str| get(&format!("registered-models/list{query}"));
    assert_eq!(names(&models(""), "registered_models"), ["a", "b", "gone"]);
    let page = models("?max_results=2");
    assert_eq!(names(&page, "registered_models"), ["a", "b"]);
    let token = page["next_page_token"].as_str().unwrap();
    let rest = models(&format!("?max_results=2&page_token={token}"));
    assert_eq!(names(&rest, "registered_models"), ["gone"]);
}

#[test]
fn paths_of_previews_are_those_of_their_endpoints() {
    let (server, client) = (MlrsServer::start(&[]).unwrap(), Client::new());
    for prefix in ["api", "ajax-api"] {
        let url = |path: &str| format!("{}/{prefix}/2.0/preview/mlflow/{path}", server.address());
        let name = json!({ "name": prefix });
        let made = parsed(&post(&client, &url("experiments/create"), &name).unwrap());
        let experiment = made["experiment_id"].as_str().unwrap();
        let run = json!({ "experiment_id": experiment, "run_name": "old" });
        let made = parsed(&post(&client, &url("runs/create"), &run).unwrap());
        let run = made["run"]["info"]["run_id"].as_str().unwrap();
        let metric = json!({ "run_uuid": run, "key": "m", "value": 1.5, "timestamp": 1 });
        let logged = post(&client, &url("runs/log-metric"), &metric).unwrap();
        assert_eq!(logged.status, 200, "{logged:?}");
        let get = |path: &str| parsed(&client.get(&url(path)).unwrap());
        let found = get(&format!("runs/get?run_uuid={run}"));
        assert_eq!(found["run"]["data"]["metrics"][0]["value"], 1.5);
        assert!(names(&get("experiments/list"), "experiments").contains(&prefix.to_owned()));
        let made = post(&client, &url("registered-models/create"), &name).unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        let described = json!({ "name": prefix, "description": "of old" });
        let body = described.to_string();
        let patched = client.send(
            "PATCH",
            &url("registered-models/update"),
            Some("application/json"),
            Some(body.as_bytes()),
        );
        assert_eq!(patched.unwrap().status, 200);
        let found = get(&format!("registered-models/get?name={prefix}"));
        assert_eq!(found["registered_model"]["description"], "of old");
        // What came later was never a preview.
        let later = client.get(&url("experiments/get-by-name?experiment_name=Default"));
        assert_eq!(later.unwrap().status, 404);
    }
}
