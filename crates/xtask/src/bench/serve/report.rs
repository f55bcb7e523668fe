//! The table: figures, ratios, and the targets with what became of them.

use std::fmt::Write as _;

use super::{
    CASES, Figures, LIMIT, MLFLOW, MLSERVER, Measured, ONNXRUNTIME, Options, TRACT, VALUE,
};
use crate::bench::document::machine;
use crate::bench::figures::{Target, median, target_table};

/// The whole report as markdown.
pub fn markdown(measured: &Measured, options: &Options) -> String {
    let mut text = String::from("# Benchmarks\n\n");
    let _ = writeln!(
        text,
        "Made by `cargo xtask bench serve --seconds {} --rounds {}` on {}. Medians of the rounds, in which the subjects \
         take turns; `wrk` with one thread and 8 connections; breast cancer data of 30 columns. Ratios are what \
         can be compared: the machine is shared, and load generator and server share its cores.\n",
        options.seconds,
        options.rounds,
        machine()
    );
    for case in CASES {
        let _ = writeln!(text, "## {}\n", case.name);
        text.push_str("| server | requests/s | of the bare handler | × MLflow | p50 ms | p99 ms | ready ms | memory MiB |\n|---|---|---|---|---|---|---|---|\n");
        let rate = |name| {
            measured
                .get(&(case.name, name))
                .map(|figures| median(figures, |figures| figures.load.rate))
        };
        for name in [LIMIT, VALUE, ONNXRUNTIME, TRACT, MLFLOW, MLSERVER] {
            let Some(figures) = measured.get(&(case.name, name)) else {
                continue;
            };
            let of = |value: fn(&Figures) -> f64| median(figures, value);
            let own = of(|figures| figures.load.rate);
            let ratio = |other: Option<f64>| {
                other.map_or_else(|| "–".to_owned(), |other| format!("{:.2}", own / other))
            };
            let _ = writeln!(
                text,
                "| {name} | {own:.0} | {} | {} | {:.2} | {:.2} | {:.0} | {:.0} |",
                ratio(rate(LIMIT)),
                ratio(rate(MLFLOW)),
                of(|figures| figures.load.p50),
                of(|figures| figures.load.p99),
                of(|figures| figures.ready),
                of(|figures| figures.memory),
            );
        }
        text.push('\n');
    }
    text.push_str(&targets(measured));
    text
}

fn targets(measured: &Measured) -> String {
    let value = |case: usize, name, of: fn(&Figures) -> f64| {
        measured
            .get(&(CASES[case].name, name))
            .map(|figures| median(figures, of))
    };
    let ratio = |case, other| {
        let rate: fn(&Figures) -> f64 = |figures| figures.load.rate;
        Some(value(case, ONNXRUNTIME, rate)? / value(case, other, rate)?)
    };
    let text = target_table(&[
        Target::at_least(
            "1 row, logistic, ONNX Runtime: of the bare handler",
            ratio(0, LIMIT),
            0.60,
        ),
        Target::at_least(
            "1 row, forest of 100, ONNX Runtime: of the bare handler",
            ratio(2, LIMIT),
            0.40,
        ),
        Target::at_least(
            "1,000 rows, logistic: × the `serde_json::Value` handler",
            ratio(3, VALUE),
            4.0,
        ),
        Target::at_least("data frame, 1 row: × MLflow", ratio(0, MLFLOW), 100.0),
        Target::at_least("tensor, 1 row: × MLflow", ratio(1, MLFLOW), 40.0),
        Target::at_least("data frame, 1,000 rows: × MLflow", ratio(3, MLFLOW), 40.0),
        Target::at_most(
            "start to ready, ms",
            value(0, ONNXRUNTIME, |figures| figures.ready),
            100.0,
        ),
        Target::at_most(
            "memory after the load, ONNX Runtime, MiB",
            value(0, ONNXRUNTIME, |figures| figures.memory),
            60.0,
        ),
        Target::at_most(
            "memory after the load, tract, MiB",
            value(0, TRACT, |figures| figures.memory),
            30.0,
        ),
    ]);
    format!("## Targets\n\n{text}")
}
