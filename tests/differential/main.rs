//! mlrs against MLflow: the same models, the same requests, the answers compared.
//!
//! MLflow's own scoring server (see `python/oracle.py`) is asked first, then the built `mlrs` with
//! each backend. A difference fails the test, unless the table in `corrections` says why it is
//! meant. `cargo xtask differential` runs this and writes the report.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod compare;
mod corpus;
mod corrections;
mod report;
mod rounds;

use corpus::Corpus;
use mlrs_testing::skipped;
use rounds::{Outcome, Round};

/// The models and MLflow's answers, or `None` where there is no Python, with that reported.
///
/// Only what is missing may be left out. Whatever breaks on the way is a failure: a test that
/// skipped it would pass without having asked anything.
fn corpus(what: &str) -> Option<Corpus> {
    if let Err(error) = mlrs_testing::python() {
        skipped(what, &corpus::with_causes(&error));
        return None;
    }
    Some(Corpus::prepare().unwrap_or_else(|error| panic!("{}", corpus::with_causes(&error))))
}

/// How many differences a failure lists in full.
const LISTED: usize = 200;

/// Fails with a readable list when the round found something.
fn assert_as_mlflow(round: Round) {
    let name = format!("answers of {} as MLflow's", round.backend);
    let Some(corpus) = corpus(&name) else { return };
    if let Some(why) = round.impossible() {
        skipped(&name, &why);
        return;
    }
    mlrs_testing::mlrs_binary().unwrap_or_else(|error| panic!("{}", corpus::with_causes(&error)));
    let outcome = round.ask(&corpus);
    assert!(
        outcome.asked > 5_000,
        "only {} requests were asked",
        outcome.asked
    );
    let problems = outcome.problems();
    assert!(
        problems.is_empty(),
        "{} of {} answers differ from MLflow's, and other findings:\n{}\n{}",
        outcome.differences().count(),
        outcome.asked,
        outcome.summary(),
        first_lines(&problems),
    );
}

/// The first problems, and how many more there are.
fn first_lines(problems: &[String]) -> String {
    let more = problems.len().saturating_sub(LISTED);
    let mut lines = problems.iter().take(LISTED).cloned().collect::<Vec<_>>();
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines.join("\n")
}

#[test]
fn onnxruntime_answers_as_mlflow() {
    assert_as_mlflow(Round::ONNXRUNTIME);
}

#[test]
fn tract_answers_as_mlflow() {
    assert_as_mlflow(Round::TRACT);
}

/// The requests are only worth something while MLflow takes about half of them: a slip in a maker
/// would turn them all into the same error.
#[test]
fn mlflow_answers_every_request_and_accepts_many() {
    let Some(corpus) = corpus("the requests of the differential tests") else {
        return;
    };
    let (mut accepted, mut asked) = (0, 0);
    for (name, model) in &corpus.models {
        assert_eq!(model.requests.len(), model.answers.len(), "{name}");
        assert!(model.requests.len() > 60, "{name} is asked too little");
        let good = model
            .answers
            .iter()
            .filter(|answer| answer.status == 200)
            .count();
        accepted += good;
        asked += model.answers.len();
        let never = corrections::NEVER_SERVED_BY_MLFLOW
            .iter()
            .any(|(model, _)| model == name);
        assert_eq!(good < 5, never, "{name}: MLflow accepts {good} requests");
    }
    assert!(corpus.models.len() >= 60, "{} models", corpus.models.len());
    assert!(asked > 10_000, "{asked} requests");
    assert!(
        (asked / 3..asked * 2 / 3).contains(&accepted),
        "{accepted} of {asked} accepted"
    );
}

#[test]
#[ignore = "writes a report; `cargo xtask differential --report FILE` runs it"]
fn report() {
    let path = std::env::var("MLRS_DIFFERENTIAL_REPORT").expect("the report needs a file name");
    let corpus = Corpus::prepare().expect("the report needs MLflow");
    let outcomes: Vec<Outcome> = [Round::ONNXRUNTIME, Round::TRACT, Round::STRICT]
        .map(|round| round.ask(&corpus))
        .into();
    std::fs::write(&path, report::markdown(&corpus, &outcomes)).expect("the report is written");
}
