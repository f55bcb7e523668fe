//! What a URI leads to: the right model, as it is on the server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mlrs_testing::Mlrs;

use crate::server::{Download, Registry};
use crate::{iris, mlrs, standard_error};

/// Serves a model and returns its answer to the example of `examples/iris`.
fn answer(registry: &Registry, uri: &str, cache: &Path) -> String {
    let cache = cache.display().to_string();
    let arguments = ["--backend", "tract", "--cache-dir", &cache];
    let variables = [("MLFLOW_TRACKING_URI", registry.address.as_str())];
    let served = Mlrs::serve_with(Path::new(uri), &arguments, &variables)
        .unwrap_or_else(|error| panic!("{uri}: {error:?}"));
    let body = std::fs::read(iris().join("serving_input_example.json")).unwrap();
    let answer = served.invoke(Some("application/json"), &body).unwrap();
    assert_eq!(answer.status, 200, "{uri}: {}", answer.body);
    answer.body
}

/// Each answer is that of the plain directory which MLflow's client downloaded for the same URI.
pub fn every_uri_is_resolved_and_served(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let mut expected: HashMap<Vec<u8>, String> = HashMap::new();
    for Download { uri, path } in &registry.models {
        let directory = if path.is_file() { &iris() } else { path };
        let model = std::fs::read(directory.join("model.onnx")).unwrap();
        let expected = expected
            .entry(model)
            .or_insert_with(|| answer(registry, &directory.display().to_string(), cache.path()));
        assert_eq!(&answer(registry, uri, cache.path()), expected, "{uri}");
    }
    // Only where models differ can an answer show which one it is of.
    let mut answers: Vec<_> = expected.into_values().collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 5, "{answers:?}");
}

/// The files below a directory, or the one file, and what is in them.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if root.is_file() {
        return vec![(PathBuf::new(), std::fs::read(root).unwrap())];
    }
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Byte for byte, with the `registered_model_meta` that MLflow's client adds.
pub fn what_is_pulled_is_what_mlflow_downloads(registry: &Registry) {
    let scratch = tempfile::tempdir().unwrap();
    let variables = [("MLFLOW_TRACKING_URI", registry.address.as_str())];
    let mut with_meta = 0;
    for Download { uri, path } in registry.models.iter().chain(&registry.parts) {
        let pulled = scratch.path().join("pulled");
        let arguments = ["pull", uri, "-d", &pulled.display().to_string()];
        let output = mlrs(&variables, scratch.path(), &arguments);
        assert!(
            output.status.success(),
            "{uri}: {}",
            standard_error(&output)
        );
        let (ours, theirs) = (files(&pulled), files(path));
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&ours), names(&theirs), "{uri}");
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(
                ours == theirs,
                "{uri}: `{}` differs: {} instead of {}",
                name.display(),
                shown(ours),
                shown(theirs)
            );
        }
        with_meta += usize::from(pulled.join("registered_model_meta").exists());
        if pulled.is_file() {
            std::fs::remove_file(&pulled).unwrap();
            continue;
        }
        // As KServe calls it, into a folder that is there and has something in it.
        std::fs::write(pulled.join("of-before"), "x").unwrap();
        let folder = pulled.display().to_string();
        let arguments = ["pull", "--replace", "--no-cache", uri, &folder];
        let output = mlrs(&variables, scratch.path(), &arguments);
        assert!(
            output.status.success(),
            "{uri}: {}",
            standard_error(&output)
        );
        assert!(files(&pulled) == ours, "{uri}: pulled in another way");
        std::fs::remove_dir_all(&pulled).unwrap();
    }
    let by_registry = |download: &&Download| {
        let uri = &download.uri;
        uri.starts_with("models:") || uri.ends_with("/first") || uri.ends_with("/both")
    };
    let expected = registry.models.iter().filter(by_registry).count();
    assert_eq!(
        with_meta, expected,
        "only copies of registered and logged models have it"
    );
}
