//! What comes from another store: whole or not at all, once, and beside what is there.

use std::sync::Arc;

use futures_util::future::join_all;
use mlrs_api::datasets::Dataset;
use mlrs_api::enums::{LifecycleStage, LoggedModelStatus, RunStatus};
use mlrs_api::{ErrorCode, Tag};
use uuid::Uuid;

use super::{Outcome, Store, new_experiment, refused, same, unique, version_of};
use crate::import::{
    DatasetUse, ExperimentRecord, LoggedModelOutcome, LoggedModelRecord, ModelPoint,
    ModelVersionRecord, Outcome as Became, Point, PointSource, RegisteredModelRecord, RunRecord,
    TakePoints,
};
use crate::{MetricQuery, StoreError};

/// Points by metric, in portions; a broken source ends with an error.
struct Source<P> {
    portions: Vec<(&'static str, Vec<P>)>,
    is_broken: bool,
}

impl<P: Send + Sync> PointSource<P> for Source<P> {
    fn each(&self, take: TakePoints<'_, P>) -> Result<(), StoreError> {
        for (key, points) in &self.portions {
            take(key, points)?;
        }
        if self.is_broken {
            return Err(StoreError::invalid("the points cannot be read"));
        }
        Ok(())
    }
}

fn source<P>(portions: Vec<(&'static str, Vec<P>)>) -> Arc<Source<P>> {
    Arc::new(Source {
        portions,
        is_broken: false,
    })
}

fn point(value: f64, timestamp: i64, step: i64) -> Point {
    Point {
        value,
        timestamp,
        step,
    }
}

/// A history in two portions, whose latest point is not its last.
fn history() -> Vec<(&'static str, Vec<Point>)> {
    vec![
        ("loss", vec![point(3.0, 10, 0), point(1.0, 12, 2)]),
        ("loss", vec![point(2.0, 11, 1)]),
        ("odd", vec![point(f64::NAN, 5, 0)]),
    ]
}

fn experiment_record(id: i64, name: &str) -> ExperimentRecord {
    ExperimentRecord {
        id,
        name: name.to_owned(),
        artifact_location: Some("s3://box/e".to_owned()),
        stage: LifecycleStage::Active,
        creation_time: Some(5),
        last_update_time: Some(6),
        tags: vec![Tag::new("t", "first")],
    }
}

fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

pub(super) fn run_record(id: &str) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        name: Some("imported".to_owned()),
        user_id: Some("somebody".to_owned()),
        source_type: "LOCAL".to_owned(),
        source_name: String::new(),
        entry_point_name: String::new(),
        source_version: String::new(),
        status: RunStatus::Finished,
        start_time: Some(1),
        end_time: Some(2),
        deleted_time: None,
        stage: LifecycleStage::Active,
        artifact_uri: Some("s3://box/r".to_owned()),
        params: vec![Tag::new("p", "1")],
        tags: vec![Tag::new("t", "1")],
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

/// An id that nobody has, within what every store can hold.
fn free_number() -> i64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    1000 + (high % 900_000_000) as i64
}

pub(super) async fn experiments(store: &dyn Store) -> Outcome {
    let (id, name) = (free_number(), unique("imported"));
    let first = store
        .import_experiment(experiment_record(id, &name))
        .await?;
    same("with its id", &first, &(id, Became::Imported))?;
    let mut again = experiment_record(id + 1, &name);
    again.tags = vec![Tag::new("t", "second")];
    let outcome = store.import_experiment(again).await?;
    same("of the same name", &outcome, &(id, Became::WasThere))?;
    let found = store.experiment(id).await?;
    same("tags", &found.tags, &vec![Tag::new("t", "first")])?;
    let other = unique("imported");
    let (given, became) = store
        .import_experiment(experiment_record(id, &other))
        .await?;
    same("of another name", &became, &Became::Imported)?;
    same("and a taken id", &(given == id), &false)?;
    same("its name", &store.experiment(given).await?.name, &other)?;
    let made = new_experiment(store).await?;
    same(
        "a new one is another",
        &(made == id || made == given),
        &false,
    )
}

pub(super) async fn whole_runs(store: &dyn Store) -> Outcome {
    let (experiment, id) = (new_experiment(store).await?, new_id());
    let broken = Source {
        portions: history(),
        is_broken: true,
    };
    let outcome = store.import_run(experiment, run_record(&id), Arc::new(broken));
    refused(
        "broken points",
        outcome.await,
        ErrorCode::InvalidParameterValue,
    )?;
    let mut lacking = run_record(&id);
    lacking.datasets = vec![DatasetUse {
        name: "d".to_owned(),
        digest: "1".to_owned(),
        tags: vec![Tag::new("mlflow.data.context", "training")],
    }];
    let outcome = store.import_run(experiment, lacking.clone(), source(history()));
    refused(
        "an absent dataset",
        outcome.await,
        ErrorCode::InvalidParameterValue,
    )?;
    let absent = store.run(id.clone()).await;
    refused("the run", absent, ErrorCode::ResourceDoesNotExist)?;

    let dataset = Dataset {
        name: "d".to_owned(),
        digest: "1".to_owned(),
        source_type: "local".to_owned(),
        source: "s".to_owned(),
        ..Dataset::default()
    };
    for expected in [Became::Imported, Became::WasThere] {
        let outcome = store.import_dataset(experiment, dataset.clone()).await?;
        same("the dataset", &outcome, &expected)?;
    }
    let outcome = store
        .import_run(experiment, lacking, source(history()))
        .await?;
    same("the whole run", &outcome, &Became::Imported)?;
    check_history(store, &id).await?;
    let inputs = store.run(id).await?.inputs.unwrap_or_default();
    let contexts: Vec<usize> = inputs
        .dataset_inputs
        .iter()
        .map(|input| input.tags.len())
        .collect();
    same("inputs", &contexts, &vec![1])
}

async fn check_history(store: &dyn Store, id: &str) -> Outcome {
    let query = MetricQuery {
        run_id: id.to_owned(),
        key: "loss".to_owned(),
        limit: None,
        offset: 0,
    };
    let points = store.metric_history(query).await?.items;
    same("points", &points.len(), &3)?;
    let data = store.run(id.to_owned()).await?.data;
    let latest = |key: &str| data.metrics.iter().find(|metric| metric.key == key);
    let loss = latest("loss").map(|metric| (metric.value, metric.timestamp, metric.step));
    same("the latest point", &loss, &Some((1.0, 12, 2)))?;
    same(
        "no number",
        &latest("odd").map(|metric| metric.value.is_nan()),
        &Some(true),
    )
}

pub(super) async fn runs_again(store: &dyn Store) -> Outcome {
    let (experiment, id) = (new_experiment(store).await?, new_id());
    let many =
        join_all((0..8).map(|_| store.import_run(experiment, run_record(&id), source(history()))));
    let mut imported = 0;
    for outcome in many.await {
        imported += usize::from(outcome? == Became::Imported);
    }
    same("imported", &imported, &1)?;
    let mut other = run_record(&id);
    other.name = Some("other".to_owned());
    other.params = vec![Tag::new("p", "2"), Tag::new("q", "2")];
    let more = source(vec![("loss", vec![point(9.0, 99, 99)])]);
    let outcome = store.import_run(experiment, other, more).await?;
    same("again", &outcome, &Became::WasThere)?;
    check_history(store, &id).await?;
    let run = store.run(id).await?;
    same("params", &run.data.params, &vec![Tag::new("p", "1")])?;
    same("the name", &run.info.run_name.as_deref(), &Some("imported"))
}

fn logged_model_record(id: &str) -> LoggedModelRecord {
    LoggedModelRecord {
        id: id.to_owned(),
        name: "imported".to_owned(),
        artifact_location: "s3://box/m".to_owned(),
        creation_time: 1,
        last_updated_time: 2,
        status: LoggedModelStatus::Ready,
        stage: LifecycleStage::Active,
        model_type: None,
        source_run_id: None,
        status_message: None,
        params: vec![Tag::new("p", "1")],
        tags: vec![Tag::new("t", "1")],
    }
}

pub(super) async fn logged_models(store: &dyn Store) -> Outcome {
    let (experiment, run) = (new_experiment(store).await?, new_id());
    let id = format!("m-{}", new_id());
    let points = || {
        let logged = |step| ModelPoint {
            point: point(0.5, 1, step),
            run_id: run.clone(),
            dataset: None,
        };
        source(vec![("accuracy", vec![logged(0), logged(1)])])
    };
    let import = || store.import_logged_model(experiment, logged_model_record(&id), points());
    let became = |model, points_without_run| LoggedModelOutcome {
        model,
        points_without_run,
    };
    same(
        "without its run",
        &import().await?,
        &became(Became::Imported, 2),
    )?;
    let known = store.logged_model(id.clone(), false).await?;
    same("no points", &known.data.metrics.len(), &0)?;
    store
        .import_run(experiment, run_record(&run), source(Vec::new()))
        .await?;
    same(
        "with its run",
        &import().await?,
        &became(Became::WasThere, 0),
    )?;
    same("and again", &import().await?, &became(Became::WasThere, 0))?;
    let known = store.logged_model(id.clone(), false).await?;
    same("params", &known.data.params, &vec![Tag::new("p", "1")])?;
    let steps: Vec<i64> = known
        .data
        .metrics
        .iter()
        .map(|metric| metric.step)
        .collect();
    same("points", &steps, &vec![0, 1])
}

fn version_record(version: i64) -> ModelVersionRecord {
    ModelVersionRecord {
        version,
        creation_time: Some(1),
        last_updated_time: Some(2),
        description: None,
        user_id: None,
        stage: "Production".to_owned(),
        source: Some("s3://box/m".to_owned()),
        storage_location: None,
        run_id: None,
        run_link: None,
        status: "READY".to_owned(),
        status_message: None,
        tags: vec![Tag::new("t", "1")],
    }
}

pub(super) async fn registered_models(store: &dyn Store) -> Outcome {
    let name = unique("imported");
    let record = |aliased: i64, versions: &[i64]| RegisteredModelRecord {
        name: name.clone(),
        creation_time: Some(1),
        last_updated_time: Some(2),
        description: Some("d".to_owned()),
        tags: vec![Tag::new("t", "1")],
        aliases: vec![("best".to_owned(), aliased)],
        versions: versions.iter().copied().map(version_record).collect(),
    };
    let outcome = store.import_registered_model(record(2, &[2, 5])).await?;
    same("the model", &outcome.model, &Became::Imported)?;
    same("versions", &outcome.versions, &vec![Became::Imported; 2])?;
    store.set_alias(name.clone(), "best".to_owned(), 5).await?;
    let outcome = store.import_registered_model(record(2, &[2, 5, 3])).await?;
    same("the model again", &outcome.model, &Became::WasThere)?;
    let expected = vec![Became::WasThere, Became::WasThere, Became::Imported];
    same("one more version", &outcome.versions, &expected)?;
    let best = store
        .version_by_alias(name.clone(), "best".to_owned())
        .await?;
    same("the alias stays", &best.version.as_str(), &"5")?;
    let next = store.create_model_version(version_of(&name)).await?;
    same("the next number", &next.version.as_str(), &"6")
}
