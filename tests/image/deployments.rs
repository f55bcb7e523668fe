//! `mlrs deployments -t docker`: a model's container from its creation to its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use mlrs_testing::{Client, Docker, copy_files, skipped};
use serde_json::Value;

use crate::build::{errors, iris, mlrs, request};

fn deployments(command: &str, name: &str, more: &[&str]) -> Command {
    let mut words = mlrs();
    words.args(["deployments", command, "-t", "docker"]);
    if !name.is_empty() {
        words.args(["--name", name]);
    }
    words.args(more);
    words
}

fn run(command: &str, name: &str, more: &[&str]) -> Output {
    deployments(command, name, more).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    errors(output)
}

/// A name of this test's own.
fn named(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

#[test]
fn a_deployment_lives_from_create_to_delete() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("mlrs deployments -t docker", &error.to_string()),
    };
    let name = named("iris");
    let folder = tempfile::tempdir().unwrap();
    let model = iris().display().to_string();
    let input = iris()
        .join("serving_input_example.json")
        .display()
        .to_string();
    let settings = [
        "-C",
        "port=0",
        "-C",
        "env.MLRS_BACKEND=tract",
        "-C",
        "memory=256m",
    ];
    let created = run("create", &name, &[&["-m", &model][..], &settings].concat());
    assert_eq!(
        printed(&created),
        format!("\nmlflow deployment {name} is created\n")
    );
    let listed = printed(&run("list", "", &[]));
    assert!(
        listed.contains(&format!("{{'name': '{name}'}}")),
        "{listed}"
    );
    let described = printed(&run("get", &name, &[]));
    assert!(described.contains("State: running\n"), "{described}");
    assert!(
        described.contains(&format!("Model: {model}\n")),
        "{described}"
    );
    let before = printed(&run("predict", &name, &["-I", &input]));
    let before: Value = serde_json::from_str(&before).unwrap();
    assert_eq!(before["predictions"][0]["species"], 0);
    let limit = docker.run(&["inspect", "--format", "{{.HostConfig.Memory}}", &name]);
    assert_eq!(limit.unwrap(), "268435456");
    // The same name once more.
    let again = failed(&run("create", &name, &["-m", &model, "-C", "port=0"]));
    assert!(
        again.contains(&format!("there is a container `{name}` already")),
        "{again}"
    );

    // Another model, the same settings.
    let other = folder.path().join("other");
    copy_files(&iris(), &other).unwrap();
    let updated = run("update", &name, &["-m", other.to_str().unwrap()]);
    assert_eq!(
        printed(&updated),
        format!("Deployment {name} is updated (with flavor mlflow)\n")
    );
    let described = printed(&run("get", &name, &[]));
    assert!(
        described.contains(&format!("Model: {}\n", other.display())),
        "{described}"
    );
    let variables = docker
        .run(&["inspect", "--format", "{{.Config.Env}}", &name])
        .unwrap();
    assert!(variables.contains("MLRS_BACKEND=tract"), "{variables}");

    // One that does not start leaves the one before it in service.
    let broken = ["-C", "env.MLFLOW_HOST=no such address"];
    let refused = failed(&run("update", &name, &broken));
    assert!(refused.contains("before it was ready\n  "), "{refused}");
    assert!(refused.contains("no such address"), "{refused}");
    printed(&run("predict", &name, &["-I", &input]));

    let deleted = run("delete", &name, &[]);
    assert_eq!(printed(&deleted), format!("Deployment {name} is deleted\n"));
    let absent = failed(&run("get", &name, &[]));
    assert!(
        absent.contains(&format!("there is no deployment `{name}`")),
        "{absent}"
    );
    let image = format!("mlrs-deployment/{name}:latest");
    assert!(docker.run(&["image", "inspect", &image]).is_err());
    assert!(docker.run(&["inspect", &format!("{name}.next")]).is_err());
}

#[test]
fn what_cannot_start_leaves_nothing() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("a deployment that fails", &error.to_string()),
    };
    let name = named("broken");
    let model = iris().display().to_string();
    let refused = failed(&run(
        "create",
        &name,
        &[
            "-m",
            &model,
            "-C",
            "port=0",
            "-C",
            "env.MLRS_BACKEND=abacus",
        ],
    ));
    assert!(
        refused.contains("there is no backend `abacus`"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: the log says why; everything is as it was before"),
        "{refused}"
    );
    assert!(docker.run(&["inspect", &name]).is_err());
    let refused = failed(&run("create", &name, &["-m", &model, "-C", "replicas=2"]));
    assert!(
        refused.contains("`replicas` is no setting of this target"),
        "{refused}"
    );
    let _ = docker.run(&["rmi", "--force", &format!("mlrs-deployment/{name}:latest")]);
}

#[test]
fn a_local_run_ends_with_its_command() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("mlrs deployments run-local", &error.to_string()),
    };
    let name = named("local");
    let model = iris().display().to_string();
    let mut command = deployments("run-local", &name, &["-m", &model, "-C", "port=0"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split(';').next().unwrap();
    let answer = Client::new()
        .post(
            &format!("http://{address}/invocations"),
            Some("application/json"),
            &request(),
        )
        .unwrap();
    assert_eq!(answer.status, 200);
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status();
    assert!(sent.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(docker.run(&["inspect", &name]).is_err());
}
