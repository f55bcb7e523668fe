//! What a request may cost: its statements end at the deadline and with its client, on both
//! databases, and a database that does not answer keeps nobody waiting for ever.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, Instant};

use mlrs_api::Tag;
use mlrs_api::enums::ViewType;
use mlrs_store::search::{Filter, Operator, RunClause, RunSearch, TextTest};
use mlrs_store::{
    Batch, ExperimentStore as _, NewExperiment, NewRun, RunStore as _, StoreError, StoreHealth as _,
};
use mlrs_store_sql::{DatabaseUri, SqlStore};
use mlrs_testing::{Postgres, skipped};

/// Runs with a large tag each.
const RUNS: u32 = 400;

/// Long enough to show that something went on, and short enough for a test.
const LONG: Duration = Duration::from_secs(20);

async fn filled(uri: &str) -> SqlStore {
    let uri = DatabaseUri::parse(uri).unwrap();
    let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
    for number in 0..RUNS {
        let id = format!("{number:032}");
        let new = NewRun {
            id: id.clone(),
            experiment_id: 0,
            user_id: String::new(),
            name: String::new(),
            start_time: 1,
            tags: Vec::new(),
        };
        store.create_run(new).await.unwrap();
        let tags = vec![Tag::new("big", "a".repeat(7900))];
        let batch = Batch {
            tags,
            ..Batch::default()
        };
        store.log(id, batch).await.unwrap();
    }
    store
}

/// One that compares the large tag of every run with many patterns that nothing matches, beyond what
/// the grammar lets through.
fn costly() -> RunSearch {
    let pattern = |number: usize| RunClause::Tag {
        key: "big".to_owned(),
        test: TextTest::Compare(Operator::Like, format!("%_{}b{number}%", "a".repeat(100))),
    };
    search(Filter::Any(
        (0..20).map(|number| Filter::Is(pattern(number))).collect(),
    ))
}

fn search(filter: Filter<RunClause>) -> RunSearch {
    RunSearch {
        experiment_ids: vec![0],
        view: ViewType::ActiveOnly,
        filter,
        order: Vec::new(),
        limit: 1,
        offset: 0,
    }
}

async fn ends_at_the_deadline(store: &SqlStore) {
    let limited = store
        .clone()
        .with_statement_timeout(Duration::from_millis(500));
    let begin = Instant::now();
    let outcome = limited.search_runs(costly()).await;
    assert!(matches!(outcome, Err(StoreError::TooLong)), "{outcome:?}");
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    let plain = limited.search_runs(search(Filter::everything())).await;
    assert_eq!(plain.unwrap().items.len(), 1);
}

/// More of them than there are connections, without any deadline.
async fn ends_with_its_client(store: &SqlStore) {
    let searches = (0..40).map(|_| store.search_runs(costly()));
    let all = futures_util::future::join_all(searches);
    let left = tokio::time::timeout(Duration::from_millis(500), all).await;
    assert!(left.is_err(), "the searches are not costly");
    let begin = Instant::now();
    let plain = store.search_runs(search(Filter::everything()));
    let plain = tokio::time::timeout(LONG, plain).await;
    assert!(plain.is_ok(), "searches of clients that left go on");
    let took = begin.elapsed();
    assert!(took < LONG, "{took:?}");
}

/// Searches that go on leave connections to what costs little.
async fn leaves_room(store: &SqlStore) {
    let searches = (0..40).map(|_| store.search_runs(costly()));
    let all = futures_util::future::join_all(searches);
    let beside = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begin = Instant::now();
        store.run(format!("{:032}", 1)).await.unwrap();
        store.check_readable().await.unwrap();
        begin.elapsed()
    };
    tokio::select! {
        _ = all => panic!("the searches are not costly"),
        took = beside => assert!(took < Duration::from_secs(5), "{took:?}"),
    }
}

async fn check(uri: &str) {
    let store = filled(uri).await;
    ends_at_the_deadline(&store).await;
    ends_with_its_client(&store).await;
    leaves_room(&store).await;
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
        Ok(cluster) => check(&cluster.database("limits").unwrap()).await,
        Err(error) => skipped("limits of requests on PostgreSQL", &error.to_string()),
    }
}

#[tokio::test]
async fn a_frozen_server_keeps_nobody_waiting() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("a frozen PostgreSQL", &error.to_string()),
    };
    let uri = DatabaseUri::parse(&cluster.database("frozen").unwrap()).unwrap();
    let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
    let store = store.with_statement_timeout(Duration::from_secs(1));
    store.check_readable().await.unwrap();
    cluster.freeze().unwrap();
    let begin = Instant::now();
    let new = NewExperiment {
        name: "frozen".to_owned(),
        artifact_location: None,
        tags: Vec::new(),
        now: 1,
    };
    let (read, written) = tokio::join!(store.check_readable(), store.create_experiment(new));
    let took = begin.elapsed();
    cluster.thaw().unwrap();
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(
        matches!(written, Err(StoreError::Unavailable(_))),
        "{written:?}"
    );
    assert!(took < Duration::from_secs(40), "{took:?}");
    store.check_readable().await.unwrap();
}

/// A search that has begun when the server freezes is told the truth: not that it costs too much.
#[tokio::test]
async fn a_server_that_freezes_under_a_search_is_unavailable() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("a PostgreSQL that freezes", &error.to_string()),
    };
    let store = filled(&cluster.database("freezing").unwrap()).await;
    let store = store.with_statement_timeout(Duration::from_secs(2));
    let freeze = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.freeze().unwrap();
    };
    let (outcome, ()) = tokio::join!(store.search_runs(costly()), freeze);
    cluster.thaw().unwrap();
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
}
