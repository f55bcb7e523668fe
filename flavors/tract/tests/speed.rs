//! How long a prediction of one row takes, and what memory a model takes. Run by hand:
//! `cargo test --release -p mlrs-tract --test speed -- --ignored --nocapture`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mlrs_backend::{Backend, contract};
use mlrs_tract::Tract;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx")
}

/// Resident memory of the process in MiB, from `/proc` on Linux.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or(0.0)
        / 1024.0
}

#[test]
#[ignore = "a measurement"]
fn one_row() {
    println!("{:.1} MiB before", resident());
    for name in ["logistic", "logistic_zipmap", "forest_100", "perceptron"] {
        let model = Tract
            .load(
                &contract::source(&fixtures(), &format!("{name}.onnx")),
                &contract::options(),
            )
            .unwrap();
        let mut session = model.session().unwrap();
        let batch = contract::inputs(&fixtures(), name).unwrap().swap_remove(0);
        for _ in 0..1000 {
            session.predict(batch.clone()).unwrap();
        }
        let memory = resident();
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = Instant::now();
            for _ in 0..1000 {
                std::hint::black_box(session.predict(batch.clone()).unwrap());
            }
            best = best.min(start.elapsed().as_secs_f64() * 1000.0);
        }
        println!(
            "{name}: {best:.2} µs for {} row(s), {memory:.1} MiB with the model",
            batch.rows
        );
    }
}
