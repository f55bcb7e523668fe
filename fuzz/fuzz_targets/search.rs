//! Filters and orders of searches, down to the database: whatever text comes, the answer is a page or
//! a reason that the sender can mend, and never a statement that the database does not understand.
//!
//! The first line is the order, the rest the filter.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mlrs_api::ErrorCode;
use mlrs_api::enums::ViewType;
use mlrs_store::search::{
    ExperimentSearch, ModelVersionSearch, RegisteredModelSearch, RunSearch, experiments, registry,
    runs,
};
use mlrs_store::{
    ExperimentStore as _, ModelVersionStore as _, RegisteredModelStore as _, RunStore as _,
    StoreError,
};
use mlrs_store_sql::{DatabaseUri, SqlStore};
use tokio::runtime::Runtime;

struct Fixture {
    runtime: Runtime,
    store: SqlStore,
    _folder: tempfile::TempDir,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let uri = format!("sqlite:///{}", folder.path().join("mlflow.db").display());
        let uri = DatabaseUri::parse(&uri).expect("an address");
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(SqlStore::open(&uri, "mlflow-artifacts:/"));
        Fixture {
            runtime,
            store: store.expect("a database"),
            _folder: folder,
        }
    })
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
    let Fixture { runtime, store, .. } = fixture();
    check(runtime.block_on(search(store, filter, &order)));
});
