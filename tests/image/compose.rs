//! The servers of a whole team, brought up by compose: a model is registered, served and watched.
//!
//! What cannot be pulled here (PostgreSQL, the storage, Prometheus) are programs of this machine inside
//! a base of our own: `tests/compose/stand-ins.yaml`. The image of mlrs is a real one, and nothing of its
//! services is changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mlrs_testing::{
    Client, Docker, Mlrs, onnxruntime_library, program, python, skipped, workspace_root,
};
use serde_json::Value;

use crate::build::{Loaded, built, errors, iris, mlrs, request};
use crate::debian::debian;

fn file(name: &str) -> String {
    workspace_root().join(name).display().to_string()
}

/// The example of the variables, with this value for each password.
fn variables(folder: &Path, password: &str) -> PathBuf {
    let example = std::fs::read_to_string(file("docker/.env.example")).unwrap();
    let path = folder.join("variables");
    std::fs::write(&path, example.replace("=\n", &format!("={password}\n"))).unwrap();
    path
}

#[test]
fn compose_takes_the_file_and_asks_for_passwords() {
    if let Err(error) = program("docker-compose", &["version"]) {
        return skipped("the compose file", &error.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = file("docker/compose.yaml");
    let config = |password: &str| {
        let variables = variables(folder.path(), password).display().to_string();
        let options = [
            "--env-file",
            &variables,
            "--file",
            &file,
            "--profile",
            "model",
        ];
        program("docker-compose", &[&options[..], &["config"]].concat())
    };
    let shown = config("a password").unwrap();
    assert!(shown.contains("models:/iris@champion"), "{shown}");
    let refused = config("").unwrap_err().to_string();
    assert!(refused.contains("in docker/.env"), "{refused}");
}

/// A team's servers, which end with this value.
struct Team {
    project: String,
    variables: PathBuf,
    environment: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

impl Team {
    fn new(image: &str, base: &str, python: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let asked = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path('purelib'), sep='\\n')";
        let said = program(&python.display().to_string(), &["-c", asked]).unwrap();
        let (prefix, packages) = said.split_once('\n').unwrap();
        let environment = [
            ("BASE_IMAGE", base),
            ("MLRS_IMAGE", image),
            ("PYTHON_PREFIX", prefix),
            ("PYTHON_PACKAGES", packages),
            // Free ones.
            ("TRACKING_PORT", "0"),
            ("MODEL_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
        ];
        Self {
            project: format!("mlrs-tests-{}", std::process::id()),
            variables: variables(folder.path(), "a 'quoted' pass$word"),
            environment: environment
                .map(|(name, value)| (name, value.to_owned()))
                .into(),
            _folder: folder,
        }
    }

    /// What compose says to a command, or why it failed.
    fn compose(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker-compose")
            .args([
                "--ansi",
                "never",
                "--profile",
                "model",
                "--project-name",
                &self.project,
            ])
            .arg("--env-file")
            .arg(&self.variables)
            .args(["--file", &file("docker/compose.yaml")])
            .args(["--file", &file("tests/compose/stand-ins.yaml")])
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`docker-compose` cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned());
        }
        Err(errors(&output))
    }

    /// Starts services and those that they need.
    fn up(&self, services: &[&str]) {
        let started = self.compose(&[&["up", "--detach", "--no-build"], services].concat());
        if let Err(error) = started {
            let log = self.compose(&["logs", "--tail", "30"]);
            panic!("{error}\n{}", log.unwrap_or_default());
        }
    }

    /// The address of a service on this machine.
    fn address(&self, service: &str, port: u16) -> String {
        format!(
            "http://{}",
            self.compose(&["port", service, &port.to_string()]).unwrap()
        )
    }

    /// Waits until the engine calls a service healthy, by the command that the file names.
    fn healthy(&self, docker: &Docker, service: &str) {
        let id = self.compose(&["ps", "--quiet", service]).unwrap();
        until(&format!("a healthy {service}"), || {
            let state = ["inspect", "--format", "{{.State.Health.Status}}", &id];
            docker.run(&state).unwrap() == "healthy"
        });
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "no {what} in a minute"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_team_registers_a_model_and_serves_it() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("a team's servers", &error.to_string()),
    };
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("a team's servers", &error.to_string()),
    };
    for needed in [
        "docker-compose --version",
        "prometheus --version",
        "ls /usr/lib/postgresql",
    ] {
        let words: Vec<&str> = needed.split(' ').collect();
        if let Err(error) = program(words[0], &words[1..]) {
            return skipped("a team's servers", &error.to_string());
        }
    }
    let base = match debian(&docker) {
        Ok(base) => base,
        Err(error) => return skipped("a Debian for a team's servers", &error),
    };
    let image = Loaded::named(&docker, "team");
    built(mlrs().args(["image", "build", "--format", "json", "-t", &image.name]));
    let team = Team::new(&image.name, &base, &python);
    team.up(&["tracking", "prometheus"]);
    team.healthy(&docker, "tracking");

    let tracking = team.address("tracking", 5000);
    let registered = mlrs()
        .args(["register", "--name", "iris", "--alias", "champion"])
        .arg(iris())
        .env("MLFLOW_TRACKING_URI", &tracking)
        .output()
        .unwrap();
    assert!(registered.status.success(), "{}", errors(&registered));
    // What is registered is in the database and the storage: neither needs this server.
    team.compose(&["rm", "--stop", "--force", "tracking"])
        .unwrap();
    team.up(&["model"]);
    team.healthy(&docker, "model");

    let client = Client::new();
    let invoke = |address: &str| {
        let url = format!("{address}/invocations");
        client
            .post(&url, Some("application/json"), &request())
            .unwrap()
    };
    let library = onnxruntime_library().unwrap().display().to_string();
    let outside = Mlrs::serve_with(&iris(), &[], &[("ORT_DYLIB_PATH", &library)]).unwrap();
    let inside = invoke(&team.address("model", 8080));
    assert_eq!(inside.status, 200, "{inside:?}");
    assert_eq!(inside, invoke(outside.address()));

    let url = format!("{}/api/v1/query?query=up", team.address("prometheus", 9090));
    until("word of both servers", || {
        let Ok(answer) = client.get(&url) else {
            return false;
        };
        let found: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let mut up: Vec<_> = found["data"]["result"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|series| series["value"][1] == "1")
            .map(|series| series["metric"]["job"].as_str().unwrap().to_owned())
            .collect();
        up.sort();
        up == ["mlrs-model", "mlrs-tracking"]
    });
}
