//! Files that a flavor's configuration names, found inside the model directory and nowhere else.
//!
//! The name comes from `MLmodel`, so it is hostile until checked: absolute paths, `..` and symbolic
//! links that lead out of the directory are refused.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::{ModelSource, Refusal};

const EDITED: &str =
    "if the `MLmodel` file was edited by hand, undo that; else log the model again";
const INCOMPLETE: &str = "a download or a copy may have left files out: fetch the model again";

impl ModelSource {
    /// The file that the configuration names under `key`, or `default` where it names none.
    ///
    /// The path is canonical, and lies inside the canonical model directory.
    ///
    /// # Errors
    /// When the value is not text, leaves the model directory, or is not a file.
    pub fn file(&self, key: &str, default: &str) -> Result<PathBuf, Refusal> {
        let name = match self.configuration.get(key) {
            None | Some(Value::Null) => default,
            Some(Value::String(name)) => name.as_str(),
            Some(_) => {
                return Err(
                    Refusal::new(format!("`flavors.{}.{key}` is not a path", self.flavor))
                        .with_hint(EDITED),
                );
            }
        };
        inside(&self.directory, name)
    }
}

fn inside(directory: &Path, name: &str) -> Result<PathBuf, Refusal> {
    let leaves =
        || Refusal::new(format!("`{name}` is outside the model directory")).with_hint(EDITED);
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(stays) {
        return Err(leaves());
    }
    let unreadable = |path: &Path, error: std::io::Error| {
        Refusal::new(format!("`{}` cannot be found", path.display()))
            .with_source(error)
            .with_hint(INCOMPLETE)
    };
    let root = directory
        .canonicalize()
        .map_err(|error| unreadable(directory, error))?;
    let path = root
        .join(name)
        .canonicalize()
        .map_err(|error| unreadable(Path::new(name), error))?;
    if !path.starts_with(&root) {
        return Err(leaves());
    }
    if !path.is_file() {
        return Err(
            Refusal::new(format!("`{name}` is not a file of the model directory"))
                .with_hint(EDITED),
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(directory: &Path, configuration: &Value) -> ModelSource {
        let configuration = configuration.as_object().unwrap().clone();
        ModelSource {
            directory: directory.to_path_buf(),
            flavor: "onnx".to_owned(),
            configuration,
        }
    }

    fn reason(directory: &Path, name: &str) -> String {
        source(directory, &serde_json::json!({ "data": name }))
            .file("data", "model.onnx")
            .unwrap_err()
            .reason
    }

    #[test]
    fn finds_the_named_file_or_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        std::fs::write(root.join("model.onnx"), b"a").unwrap();
        std::fs::write(root.join("data/other.onnx"), b"b").unwrap();
        let named = source(&root, &serde_json::json!({ "data": "./data/other.onnx" }));
        assert_eq!(
            named.file("data", "model.onnx").unwrap(),
            root.join("data/other.onnx")
        );
        for silent in [serde_json::json!({}), serde_json::json!({ "data": null })] {
            assert_eq!(
                source(&root, &silent).file("data", "model.onnx").unwrap(),
                root.join("model.onnx")
            );
        }
        let wrong = source(&root, &serde_json::json!({ "data": 3 }));
        assert_eq!(
            wrong.file("data", "model.onnx").unwrap_err().reason,
            "`flavors.onnx.data` is not a path"
        );
    }

    #[test]
    fn refuses_paths_that_leave_the_directory() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("model");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(outer.path().join("secret"), b"s").unwrap();
        for name in ["../secret", "/etc/hostname", "a/../../secret"] {
            assert_eq!(
                reason(&root, name),
                format!("`{name}` is outside the model directory")
            );
        }
        assert_eq!(
            reason(&root, "absent.onnx"),
            "`absent.onnx` cannot be found"
        );
        assert_eq!(
            reason(&root, "."),
            "`.` is not a file of the model directory"
        );
    }

    #[cfg(unix)]
    #[test]
    fn follows_links_only_inside_the_directory() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("model");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(outer.path().join("secret"), b"s").unwrap();
        std::fs::write(root.join("real.onnx"), b"r").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("escape.onnx")).unwrap();
        std::os::unix::fs::symlink("real.onnx", root.join("inside.onnx")).unwrap();
        assert_eq!(
            reason(&root, "escape.onnx"),
            "`escape.onnx` is outside the model directory"
        );
        let inside = source(&root, &serde_json::json!({ "data": "inside.onnx" }));
        assert!(
            inside
                .file("data", "model.onnx")
                .unwrap()
                .ends_with("real.onnx")
        );
    }
}
