//! A folder of MLflow's file store: whatever is in it, each part is imported or named as what cannot
//! be read, and what is imported keeps the promises of its record.
//!
//! The input is a list of files: a line `=== path` begins one, what follows is its content.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use mlrs_api::Tag;
use mlrs_api::datasets::Dataset;
use mlrs_file_store::{FileStore, Kind};
use mlrs_store::StoreError;
use mlrs_store::import::{
    ExperimentRecord, ImportStore, LoggedModelOutcome, LoggedModelRecord, ModelPoint, Outcome,
    Point, PointSource, RegisteredModelOutcome, RegisteredModelRecord, RunRecord,
};
use tokio::runtime::Runtime;

/// Files of one input; more only make it slow.
const MOST_FILES: usize = 32;

/// A store that looks at what comes and keeps nothing.
#[derive(Default)]
struct Looking {
    experiments: AtomicU64,
    runs: AtomicU64,
    models: AtomicU64,
}

fn each_once(entries: &[Tag]) {
    let keys: HashSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys.len(), entries.len(), "a key comes twice: {entries:?}");
}

/// Points come in portions that are not empty, those of a metric together, and the same every time.
fn look<P: Clone + std::fmt::Debug>(source: &dyn PointSource<P>) -> Result<(), StoreError> {
    let read = || {
        let mut all: Vec<(String, Vec<P>)> = Vec::new();
        let outcome = source.each(&mut |key, points| {
            assert!(!points.is_empty() && !key.is_empty());
            match all.iter().position(|(known, _)| known == key) {
                None => all.push((key.to_owned(), points.to_vec())),
                Some(place) => {
                    assert_eq!(place, all.len() - 1, "`{key}` comes again");
                    all[place].1.extend_from_slice(points);
                }
            }
            Ok(())
        });
        (format!("{all:?}"), outcome)
    };
    let ((first, outcome), (second, _)) = (read(), read());
    assert_eq!(first, second);
    outcome
}

#[async_trait::async_trait]
impl ImportStore for Looking {
    async fn import_experiment(
        &self,
        experiment: ExperimentRecord,
    ) -> Result<(i64, Outcome), StoreError> {
        assert!(!experiment.name.is_empty() && experiment.id >= 0);
        each_once(&experiment.tags);
        self.experiments.fetch_add(1, Ordering::Relaxed);
        Ok((experiment.id, Outcome::Imported))
    }

    async fn import_dataset(&self, _: i64, dataset: Dataset) -> Result<Outcome, StoreError> {
        assert!(!dataset.name.is_empty() && !dataset.digest.is_empty());
        Ok(Outcome::Imported)
    }

    async fn import_run(
        &self,
        _: i64,
        run: RunRecord,
        metrics: Arc<dyn PointSource<Point>>,
    ) -> Result<Outcome, StoreError> {
        assert!(!run.id.is_empty());
        each_once(&run.params);
        each_once(&run.tags);
        run.datasets.iter().for_each(|used| each_once(&used.tags));
        look(&*metrics)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Imported)
    }

    async fn import_logged_model(
        &self,
        _: i64,
        model: LoggedModelRecord,
        metrics: Arc<dyn PointSource<ModelPoint>>,
    ) -> Result<LoggedModelOutcome, StoreError> {
        assert!(!model.id.is_empty());
        each_once(&model.params);
        each_once(&model.tags);
        look(&*metrics)?;
        self.models.fetch_add(1, Ordering::Relaxed);
        Ok(LoggedModelOutcome {
            model: Outcome::Imported,
            points_without_run: 0,
        })
    }

    async fn import_registered_model(
        &self,
        model: RegisteredModelRecord,
    ) -> Result<RegisteredModelOutcome, StoreError> {
        assert!(!model.name.is_empty());
        each_once(&model.tags);
        let numbers: HashSet<i64> = model.versions.iter().map(|found| found.version).collect();
        assert_eq!(numbers.len(), model.versions.len(), "a version comes twice");
        model
            .versions
            .iter()
            .for_each(|version| each_once(&version.tags));
        Ok(RegisteredModelOutcome {
            model: Outcome::Imported,
            versions: vec![Outcome::Imported; model.versions.len()],
        })
    }
}

/// Writes the files of an input; a path that leads elsewhere is none.
fn write(root: &Path, input: &[u8]) {
    let marker = b"=== ";
    let mut files = 0;
    let mut current: Option<(&Path, Vec<u8>)> = None;
    let keep = |file: Option<(&Path, Vec<u8>)>| {
        if let Some((path, content)) = file {
            let path = root.join(path);
            if let Some(folder) = path.parent() {
                let _ = fs::create_dir_all(folder);
            }
            let _ = fs::write(path, content);
        }
    };
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let Some(name) = line.strip_prefix(marker) else {
            if let Some((_, content)) = &mut current {
                content.extend_from_slice(line);
            }
            continue;
        };
        keep(current.take());
        files += 1;
        if files > MOST_FILES {
            return;
        }
        let name = std::str::from_utf8(name)
            .unwrap_or_default()
            .trim_end_matches('\n');
        let path = Path::new(name);
        let is_inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if is_inside && !name.is_empty() && !name.contains('\0') {
            current = Some((path, Vec::new()));
        }
    }
    keep(current);
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.build().expect("a runtime")
    })
}

fuzz_target!(|input: &[u8]| {
    // In memory where there is such a folder.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder");
    write(folder.path(), input);
    let Ok(found) = FileStore::open(folder.path()) else {
        return;
    };
    let store = Looking::default();
    let report = runtime().block_on(found.import(&store, &mut |_| {}));
    let report = report.expect("the store can always be used");
    for (kind, count) in [
        (Kind::Experiments, &store.experiments),
        (Kind::Runs, &store.runs),
        (Kind::LoggedModels, &store.models),
    ] {
        let tally = report.tally(kind);
        assert_eq!(tally.imported, count.load(Ordering::Relaxed), "{kind:?}");
    }
    let runs = report.tally(Kind::Runs);
    assert!(runs.imported <= found.run_count(), "{runs:?}");
});
