//! Both databases pass the suite that every store is held to.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use mlrs_store::contract;
use mlrs_store_sql::{DatabaseUri, SqlStore};
use mlrs_testing::{Postgres, skipped};

async fn check(uri: &str) {
    let uri = DatabaseUri::parse(uri).unwrap();
    let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
    let failures = contract::check(&store).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mlflow.db");
    check(&format!("sqlite:///{}", file.display())).await;
}

#[tokio::test]
async fn postgresql() {
    match Postgres::start() {
        Ok(cluster) => check(&cluster.database("contract").unwrap()).await,
        Err(error) => skipped("the contract of stores on PostgreSQL", &error.to_string()),
    }
}
