//! `mlrs deployments -t docker`: a model's container from its creation to its end.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mlrs_testing::{Client, Docker, copy_files, skipped};
use serde_json::Value;

use crate::build::{errors, iris, mlrs, request, signalled};

mod addresses;
mod refused;
mod replaced;

/// How long something may take to come about.
const PATIENCE: Duration = Duration::from_mins(1);

/// A deployment of a test's own: its containers and images go with this value.
struct Deployment {
    docker: Docker,
    name: String,
    folder: tempfile::TempDir,
}

impl Deployment {
    /// A name that is free. Nothing, and a word about it, without an engine.
    fn named(what: &str) -> Option<Self> {
        match Docker::connect() {
            Ok(docker) => Some(Self {
                docker,
                name: format!("{what}-{}", std::process::id()),
                folder: tempfile::tempdir().unwrap(),
            }),
            Err(error) => {
                skipped(&format!("a deployment `{what}`"), &error.to_string());
                None
            }
        }
    }

    /// A model that no other test has, so that its image is none of another test's either.
    fn model(&self, which: &str) -> String {
        let folder = self.folder.path().join(which);
        copy_files(&iris(), &folder).unwrap();
        std::fs::write(folder.join("which"), format!("{which} of {}", self.name)).unwrap();
        folder.display().to_string()
    }

    fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut words = mlrs();
        words.args(["deployments", command, "-t", "docker"]);
        if command != "list" {
            words.args(["--name", &self.name]);
        }
        words.args(more);
        words
    }

    /// What a command printed that did what it was asked.
    fn done(&self, command: &str, more: &[&str]) -> String {
        printed(&self.command(command, more).output().unwrap())
    }

    /// What a command wrote that could not.
    fn fails(&self, command: &str, more: &[&str]) -> String {
        failed(&self.command(command, more).output().unwrap())
    }

    fn create(&self, which: &str, more: &[&str]) {
        let model = self.model(which);
        self.done("create", &[&["-m", &model, "-C", "port=0"], more].concat());
    }

    fn predicts(&self) {
        let answer: Value =
            serde_json::from_str(&self.done("predict", &["-I", &example()])).unwrap();
        assert_eq!(answer["predictions"][0]["species"], 0);
    }

    /// Something of its container, as `docker inspect --format` has it.
    fn inspect(&self, format: &str) -> String {
        let shown = ["inspect", "--format", format, &self.name];
        self.docker.run(&shown).unwrap()
    }

    /// The name of the container that is to replace its own.
    fn next(&self) -> String {
        format!("{}.next", self.name)
    }

    /// The name of the image that is built for it.
    fn image(&self) -> String {
        format!("mlrs-deployment/{}:latest", self.name)
    }

    fn image_id(&self, image: &str) -> Option<String> {
        let shown = ["image", "inspect", "--format", "{{.Id}}", image];
        self.docker.run(&shown).ok()
    }

    /// Fails unless there is no container and no image of it.
    fn is_gone(&self) {
        for container in [&self.name, &self.next()] {
            assert!(self.docker.run(&["inspect", container]).is_err());
        }
        assert_eq!(self.image_id(&self.image()), None);
        assert!(!self.done("list", &[]).contains(&self.name));
    }

    /// An image of this model that starts and is never ready: it listens on another port.
    fn never_ready(&self) -> String {
        let name = format!("mlrs-tests/slow-{}:1", self.name);
        let model = self.model("slow");
        crate::build::built(&mut crate::build::command(Path::new(&model), &name, &[]));
        let container = self.docker.run(&["create", &name]).unwrap();
        let change = r#"CMD ["serve", "/opt/ml/model", "--port", "9999"]"#;
        let committed = self
            .docker
            .run(&["commit", "--change", change, &container, &name]);
        let _ = self.docker.run(&["rm", &container]);
        committed.unwrap();
        name
    }

    /// Starts a command, and comes back when this container runs.
    fn until_runs(&self, container: &str, command: &str, more: &[&str]) -> Child {
        let mut command = self.command(command, more);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let deadline = Instant::now() + PATIENCE;
        let shown = ["inspect", "--format", "{{.State.Running}}", container];
        while self.docker.run(&shown).ok().as_deref() != Some("true") {
            assert!(Instant::now() < deadline, "`{container}` does not run");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.unwrap()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let tags = [self.image(), format!("mlrs-tests/slow-{}:1", self.name)];
        let mut ids: Vec<String> = tags.iter().filter_map(|tag| self.image_id(tag)).collect();
        for container in [&self.name, &self.next()] {
            let shown = ["inspect", "--format", "{{.Image}}", container];
            ids.extend(self.docker.run(&shown).ok());
            let _ = self.docker.run(&["rm", "--force", "--volumes", container]);
        }
        for tag in tags {
            let _ = self.docker.run(&["rmi", &tag]);
        }
        for id in ids {
            let names = ["image", "inspect", "--format", "{{len .RepoTags}}", &id];
            if self.docker.run(&names).ok().as_deref() == Some("0") {
                let _ = self.docker.run(&["rmi", &id]);
            }
        }
    }
}

/// A request, as a file.
fn example() -> String {
    let path: PathBuf = iris().join("serving_input_example.json");
    path.display().to_string()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    errors(output)
}

#[test]
fn a_deployment_lives_from_create_to_delete() {
    let Some(iris) = Deployment::named("iris") else {
        return;
    };
    let name = iris.name.as_str();
    let model = iris.model("one");
    let settings = [
        "-C",
        "port=0",
        "-C",
        "env.MLRS_BACKEND=tract",
        "-C",
        "memory=256m",
    ];
    let created = iris.done("create", &[&["-m", &model][..], &settings].concat());
    assert_eq!(created, format!("\nmlflow deployment {name} is created\n"));
    let listed = iris.done("list", &[]);
    assert!(
        listed.contains(&format!("{{'name': '{name}'}}")),
        "{listed}"
    );
    let described = iris.done("get", &[]);
    assert!(described.contains("State: running\n"), "{described}");
    assert!(
        described.contains(&format!("Model: {model}\n")),
        "{described}"
    );
    iris.predicts();
    assert_eq!(iris.inspect("{{.HostConfig.Memory}}"), "268435456");

    // Another model, the same settings.
    let one = iris.inspect("{{.Image}}");
    let other = iris.model("other");
    assert_eq!(
        iris.done("update", &["-m", &other]),
        format!("Deployment {name} is updated (with flavor mlflow)\n")
    );
    let described = iris.done("get", &[]);
    assert!(
        described.contains(&format!("Model: {other}\n")),
        "{described}"
    );
    let variables = iris.inspect("{{.Config.Env}}");
    assert!(variables.contains("MLRS_BACKEND=tract"), "{variables}");
    assert_eq!(iris.image_id(&one), None, "the image before is left");

    // One that does not start leaves the one before it in service, and its image.
    let third = iris.model("third");
    let broken = ["-m", &third, "-C", "env.MLFLOW_HOST=no such address"];
    let refused = iris.fails("update", &broken);
    assert!(refused.contains("before it was ready\n  "), "{refused}");
    assert!(refused.contains("no such address"), "{refused}");
    iris.predicts();
    assert_eq!(
        iris.image_id(&iris.image()),
        Some(iris.inspect("{{.Image}}"))
    );

    assert_eq!(
        iris.done("delete", &[]),
        format!("Deployment {name} is deleted\n")
    );
    let absent = iris.fails("get", &[]);
    assert!(
        absent.contains(&format!("there is no deployment `{name}`")),
        "{absent}"
    );
    iris.is_gone();
}

#[test]
fn a_secret_is_in_no_label_and_stays() {
    let Some(secret) = Deployment::named("secret") else {
        return;
    };
    let value = "wJalrXUtnFEMI=K7MDENG";
    let variable = format!("env.AWS_SECRET_ACCESS_KEY={value}");
    secret.create("one", &["-C", &variable]);
    for settings in [None, Some("memory=256m"), Some("env.MLRS_BACKEND=tract")] {
        if let Some(settings) = settings {
            secret.done("update", &["-C", settings]);
        }
        let labels = secret.inspect("{{json .Config.Labels}}");
        assert!(labels.contains("env.AWS_SECRET_ACCESS_KEY"), "{labels}");
        assert!(!labels.contains("wJalr"), "{labels}");
        assert!(!secret.done("get", &[]).contains("wJalr"));
        let variables = secret.inspect("{{json .Config.Env}}");
        let variable = format!("\"AWS_SECRET_ACCESS_KEY={value}\"");
        assert!(variables.contains(&variable), "{variables}");
    }
}

#[test]
fn a_local_run_ends_with_its_command() {
    let Some(local) = Deployment::named("local") else {
        return;
    };
    let model = local.model("one");
    let mut command = local.command("run-local", &["-m", &model, "-C", "port=0"]);
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
    assert_eq!(signalled(child, "INT"), Some(0));
    local.is_gone();
}

#[test]
fn a_local_run_that_comes_to_nothing_leaves_nothing() {
    let Some(local) = Deployment::named("short") else {
        return;
    };
    // Ctrl-C before it is ready.
    let slow = local.never_ready();
    let image = format!("image={slow}");
    let words = ["-m", "none", "-C", "port=0", "-C", &image];
    let child = local.until_runs(&local.name, "run-local", &words);
    assert_eq!(signalled(child, "INT"), Some(1));
    local.is_gone();
    assert!(local.image_id(&slow).is_some(), "an image that was named");

    // One that is ended by somebody else.
    let model = local.model("one");
    let mut command = local.command("run-local", &["-m", &model, "-C", "port=0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    local.docker.run(&["kill", &local.name]).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    local.is_gone();
}
