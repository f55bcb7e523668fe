//! The queue, the batches and the failures of a model in service, with models that are a few lines.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "helpers of tests fail as tests do, and rules share one type"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mlrs_backend::{Batching, Cost, Interrupt, Model, PredictError, Refusal, Session};
use mlrs_payload::{
    Batch, DType, Dim, Output, Tensor, TensorData, TensorInfo, Value, ValueInfo, ValueKind,
};
use mlrs_runtime::{InService, Rejection, Settings};

/// What a test model does with its rows.
type Rule = fn(&[f32]) -> Result<Vec<f32>, PredictError>;

/// A gate that predictions wait at while it is closed.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Predictions that came to the gate.
    arrived: AtomicUsize,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            closed = self.opened.wait(closed).unwrap();
        }
    }
}

struct Rows {
    inputs: Vec<TensorInfo>,
    outputs: Vec<ValueInfo>,
    rule: Rule,
    gate: Arc<Gate>,
    sizes: Arc<Mutex<Vec<usize>>>,
    sessions: Arc<AtomicUsize>,
}

struct RowSession {
    rule: Rule,
    gate: Arc<Gate>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl Model for Rows {
    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    fn batching(&self) -> Batching {
        Batching::RowWise
    }

    fn cost(&self) -> Cost {
        Cost::ByShapes
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn session(&self) -> Result<Box<dyn Session>, Refusal> {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let (gate, sizes) = (Arc::clone(&self.gate), Arc::clone(&self.sizes));
        Ok(Box::new(RowSession {
            rule: self.rule,
            gate,
            sizes,
        }))
    }
}

impl Session for RowSession {
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        None
    }

    fn predict(&mut self, mut batch: Batch) -> Result<Output, PredictError> {
        // Longer than what counts as cheap, so that predictions go through the workers.
        std::thread::sleep(Duration::from_millis(2));
        self.gate.pass();
        self.sizes.lock().unwrap().push(batch.rows);
        let Some(Tensor {
            data: TensorData::F32(values),
            ..
        }) = batch.inputs.pop()
        else {
            return Err(PredictError::Inputs("one tensor of floats".into()));
        };
        let data = TensorData::F32((self.rule)(&values)?);
        Ok(Output {
            values: vec![Value::Tensor(Tensor {
                shape: vec![batch.rows],
                data,
            })],
        })
    }
}

/// A model in service, and the handles of a test.
struct Setup {
    service: Arc<InService>,
    gate: Arc<Gate>,
    sizes: Arc<Mutex<Vec<usize>>>,
    sessions: Arc<AtomicUsize>,
}

fn start(rule: Rule, queue_rows: usize) -> Setup {
    let gate = Arc::new(Gate::default());
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let sessions = Arc::new(AtomicUsize::new(0));
    let model = Rows {
        inputs: vec![TensorInfo {
            name: "x".into(),
            dtype: DType::F32,
            shape: Some(vec![Dim::Unknown, Dim::Fixed(1)]),
        }],
        outputs: vec![ValueInfo {
            name: "y".into(),
            kind: ValueKind::Tensor {
                dtype: DType::F32,
                shape: Some(vec![Dim::Unknown]),
            },
        }],
        rule,
        gate: Arc::clone(&gate),
        sizes: Arc::clone(&sizes),
        sessions: Arc::clone(&sessions),
    };
    let settings = Settings {
        sessions: 1,
        queue_rows,
        queue_bytes: usize::MAX,
        batch_rows: 8,
    };
    let service = Arc::new(InService::start(Box::new(model), settings).unwrap());
    Setup {
        service,
        gate,
        sizes,
        sessions,
    }
}

fn batch(values: &[f32]) -> Batch {
    let tensor = Tensor {
        shape: vec![values.len(), 1],
        data: TensorData::F32(values.to_vec()),
    };
    Batch {
        inputs: vec![tensor],
        rows: values.len(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Waits until the engine has begun with a request.
async fn busy(gate: &Gate, before: usize) {
    while gate.arrived.load(Ordering::SeqCst) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn double(values: &[f32]) -> Result<Vec<f32>, PredictError> {
    Ok(values.iter().map(|value| value * 2.0).collect())
}

/// Refuses a batch that holds a negative value, whoever sent it.
fn picky(values: &[f32]) -> Result<Vec<f32>, PredictError> {
    if values.iter().any(|value| *value < 0.0) {
        Err(PredictError::Inputs("negative".into()))
    } else {
        double(values)
    }
}

fn panicking(values: &[f32]) -> Result<Vec<f32>, PredictError> {
    assert!(values.iter().all(|value| *value < 100.0), "too large");
    double(values)
}

/// Rows that depend on their neighbours.
fn centred(values: &[f32]) -> Result<Vec<f32>, PredictError> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    Ok(values.iter().map(|value| value - mean).collect())
}

fn own_rows(prediction: &mlrs_runtime::Prediction) -> Vec<f32> {
    let Value::Tensor(Tensor {
        data: TensorData::F32(values),
        ..
    }) = &prediction.output.values[0]
    else {
        panic!("floats")
    };
    values[prediction.rows.clone()].to_vec()
}

/// Sends one request for each value while the engine is busy, and gives the answers in order.
async fn together(setup: &Setup, values: &[f32]) -> Vec<Result<Vec<f32>, Rejection>> {
    let before = setup.gate.arrived.load(Ordering::SeqCst);
    setup.gate.set(true);
    let first = tokio::spawn({
        let service = Arc::clone(&setup.service);
        async move { service.predict(batch(&[0.0]), soon()).await.map(drop) }
    });
    busy(&setup.gate, before).await;
    let waiting: Vec<_> = values
        .iter()
        .map(|value| {
            let (service, value) = (Arc::clone(&setup.service), *value);
            tokio::spawn(async move {
                service
                    .predict(batch(&[value]), soon())
                    .await
                    .map(|prediction| own_rows(&prediction))
            })
        })
        .collect();
    while setup.service.queued_rows() < values.len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    setup.gate.set(false);
    first.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for task in waiting {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_share_a_batch_and_get_their_own_rows() {
    let setup = start(double, 100);
    assert!(setup.service.warm_up(None).unwrap().merges);
    setup.sizes.lock().unwrap().clear();
    let answers = together(&setup, &[1.0, 2.0, 3.0, 4.0]).await;
    let expected = [vec![2.0], vec![4.0], vec![6.0], vec![8.0]];
    assert_eq!(
        answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(*setup.sizes.lock().unwrap(), [1, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_depend_on_each_other_are_never_merged() {
    let setup = start(centred, 100);
    assert!(
        !setup
            .service
            .warm_up(Some(&batch(&[3.0, 5.0])))
            .unwrap()
            .merges
    );
    setup.sizes.lock().unwrap().clear();
    let answers = together(&setup, &[1.0, 2.0]).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == [0.0]));
    assert_eq!(*setup.sizes.lock().unwrap(), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_pays_for_the_request_of_another() {
    let setup = start(picky, 100);
    setup.service.warm_up(None).unwrap();
    let answers = together(&setup, &[1.0, -1.0, 3.0]).await;
    assert_eq!(answers[0].as_ref().unwrap(), &[2.0]);
    assert!(matches!(
        answers[1],
        Err(Rejection::Failed(PredictError::Inputs(_)))
    ));
    assert_eq!(answers[2].as_ref().unwrap(), &[6.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_its_batch_and_a_session() {
    let setup = start(panicking, 100);
    assert_eq!(setup.sessions.load(Ordering::Relaxed), 1);
    let refused = setup.service.predict(batch(&[100.0]), soon()).await;
    assert!(matches!(refused, Err(Rejection::Panicked)));
    let answer = setup.service.predict(batch(&[1.0]), soon()).await.unwrap();
    assert_eq!(own_rows(&answer), [2.0]);
    assert_eq!(setup.sessions.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_a_deadline_ends_the_wait() {
    let setup = start(double, 2);
    let before = setup.gate.arrived.load(Ordering::SeqCst);
    setup.gate.set(true);
    let service = Arc::clone(&setup.service);
    let running =
        tokio::spawn(async move { service.predict(batch(&[1.0]), soon()).await.map(drop) });
    busy(&setup.gate, before).await;
    let service = Arc::clone(&setup.service);
    let short = Instant::now() + Duration::from_millis(100);
    let waiting =
        tokio::spawn(async move { service.predict(batch(&[1.0, 2.0]), short).await.map(drop) });
    while setup.service.queued_rows() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = setup.service.predict(batch(&[1.0]), soon()).await;
    assert!(matches!(refused, Err(Rejection::QueueFull)));
    assert!(matches!(waiting.await.unwrap(), Err(Rejection::Expired)));
    setup.gate.set(false);
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_is_skipped() {
    let setup = start(double, 100);
    let before = setup.gate.arrived.load(Ordering::SeqCst);
    setup.gate.set(true);
    let service = Arc::clone(&setup.service);
    let running =
        tokio::spawn(async move { service.predict(batch(&[1.0]), soon()).await.map(drop) });
    busy(&setup.gate, before).await;
    let service = Arc::clone(&setup.service);
    let leaving =
        tokio::spawn(async move { service.predict(batch(&[7.0]), soon()).await.map(drop) });
    while setup.service.queued_rows() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    setup.gate.set(false);
    running.await.unwrap().unwrap();
    setup.service.predict(batch(&[2.0]), soon()).await.unwrap();
    assert_eq!(setup.service.abandoned(), 1);
    assert_eq!(*setup.sizes.lock().unwrap(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_waits_and_takes_no_more() {
    let setup = start(double, 100);
    setup.gate.set(true);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let service = Arc::clone(&setup.service);
            tokio::spawn(async move { service.predict(batch(&[1.0]), soon()).await.map(drop) })
        })
        .collect();
    while setup.service.queued_rows() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let service = Arc::clone(&setup.service);
    let stopping = tokio::spawn(async move { service.stop().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let late = setup.service.predict(batch(&[1.0]), soon()).await;
    assert!(matches!(late, Err(Rejection::Stopping)));
    setup.gate.set(false);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    stopping.await.unwrap();
}
