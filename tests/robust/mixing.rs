//! Models in which rows influence each other, under load: each response is the one that the request
//! gets alone.

use std::path::Path;
use std::sync::Arc;

use mlrs_testing::{Mlrs, onnxruntime_library};

use crate::models::{Signature, directory, graph};

const CLIENTS: usize = 32;
const REQUESTS_OF_A_CLIENT: usize = 5;

/// Bodies of one row or a few, whose values differ by orders of magnitude.
fn bodies() -> Vec<String> {
    let row = |seed: usize, scale: f64| {
        let value = |column: usize| scale * (((seed * 7 + column * 3) % 11) as f64 - 4.5);
        let values: Vec<String> = (0..4)
            .map(|column| format!("{:.4}", value(column)))
            .collect();
        format!("[{}]", values.join(", "))
    };
    (0..16)
        .map(|index| {
            let scale = [0.01, 1.0, 10.0, 1000.0][index % 4];
            let rows: Vec<String> = (0..=index % 3)
                .map(|place| row(index + place, scale))
                .collect();
            format!("{{\"inputs\": [{}]}}", rows.join(", "))
        })
        .collect()
}

fn respond(served: &Mlrs, body: &str) -> Vec<f64> {
    let found = served
        .invoke(Some("application/json"), body.as_bytes())
        .unwrap();
    assert_eq!(found.status, 200, "{}", found.body);
    let found: serde_json::Value = serde_json::from_str(&found.body).unwrap();
    let mut numbers = Vec::new();
    collect(&found["predictions"], &mut numbers);
    assert!(!numbers.is_empty(), "{found}");
    numbers
}

fn collect(value: &serde_json::Value, numbers: &mut Vec<f64>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, numbers)),
        serde_json::Value::Object(values) => {
            values.values().for_each(|value| collect(value, numbers));
        }
        value => numbers.extend(value.as_f64()),
    }
}

fn same(left: &[f64], right: &[f64]) -> bool {
    let close = |(left, right): (&f64, &f64)| (left - right).abs() <= 1e-4 * left.abs().max(1e-3);
    left.len() == right.len() && left.iter().zip(right).all(close)
}

/// Serves a model with one worker, and returns how many responses under load differ from those alone.
fn changed(model: &Path, backend: &str) -> usize {
    let library = onnxruntime_library().unwrap().display().to_string();
    let arguments = ["--backend", backend, "--workers", "1"];
    let served = Mlrs::serve_with(model, &arguments, &[("ORT_DYLIB_PATH", &library)]).unwrap();
    let bodies = bodies();
    let alone: Vec<Vec<f64>> = bodies.iter().map(|body| respond(&served, body)).collect();
    let shared = Arc::new((served, bodies, alone));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let (served, bodies, alone) = &*shared;
                let picks =
                    (0..REQUESTS_OF_A_CLIENT).map(|turn| (client + 5 * turn) % bodies.len());
                picks
                    .filter(|pick| !same(&alone[*pick], &respond(served, &bodies[*pick])))
                    .count()
            })
        })
        .collect();
    clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum()
}

#[test]
fn no_request_changes_the_response_of_another() {
    let folder = graph("perceptron");
    let mut kinds: Vec<String> = std::fs::read_dir(folder.parent().unwrap())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()?
                .to_str()
                .map(str::to_owned)
        })
        .filter(|name| name.starts_with("mixing_"))
        .collect();
    kinds.sort();
    assert!(kinds.len() >= 12, "{kinds:?}");
    let mut failures = Vec::new();
    for kind in kinds.iter().map(String::as_str).chain(["perceptron"]) {
        let model = directory(kind, Signature::default());
        for backend in ["onnxruntime", "tract"] {
            let changed = changed(model.path(), backend);
            if changed > 0 {
                failures.push(format!("{kind} on {backend}: {changed} responses changed"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
