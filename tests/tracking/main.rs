//! `mlrs server` and `mlflow server`, asked the same: scenarios run against MLflow first, then
//! against mlrs, and every answer is compared field by field.
//!
//! A scenario is a file in `scenarios/`; [`scenario`] says how it is written. Where mlrs answers
//! otherwise on purpose, the request says so with a reason, and the difference must be there.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod client;
mod compare;
mod database;
mod replay;
mod scenario;

use mlrs_testing::{MlflowServer, MlrsServer, python, skipped};

use replay::Replay;
use scenario::Scenario;

/// One test, because MLflow's server takes long to start.
#[test]
fn every_scenario_is_answered_as_mlflow_answers_it() {
    if let Err(error) = python() {
        skipped("scenarios of tracking", &error.to_string());
        return;
    }
    let scenarios = Scenario::all();
    let requests: usize = scenarios
        .iter()
        .map(|scenario| scenario.requests.len())
        .sum();
    let oracle = MlflowServer::start().unwrap();
    let subject = MlrsServer::start(&[]).unwrap();
    let mut findings = Vec::new();
    for scenario in &scenarios {
        let mut mlflow = Replay::new(oracle.address());
        let mut mlrs = Replay::new(subject.address());
        for request in &scenario.requests {
            let (expected, found) = (mlflow.ask(request), mlrs.ask(request));
            if let Some(finding) = compare::differs(request, &expected, &found) {
                findings.push(format!("{}:{}: {finding}", scenario.name, request.line));
            }
        }
    }
    println!("{requests} requests of {} scenarios", scenarios.len());
    assert!(
        findings.is_empty(),
        "{} of {requests} answers differ:\n\n{}",
        findings.len(),
        findings.join("\n\n")
    );
}
