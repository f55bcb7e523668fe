//! Building images with the binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use mlrs_testing::{Docker, home, mlrs_binary, onnxruntime_library, workspace_root};
use serde_json::Value;

/// The model of the example.
pub fn iris() -> PathBuf {
    workspace_root().join("examples/iris")
}

/// A request for it.
pub fn request() -> Vec<u8> {
    std::fs::read(iris().join("serving_input_example.json")).unwrap()
}

/// `mlrs`, with a cache that all tests share: layers of the program cost seconds.
pub fn mlrs() -> Command {
    let mut command = Command::new(mlrs_binary().unwrap());
    command
        .env("MLRS_CACHE_DIR", home().join("image-cache"))
        .env("ORT_DYLIB_PATH", onnxruntime_library().unwrap())
        .env_remove("SOURCE_DATE_EPOCH");
    command
}

/// A build of this model, with these further arguments.
pub fn command(model: &Path, tag: &str, arguments: &[&str]) -> Command {
    let mut command = mlrs();
    command
        .args(["image", "build", "-t", tag, "--format", "json", "-m"])
        .arg(model)
        .args(arguments);
    command
}

/// What a build printed.
pub fn built(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ends a process by a signal, waits for its end, and gives its exit status.
pub fn signalled(mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status();
    assert!(sent.unwrap().success());
    child.wait().unwrap().code()
}

/// What a command wrote to standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The layers of an image that was built: what each is, and its digest.
pub fn layers(image: &Value) -> Vec<(String, String)> {
    let layers = image["layers"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    layers
        .map(|layer| (text(&layer["layer"]), text(&layer["digest"])))
        .collect()
}

/// An image in the engine, removed with this value.
pub struct Loaded<'a> {
    docker: &'a Docker,
    pub name: String,
}

impl<'a> Loaded<'a> {
    /// Builds an image into the engine.
    pub fn build(docker: &'a Docker, model: &Path, what: &str, arguments: &[&str]) -> Self {
        let loaded = Self::named(docker, what);
        built(&mut command(model, &loaded.name, arguments));
        loaded
    }

    /// A name of its own for an image that comes into the engine otherwise.
    pub fn named(docker: &'a Docker, what: &str) -> Self {
        let name = format!("mlrs-tests/{what}:{}", std::process::id());
        Self { docker, name }
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        let _ = self.docker.run(&["rmi", "--force", &self.name]);
    }
}
