//! A model for tests, the state and router around it, and a plain HTTP/1.1 client.
//!
//! The model is the engine here, so it is a small deterministic one: the sum of each row. Some
//! inputs make it do what engines do on bad days; see [`RowSum`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mlrs_backend::{Batching, Cost, Interrupt, Model, PredictError, Refusal, Session};
use mlrs_mlmodel::signature::{Schema, Signature};
use mlrs_payload::{
    Batch, Compat, DType, Dim, InputPlan, Output, Tensor, TensorData, TensorInfo, Value, ValueInfo,
    ValueKind,
};
use mlrs_runtime::{InService, Settings};
use mlrs_scoring::{ModelInfo, ScoringSettings, ScoringState, router};
use serde_json::Value as Json;
use tower::ServiceExt;

/// The sum of each row of `x` (float64, two columns).
///
/// A first value of -1 is refused as inputs, -2 fails, -3 panics, and -4 waits until the gate
/// that the test holds is open.
pub struct RowSum {
    inputs: Vec<TensorInfo>,
    outputs: Vec<ValueInfo>,
    gate: Arc<Mutex<()>>,
}

struct RowSumSession(Arc<Mutex<()>>);

impl Model for RowSum {
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
        Ok(Box::new(RowSumSession(Arc::clone(&self.gate))))
    }
}

impl Session for RowSumSession {
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        None
    }

    fn predict(&mut self, batch: Batch) -> Result<Output, PredictError> {
        let TensorData::F64(values) = &batch.inputs[0].data else {
            panic!("the plan gives doubles")
        };
        match values.first() {
            Some(-1.0) => return Err(PredictError::Inputs("rank 3, not 2".to_owned())),
            Some(-2.0) => return Err(PredictError::Engine("a secret of the engine".to_owned())),
            Some(-3.0) => panic!("an engine that panics"),
            Some(-4.0) => drop(self.0.lock().unwrap_or_else(PoisonError::into_inner)),
            _ => {}
        }
        let sums: Vec<f64> = values.chunks(2).map(|row| row.iter().sum()).collect();
        let tensor = Tensor {
            shape: vec![sums.len()],
            data: TensorData::F64(sums),
        };
        Ok(Output {
            values: vec![Value::Tensor(tensor)],
        })
    }
}

/// A server without a socket, and the gate of its model.
pub struct Server {
    pub state: ScoringState,
    gate: Arc<Mutex<()>>,
}

/// A closed gate: the model waits at it until [`ClosedGate::open`]. A thread holds the lock, as an
/// async test must not.
pub struct ClosedGate {
    open: mpsc::Sender<()>,
    keeper: JoinHandle<()>,
}

impl ClosedGate {
    pub fn open(self) {
        self.open.send(()).unwrap();
        self.keeper.join().unwrap();
    }
}

pub const SIGNATURE: &str = r#"[{"type": "double", "name": "a", "required": true},
    {"type": "double", "name": "b", "required": true}]"#;

pub fn info() -> ModelInfo {
    ModelInfo {
        name: "row-sum".to_owned(),
        version: Some("7".to_owned()),
        run_id: Some("707dcc0bd23a43c0bee7989ce3aa40aa".to_owned()),
        model_id: Some("m-7526a477ceb94eafa1b91e059e2529e9".to_owned()),
        flavor: "onnx".to_owned(),
        backend: "test".to_owned(),
        signature: Some(Signature {
            inputs: Some(Schema::parse(SIGNATURE).unwrap()),
            outputs: Some(Schema::parse(r#"[{"type": "double", "name": "sum"}]"#).unwrap()),
            params: None,
        }),
        serving_example: Some(EXAMPLE.as_bytes().to_vec()),
    }
}

pub const EXAMPLE: &str =
    r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.0], [3.0, 4.0]]}}"#;

pub fn runtime_settings() -> Settings {
    Settings {
        sessions: 1,
        queue_rows: 64,
        queue_bytes: 1 << 20,
        batch_rows: 16,
    }
}

impl Server {
    pub fn new(settings: ScoringSettings) -> Self {
        Self::with(info(), settings, runtime_settings())
    }

    pub fn with(info: ModelInfo, settings: ScoringSettings, runtime: Settings) -> Self {
        let gate = Arc::new(Mutex::new(()));
        let shape = Some(vec![Dim::Symbolic("rows".to_owned()), Dim::Fixed(2)]);
        let sums = ValueKind::Tensor {
            dtype: DType::F64,
            shape: Some(vec![Dim::Unknown]),
        };
        let model = RowSum {
            inputs: vec![TensorInfo {
                name: "x".to_owned(),
                dtype: DType::F64,
                shape,
            }],
            outputs: vec![ValueInfo {
                name: "sum".to_owned(),
                kind: sums,
            }],
            gate: Arc::clone(&gate),
        };
        let plan = InputPlan::compile(info.signature.as_ref(), &model.inputs, Compat::Mlflow);
        let service = Arc::new(InService::start(Box::new(model), runtime).unwrap());
        let state = ScoringState::new(info, service, plan, settings).unwrap();
        Self { state, gate }
    }

    pub fn close_gate(&self) -> ClosedGate {
        let gate = Arc::clone(&self.gate);
        let (open, opened) = mpsc::channel();
        let (closed, is_closed) = mpsc::channel();
        let keeper = std::thread::spawn(move || {
            let _lock = gate.lock().unwrap();
            closed.send(()).unwrap();
            opened.recv().unwrap();
        });
        is_closed.recv().unwrap();
        ClosedGate { open, keeper }
    }

    pub fn router(&self) -> Router {
        router(self.state.clone())
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router().oneshot(request).await.unwrap()).await
    }

    /// The body of the response, which need not be text.
    pub async fn send_for_bytes(&self, request: Request<Body>) -> Vec<u8> {
        let response = self.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap();
        body.to_bytes().to_vec()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// Sends a scoring request with the id `test`.
    pub async fn score(&self, content_type: &str, body: impl Into<Body>) -> Answer {
        self.send(scoring(content_type, body)).await
    }

    pub async fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").await.text;
        let found = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found
            .unwrap_or_else(|| panic!("{line} in\n{text}"))
            .parse()
            .unwrap()
    }
}

pub fn scoring(content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/invocations")
        .header("content-type", content_type)
        .header("x-request-id", "test")
        .body(body.into())
        .unwrap()
}

/// A data frame of these rows.
pub fn split(rows: &[[f64; 2]]) -> String {
    serde_json::json!({"dataframe_split": {"columns": ["a", "b"], "data": rows}}).to_string()
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = match head.headers.get("content-encoding") {
            Some(_gzip) => {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&bytes[..])
                    .read_to_string(&mut text)
                    .unwrap();
                text
            }
            None => String::from_utf8(bytes.to_vec()).unwrap(),
        };
        Self {
            status: head.status,
            headers: head.headers,
            text,
        }
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body in one text, for snapshots.
    pub fn brief(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.text)
    }
}
