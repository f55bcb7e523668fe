//! What is asked of the server when a model is in the cache.

use std::path::{Path, PathBuf};

use crate::gate::Gate;
use crate::server::Registry;
use crate::{mlrs, standard_error};

/// The folder that `mlrs pull` prints.
fn pull(address: &str, cache: &Path, uri: &str) -> PathBuf {
    let output = mlrs(&[("MLFLOW_TRACKING_URI", address)], cache, &["pull", uri]);
    assert!(
        output.status.success(),
        "{uri}: {}",
        standard_error(&output)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn artifacts(asked: &[String]) -> usize {
    asked
        .iter()
        .filter(|path| path.contains("mlflow-artifacts"))
        .count()
}

/// A version needs one question the second time, a pointer two, and neither a download; a version
/// is there even when the server is not.
pub fn a_version_is_downloaded_once(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let gate = Gate::before(&registry.address, None);
    let address = gate.address();
    let first = pull(&address, cache.path(), "models:/iris/1");
    assert!(artifacts(&gate.asked()) > 1);
    for (uri, questions) in [
        ("models:/iris/1", 1),
        ("models:/iris/Production", 2),
        ("models:/iris/production", 2),
    ] {
        assert_eq!(pull(&address, cache.path(), uri), first, "{uri}");
        let asked = gate.asked();
        assert_eq!(
            (asked.len(), artifacts(&asked)),
            (questions, 0),
            "{asked:?}"
        );
    }
    assert_ne!(pull(&address, cache.path(), "models:/iris@champion"), first);
    assert!(
        artifacts(&gate.asked()) > 1,
        "another version is another download"
    );

    drop(gate);
    assert_eq!(pull(&address, cache.path(), "models:/iris/1"), first);
    let variables = [("MLFLOW_TRACKING_URI", address.as_str())];
    let arguments = ["pull", "models:/iris/Production"];
    let output = mlrs(&variables, cache.path(), &arguments);
    assert!(!output.status.success(), "a pointer must be looked up");
}

/// Whatever happened to the cache, a model that is used is whole.
pub fn a_damaged_copy_is_downloaded_again(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let folder = pull(&registry.address, cache.path(), "models:/iris/1");
    let file = folder.join("model.onnx");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[1..]).unwrap();
    assert_eq!(
        pull(&registry.address, cache.path(), "models:/iris/1"),
        folder
    );
    assert!(std::fs::read(&file).unwrap() == whole);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        pull(&registry.address, cache.path(), "models:/iris/1"),
        folder
    );
    assert!(std::fs::read(&file).unwrap() == whole);
}
