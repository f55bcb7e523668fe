//! A page costs the same number of statements whatever it holds, and so does garbage.

use mlrs_api::Tag;
use mlrs_api::enums::{LifecycleStage, ViewType};
use mlrs_api::metrics::Metric;
use mlrs_store::garbage::GarbageQuery;
use mlrs_store::search::{
    ExperimentSearch, Filter, LoggedModelSearch, ModelVersionSearch, RegisteredModelSearch,
    RunSearch, runs,
};
use mlrs_store::{
    Batch, ExperimentStore as _, LineageStore as _, LoggedModelStore as _, ModelVersionStore as _,
    NewExperiment, NewLoggedModel, NewModelVersion, NewRegisteredModel, NewRun,
    RegisteredModelStore as _, RunStore as _, StoreError,
};

use crate::connection::{Connection, Dialect, EachRow, SqlError, Value};
use crate::garbage::garbage;
use crate::sampled::{Series, sampled};
use crate::{DatabaseUri, SqlStore, search};

/// A connection that counts what it is asked.
struct Counting<'a> {
    inner: &'a mut dyn Connection,
    statements: usize,
}

impl Connection for Counting<'_> {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        self.statements += 1;
        self.inner.execute(sql, values)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        self.statements += 1;
        self.inner.query(sql, values, each)
    }
}

/// How many there are of everything.
const ALL: u64 = 30;

fn run_id(number: u64) -> String {
    format!("{number:032}")
}

async fn filled(folder: &std::path::Path) -> SqlStore {
    let uri = format!("sqlite:///{}", folder.join("mlflow.db").display());
    let uri = DatabaseUri::parse(&uri).unwrap();
    let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
    let tags = || vec![Tag::new("a", "1"), Tag::new("b", "2")];
    for number in 0..ALL {
        let name = run_id(number);
        let experiment = NewExperiment {
            name: name.clone(),
            artifact_location: None,
            tags: tags(),
            now: 1,
        };
        store.create_experiment(experiment).await.unwrap();
        let run = NewRun {
            id: name.clone(),
            experiment_id: 0,
            user_id: String::new(),
            name: name.clone(),
            start_time: 1,
            tags: tags(),
        };
        store.create_run(run).await.unwrap();
        let metric = |key: &str| Metric {
            key: key.to_owned(),
            ..Metric::default()
        };
        let batch = Batch {
            metrics: vec![metric("m"), metric("n")],
            params: tags(),
            tags: Vec::new(),
        };
        store.log(name.clone(), batch).await.unwrap();
        let datasets = serde_json::from_str(
            r#"[{"tags": [{"key": "k", "value": "v"}], "dataset": {"name": "d", "digest": "1"}}]"#,
        );
        let inputs = store.log_inputs(name.clone(), datasets.unwrap(), Vec::new());
        inputs.await.unwrap();
        let logged = NewLoggedModel {
            id: format!("m-{name}"),
            experiment_id: 0,
            name: name.clone(),
            model_type: String::new(),
            source_run_id: name.clone(),
            params: tags(),
            tags: tags(),
            now: 1,
        };
        store.create_logged_model(logged).await.unwrap();
        let model = NewRegisteredModel {
            name: name.clone(),
            description: String::new(),
            tags: tags(),
            now: 1,
        };
        store.create_registered_model(model).await.unwrap();
        let version = NewModelVersion {
            name: name.clone(),
            source: String::new(),
            storage_location: String::new(),
            run_id: String::new(),
            run_link: String::new(),
            description: String::new(),
            tags: tags(),
            now: 1,
        };
        store.create_model_version(version).await.unwrap();
        store.set_alias(name, "best".to_owned(), 1).await.unwrap();
    }
    store
}

/// The statements of one page of each search, which holds `limit` of everything.
async fn counts(store: &SqlStore, limit: u64) -> Vec<usize> {
    store
        .read(move |connection| {
            let mut counts = Vec::new();
            let mut count = |work: &dyn Fn(&mut dyn Connection) -> Result<usize, StoreError>| {
                let mut counting = Counting {
                    inner: &mut *connection,
                    statements: 0,
                };
                let found = work(&mut counting)?;
                assert_eq!(found as u64, limit, "the page is not full");
                counts.push(counting.statements);
                Ok::<(), StoreError>(())
            };
            for order in [Vec::new(), vec!["metrics.m DESC".to_owned()]] {
                let search = RunSearch {
                    experiment_ids: vec![0],
                    view: ViewType::ActiveOnly,
                    filter: runs::filter("params.a = '1' AND metrics.m = 0")?,
                    order: runs::order(&order)?,
                    limit,
                    offset: 0,
                };
                count(&|connection| Ok(search::runs::run(connection, &search)?.items.len()))?;
            }
            let experiments = ExperimentSearch {
                view: ViewType::ActiveOnly,
                filter: Filter::everything(),
                order: Vec::new(),
                limit,
                offset: 0,
            };
            count(&|connection| {
                Ok(search::experiments::run(connection, &experiments)?
                    .items
                    .len())
            })?;
            let logged = LoggedModelSearch {
                experiment_ids: vec![0],
                filter: Filter::everything(),
                datasets: Vec::new(),
                order: Vec::new(),
                limit,
                offset: 0,
            };
            count(&|connection| Ok(search::logged_models::run(connection, &logged)?.items.len()))?;
            let models = RegisteredModelSearch {
                prompts: false,
                filter: Filter::everything(),
                order: Vec::new(),
                limit,
                offset: 0,
            };
            count(&|connection| Ok(search::registry::models(connection, &models)?.items.len()))?;
            let versions = ModelVersionSearch {
                prompts: false,
                filter: Filter::everything(),
                order: Vec::new(),
                limit,
                offset: 0,
            };
            count(&|connection| {
                Ok(search::registry::versions(connection, &versions)?
                    .items
                    .len())
            })?;
            let run_ids: Vec<String> = (0..limit).map(run_id).collect();
            let series = Series {
                run_ids: &run_ids,
                key: "m",
                steps: None,
            };
            count(&|connection| Ok(sampled(connection, series, 10)?.len()))?;
            Ok(counts)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_page_costs_the_same_statements_whatever_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    let one = counts(&store, 1).await;
    assert_eq!(counts(&store, ALL).await, one);
    // Runs (the second time with a look at how many there are), experiments, logged models,
    // registered models, versions, charts of runs.
    assert_eq!(one, [6, 7, 2, 4, 5, 2, 2]);
}

/// The statements of finding what is to be deleted for good.
async fn garbage_counts(store: &SqlStore, query: GarbageQuery, found: usize) -> usize {
    store
        .read(move |connection| {
            let mut counting = Counting {
                inner: connection,
                statements: 0,
            };
            let garbage = garbage(&mut counting, &query)?;
            assert_eq!(garbage.runs.len(), found);
            assert_eq!(garbage.logged_models.len(), found);
            assert_eq!(garbage.experiments.len(), found);
            Ok(counting.statements)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn garbage_costs_the_same_statements_however_much_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    let names = |prefix: &str| {
        (0..ALL)
            .map(|number| format!("{prefix}{number:032}"))
            .collect::<Vec<_>>()
    };
    let (runs, models) = (names(""), names("m-"));
    let experiments: Vec<i64> = (1..=ALL as i64).collect();
    for (run, model) in runs.iter().zip(&models) {
        store
            .set_run_stage(run.clone(), LifecycleStage::Deleted, 2)
            .await
            .unwrap();
        store.delete_logged_model(model.clone(), 2).await.unwrap();
    }
    for experiment in &experiments {
        store
            .set_experiment_stage(*experiment, LifecycleStage::Deleted, 2)
            .await
            .unwrap();
    }
    let query = |count: usize| GarbageQuery {
        run_ids: Some(runs[..count].to_vec()),
        experiment_ids: Some(experiments[..count].to_vec()),
        logged_model_ids: Some(models[..count].to_vec()),
        before: None,
    };
    let all = ALL as usize;
    for (query, found) in [
        (query(1), 1),
        (query(all), all),
        (GarbageQuery::default(), all),
    ] {
        assert_eq!(garbage_counts(&store, query, found).await, 5);
    }
}
