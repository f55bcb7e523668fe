//! What became of an import: how many of each kind, and why some failed.

/// A kind of what is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Experiments.
    Experiments,
    /// Datasets that runs read.
    Datasets,
    /// Runs, each with all that it logged.
    Runs,
    /// Logged models.
    LoggedModels,
    /// Registered models.
    RegisteredModels,
    /// Versions of registered models.
    ModelVersions,
}

impl Kind {
    /// Every kind, in the order of the import.
    pub const ALL: [Self; 6] = [
        Self::Experiments,
        Self::Datasets,
        Self::Runs,
        Self::LoggedModels,
        Self::RegisteredModels,
        Self::ModelVersions,
    ];

    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Experiments => "experiments",
            Self::Datasets => "datasets",
            Self::Runs => "runs",
            Self::LoggedModels => "logged models",
            Self::RegisteredModels => "registered models",
            Self::ModelVersions => "model versions",
        }
    }
}

/// How many of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Are there now, and were not before.
    pub imported: u64,
    /// Were there before.
    pub was_there: u64,
    /// Are not there.
    pub failed: u64,
}

/// Something that is not there, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// Its id or name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// An experiment that has another id than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbered {
    /// Its name.
    pub name: String,
    /// The id that it had.
    pub from: i64,
    /// The id that it has.
    pub to: i64,
}

/// What became of an import, so far or at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    tallies: [Tally; Kind::ALL.len()],
    /// What failed, in the order in which it was found.
    pub failures: Vec<Failure>,
    /// Experiments with another id.
    pub renumbered: Vec<Renumbered>,
    /// Folders of experiments, runs and logged models that hold only artifacts: they belong to a
    /// server that has the rest in a database.
    pub artifacts_only: Vec<String>,
    /// Traces, which are not imported.
    pub traces: u64,
    /// Assessments of traces, which are not imported.
    pub assessments: u64,
}

impl Report {
    /// How many of a kind.
    pub fn tally(&self, kind: Kind) -> Tally {
        self.tallies[kind as usize]
    }

    pub(crate) fn tally_mut(&mut self, kind: Kind) -> &mut Tally {
        &mut self.tallies[kind as usize]
    }

    pub(crate) fn fail(&mut self, kind: Kind, name: impl Into<String>, reason: String) {
        self.tally_mut(kind).failed += 1;
        self.note(kind, name, reason);
    }

    /// A failure of a part of something that is there otherwise.
    pub(crate) fn note(&mut self, kind: Kind, name: impl Into<String>, reason: String) {
        self.failures.push(Failure {
            kind,
            name: name.into(),
            reason,
        });
    }

    /// Runs that are done with, whatever became of them.
    pub fn runs_done(&self) -> u64 {
        let runs = self.tally(Kind::Runs);
        runs.imported + runs.was_there + runs.failed
    }
}
