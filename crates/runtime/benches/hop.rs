//! What it costs to get a request to an engine and its answer back, with an engine that does
//! nothing: `cargo bench -p mlrs-runtime`.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run is a failure"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use mlrs_backend::{Batching, Cost, Interrupt, Model, PredictError, Refusal, Session};
use mlrs_payload::{
    Batch, DType, Dim, Output, Tensor, TensorData, TensorInfo, Value, ValueInfo, ValueKind,
};
use mlrs_runtime::{InService, Settings};
use tokio::task::JoinSet;

const COLUMNS: usize = 30;

/// Answers with its inputs, after a time.
struct Echo {
    inputs: Vec<TensorInfo>,
    outputs: Vec<ValueInfo>,
    takes: Duration,
}

impl Model for Echo {
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
        Ok(Box::new(EchoSession { takes: self.takes }))
    }
}

struct EchoSession {
    takes: Duration,
}

impl Session for EchoSession {
    fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        None
    }

    fn predict(&mut self, batch: Batch) -> Result<Output, PredictError> {
        let begin = Instant::now();
        while begin.elapsed() < self.takes {
            std::hint::spin_loop();
        }
        Ok(Output {
            values: batch.inputs.into_iter().map(Value::Tensor).collect(),
        })
    }
}

fn in_service(takes: Duration) -> InService {
    let shape = Some(vec![Dim::Unknown, Dim::Fixed(COLUMNS)]);
    let model = Echo {
        inputs: vec![TensorInfo {
            name: "x".into(),
            dtype: DType::F32,
            shape: shape.clone(),
        }],
        outputs: vec![ValueInfo {
            name: "y".into(),
            kind: ValueKind::Tensor {
                dtype: DType::F32,
                shape,
            },
        }],
        takes,
    };
    let settings = Settings {
        sessions: 1,
        queue_rows: 100_000,
        queue_bytes: usize::MAX,
        batch_rows: 256,
    };
    InService::start(Box::new(model), settings).unwrap()
}

fn row() -> Batch {
    Batch {
        inputs: vec![Tensor {
            shape: vec![1, COLUMNS],
            data: TensorData::F32(vec![0.5; COLUMNS]),
        }],
        rows: 1,
    }
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("hop");
    // A cheap engine is run by the caller, one that takes longer by a worker.
    for (name, takes) in [
        ("inline", Duration::ZERO),
        ("worker, 300 us in the engine", Duration::from_micros(300)),
    ] {
        let service = Arc::new(in_service(takes));
        group.bench_function(BenchmarkId::new(name, "alone"), |bencher| {
            bencher.iter_custom(|count| {
                runtime.block_on(async {
                    let begin = Instant::now();
                    for _ in 0..count {
                        let _ = black_box(service.predict(row(), in_a_minute()).await);
                    }
                    begin.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new(name, "8 tasks"), |bencher| {
            bencher.iter_custom(|count| {
                runtime.block_on(async {
                    let begin = Instant::now();
                    let mut tasks = JoinSet::new();
                    for _ in 0..8 {
                        let service = Arc::clone(&service);
                        tasks.spawn(async move {
                            for _ in 0..count.div_ceil(8) {
                                let _ = black_box(service.predict(row(), in_a_minute()).await);
                            }
                        });
                    }
                    tasks.join_all().await;
                    begin.elapsed()
                })
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
