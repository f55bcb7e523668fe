//! What the pages are to show: two experiments, runs with everything that a run can have, a logged
//! model and a registered one.

use mlrs_testing::Client;
use serde_json::{Value, json};

/// The ids of what was made.
pub struct Filled {
    pub experiment: String,
    pub oak: String,
    pub elm: String,
    pub logged_model: String,
}

struct Server<'a> {
    address: &'a str,
    client: Client,
}

impl Server<'_> {
    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/{path}", self.address);
        let body = body.to_string();
        let sent = self.client.send(
            method,
            &url,
            Some("application/json"),
            Some(body.as_bytes()),
        );
        let answer = sent.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", path, body)
    }

    fn upload(&self, path: &str, content: &str) {
        let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{path}", self.address);
        let sent = self
            .client
            .send("PUT", &url, None, Some(content.as_bytes()));
        assert_eq!(sent.unwrap().status, 200, "{path}");
    }

    fn experiment(&self, name: &str) -> String {
        let made = self.post("experiments/create", &json!({ "name": name }));
        text(&made, "/experiment_id")
    }

    /// A run that has ended, with metrics, params, tags and files.
    fn run(&self, experiment: &str, name: &str, rate: f64, tags: &Value) -> String {
        let start = 1_700_000_000_000_i64;
        let run = json!({ "experiment_id": experiment, "run_name": name, "start_time": start,
            "user_id": "ann", "tags": tags });
        let id = text(&self.post("runs/create", &run), "/run/info/run_id");
        let loss = |step: i64| {
            json!({ "key": "loss", "value": rate / (step + 1) as f64, "timestamp": start + step,
                "step": step })
        };
        let mut metrics: Vec<Value> = (0..5).map(loss).collect();
        metrics.push(json!({ "key": "accuracy", "value": 1.0 - rate, "timestamp": start }));
        let params = json!([{ "key": "learning_rate", "value": rate.to_string() },
            { "key": "depth", "value": "3" }]);
        let batch = json!({ "run_id": id, "metrics": metrics, "params": params });
        self.post("runs/log-batch", &batch);
        let root = format!("{experiment}/{id}/artifacts");
        self.upload(&format!("{root}/notes.txt"), "bark and leaves");
        self.upload(&format!("{root}/model/MLmodel"), "flavors: {}\n");
        let end = json!({ "run_id": id, "status": "FINISHED", "end_time": start + 5000 });
        self.post("runs/update", &end);
        id
    }

    /// A logged model of a run, with a metric of its own.
    fn logged_model(&self, experiment: &str, run: &str) -> String {
        let model = json!({ "experiment_id": experiment, "name": "seedling", "source_run_id": run,
            "params": [{ "key": "depth", "value": "3" }] });
        let id = text(&self.post("logged-models", &model), "/model/info/model_id");
        let root = format!("{experiment}/models/{id}/artifacts");
        self.upload(&format!("{root}/MLmodel"), "flavors: {}\n");
        let ready = json!({ "model_id": id, "status": "LOGGED_MODEL_READY" });
        self.send("PATCH", &format!("logged-models/{id}"), &ready);
        let output = json!({ "run_id": run, "models": [{ "model_id": id, "step": 4 }] });
        self.post("runs/outputs", &output);
        let metric = json!({ "run_id": run, "key": "auc", "value": 0.75, "timestamp": 1, "step": 4,
            "model_id": id });
        self.post("runs/log-metric", &metric);
        id
    }

    fn registered_model(&self, experiment: &str, runs: [&str; 2]) {
        let tags = json!([{ "key": "kind", "value": "wood" }]);
        let model = json!({ "name": "forest", "description": "many trees", "tags": tags });
        self.post("registered-models/create", &model);
        for run in runs {
            let source = format!("mlflow-artifacts:/{experiment}/{run}/artifacts/model");
            let version = json!({ "name": "forest", "source": source, "run_id": run,
                "description": "a version" });
            self.post("model-versions/create", &version);
        }
        let alias = json!({ "name": "forest", "alias": "champion", "version": "1" });
        self.post("registered-models/alias", &alias);
    }
}

/// Fills a server.
pub fn fill(address: &str) -> Filled {
    let server = Server {
        address,
        client: Client::new(),
    };
    let experiment = server.experiment("flowers");
    server.experiment("other work");
    let tags = json!([{ "key": "team", "value": "red" }]);
    let oak = server.run(&experiment, "oak", 0.125, &tags);
    let elm = server.run(&experiment, "elm", 0.25, &tags);
    let parent = json!([{ "key": "mlflow.parentRunId", "value": oak }]);
    server.run(&experiment, "twig", 0.5, &parent);
    let dataset = json!({ "name": "iris", "digest": "abc", "source_type": "local", "source": "{}",
        "schema": "{}", "profile": "{}" });
    let context = json!([{ "key": "mlflow.data.context", "value": "training" }]);
    let inputs = json!({ "run_id": oak, "datasets": [{ "dataset": dataset, "tags": context }] });
    server.post("runs/log-inputs", &inputs);
    let logged_model = server.logged_model(&experiment, &oak);
    server.registered_model(&experiment, [&oak, &elm]);
    Filled {
        experiment,
        oak,
        elm,
        logged_model,
    }
}

fn text(answer: &Value, pointer: &str) -> String {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.unwrap().to_owned()
}
