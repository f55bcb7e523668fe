//! The report: where mlrs answers otherwise than MLflow, as a page for readers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::corpus::Corpus;
use crate::corrections::{CORRECTIONS, NEVER_SERVED_BY_MLFLOW, REFUSED_BY_TRACT};
use crate::rounds::Outcome;

/// How many cases a row of the table names.
const EXAMPLES: usize = 3;

/// The page.
pub fn markdown(corpus: &Corpus, outcomes: &[Outcome]) -> String {
    let requests: usize = corpus
        .models
        .values()
        .map(|model| model.requests.len())
        .sum();
    let mut page = format!(
        "# mlrs against MLflow 3.17.2\n\n\
         Written by `cargo xtask differential --report docs/differential.md`; do not edit.\n\n\
         {} models made by MLflow are served by MLflow's own scoring server and by mlrs, and both \
         are asked the same {requests} requests. Statuses, error codes and predictions are \
         compared; wording is not.\n\n\
         | backend | `--compat` | asked | models refused | equal | deliberately different | different |\n\
         |---|---|---|---|---|---|---|\n",
        corpus.models.len()
    );
    for outcome in outcomes {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            outcome.round.backend,
            outcome.round.compat,
            outcome.asked,
            outcome.refused.len(),
            outcome.asked - outcome.all.len(),
            outcome.all.len() - outcome.differences().count(),
            outcome.differences().count(),
        );
    }
    page.push_str("\n## Deliberate differences in `--compat mlflow`\n\n");
    page.push_str("| models | requests | MLflow | mlrs | why |\n|---|---|---|---|---|\n");
    for correction in CORRECTIONS {
        let (models, cases) = (correction.models, correction.cases);
        let (mlflow, mlrs, why) = (correction.mlflow, correction.mlrs, correction.reason);
        let _ = writeln!(
            page,
            "| `{models}` | `{cases}` | {mlflow} | {mlrs} | {why} |"
        );
    }
    listing(
        &mut page,
        "Models that MLflow loads but does not serve",
        NEVER_SERVED_BY_MLFLOW,
    );
    listing(&mut page, "Models that tract refuses", REFUSED_BY_TRACT);
    for outcome in outcomes {
        differences(&mut page, outcome);
    }
    page
}

/// A section with one line per model.
fn listing(page: &mut String, title: &str, models: &[(&str, &str)]) {
    let _ = writeln!(page, "\n## {title}\n");
    for (model, why) in models {
        let _ = writeln!(page, "- `{model}`: {why}");
    }
    if models.is_empty() {
        page.push_str("None.\n");
    }
}

/// The differences of a round by model, kind of case and statuses.
fn differences(page: &mut String, outcome: &Outcome) {
    let round = outcome.round;
    let _ = writeln!(
        page,
        "\n## `--backend {} --compat {}`\n",
        round.backend, round.compat
    );
    if outcome.all.is_empty() {
        page.push_str("No differences.\n");
        return;
    }
    let mut groups: BTreeMap<(&str, u16, u16, &str), Vec<&str>> = BTreeMap::new();
    for difference in &outcome.all {
        let kind = difference.case.split('/').next().unwrap_or_default();
        let key = (
            kind,
            difference.mlflow,
            difference.mlrs,
            difference.model.as_str(),
        );
        groups.entry(key).or_default().push(&difference.case);
    }
    page.push_str("| requests | MLflow | mlrs | model | how many | such as |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    for ((kind, mlflow, mlrs, model), cases) in groups {
        let examples: Vec<_> = cases.iter().take(EXAMPLES).map(|case| cell(case)).collect();
        let examples = examples.join(", ");
        let count = cases.len();
        let _ = writeln!(
            page,
            "| {kind} | {mlflow} | {mlrs} | {model} | {count} | {examples} |"
        );
    }
}

/// A case as the content of a table cell.
fn cell(case: &str) -> String {
    format!("`{}`", case.replace('|', "\\|").replace('`', "'"))
}
