//! Filters and orders of searches, down to the database: whatever text comes, the answer is a page or
//! a reason that the sender can mend, and never a statement that the database does not understand.
//!
//! The first line is the order, the rest the filter. The databases have rows, so that conditions are
//! computed: in SQLite, and in the PostgreSQL that `MLRS_FUZZ_POSTGRES` names.
#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use mlrs_api::enums::ViewType;
use mlrs_api::metrics::{Metric, Param};
use mlrs_api::{ErrorCode, Tag};
use mlrs_store::search::{
    ExperimentSearch, ModelVersionSearch, RegisteredModelSearch, RunSearch, experiments, registry,
    runs,
};
use mlrs_store::{
    Batch, ExperimentStore as _, ModelVersionStore as _, NewExperiment, NewRegisteredModel, NewRun,
    RegisteredModelStore as _, RunStore as _, StoreError,
};
use mlrs_store_sql::{DatabaseUri, SqlStore};
use tokio::runtime::Runtime;

/// How long a search of a few rows may take, with all that surrounds it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows of each kind.
const ROWS: usize = 12;

struct Fixture {
    runtime: Runtime,
    stores: Vec<SqlStore>,
    _folder: tempfile::TempDir,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut uris = vec![format!(
            "sqlite:///{}",
            folder.path().join("mlflow.db").display()
        )];
        uris.extend(std::env::var("MLRS_FUZZ_POSTGRES"));
        let runtime = Runtime::new().expect("a runtime");
        let open = |uri: &String| {
            let uri = DatabaseUri::parse(uri).expect("a URI");
            runtime.block_on(async {
                let store = SqlStore::open(&uri, "mlflow-artifacts:/")
                    .await
                    .expect("a database");
                fill(&store).await.expect("rows");
                store
            })
        };
        let stores = uris.iter().map(open).collect();
        Fixture {
            runtime,
            stores,
            _folder: folder,
        }
    })
}

/// Rows with texts in which patterns find much, and with what has no value.
async fn fill(store: &SqlStore) -> Result<(), StoreError> {
    let tag = |key: &str, value: String| Tag {
        key: key.to_owned(),
        value,
    };
    let now = 1_700_000_000_000;
    for row in 0..ROWS {
        let id = format!("{row:032x}");
        let long = "a".repeat(400 * row);
        store
            .create_run(NewRun {
                id: id.clone(),
                experiment_id: 0,
                user_id: "someone".to_owned(),
                name: format!("Run_{row}%"),
                start_time: now + row as i64,
                tags: vec![tag("big", long.clone()), tag("ä b", format!("Ä{row}"))],
            })
            .await?;
        let batch = Batch {
            metrics: vec![Metric {
                key: "acc".to_owned(),
                value: row as f64 / 10.0,
                timestamp: now,
                step: row as i64,
                ..Metric::default()
            }],
            params: vec![Param {
                key: "lr".to_owned(),
                value: format!("0.{row}"),
            }],
            tags: Vec::new(),
        };
        store.log(id, batch).await?;
        store
            .create_experiment(NewExperiment {
                name: format!("experiment {row}"),
                artifact_location: None,
                tags: vec![tag("team", format!("t{}", row % 3))],
                now,
            })
            .await?;
        store
            .create_registered_model(NewRegisteredModel {
                name: format!("model {row}"),
                description: long,
                tags: vec![tag("team", format!("t{}", row % 3))],
                now,
            })
            .await?;
    }
    Ok(())
}

/// Only the sender may be at fault.
fn check<T>(outcome: Result<T, StoreError>) {
    if let Err(error) = outcome {
        assert_eq!(error.code(), ErrorCode::InvalidParameterValue, "{error:?}");
    }
}

async fn search(store: &SqlStore, filter: &str, order: &[String]) -> Result<(), StoreError> {
    let (limit, offset) = (10, 0);
    if let (Ok(filter), Ok(order)) = (runs::filter(filter), runs::order(order)) {
        check(
            store
                .search_runs(RunSearch {
                    experiment_ids: vec![0],
                    view: ViewType::All,
                    filter,
                    order,
                    limit,
                    offset,
                })
                .await,
        );
    }
    if let (Ok(filter), Ok(order)) = (experiments::filter(filter), experiments::order(order)) {
        check(
            store
                .search_experiments(ExperimentSearch {
                    view: ViewType::All,
                    filter,
                    order,
                    limit,
                    offset,
                })
                .await,
        );
    }
    if let (Ok(filter), Ok(order)) = (registry::model_filter(filter), registry::model_order(order))
    {
        check(
            store
                .search_registered_models(RegisteredModelSearch {
                    prompts: false,
                    filter,
                    order,
                    limit,
                    offset,
                })
                .await,
        );
    }
    let filter = registry::version_filter(filter)?;
    let order = registry::version_order(order)?;
    check(
        store
            .search_model_versions(ModelVersionSearch {
                prompts: false,
                filter,
                order,
                limit,
                offset,
            })
            .await,
    );
    Ok(())
}

fuzz_target!(|text: &str| {
    let (order, filter) = text.split_once('\n').unwrap_or(("", text));
    let order: Vec<String> = match order {
        "" => Vec::new(),
        order => order.split(',').map(str::to_owned).collect(),
    };
    let Fixture {
        runtime, stores, ..
    } = fixture();
    for store in stores {
        let start = Instant::now();
        check(runtime.block_on(search(store, filter, &order)));
        assert!(start.elapsed() < PATIENCE, "{filter}");
    }
});
