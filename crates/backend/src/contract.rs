//! The suite that every backend of the `onnx` flavor is held to, for the tests of its crate.
//!
//! The cases lie in a folder of fixtures with the script that made them: the answers are those of
//! ONNX Runtime in Python. [`check`] runs them all and returns what differs. A backend that cannot
//! serve a case names it with its reason; a case that is named but served is a failure too, so the
//! list of gaps stays true.

mod case;
mod compare;

use std::path::Path;

pub use case::ContractError;
use case::{Case, Outcome};

use crate::{
    Backend, LoadOptions, MissingProvider, Model, ModelSource, Output, PredictError, Refusal,
};

/// A case that a backend refuses.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// The name of the case.
    pub case: &'static str,
    /// Text that the reason of the refusal contains.
    pub reason: &'static str,
}

/// Runs all cases of the folder and returns a line for each difference; empty when there is none.
///
/// # Errors
/// When the cases cannot be read.
pub fn check(
    backend: &dyn Backend,
    fixtures: &Path,
    gaps: &[Gap],
) -> Result<Vec<String>, ContractError> {
    let cases = case::read(fixtures)?;
    let mut failures = Vec::new();
    for gap in gaps {
        if !cases.iter().any(|case| case.name == gap.case) {
            failures.push(format!(
                "{}: named as a gap, but there is no such case",
                gap.case
            ));
        }
    }
    for case in &cases {
        let gap = gaps
            .iter()
            .find(|gap| gap.case == case.name)
            .map(|gap| gap.reason);
        let found = check_case(backend, fixtures, case, gap);
        failures.extend(
            found
                .into_iter()
                .map(|text| format!("{}: {text}", case.name)),
        );
    }
    Ok(failures)
}

/// Where a fixture lies, as a model directory.
pub fn source(fixtures: &Path, data: &str) -> ModelSource {
    let mut configuration = serde_json::Map::new();
    configuration.insert("data".to_owned(), data.into());
    ModelSource {
        directory: fixtures.to_path_buf(),
        flavor: "onnx".to_owned(),
        configuration,
    }
}

/// Options for tests: two sessions of one thread each.
pub const fn options() -> LoadOptions {
    LoadOptions {
        sessions: 2,
        threads_per_session: 1,
        missing_provider: MissingProvider::UseCpu,
        output_bytes: 1 << 30,
    }
}

/// The cases that engines are timed with.
const TIMED: [&str; 4] = ["logistic", "logistic_zipmap", "forest_100", "perceptron"];

/// Calls `measure` with a name and a prediction for each case that engines are timed with, for
/// benchmarks.
///
/// # Errors
/// When the cases cannot be read, or the backend serves one of them not.
pub fn for_each_engine(
    backend: &dyn Backend,
    fixtures: &Path,
    mut measure: impl FnMut(&str, &mut dyn FnMut() -> Result<Output, PredictError>),
) -> Result<(), ContractError> {
    let cases = case::read(fixtures)?;
    for case in cases.iter().filter(|case| TIMED.contains(&&*case.name)) {
        let refused = |refusal: Refusal| ContractError::new(refusal.reason);
        let model = backend
            .load(&source(fixtures, &case.data), &options())
            .map_err(refused)?;
        let mut session = model.session().map_err(refused)?;
        let Some(run) = case.runs.first() else {
            return Err(ContractError::new(format!("`{}` has no runs", case.name)));
        };
        let name = format!("{}, {} row(s)", case.name, run.batch.rows);
        measure(&name, &mut || session.predict(run.batch.clone()));
    }
    Ok(())
}

fn check_case(
    backend: &dyn Backend,
    fixtures: &Path,
    case: &Case,
    gap: Option<&str>,
) -> Vec<String> {
    let refusal = gap.or(case.refusal.as_deref());
    match (
        backend.load(&source(fixtures, &case.data), &options()),
        refusal,
    ) {
        (Err(refused), Some(text)) if refused.reason.contains(text) => Vec::new(),
        (Err(refused), Some(text)) => vec![format!(
            "refused with `{}`, not with `{text}`",
            refused.reason
        )],
        (Err(refused), None) => vec![format!("refused: {}", refused.reason)],
        (Ok(_), Some(text)) => vec![format!("loaded, but should be refused with `{text}`")],
        (Ok(model), None) => check_model(&*model, case),
    }
}

fn check_model(model: &dyn Model, case: &Case) -> Vec<String> {
    let mut failures = Vec::new();
    let mut same = |what: &str, found: String, wanted: String| {
        if found != wanted {
            failures.push(format!("{what} are {found}, not {wanted}"));
        }
    };
    let inputs: Vec<&str> = model
        .inputs()
        .iter()
        .map(|info| info.name.as_str())
        .collect();
    let outputs: Vec<&str> = model
        .outputs()
        .iter()
        .map(|info| info.name.as_str())
        .collect();
    same(
        "inputs",
        format!("{inputs:?}"),
        format!("{:?}", case.inputs),
    );
    same(
        "outputs",
        format!("{outputs:?}"),
        format!("{:?}", case.outputs),
    );
    same(
        "batchings",
        format!("{:?}", model.batching()),
        format!("{:?}", case.batching),
    );
    for session in 0..options().sessions {
        failures.extend(
            check_session(model, case)
                .into_iter()
                .map(|text| format!("session {session}: {text}")),
        );
    }
    failures
}

fn check_session(model: &dyn Model, case: &Case) -> Vec<String> {
    let mut session = match model.session() {
        Ok(session) => session,
        Err(refused) => return vec![refused.reason],
    };
    let mut failures = Vec::new();
    for index in order(case.runs.len()) {
        let run = &case.runs[index];
        let found = match (session.predict(run.batch.clone()), &run.outcome) {
            (Ok(output), Outcome::Output(wanted)) => {
                compare::outputs(&output, wanted, case.tolerance)
            }
            (Err(PredictError::Inputs(_)), Outcome::InputsRefused) | (Err(_), Outcome::Failed) => {
                None
            }
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), _) => Some("responded to inputs that do not fit".to_owned()),
        };
        failures.extend(found.map(|text| format!("run {index}: {text}")));
    }
    failures
}

/// The order in which a session gets the runs of a case: each one three times in a row, then after
/// each other one, so that whatever a request leaves behind in a session shows in the next.
fn order(runs: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..runs).flat_map(|index| [index; 3]).collect();
    order.extend((0..runs).flat_map(|first| (0..runs).flat_map(move |then| [first, then])));
    order
}
