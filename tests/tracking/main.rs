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

mod allowed;
mod artifact_faults;
mod ask;
mod client;
mod client_rust;
mod commands;
mod compare;
mod costly;
mod database;
mod desk;
mod ending;
mod endpoints;
mod example;
mod faults;
mod flags;
mod garbage;
mod hostile;
mod imported;
mod killed;
mod large_values;
mod locations;
mod object_store;
mod old_clients;
mod pages;
mod registry_commands;
mod replay;
mod scenario;
mod slow_store;
mod transfers;
mod upkeep;
mod watched;

use mlrs_testing::{MlflowServer, MlrsServer, Postgres, python, skipped};

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
    let cluster = match Postgres::start() {
        Ok(cluster) => Some(cluster),
        Err(error) => {
            skipped("scenarios of tracking on PostgreSQL", &error.to_string());
            None
        }
    };
    let mut subjects = vec![("SQLite", MlrsServer::start(&[]).unwrap())];
    if let Some(cluster) = &cluster {
        let uri = cluster.database("scenarios").unwrap();
        let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
        subjects.push(("PostgreSQL", server));
    }
    let mut findings = Vec::new();
    for scenario in &scenarios {
        let mut mlflow = Replay::new(oracle.address());
        let mut replays: Vec<(&str, Replay)> = subjects
            .iter()
            .map(|(database, subject)| (*database, Replay::new(subject.address())))
            .collect();
        for request in &scenario.requests {
            let expected = mlflow.ask(request);
            for (database, mlrs) in &mut replays {
                if let Some(finding) = compare::differs(request, &expected, &mlrs.ask(request)) {
                    let place = format!("{}:{} on {database}", scenario.name, request.line);
                    findings.push(format!("{place}: {finding}"));
                }
            }
        }
    }
    println!("{requests} requests of {} scenarios", scenarios.len());
    assert!(
        findings.is_empty(),
        "{} of the answers to {requests} requests differ:\n\n{}",
        findings.len(),
        findings.join("\n\n")
    );
}
