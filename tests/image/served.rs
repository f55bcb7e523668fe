//! An image in service: as a user that is nobody, with nothing to write to, answering as outside.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mlrs_testing::{Answer, Client, Container, Docker, Mlrs, onnxruntime_library, skipped};

use crate::build::{Loaded, iris, request};

/// How containers are run: nothing more is allowed than is needed.
const RESTRICTED: [&str; 7] = [
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--publish",
    "127.0.0.1::8080",
];

fn docker(what: &str) -> Option<Docker> {
    match Docker::connect() {
        Ok(docker) => Some(docker),
        Err(error) => {
            skipped(what, &error.to_string());
            None
        }
    }
}

fn invoke(address: &str) -> Answer {
    let url = format!("{address}/invocations");
    let client = Client::new();
    client
        .post(&url, Some("application/json"), &request())
        .unwrap()
}

#[test]
fn an_image_answers_as_the_model_does_outside() {
    let Some(docker) = docker("an image in service") else {
        return;
    };
    let library = onnxruntime_library().unwrap();
    for backend in ["onnxruntime", "tract"] {
        let arguments = ["--backend", backend];
        let image = Loaded::build(&docker, &iris(), &format!("served-{backend}"), &arguments);
        let container = docker.start(&RESTRICTED, &image.name, &[]).unwrap();
        let address = container.ready(8080, "/ready").unwrap();
        let outside = Mlrs::serve_with(
            &iris(),
            &arguments,
            &[("ORT_DYLIB_PATH", library.to_str().unwrap())],
        )
        .unwrap();
        let inside = invoke(&address);
        assert_eq!(inside.status, 200, "{inside:?}");
        assert_eq!(inside, invoke(outside.address()));
        let log = container.log().unwrap();
        assert!(log.contains(&format!("backend=\"{backend}\"")), "{log}");
        let top = docker
            .run(&["top", container.id(), "-eo", "pid,uid,args"])
            .unwrap();
        let running = top.lines().nth(1).unwrap();
        assert_eq!(
            running.split_whitespace().skip(1).collect::<Vec<_>>(),
            ["10001", "/usr/local/bin/mlrs", "serve", "/opt/ml/model"]
        );
        // Nothing to run but mlrs.
        for shell in ["/bin/sh", "sh", "/bin/ls"] {
            assert!(docker.run(&["exec", container.id(), shell]).is_err());
        }
        let version = docker.run(&["exec", container.id(), "/usr/local/bin/mlrs", "--version"]);
        assert!(version.unwrap().starts_with("mlrs "));
    }
}

#[test]
fn the_health_check_needs_nothing_but_the_program() {
    let Some(docker) = docker("the health check of an image") else {
        return;
    };
    let image = Loaded::build(&docker, &iris(), "healthy", &["--backend", "tract"]);
    let often = ["--health-interval", "1s"];
    let healthy = docker
        .start(&[&RESTRICTED[..], &often].concat(), &image.name, &[])
        .unwrap();
    wait_for(&healthy, "{{.State.Health.Status}}", "healthy");
    // It looks at the port that the server has.
    let elsewhere = ["--env", "MLFLOW_PORT=9000"];
    let other = docker
        .start(
            &[&RESTRICTED[..], &often, &elsewhere].concat(),
            &image.name,
            &[],
        )
        .unwrap();
    wait_for(&other, "{{.State.Health.Status}}", "healthy");
    let checked = docker.run(&[
        "exec",
        other.id(),
        "/usr/local/bin/mlrs",
        "healthcheck",
        "--port",
        "9001",
    ]);
    let error = checked.unwrap_err().to_string();
    assert!(error.contains("no server answers on port 9001"), "{error}");
    let absent = docker.run(&[
        "exec",
        other.id(),
        "/usr/local/bin/mlrs",
        "healthcheck",
        "--path",
        "/absent",
    ]);
    let error = absent.unwrap_err().to_string();
    assert!(
        error.contains("is not ready: `/absent` answers `HTTP/1.1 404"),
        "{error}"
    );
}

fn wait_for(container: &Container, format: &str, wanted: &str) {
    let begin = Instant::now();
    loop {
        let found = container.inspect(format).unwrap();
        if found == wanted {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "{found}: {}",
            container.log().unwrap()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn sagemaker_finds_its_contract() {
    let Some(docker) = docker("SageMaker's contract") else {
        return;
    };
    // It starts images with one argument, and looks at two routes of port 8080.
    let image = Loaded::build(&docker, &iris(), "sagemaker", &[]);
    let container = docker.start(&RESTRICTED, &image.name, &["serve"]).unwrap();
    let address = container.ready(8080, "/ping").unwrap();
    assert_eq!(invoke(&address).status, 200);
    // Or it puts the model into an image without one.
    let generic = Loaded::named(&docker, "generic");
    let mut command = crate::build::mlrs();
    command.args(["image", "build", "--format", "json", "-t", &generic.name]);
    crate::build::built(&mut command);
    let mounted = format!("{}:/opt/ml/model:ro", iris().display());
    let options = [&RESTRICTED[..], &["--volume", &mounted]].concat();
    let container = docker.start(&options, &generic.name, &["serve"]).unwrap();
    let address = container.ready(8080, "/ping").unwrap();
    assert_eq!(invoke(&address).status, 200);
}

#[test]
fn a_stop_under_load_loses_no_answer() {
    let Some(docker) = docker("a stop of a container under load") else {
        return;
    };
    let image = Loaded::build(&docker, &iris(), "stopped", &["--backend", "tract"]);
    let container = docker.start(&RESTRICTED, &image.name, &[]).unwrap();
    let address = container.ready(8080, "/ready").unwrap();
    let host = address.strip_prefix("http://").unwrap();
    let body = request();
    let head = format!(
        "POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // What has begun when the signal comes is answered.
    let mut streams: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(host).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body[..body.len() / 2]).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let id = container.id().to_owned();
    let stop = std::thread::spawn(move || mlrs_testing::program("docker", &["stop", &id]));
    let begin = Instant::now();
    while !container.log().unwrap().contains("stopping") {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    for stream in &mut streams {
        stream.write_all(&body[body.len() / 2..]).unwrap();
    }
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("]}"), "{answer}");
    }
    stop.join().unwrap().unwrap();
    assert_eq!(container.inspect("{{.State.ExitCode}}").unwrap(), "0");
    let log = container.log().unwrap();
    assert!(log.contains("cut_off=0"), "{log}");
}
