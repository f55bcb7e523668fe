//! From the folder into a store: experiments and their datasets first, then their runs, then logged
//! models, whose metrics name runs, and the registry at the end.
//!
//! What cannot be read fails by itself; only a store that cannot be used ends the import.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use mlrs_store::StoreError;
use mlrs_store::import::{ImportStore, Outcome};

use crate::files::{Entries, Folder, ReadError};
use crate::points::Metrics;
use crate::records::{self, Datasets};
use crate::report::{Kind, Renumbered, Report};
use crate::{ExperimentFolder, FileStore, reason, shown};

/// Runs that are on their way at once: a database that commits in groups makes one commit of them.
const AT_ONCE: usize = 16;

/// Folders of an experiment that are no runs.
const RESERVED: [&str; 5] = ["tags", "datasets", "traces", "models", ".trash"];

struct Import<'a> {
    store: &'a dyn ImportStore,
    report: Report,
    watch: &'a mut (dyn FnMut(&Report) + Send),
}

impl FileStore {
    /// Brings everything into a store. `watch` hears of the report whenever something was added.
    ///
    /// What is there already stays, so an import that was ended anywhere can be begun again.
    ///
    /// # Errors
    /// Only when the store cannot be used any more; what cannot be read is in the report.
    pub async fn import(
        &self,
        store: &dyn ImportStore,
        watch: &mut (dyn FnMut(&Report) + Send),
    ) -> Result<Report, StoreError> {
        let mut import = Import {
            store,
            report: Report::default(),
            watch,
        };
        import
            .report
            .artifacts_only
            .clone_from(&self.artifacts_only);
        for error in &self.refused {
            import.fail(Kind::Experiments, "", reason(error));
        }
        for experiment in &self.experiments {
            import.experiment(experiment).await?;
        }
        import.registry(&self.root.folder("models")).await?;
        Ok(import.report)
    }
}

impl Import<'_> {
    fn fail(&mut self, kind: Kind, name: impl Into<String>, reason: String) {
        self.report.fail(kind, name, reason);
        (self.watch)(&self.report);
    }

    fn done(&mut self, kind: Kind, outcome: Outcome) {
        let tally = self.report.tally_mut(kind);
        match outcome {
            Outcome::Imported => tally.imported += 1,
            Outcome::WasThere => tally.was_there += 1,
        }
        (self.watch)(&self.report);
    }

    /// Counts an outcome; a failure is of this one thing unless the store is gone.
    fn settle<T>(
        &mut self,
        kind: Kind,
        name: &str,
        outcome: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            Err(error) => {
                self.fail(kind, name, reason(&error));
                Ok(None)
            }
        }
    }

    /// What was read; a failure is counted.
    fn read<T>(&mut self, kind: Kind, name: &str, read: Result<T, ReadError>) -> Option<T> {
        read.map_err(|error| self.fail(kind, name, reason(&error)))
            .ok()
    }

    async fn experiment(&mut self, found: &ExperimentFolder) -> Result<(), StoreError> {
        let name = found.id.to_string();
        let record = records::experiment(&found.folder, found.id);
        let Some(record) = self.read(Kind::Experiments, &name, record) else {
            self.lose_runs(found);
            return Ok(());
        };
        let title = record.name.clone();
        let outcome = self.store.import_experiment(record).await;
        let Some((id, outcome)) = self.settle(Kind::Experiments, &name, outcome)? else {
            self.lose_runs(found);
            return Ok(());
        };
        self.done(Kind::Experiments, outcome);
        if id != found.id {
            self.report.renumbered.push(Renumbered {
                name: title,
                from: found.id,
                to: id,
            });
        }
        let datasets = self.datasets(id, &found.folder.folder("datasets")).await?;
        self.runs(id, found, &datasets).await?;
        self.logged_models(id, &found.folder.folder("models"))
            .await?;
        self.count_traces(&found.folder.folder("traces"));
        Ok(())
    }

    /// Runs of an experiment that is not there cannot be there either.
    fn lose_runs(&mut self, found: &ExperimentFolder) {
        for run in &found.runs {
            let reason = format!("its experiment {} is not imported", found.id);
            self.fail(Kind::Runs, run, reason);
        }
    }

    async fn datasets(&mut self, id: i64, folder: &Folder) -> Result<Datasets, StoreError> {
        let mut known = Datasets::new();
        for name in self.folders(Kind::Datasets, folder) {
            let read = records::dataset(&folder.folder(&name));
            let Some(dataset) = self.read(Kind::Datasets, &name, read) else {
                continue;
            };
            let outcome = self.store.import_dataset(id, dataset.clone()).await;
            if let Some(outcome) = self.settle(Kind::Datasets, &name, outcome)? {
                self.done(Kind::Datasets, outcome);
                known.insert(name, dataset);
            }
        }
        Ok(known)
    }

    /// Names of the folders in a folder; what is refused is counted.
    fn folders(&mut self, kind: Kind, folder: &Folder) -> Vec<String> {
        let name = folder.shown("").display().to_string();
        let entries = folder.entries();
        let Some(Entries {
            folders, refused, ..
        }) = self.read(kind, &name, entries)
        else {
            return Vec::new();
        };
        for error in refused {
            self.fail(kind, name.as_str(), reason(&error));
        }
        folders
    }

    async fn runs(
        &mut self,
        id: i64,
        found: &ExperimentFolder,
        datasets: &Datasets,
    ) -> Result<(), StoreError> {
        for error in &found.refused {
            self.fail(Kind::Runs, found.id.to_string(), reason(error));
        }
        let store = self.store;
        let mut outcomes = stream::iter(&found.runs)
            .map(|name| async move {
                let folder = found.folder.folder(name);
                let metrics = Arc::new(Metrics(folder.folder("metrics")));
                let outcome = match records::run(&folder, name, datasets) {
                    Ok(run) => store.import_run(id, run, metrics).await,
                    Err(error) => Err(StoreError::invalid(reason(&error))),
                };
                (name, outcome)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, outcome)) = outcomes.next().await {
            if let Some(outcome) = self.settle(Kind::Runs, name, outcome)? {
                self.done(Kind::Runs, outcome);
            }
        }
        Ok(())
    }

    async fn logged_models(&mut self, id: i64, folder: &Folder) -> Result<(), StoreError> {
        const KIND: Kind = Kind::LoggedModels;
        for name in self.folders(KIND, folder) {
            let model = folder.folder(&name);
            if model.has_only_artifacts() {
                self.report.artifacts_only.push(shown(&model));
                continue;
            }
            let read = records::logged_model(&model, &name);
            let Some(record) = self.read(KIND, &name, read) else {
                continue;
            };
            let metrics = Arc::new(Metrics(model.folder("metrics")));
            let outcome = self.store.import_logged_model(id, record, metrics).await;
            let Some(outcome) = self.settle(KIND, &name, outcome)? else {
                continue;
            };
            self.done(KIND, outcome.model);
            if outcome.points_without_run > 0 {
                let lost = outcome.points_without_run;
                let reason = format!("{lost} points of its metrics are of runs that are not there");
                self.report.note(KIND, name, reason);
            }
        }
        Ok(())
    }

    async fn registry(&mut self, folder: &Folder) -> Result<(), StoreError> {
        const KIND: Kind = Kind::RegisteredModels;
        for name in self.folders(KIND, folder) {
            let read = records::registered_model(&folder.folder(&name), &name);
            let Some(record) = self.read(KIND, &name, read) else {
                continue;
            };
            let outcome = self.store.import_registered_model(record).await;
            if let Some(outcome) = self.settle(KIND, &name, outcome)? {
                self.done(KIND, outcome.model);
                for version in outcome.versions {
                    self.done(Kind::ModelVersions, version);
                }
            }
        }
        Ok(())
    }

    /// A trace is a folder with a folder of assessments. What cannot be counted is not imported
    /// either.
    fn count_traces(&mut self, folder: &Folder) {
        let mut traces = folder.entries().unwrap_or_default().folders;
        traces.retain(|trace| !folder.folder(trace).has_only_artifacts());
        self.report.traces += traces.len() as u64;
        for trace in traces {
            let assessments = folder.folder(&trace).folder("assessments").entries();
            self.report.assessments += assessments.unwrap_or_default().files.len() as u64;
        }
    }
}

/// Runs of an experiment, and what of its folder cannot be read.
pub(crate) fn runs_in(folder: &Folder) -> (Vec<String>, Vec<ReadError>) {
    let entries = match folder.entries() {
        Ok(entries) => entries,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let mut runs = entries.folders;
    runs.retain(|name| !name.starts_with('.') && !RESERVED.contains(&name.as_str()));
    (runs, entries.refused)
}
