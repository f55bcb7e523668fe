//! What was acknowledged is there after a kill, of the server or of the database under it; what was
//! not is there whole or not at all.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mlrs_testing::{Client, MlrsServer, Postgres, skipped};
use serde_json::{Value, json};

use crate::ask::{api, parsed, post};

/// Clients at the same time: more than there are connections to a database.
const CLIENTS: usize = 24;

/// How much is acknowledged before something is killed, and after it is there again.
const ENOUGH: usize = 10 * CLIENTS;

/// How long that may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a client sent to its run, and what of it was acknowledged.
struct Logged {
    run: String,
    sent: u64,
    acknowledged: BTreeSet<u64>,
    /// Whether the server was gone before the client was told to stop.
    left_alone: bool,
}

/// What all clients know of each other.
#[derive(Default)]
struct Together {
    ended: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Together {
    /// Waits until so much more is acknowledged that it can tell something.
    fn wait(&self) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + ENOUGH;
        let begin = Instant::now();
        while self.acknowledged.load(Ordering::Relaxed) < enough {
            assert!(begin.elapsed() < PATIENCE, "too little is acknowledged");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Makes a run, and logs a metric, a param and a tag at a time.
fn log(server: &str, together: &Together) -> Logged {
    let client = Client::new();
    let api = format!("{server}/api/2.0/mlflow");
    let create = json!({ "experiment_id": "0" });
    let made = post(&client, &format!("{api}/runs/create"), &create).unwrap();
    let run = parsed(&made)["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut logged = Logged {
        run,
        sent: 0,
        acknowledged: BTreeSet::new(),
        left_alone: false,
    };
    let url = format!("{api}/runs/log-batch");
    while !together.ended.load(Ordering::Relaxed) {
        logged.sent += 1;
        let step = logged.sent;
        let batch = json!({
            "run_id": logged.run,
            "metrics": [{ "key": "m", "value": step, "timestamp": 1, "step": step }],
            "params": [{ "key": step.to_string(), "value": "p" }],
            "tags": [{ "key": step.to_string(), "value": "t" }],
        });
        match post(&client, &url, &batch) {
            Ok(answer) if answer.status == 200 => {
                logged.acknowledged.insert(step);
                together.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status == 503 => thread::sleep(Duration::from_millis(20)),
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => {
                logged.left_alone = true;
                break;
            }
        }
    }
    logged
}

/// Has clients log while `something` happens.
fn logged_while(server: &str, something: impl FnOnce(&Together)) -> Vec<Logged> {
    let together = Together::default();
    thread::scope(|scope| {
        let log = || log(server, &together);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(log)).collect();
        together.wait();
        something(&together);
        together.ended.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

/// The steps of a run for which there is a metric, a param and a tag.
fn kept(server: &MlrsServer, run: &str) -> BTreeSet<u64> {
    let get = |path: String| parsed(&Client::new().get(&api(server, &path)).unwrap());
    let numbers = |entries: &Value, name: &str| -> BTreeSet<u64> {
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |entry: &Value| {
            let value = &entry[name];
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        // The name of the run is a tag as well, and no number.
        entries.iter().filter_map(number).collect()
    };
    let data = get(format!("runs/get?run_id={run}"))["run"]["data"].take();
    let history = get(format!("metrics/get-history?run_id={run}&metric_key=m"));
    let steps = numbers(&history["metrics"], "step");
    assert_eq!(
        steps,
        numbers(&data["params"], "key"),
        "half a batch is there"
    );
    assert_eq!(
        steps,
        numbers(&data["tags"], "key"),
        "half a batch is there"
    );
    steps
}

fn check(server: &MlrsServer, logged: &[Logged]) {
    for Logged {
        run,
        sent,
        acknowledged,
        ..
    } in logged
    {
        let kept = kept(server, run);
        let lost: Vec<&u64> = acknowledged.difference(&kept).collect();
        assert!(
            lost.is_empty(),
            "{lost:?} of {sent} were acknowledged and are lost"
        );
        assert!(kept.iter().all(|step| (1..=*sent).contains(step)));
        // At most what was on the way when something was killed.
        let others = kept.difference(acknowledged).count();
        assert!(others <= 2, "{others} were not acknowledged and are there");
    }
}

fn kill_the_server(uri: &str) {
    let start = || MlrsServer::start(&["--backend-store-uri", uri]).unwrap();
    let server = start();
    let address = server.address().to_owned();
    let logged = logged_while(&address, |_| {
        drop(server);
        thread::sleep(Duration::from_millis(100));
    });
    assert!(logged.iter().all(|logged| logged.left_alone));
    check(&start(), &logged);
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mlflow.db");
    kill_the_server(&format!("sqlite:///{}", file.display()));
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_server_on_postgresql_is_killed() {
    match Postgres::start() {
        Ok(cluster) => kill_the_server(&cluster.database("killed").unwrap()),
        Err(error) => skipped("a kill on PostgreSQL", &error.to_string()),
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_database_is_killed() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("a database that is killed", &error.to_string()),
    };
    let uri = cluster.database("killed").unwrap();
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    let logged = logged_while(server.address(), |together| {
        cluster.kill().unwrap();
        thread::sleep(Duration::from_millis(500));
        cluster.resume().unwrap();
        together.wait();
        // Every client has come again by then.
        thread::sleep(Duration::from_secs(1));
    });
    for Logged {
        sent,
        acknowledged,
        left_alone,
        ..
    } in &logged
    {
        assert!(!left_alone, "the server left its clients alone");
        // Some were refused, and the last ones were taken again.
        assert!(
            (acknowledged.len() as u64) < *sent,
            "the database was never away"
        );
        assert!(
            acknowledged.contains(&(sent - 1)),
            "of {sent}, the last was {:?}",
            acknowledged.last()
        );
    }
    check(&server, &logged);
}
