//! `mlrs-client` against `mlrs server` and `mlflow server`: what it logged of datasets, logged models
//! and long metrics, MLflow's Python client reads back, and so does it itself.

use std::collections::HashSet;
use std::path::Path;

use futures_util::TryStreamExt as _;
use mlrs_client::tracking::{
    ActiveRun, ErrorCode, InputDataset, LoggedModelSearch, LoggedModelStatus, NewLoggedModel,
    Param, Point, RunStatus, StartRun, Tag, TrackingClient,
};
use mlrs_testing::{MlflowServer, MlrsServer, Postgres, python, skipped, workspace_root};
use serde_json::{Value, json};

use crate::client;

/// More than a server gives at once: 25,000.
const POINTS: i64 = 25_100;
/// More than a page, which is 100.
const MODELS: usize = 103;

/// What a test works with.
struct Tracked {
    client: TrackingClient,
    experiment: String,
    run: ActiveRun,
    training: InputDataset,
    validation: InputDataset,
    /// The ids of two models; the second is better.
    models: [String; 2],
}

impl Tracked {
    async fn at(address: &str, folder: &Path) -> Self {
        let client = TrackingClient::connect(address).unwrap();
        let experiment = client.get_or_create_experiment("from rust").await.unwrap();
        let start = StartRun::in_experiment(&experiment).name("datasets and models");
        let run = client.start_run(start).await.unwrap();
        let (training, validation) = log_datasets(&run, folder).await;
        let first = log_model(&run, "poor").await;
        let second = log_model(&run, "good").await;
        let tracked = Self {
            client,
            experiment,
            run,
            training,
            validation,
            models: [first, second],
        };
        tracked.log_metrics().await;
        tracked
    }

    /// Metrics of the models: one call each, in the background, and in a batch.
    async fn log_metrics(&self) {
        let [poor, good] = &self.models;
        let (client, run) = (&self.client, &self.run);
        let accuracy = |value: f64| Point::new("accuracy", value).at(1_700_000_000_000);
        let single = accuracy(0.75).step(3).model(poor).dataset(&self.validation);
        client.log_metric(run.id(), single).await.unwrap();
        run.log_point(
            accuracy(0.875)
                .step(3)
                .model(good)
                .dataset(&self.validation),
        );
        run.flush().await.unwrap();
        let batch = [accuracy(0.25).step(4).model(good).dataset(&self.training)];
        let batch = batch.map(Into::into);
        client.log_batch(run.id(), batch, [], []).await.unwrap();
    }

    fn python(&self, python: &Path, folder: &Path, address: &str) -> Value {
        let script = workspace_root().join("tests/python/read_back.py");
        let script = script.display().to_string();
        let arguments = [script.as_str(), self.run.id(), &self.experiment];
        let said = client::run(python, address, folder, &arguments);
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }
}

async fn log_datasets(run: &ActiveRun, folder: &Path) -> (InputDataset, InputDataset) {
    let file = folder.join("flowers.csv");
    std::fs::write(&file, "x,y\n1,2\n").unwrap();
    let training = InputDataset::from_file(&file).unwrap();
    let training = training.named("training");
    run.log_input(training.clone().context("training"))
        .await
        .unwrap();
    let validation = InputDataset::new("validation", "3f2a9c")
        .uri("s3://bucket/flowers.parquet")
        .columns([("x", "double"), ("y", "string")])
        .profile(json!({"num_rows": 150}))
        .context("validation")
        .tag("fold", "3");
    let web = InputDataset::new("web", "1").uri("https://localhost/flowers.csv");
    let unknown = InputDataset::new("unknown", "1");
    let more = [validation.clone(), web, unknown];
    run.client().log_inputs(run.id(), more).await.unwrap();
    (training, validation)
}

/// A model with more params than a request may have.
async fn log_model(run: &ActiveRun, name: &str) -> String {
    let client = run.client();
    let new = NewLoggedModel::of_run(run.info())
        .name(name)
        .model_type("forest")
        .tag("team", "flowers");
    let new = (0..120).fold(new, |new, index| new.param(format!("p{index}"), index));
    let created = client.create_logged_model(new).await.unwrap();
    assert_eq!(created.data.params.len(), 120);
    assert_eq!(created.info.status, Some(LoggedModelStatus::Pending));
    let model_id = created.info.model_id;
    let files = client.logged_model_artifacts(&model_id).await.unwrap();
    files.upload_bytes("weights.bin", vec![1, 2]).await.unwrap();
    let params = [Param::new("later", "yes")];
    client.log_model_params(&model_id, params).await.unwrap();
    let tags = [Tag::new("stage", "a/b?"), Tag::new("gone ä?", "x")];
    client.set_logged_model_tags(&model_id, tags).await.unwrap();
    client
        .delete_logged_model_tag(&model_id, "gone ä?")
        .await
        .unwrap();
    let ready = LoggedModelStatus::Ready;
    let finalized = client.finalize_logged_model(&model_id, ready).await;
    assert_eq!(finalized.unwrap().info.status, Some(ready));
    run.log_model_output(&model_id, 7).await.unwrap();
    model_id
}

/// What Python is to find; the order of a run's outputs is nobody's promise.
fn expected(tracked: &Tracked, file: &Path) -> Value {
    let run_id = tracked.run.id();
    let point = |model: &str, dataset: &InputDataset, value: f64, step: i64| {
        json!({
            "key": "accuracy", "value": value, "timestamp": 1_700_000_000_000_i64, "step": step,
            "dataset_name": dataset.name(), "dataset_digest": dataset.digest(),
            "model_id": model, "run_id": run_id,
        })
    };
    let [poor, good] = &tracked.models;
    let (training, validation) = (&tracked.training, &tracked.validation);
    let model = |id: &str, name: &str, metrics: Vec<Value>| {
        json!({
            "model_id": id, "name": name, "model_type": "forest", "source_run_id": run_id,
            "status": "READY", "params": [121, "119", "yes"], "tags": {"team": "flowers", "stage": "a/b?"},
            "metrics": metrics,
        })
    };
    let dataset = |name: &str, digest: &str, kind: &str, source: Value| {
        json!({
            "name": name, "digest": digest, "source_type": kind, "source": source,
            "schema": null, "profile": null, "tags": {},
        })
    };
    let place = file.canonicalize().unwrap().display().to_string();
    let mut read = dataset(
        "training",
        training.digest(),
        "local",
        json!({"uri": place}),
    );
    read["tags"] = json!({"mlflow.data.context": "training"});
    let s3 = json!({"uri": "s3://bucket/flowers.parquet"});
    let mut checked = dataset("validation", "3f2a9c", "s3", s3);
    checked["tags"] = json!({"mlflow.data.context": "validation", "fold": "3"});
    checked["profile"] = json!({"num_rows": 150});
    checked["schema"] = json!({"mlflow_colspec": [
        {"type": "double", "name": "x", "required": true},
        {"type": "string", "name": "y", "required": true},
    ]});
    let url = json!({"url": "https://localhost/flowers.csv"});
    json!({
        "datasets": [
            read,
            dataset("unknown", "1", "code", json!({"tags": {}})),
            checked,
            dataset("web", "1", "http", url),
        ],
        "model_inputs": [],
        "outputs": [[poor, 7], [good, 7]],
        "models": [
            model(poor, "poor", vec![point(poor, validation, 0.75, 3)]),
            model(good, "good", vec![
                point(good, validation, 0.875, 3), point(good, training, 0.25, 4),
            ]),
        ],
        "best": ["good", "poor"],
        "history": [],
    })
}

fn sorted(mut found: Value) -> Value {
    for list in ["models", "outputs"] {
        let list = found[list].as_array_mut().unwrap();
        list.sort_by_key(|entry| {
            entry["model_id"]
                .as_str()
                .or(entry[0].as_str())
                .map(str::to_owned)
        });
    }
    found
}

/// What the Rust client finds of what it logged.
async fn read(tracked: &Tracked) {
    let client = &tracked.client;
    let [_, good] = &tracked.models;
    let run = client.run(tracked.run.id()).await.unwrap();
    let inputs = run.inputs.unwrap();
    assert_eq!(inputs.dataset_inputs.len(), 4, "{inputs:?}");
    assert_eq!(run.outputs.unwrap().model_outputs.len(), 2);
    let model = client.logged_model(good).await.unwrap();
    assert_eq!(model.data.metrics.len(), 2);
    assert_eq!(model.data.params.len(), 121);
    let names = |search: LoggedModelSearch| async move {
        let found = client.search_logged_models(search).all().await.unwrap();
        let names = found.into_iter().map(|model| model.info.name);
        names.collect::<Vec<_>>()
    };
    let all = || LoggedModelSearch::in_experiments([&tracked.experiment]);
    let by = all().order_by("metrics.accuracy ASC");
    assert_eq!(names(by).await, ["good", "poor"]);
    let by = all().order_by_on("metrics.accuracy DESC", "validation", None);
    assert_eq!(names(by).await, ["good", "poor"]);
    let above = all()
        .filter("metrics.accuracy > 0.8")
        .dataset("validation", Some("3f2a9c"));
    assert_eq!(names(above).await, ["good"]);
    assert!(
        names(all().dataset("validation", Some("other")))
            .await
            .is_empty()
    );
    let error = client
        .search_logged_models(all().filter("nonsense"))
        .all()
        .await;
    assert_eq!(
        error.unwrap_err().code(),
        Some(ErrorCode::InvalidParameterValue)
    );
    assert!(
        client
            .logged_model("m-none")
            .await
            .unwrap_err()
            .is_not_found()
    );
}

/// Another run that reads one of the models; pages of models; deleting one.
async fn pages(tracked: &Tracked) {
    let client = &tracked.client;
    let experiment = client.create_experiment("pages", None, []).await.unwrap();
    let run = client
        .start_run(StartRun::in_experiment(&experiment))
        .await
        .unwrap();
    run.log_model_input(&tracked.models[0]).await.unwrap();
    let inputs = client.run(run.id()).await.unwrap().inputs.unwrap();
    assert_eq!(inputs.model_inputs[0].model_id, tracked.models[0]);
    let mut made = HashSet::new();
    for index in 0..MODELS {
        let new = NewLoggedModel::in_experiment(&experiment).name(format!("model-{index:03}"));
        made.insert(client.create_logged_model(new).await.unwrap().info.model_id);
    }
    let search = LoggedModelSearch::in_experiments([&experiment]).order_by("name DESC");
    let stream = client.search_logged_models(search.clone()).into_stream();
    let found: Vec<_> = stream.try_collect().await.unwrap();
    let ids: HashSet<_> = found
        .iter()
        .map(|model| model.info.model_id.clone())
        .collect();
    assert_eq!(ids, made);
    let names: Vec<_> = found.iter().map(|model| model.info.name.as_str()).collect();
    assert!(names.is_sorted_by(|one, other| one >= other), "{names:?}");
    client
        .delete_logged_model(&found[0].info.model_id)
        .await
        .unwrap();
    let left = client.search_logged_models(search).all().await.unwrap();
    assert_eq!(left.len(), MODELS - 1);
    let gone = client.logged_model(&found[0].info.model_id).await;
    assert!(gone.unwrap_err().is_not_found());
    run.finish(RunStatus::Finished).await.unwrap();
}

/// A metric that is longer than a page.
async fn long_metric(tracked: &Tracked) {
    for step in 0..POINTS {
        let value = f64::from(u32::try_from(step).unwrap()) / 2.0;
        tracked
            .run
            .log_point(Point::new("loss", value).step(step).at(step));
    }
    tracked.run.flush().await.unwrap();
    let mut pages = tracked.client.metric_history(tracked.run.id(), "loss");
    let mut steps = Vec::new();
    let mut count = 0;
    while let Some(page) = pages.next_page().await.unwrap() {
        count += 1;
        steps.extend(page.iter().map(|point| point.step));
    }
    assert_eq!(count, 2);
    assert_eq!(steps, (0..POINTS).collect::<Vec<_>>());
}

fn check(address: &str, folder: &Path, python: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tracked = Tracked::at(address, folder).await;
        read(&tracked).await;
        let found = tracked.python(python, folder, address);
        let expected = expected(&tracked, &folder.join("flowers.csv"));
        let (found, expected) = (sorted(found), sorted(expected));
        for (part, value) in expected.as_object().unwrap() {
            assert_eq!(found[part], *value, "{part}");
        }
        pages(&tracked).await;
        long_metric(&tracked).await;
        let found = tracked.python(python, folder, address);
        let history = found["history"].as_array().unwrap();
        assert_eq!(history.len(), usize::try_from(POINTS).unwrap());
        assert_eq!(history[25_050], json!([25_050, 12_525.0]));
        tracked.run.finish(RunStatus::Finished).await.unwrap();
    });
}

#[test]
fn python_reads_back_from_mlrs_what_rust_logged() {
    match python() {
        Err(error) => skipped("reading back by Python", &error.to_string()),
        Ok(python) => {
            let server = MlrsServer::start(&[]).unwrap();
            check(server.address(), server.folder(), &python);
        }
    }
}

#[test]
fn python_reads_back_from_postgresql_what_rust_logged() {
    let (python, cluster) = match (python(), Postgres::start()) {
        (Ok(python), Ok(cluster)) => (python, cluster),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("reading back from PostgreSQL", &error.to_string());
        }
    };
    let uri = cluster.database("client_rust").unwrap();
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    check(server.address(), server.folder(), &python);
}

#[test]
fn python_reads_back_from_mlflow_what_rust_logged() {
    match python() {
        Err(error) => skipped("reading back by Python", &error.to_string()),
        Ok(python) => {
            let server = MlflowServer::start().unwrap();
            check(server.address(), server.folder(), &python);
        }
    }
}
