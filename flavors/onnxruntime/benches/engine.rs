//! Predictions of ONNX Runtime apart from everything else: `cargo bench -p mlrs-onnxruntime`, with
//! `ORT_DYLIB_PATH` set to the library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot run is a failure"
)]

use std::path::Path;

use criterion::Criterion;
use mlrs_backend::contract;
use mlrs_onnxruntime::{Locator, OnnxRuntime};

fn main() {
    let library = std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH names the library");
    let backend = OnnxRuntime::new(Locator {
        explicit: Some(library.into()),
        ..Locator::default()
    });
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx");
    let mut criterion = Criterion::default().configure_from_args();
    contract::for_each_engine(&backend, &fixtures, |name, predict| {
        criterion.bench_function(&format!("onnxruntime, {name}"), |bencher| {
            bencher.iter(&mut *predict);
        });
    })
    .unwrap();
    criterion.final_summary();
}
