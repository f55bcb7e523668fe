//! Predictions of tract apart from everything else: `cargo bench -p mlrs-tract`.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run is a failure"
)]

use std::path::Path;

use criterion::Criterion;
use mlrs_backend::contract;
use mlrs_tract::Tract;

fn main() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx");
    let mut criterion = Criterion::default().configure_from_args();
    contract::for_each_engine(&Tract, &fixtures, |name, predict| {
        criterion.bench_function(&format!("tract, {name}"), |bencher| {
            bencher.iter(&mut *predict);
        });
    })
    .unwrap();
    criterion.final_summary();
}
