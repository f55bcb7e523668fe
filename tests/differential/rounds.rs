//! One round: every model served by mlrs with one backend and one dialect, every request asked.

use std::collections::BTreeMap;

use mlrs_testing::{Mlrs, onnxruntime_library};

use crate::compare::difference;
use crate::corpus::{Answer, Corpus, Model, with_causes};
use crate::corrections::{CORRECTIONS, REFUSED_BY_TRACT, correction, is_for};

/// What is asked of mlrs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The value of `--backend`.
    pub backend: &'static str,
    /// The value of `--compat`.
    pub compat: &'static str,
    /// Models that the backend is known to refuse.
    refused: &'static [(&'static str, &'static str)],
}

/// How the answer to one request differs.
#[derive(Debug)]
pub struct Difference {
    /// The model.
    pub model: String,
    /// The case.
    pub case: String,
    /// MLflow's status.
    pub mlflow: u16,
    /// The status of mlrs.
    pub mlrs: u16,
    /// What differs.
    pub what: String,
    /// The correction that covers it.
    pub correction: Option<usize>,
}

/// What a round found.
#[derive(Debug)]
pub struct Outcome {
    /// The round.
    pub round: Round,
    /// How many requests were asked.
    pub asked: usize,
    /// All differences, covered ones too.
    pub all: Vec<Difference>,
    /// The models that were not served, and why.
    pub refused: BTreeMap<String, String>,
}

impl Round {
    /// ONNX Runtime in MLflow's dialect.
    pub const ONNXRUNTIME: Self = Self {
        backend: "onnxruntime",
        compat: "mlflow",
        refused: &[],
    };
    /// tract in MLflow's dialect.
    pub const TRACT: Self = Self {
        backend: "tract",
        compat: "mlflow",
        refused: REFUSED_BY_TRACT,
    };
    /// ONNX Runtime in the strict dialect, for the report.
    pub const STRICT: Self = Self {
        backend: "onnxruntime",
        compat: "strict",
        refused: &[],
    };

    /// Why this round cannot be made here.
    pub fn impossible(self) -> Option<String> {
        (self.backend == "onnxruntime")
            .then(|| onnxruntime_library().err().map(|error| with_causes(&error)))
            .flatten()
    }

    /// Asks everything.
    pub fn ask(self, corpus: &Corpus) -> Outcome {
        let mut outcome = Outcome {
            round: self,
            asked: 0,
            all: Vec::new(),
            refused: BTreeMap::new(),
        };
        for (name, model) in &corpus.models {
            let arguments = ["--backend", self.backend, "--compat", self.compat];
            match Mlrs::serve(&corpus.directory(name), &arguments) {
                Ok(server) => outcome.ask_model(name, model, &server),
                Err(error) => {
                    outcome.refused.insert(name.clone(), with_causes(&error));
                }
            }
        }
        outcome
    }
}

impl Outcome {
    /// Asks one model.
    fn ask_model(&mut self, name: &str, model: &Model, server: &Mlrs) {
        for (request, mlflow) in model.requests.iter().zip(&model.answers) {
            self.asked += 1;
            let asked = server.invoke(request.content_type.as_deref(), &request.body());
            let mlrs = asked.map_or_else(
                |error| Answer {
                    status: 0,
                    content_type: String::new(),
                    body: error.to_string(),
                },
                Answer::from,
            );
            // Another engine rounds the last bit of a logarithm differently.
            let exact = model.exact && self.round.backend == "onnxruntime";
            if let Some(what) = difference(mlflow, &mlrs, exact) {
                self.all.push(Difference {
                    model: name.to_owned(),
                    case: request.case.clone(),
                    mlflow: mlflow.status,
                    mlrs: mlrs.status,
                    what,
                    correction: correction(self.round.backend, name, &request.case, mlflow, &mlrs),
                });
            }
        }
    }

    /// The differences that no correction covers.
    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.all
            .iter()
            .filter(|difference| difference.correction.is_none())
    }

    /// Everything that must not be: differences, refusals and tables that are out of date.
    pub fn problems(&self) -> Vec<String> {
        let known = |model: &str| self.round.refused.iter().any(|(name, _)| *name == model);
        let refused = self
            .refused
            .iter()
            .filter(|(model, _)| !known(model))
            .map(|(model, why)| format!("  {model} is refused: {}", why.replace('\n', " ")));
        let served = self
            .round
            .refused
            .iter()
            .filter(|(model, _)| !self.refused.contains_key(*model));
        let served = served.map(|(model, _)| format!("  {model} is served, but listed as refused"));
        let needed = |i: usize| self.all.iter().any(|found| found.correction == Some(i));
        let idle = CORRECTIONS
            .iter()
            .enumerate()
            .filter(|(i, entry)| is_for(self.round.backend, entry) && !needed(*i));
        let idle =
            idle.map(|(_, correction)| format!("  nothing needs the correction {correction:?}"));
        let differences = self.differences().map(|difference| {
            format!(
                "  {} / {}: {}",
                difference.model, difference.case, difference.what
            )
        });
        refused
            .chain(served)
            .chain(idle)
            .chain(differences)
            .collect()
    }

    /// How many differences there are by model and kind of case.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for difference in self.differences() {
            let kind = difference.case.split('/').next().unwrap_or_default();
            *counts.entry((&difference.model, kind)).or_default() += 1;
        }
        let lines = counts
            .iter()
            .map(|((model, kind), count)| format!("  {count:5} {model} {kind}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}
