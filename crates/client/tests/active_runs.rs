//! Runs that log in the background, against a server that counts what arrives, refuses what it is
//! told to, and may be slow, busy or away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mlrs_client::ConnectionSettings;
use mlrs_client::tracking::{
    ActiveRun, ErrorCode, LoggingSettings, RunStatus, StartRun, TrackingClient, TrackingError,
};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// What the server was told.
#[derive(Default)]
struct Told {
    /// Sizes of the requests it took: metrics, params, tags.
    batches: Mutex<Vec<[usize; 3]>>,
    metrics: Mutex<Vec<i64>>,
    params: Mutex<Vec<String>>,
    tags: Mutex<Vec<(String, String)>>,
    ended: Mutex<Vec<Value>>,
    /// Milliseconds before each answer to a batch.
    delay: AtomicU64,
    /// So many batches are answered 503 first.
    busy: AtomicUsize,
    /// All batches that came.
    asked: AtomicUsize,
}

#[derive(Clone)]
struct Server(Arc<Told>);

fn list(body: &Value, name: &str) -> Vec<Value> {
    body[name].as_array().cloned().unwrap_or_default()
}

impl Server {
    fn batch(&self, body: &Value) -> ResponseTemplate {
        let told = &self.0;
        let (metrics, params, tags) = (
            list(body, "metrics"),
            list(body, "params"),
            list(body, "tags"),
        );
        assert!(metrics.len() + params.len() + tags.len() <= 1000);
        assert!(params.len() <= 100 && tags.len() <= 100);
        told.asked.fetch_add(1, Ordering::SeqCst);
        let was_busy = told
            .busy
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if was_busy.is_ok() {
            return ResponseTemplate::new(503);
        }
        if params.iter().any(|param| param["key"] == "bad") {
            let error =
                json!({"error_code": "INVALID_PARAMETER_VALUE", "message": "no bad params"});
            return ResponseTemplate::new(400).set_body_json(error);
        }
        if params.iter().any(|param| param["key"] == "broken") {
            let error = json!({"error_code": "INTERNAL_ERROR", "message": "the database failed"});
            return ResponseTemplate::new(500).set_body_json(error);
        }
        told.batches
            .lock()
            .unwrap()
            .push([metrics.len(), params.len(), tags.len()]);
        let steps = metrics
            .iter()
            .map(|metric| metric["step"].as_i64().unwrap());
        told.metrics.lock().unwrap().extend(steps);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        told.params
            .lock()
            .unwrap()
            .extend(params.iter().map(|param| text(&param["key"])));
        let tags = tags
            .iter()
            .map(|tag| (text(&tag["key"]), text(&tag["value"])));
        told.tags.lock().unwrap().extend(tags);
        ResponseTemplate::new(200).set_body_json(json!({}))
    }
}

impl Respond for Server {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        match request.url.path().rsplit('/').next() {
            Some("create") => ResponseTemplate::new(200)
                .set_body_json(json!({"run": {"info": {"run_id": "r", "experiment_id": "1"}}})),
            Some("update") => {
                self.0.ended.lock().unwrap().push(body);
                ResponseTemplate::new(200).set_body_json(json!({"run_info": {"run_id": "r"}}))
            }
            _ => {
                let delay = Duration::from_millis(self.0.delay.load(Ordering::SeqCst));
                self.batch(&body).set_delay(delay)
            }
        }
    }
}

async fn server() -> (MockServer, Arc<Told>) {
    // Not one of the pool, which would go on answering after the test has dropped it.
    let server = MockServer::builder().start().await;
    let told = Arc::new(Told::default());
    listen(&server, &told).await;
    (server, told)
}

async fn listen(server: &MockServer, told: &Arc<Told>) {
    for call in ["create", "update", "log-batch"] {
        Mock::given(path(format!("/api/2.0/mlflow/runs/{call}")))
            .respond_with(Server(Arc::clone(told)))
            .mount(server)
            .await;
    }
}

async fn start(server: &MockServer, logging: LoggingSettings) -> ActiveRun {
    let client = TrackingClient::connect(&server.uri()).unwrap();
    let start = StartRun::in_experiment("1").logging(logging);
    client.start_run(start).await.unwrap()
}

fn status_of(told: &Told) -> String {
    let ended = told.ended.lock().unwrap();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0]["end_time"].as_i64().unwrap() > 0);
    ended[0]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn many_values_need_few_requests_and_none_is_lost() {
    let (server, told) = server().await;
    told.delay.store(20, Ordering::SeqCst);
    let run = start(
        &server,
        LoggingSettings {
            capacity: 1500,
            ..LoggingSettings::default()
        },
    )
    .await;
    for index in 0..150 {
        run.log_param(format!("p{index}"), index);
    }
    // More than the queue holds: this waits for the server in between.
    for step in 0..20_000 {
        run.log_metric("loss", 0.5_f32, step);
    }
    run.set_tag("best", true);
    run.finish(RunStatus::Killed).await.unwrap();
    assert_eq!(
        *told.metrics.lock().unwrap(),
        (0..20_000).collect::<Vec<_>>()
    );
    assert_eq!(told.params.lock().unwrap().len(), 150);
    assert_eq!(
        *told.tags.lock().unwrap(),
        [("best".to_owned(), "true".to_owned())]
    );
    assert!(
        told.batches.lock().unwrap().len() <= 40,
        "{:?}",
        told.batches
    );
    assert_eq!(status_of(&told), "KILLED");
}

#[tokio::test]
async fn a_value_waits_a_tenth_of_a_second_for_others() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    for step in 0..3 {
        run.log_metric("loss", 0.5, step);
    }
    let begin = Instant::now();
    while told.batches.lock().unwrap().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        begin.elapsed() >= Duration::from_millis(80),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(*told.batches.lock().unwrap(), [[3, 0, 0]]);
    // Who flushes does not wait that long, and finds everything there.
    let begin = Instant::now();
    run.set_tag("a", 1);
    run.flush().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_millis(80),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(told.tags.lock().unwrap().len(), 1);
    run.finish(RunStatus::Finished).await.unwrap();
}

#[tokio::test]
async fn a_refused_value_costs_no_other_one_and_is_reported_once() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    for index in 0..50 {
        run.log_metric("loss", 1.0, index);
        run.log_param(
            if index == 31 {
                "bad".to_owned()
            } else {
                format!("p{index}")
            },
            index,
        );
    }
    let error = run.flush().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidParameterValue));
    match error {
        TrackingError::Lost { values, first, .. } => {
            assert_eq!((values, first.as_str()), (1, "bad"));
        }
        other => panic!("{other:?}"),
    }
    let mut steps = told.metrics.lock().unwrap().clone();
    steps.sort_unstable();
    assert_eq!(steps, (0..50).collect::<Vec<_>>());
    assert_eq!(told.params.lock().unwrap().len(), 49);
    run.finish(RunStatus::Finished).await.unwrap();
    assert_eq!(status_of(&told), "FINISHED");
}

#[tokio::test]
async fn a_run_that_is_dropped_sends_the_rest_and_ends() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    run.log_metric("loss", 1.0, 7);
    // The only thread of this runtime waits here.
    drop(run);
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "FAILED");
}

#[tokio::test]
async fn a_run_that_an_error_leaves_early_has_failed() {
    let (server, told) = server().await;
    let work = async {
        let run = start(&server, LoggingSettings::default()).await;
        run.log_metric("loss", 1.0, 7);
        let text = std::fs::read_to_string("/nowhere/at-all")?;
        run.log_param("text", text);
        run.finish(RunStatus::Finished).await.unwrap();
        Ok::<(), std::io::Error>(())
    };
    work.await.unwrap_err();
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "FAILED");
}

#[derive(Debug)]
enum Failure {
    Tracking(TrackingError),
    Own,
}

impl From<TrackingError> for Failure {
    fn from(error: TrackingError) -> Self {
        Self::Tracking(error)
    }
}

/// The status of a run, and the result of its work.
async fn with_run(
    work: impl AsyncFnOnce(&ActiveRun) -> Result<u8, Failure>,
) -> (String, Result<u8, Failure>) {
    let (server, told) = server().await;
    let client = TrackingClient::connect(&server.uri()).unwrap();
    let result = client.with_run(StartRun::in_experiment("1"), work).await;
    (status_of(&told), result)
}

#[tokio::test]
async fn a_piece_of_work_ends_its_run_by_its_result() {
    let (status, result) = with_run(async |run| {
        run.log_metric("loss", 1.0, 7);
        Ok(3)
    })
    .await;
    assert_eq!((status.as_str(), result.unwrap()), ("FINISHED", 3));
    let (status, result) = with_run(async |_| Err(Failure::Own)).await;
    assert!(matches!(result, Err(Failure::Own)), "{result:?}");
    assert_eq!(status, "FAILED");
    // What was lost is an error of the work that has none of its own.
    let (status, result) = with_run(async |run| {
        run.log_param("bad", 1);
        Ok(3)
    })
    .await;
    assert!(
        matches!(&result, Err(Failure::Tracking(TrackingError::Lost { .. }))),
        "{result:?}"
    );
    assert_eq!(status, "FINISHED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_work_may_be_a_task_and_panic() {
    let (server, told) = server().await;
    let client = TrackingClient::connect(&server.uri()).unwrap();
    let task = tokio::spawn(async move {
        let work = async |run: &ActiveRun| -> Result<(), TrackingError> {
            run.log_metric("loss", 1.0, 7);
            run.flush().await?;
            panic!("of the program");
        };
        client.with_run(StartRun::in_experiment("1"), work).await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "FAILED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_a_task_that_is_cancelled_has_failed() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    let task = tokio::spawn(async move {
        run.log_metric("loss", 1.0, 7);
        std::future::pending::<()>().await;
        run.finish(RunStatus::Finished).await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "FAILED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_dropped_by_a_panic_has_failed() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    let task = tokio::spawn(async move {
        run.log_metric("loss", 1.0, 7);
        panic!("of the program");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "FAILED");
}

#[test]
fn a_run_may_outlive_the_runtime_that_it_was_started_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (server, told) = runtime.block_on(server());
    let run = runtime.block_on(start(&server, LoggingSettings::default()));
    drop(runtime);
    std::thread::scope(|scope| {
        for step in 0..4 {
            let run = &run;
            scope.spawn(move || run.log_metric("loss", 1.0, step));
        }
    });
    drop(run);
    assert_eq!(told.metrics.lock().unwrap().len(), 4);
    assert_eq!(status_of(&told), "FAILED");
}

#[tokio::test]
async fn a_drop_waits_for_a_silent_server_only_so_long() {
    let (server, told) = server().await;
    told.delay.store(60_000, Ordering::SeqCst);
    let run = start(
        &server,
        LoggingSettings {
            drop_wait: Duration::from_millis(300),
            ..LoggingSettings::default()
        },
    )
    .await;
    run.log_metric("loss", 1.0, 7);
    let begin = Instant::now();
    drop(run);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    assert!(told.ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_finish_that_is_not_awaited_ends_the_run_all_the_same() {
    let (server, told) = server().await;
    told.delay.store(200, Ordering::SeqCst);
    let run = start(&server, LoggingSettings::default()).await;
    run.log_metric("loss", 1.0, 7);
    let given_up = tokio::time::timeout(Duration::from_millis(20), run.finish(RunStatus::Killed));
    assert!(given_up.await.is_err());
    assert_eq!(*told.metrics.lock().unwrap(), [7]);
    assert_eq!(status_of(&told), "KILLED");
}

#[tokio::test]
async fn a_busy_server_is_waited_for_and_one_that_is_gone_is_an_error() {
    let (server, told) = server().await;
    told.busy.store(1, Ordering::SeqCst);
    let patience = Duration::from_millis(100);
    let run = start(
        &server,
        LoggingSettings {
            patience,
            ..LoggingSettings::default()
        },
    )
    .await;
    run.log_metric("loss", 1.0, 1);
    run.flush().await.unwrap();
    drop(server);
    run.log_metric("loss", 1.0, 2);
    run.log_metric("loss", 1.0, 3);
    let error = run.flush().await.unwrap_err();
    assert!(
        matches!(error, TrackingError::Lost { values: 2, .. }),
        "{error:?}"
    );
    assert!(error.hint().is_some());
    let error = run.finish(RunStatus::Finished).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(*told.metrics.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_value_that_breaks_the_server_costs_no_other_one() {
    let (server, told) = server().await;
    let run = start(
        &server,
        LoggingSettings {
            patience: Duration::from_millis(100),
            ..LoggingSettings::default()
        },
    )
    .await;
    for step in 0..50 {
        run.log_metric("loss", 1.0, step);
    }
    run.log_param("broken", 1);
    run.log_param("whole", 1);
    let error = run.finish(RunStatus::Finished).await.unwrap_err();
    match error {
        TrackingError::Lost { values, first, .. } => {
            assert_eq!((values, first.as_str()), (1, "broken"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(told.metrics.lock().unwrap().len(), 50);
    assert_eq!(*told.params.lock().unwrap(), ["whole"]);
}

#[tokio::test]
async fn a_server_that_is_given_up_is_asked_once_for_each_request_and_taken_back() {
    let (server, told) = server().await;
    told.busy.store(usize::MAX, Ordering::SeqCst);
    let mut settings = ConnectionSettings::for_server(&server.uri()).unwrap();
    settings.transport.retry.max_retries = 4;
    settings.transport.retry.backoff_factor = 0.01;
    settings.transport.retry.backoff_jitter = 0.0;
    let client = TrackingClient::new(settings).unwrap();
    let start = StartRun::in_experiment("1").logging(LoggingSettings {
        patience: Duration::ZERO,
        ..LoggingSettings::default()
    });
    let run = client.start_run(start).await.unwrap();
    for step in 0..5000 {
        run.log_metric("loss", 1.0, step);
    }
    let error = run.flush().await.unwrap_err();
    assert!(
        matches!(error, TrackingError::Lost { values: 5000, .. }),
        "{error:?}"
    );
    // Five for the first batch, and one each for the others: at least four.
    let asked = told.asked.load(Ordering::SeqCst);
    assert!((9..=12).contains(&asked), "{asked}");
    told.busy.store(0, Ordering::SeqCst);
    run.log_metric("loss", 1.0, 7);
    run.flush().await.unwrap();
    // It is trusted again.
    told.busy.store(2, Ordering::SeqCst);
    run.log_metric("loss", 1.0, 8);
    run.finish(RunStatus::Finished).await.unwrap();
    assert_eq!(*told.metrics.lock().unwrap(), [7, 8]);
}

#[tokio::test]
async fn a_small_queue_that_is_full_is_sent_at_once() {
    let (server, told) = server().await;
    let run = start(
        &server,
        LoggingSettings {
            capacity: 10,
            delay: Duration::from_mins(1),
            ..LoggingSettings::default()
        },
    )
    .await;
    let begin = Instant::now();
    for step in 0..100 {
        run.log_metric("loss", 1.0, step);
    }
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    run.finish(RunStatus::Finished).await.unwrap();
    assert_eq!(told.metrics.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_gets_everything() {
    let (server, told) = server().await;
    let run = start(&server, LoggingSettings::default()).await;
    run.log_metric("loss", 1.0, 0);
    run.flush().await.unwrap();
    let address = *server.address();
    drop(server);
    for step in 1..2500 {
        run.log_metric("loss", 1.0, step);
    }
    // Longer than the retries of one request.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let listener = std::net::TcpListener::bind(address).unwrap();
    let server = MockServer::builder().listener(listener).start().await;
    listen(&server, &told).await;
    run.finish(RunStatus::Finished).await.unwrap();
    assert_eq!(*told.metrics.lock().unwrap(), (0..2500).collect::<Vec<_>>());
    assert_eq!(status_of(&told), "FINISHED");
}
