//! The same inputs give the same image; another model changes its own layer only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mlrs_testing::{MlrsServer, copy_files};
use serde_json::Value;

use crate::build::{built, command, errors, iris, layers, mlrs};

/// A program that every Linux has: what is told of images is told of any program.
fn program() -> PathBuf {
    std::fs::canonicalize("/bin/true").unwrap()
}

fn layout(model: &Path, to: &Path, arguments: &[&str]) -> Command {
    let target = format!("oci:{}", to.display());
    let mut command = command(
        model,
        "iris:3",
        &["--backend", "tract", "--output", &target],
    );
    command.args(arguments);
    command
}

#[test]
fn the_same_inputs_give_the_same_image_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    for (index, place) in ["here", "somewhere/else"].iter().enumerate() {
        let place = folder.path().join(place);
        let model = place.join(format!("model-{index}"));
        copy_files(&iris(), &model).unwrap();
        let binary = place.join(format!("mlrs-{index}"));
        std::fs::copy(program(), &binary).unwrap();
        // Other times on other days, and permissions of another person.
        let touched = Command::new("touch")
            .args(["-d", &format!("2020-01-0{}", index + 1)])
            .arg(model.join("model.onnx"))
            .status();
        assert!(touched.unwrap().success());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600 + 4 * index as u32);
        std::fs::set_permissions(model.join("MLmodel"), mode).unwrap();
        let mut command = layout(&model, &place.join("image"), &["--binary"]);
        command
            .arg(&binary)
            .env("MLRS_CACHE_DIR", place.join("cache"));
        images.push(built(&mut command));
    }
    assert_eq!(images[0]["digest"], images[1]["digest"]);
    assert_eq!(layers(&images[0]), layers(&images[1]));
    // A time that was given is in it, and makes it another.
    let place = folder.path().join("here");
    let mut dated = layout(&place.join("model-0"), &place.join("dated"), &["--binary"]);
    dated.arg(program()).env("SOURCE_DATE_EPOCH", "1700000000");
    let dated = built(&mut dated);
    assert_ne!(dated["digest"], images[0]["digest"]);
    assert_eq!(layers(&dated), layers(&images[0]));
    let config = blob(&place.join("dated"), &dated["id"]);
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
}

fn blob(layout: &Path, digest: &Value) -> Value {
    let path = digest.as_str().unwrap().replace(':', "/");
    let text = std::fs::read(layout.join("blobs").join(path)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn another_model_changes_its_own_layer_only() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    copy_files(&iris(), &other).unwrap();
    std::fs::write(other.join("notes.txt"), "another model").unwrap();
    let target = folder.path().join("image");
    let first = built(&mut layout(&iris(), &target, &[]));
    let second = built(&mut layout(&other, &target, &["--label", "team=flowers"]));
    let (first, second) = (layers(&first), layers(&second));
    let names: Vec<&str> = first.iter().map(|layer| layer.0.as_str()).collect();
    assert_eq!(names, ["system", "mlrs", "model"]);
    assert_eq!(first[..2], second[..2]);
    assert_ne!(first[2], second[2]);
}

#[test]
fn a_layout_loses_no_image_and_mends_what_was_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("images");
    let first = built(&mut layout(&iris(), &target, &[]));
    let index = std::fs::read(target.join("index.json")).unwrap();
    // The tag of another image.
    let output = format!("oci:{}", target.display());
    let arguments = ["--backend", "tract", "--output", &output];
    let refused = command(&iris(), "wine:3", &arguments).output().unwrap();
    let text = errors(&refused);
    assert!(
        text.contains("has another image under the tag `3`: `docker.io/library/iris:3`"),
        "{text}"
    );
    assert_eq!(std::fs::read(target.join("index.json")).unwrap(), index);
    // A part that a crash has damaged.
    let part = first["layers"][2]["digest"]
        .as_str()
        .unwrap()
        .replace(':', "/");
    let part = target.join("blobs").join(part);
    let whole = std::fs::read(&part).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    std::fs::write(&part, damaged).unwrap();
    built(&mut layout(&iris(), &target, &[]));
    assert!(std::fs::read(&part).unwrap() == whole);
    // Two builds at once.
    let mut builds: Vec<_> = ["5", "6", "7"]
        .map(|tag| {
            let mut build = command(&iris(), &format!("iris:{tag}"), &arguments);
            build.stdout(Stdio::null()).spawn().unwrap()
        })
        .into();
    assert!(
        builds
            .iter_mut()
            .all(|build| build.wait().unwrap().success())
    );
    let index = std::fs::read(target.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 4);
}

#[test]
fn an_image_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("image");
    let image = built(&mut layout(&iris(), &target, &["--label", "team=flowers"]));
    let config = blob(&target, &image["id"]);
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["mlrs.model.flavor"], "onnx");
    assert_eq!(labels["mlrs.model.backend"], "tract");
    assert_eq!(labels["team"], "flowers");
    let signature = labels["mlrs.model.signature"].as_str().unwrap();
    assert!(
        signature.starts_with("sha256:") && signature.len() == 71,
        "{signature}"
    );
    let manifest = blob(&target, &image["digest"]);
    assert_eq!(manifest["annotations"], *labels);
    let run = &config["config"];
    assert_eq!(run["User"], "10001:10001");
    assert_eq!(run["StopSignal"], "SIGTERM");
    assert_eq!(run["ExposedPorts"], serde_json::json!({ "8080/tcp": {} }));
    assert_eq!(
        run["Entrypoint"],
        serde_json::json!(["/usr/local/bin/mlrs"])
    );
    assert_eq!(run["Cmd"], serde_json::json!(["serve", "/opt/ml/model"]));
    assert_eq!(
        run["Healthcheck"]["Test"],
        serde_json::json!(["CMD", "/usr/local/bin/mlrs", "healthcheck"])
    );
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[2]["created_by"], "mlrs: model");
}

#[test]
fn a_registered_model_is_known_by_its_name() {
    let server = MlrsServer::start(&[]).unwrap();
    let registered = mlrs()
        .args(["register", "--name", "iris", "--alias", "champion"])
        .arg(iris())
        .env("MLFLOW_TRACKING_URI", server.address())
        .output()
        .unwrap();
    assert!(registered.status.success(), "{}", errors(&registered));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("image");
    let mut build = layout(Path::new("models:/iris@champion"), &target, &[]);
    let image = built(build.env("MLFLOW_TRACKING_URI", server.address()));
    let config = blob(&target, &image["id"]);
    let labels = &config["config"]["Labels"];
    for (key, value) in [
        ("mlrs.model.name", "iris"),
        ("mlrs.model.version", "1"),
        ("org.opencontainers.image.title", "iris"),
        ("org.opencontainers.image.version", "1"),
    ] {
        assert_eq!(labels[key], value, "{labels}");
    }
    let id = labels["mlrs.model.id"].as_str().unwrap();
    assert!(id.starts_with("m-"), "{labels}");
}
