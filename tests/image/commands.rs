//! The commands that MLflow has, and the bill of materials.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{Client, Docker, copy_files, program, python, skipped};
use serde_json::Value;

use crate::build::{Loaded, built, command, errors, iris, mlrs, request};
use crate::debian::debian;

#[test]
fn the_commands_of_mlflow_make_images() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("mlrs models build-docker", &error.to_string()),
    };
    let image = Loaded::named(&docker, "build-docker");
    let output = mlrs()
        .args([
            "models",
            "build-docker",
            "-n",
            &image.name,
            "--env-manager",
            "local",
        ])
        .arg("--model-uri")
        .arg(iris())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("note: options about Python environments have no effect"));
    let container = docker
        .start(&["--publish", "127.0.0.1::8080"], &image.name, &[])
        .unwrap();
    container.ready(8080, "/ping").unwrap();
}

#[test]
fn a_generated_dockerfile_builds_the_same() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("a generated Dockerfile", &error.to_string()),
    };
    let base = match debian(&docker) {
        Ok(base) => base,
        Err(error) => return skipped("a Debian for a Dockerfile", &error),
    };
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("iris-image");
    // A model that only its owner may read; in the image, somebody else does.
    let model = folder.path().join("iris");
    copy_files(&iris(), &model).unwrap();
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(model.join("model.onnx"), secret).unwrap();
    for round in 0..2 {
        // Once more over what it made: a model that was retrained.
        let output = mlrs()
            .args(["models", "generate-dockerfile", "-m"])
            .arg(&model)
            .arg("-d")
            .arg(&context)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            printed,
            format!("Generated Dockerfile in directory {}\n", context.display())
        );
        // What somebody put there stays, and is not sent to the engine.
        let notes = context.join("notes.txt");
        if round == 0 {
            std::fs::write(notes, "not for the engine").unwrap();
        } else {
            assert_eq!(
                std::fs::read_to_string(notes).unwrap(),
                "not for the engine"
            );
        }
    }
    let image = Loaded::named(&docker, "dockerfile");
    let argument = format!("BASE={base}");
    docker
        .run(&[
            "build",
            "--build-arg",
            &argument,
            "-t",
            &image.name,
            context.to_str().unwrap(),
        ])
        .unwrap();
    let container = docker
        .start(
            &["--publish", "127.0.0.1::8080", "--read-only"],
            &image.name,
            &[],
        )
        .unwrap();
    let address = container.ready(8080, "/ready").unwrap();
    let url = format!("{address}/invocations");
    let answer = Client::new().post(&url, Some("application/json"), &request());
    assert_eq!(answer.unwrap().status, 200);
    // In the folder itself, by its name.
    let output = mlrs()
        .args(["models", "generate-dockerfile", "-d", ".", "-m"])
        .arg(&model)
        .current_dir(&context)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(context.join("Dockerfile").exists() && context.join("notes.txt").exists());
    let assembled = Loaded::build(&docker, &iris(), "assembled", &[]);
    are_alike(&docker, &image.name, &assembled.name);
}

/// What is run, and how, is what `mlrs image build` has.
fn are_alike(docker: &Docker, theirs: &str, ours: &str) {
    let config = |name: &str| -> Value {
        let shown = docker
            .run(&["inspect", "--format", "{{json .Config}}", name])
            .unwrap();
        serde_json::from_str(&shown).unwrap()
    };
    assert_eq!(paths(docker, theirs), paths(docker, ours));
    let (theirs, ours) = (config(theirs), config(ours));
    for key in [
        "User",
        "Entrypoint",
        "Cmd",
        "ExposedPorts",
        "WorkingDir",
        "StopSignal",
        "Healthcheck",
    ] {
        assert_eq!(theirs[key], ours[key], "{key}");
    }
    let variables = |config: &Value| {
        let mut variables: Vec<String> = config["Env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable.as_str().unwrap().to_owned())
            .collect();
        variables.sort();
        variables
    };
    assert_eq!(variables(&theirs), variables(&ours));
    assert_eq!(theirs["Labels"], ours["Labels"]);
}

/// The paths of everything in an image that a program could use.
fn paths(docker: &Docker, image: &str) -> Vec<String> {
    let id = docker.run(&["create", image]).unwrap();
    let listed = program("sh", &["-c", "docker export \"$0\" | tar -t", &id]).unwrap();
    docker.run(&["rm", &id]).unwrap();
    let mut paths: Vec<String> = listed
        .lines()
        .map(str::to_owned)
        // Lists and sources of zones, which nothing reads at run time.
        .filter(|path| !path.starts_with("usr/share/zoneinfo/"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_folder_of_somebody_else_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM debian\n").unwrap();
    let output = mlrs()
        .args(["models", "generate-dockerfile", "-m"])
        .arg(iris())
        .arg("-d")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(errors(&output).contains("holds something that was not made by this command"));
    let kept = std::fs::read_to_string(folder.path().join("Dockerfile")).unwrap();
    assert_eq!(kept, "FROM debian\n");
}

/// Checks a bill with the library of those who made the format.
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
print(error or 'valid')
";

#[test]
fn the_bill_of_materials_is_valid_and_names_everything() {
    let folder = tempfile::tempdir().unwrap();
    let bill = folder.path().join("iris.cdx.json");
    let target = format!("oci:{}", folder.path().join("image").display());
    let arguments = ["--output", &target, "--sbom", bill.to_str().unwrap()];
    let image = built(&mut command(&iris(), "iris:1", &arguments));
    let text = std::fs::read(&bill).unwrap();
    let found: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(found["metadata"]["component"]["version"], image["digest"]);
    let components = found["components"].as_array().unwrap();
    let version = |name: &str| {
        let component = components
            .iter()
            .find(|component| component["name"] == name);
        component.unwrap_or_else(|| panic!("no {name}"))["version"].clone()
    };
    assert_eq!(version("mlrs"), env!("CARGO_PKG_VERSION"));
    assert_eq!(version("onnxruntime"), "1.31.1");
    if Path::new("/var/lib/dpkg/status").exists() {
        let installed = program("dpkg-query", &["-W", "-f", "${Version}", "libc6"]).unwrap();
        assert_eq!(version("libc6"), installed.as_str());
        for package in ["libgcc-s1", "libstdc++6", "ca-certificates", "tzdata"] {
            assert!(version(package).is_string(), "{package}");
        }
    }
    // What it was built of, and not what it was tested with.
    assert!(version("axum").is_string());
    assert!(
        !components
            .iter()
            .any(|component| component["name"] == "insta")
    );
    let files: Vec<&str> = components
        .iter()
        .filter_map(|component| component["components"].as_array())
        .flatten()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    for path in [
        "/usr/local/bin/mlrs",
        "/opt/ml/model/model.onnx",
        "/usr/lib/mlrs/libonnxruntime.so",
        "/usr/lib/mlrs/libc.so.6",
        "/etc/passwd",
    ] {
        assert!(files.contains(&path), "{path}");
    }
    // Nothing of the moment is in it.
    built(&mut command(&iris(), "iris:1", &arguments));
    assert!(std::fs::read(&bill).unwrap() == text);
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("the validation of a bill of materials", &error.to_string()),
    };
    let output = Command::new(python)
        .args(["-c", VALIDATE])
        .arg(&bill)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "valid\n");
}

#[test]
fn the_example_builds_runs_and_asks() {
    if let Err(error) = Docker::connect() {
        return skipped("examples/image", &error.to_string());
    }
    let script = mlrs_testing::workspace_root().join("examples/image/run.sh");
    let built = mlrs();
    let variables = built
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new("sh")
        .arg(script)
        .env("MLRS", built.get_program())
        .envs(variables)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let answer = printed.lines().last().unwrap();
    assert!(
        answer.starts_with("{\"predictions\":[{\"species\":0,"),
        "{printed}"
    );
    let _ = program("docker", &["rmi", "--force", "mlrs-example/iris:1"]);
}
