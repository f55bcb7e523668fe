//! Where images go: a folder, a file, a registry; and another client that reads them there.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{Client, Docker, ImageRegistry, copy_files, program, skipped};
use serde_json::Value;

use crate::build::{Loaded, built, command, errors, iris, request};

/// What skopeo says of an image.
fn inspected(image: &str, arguments: &[&str]) -> Value {
    let shown = program("skopeo", &[&["inspect"], arguments, &[image]].concat()).unwrap();
    serde_json::from_str(&shown).unwrap()
}

fn has_skopeo(what: &str) -> bool {
    let found = program("skopeo", &["--version"]);
    if let Err(error) = &found {
        skipped(what, &error.to_string());
    }
    found.is_ok()
}

/// What skopeo found is what was built.
fn is_the_same(found: &Value, image: &Value) {
    assert_eq!(
        found["Architecture"],
        std::env::consts::ARCH
            .replace("x86_64", "amd64")
            .replace("aarch64", "arm64")
    );
    assert_eq!(found["Os"], "linux");
    assert_eq!(found["Labels"]["mlrs.model.flavor"], "onnx");
    let built = image["layers"].as_array().unwrap().iter();
    let built: Vec<&Value> = built.map(|layer| &layer["digest"]).collect();
    let layers: Vec<&Value> = found["Layers"].as_array().unwrap().iter().collect();
    assert_eq!(layers, built);
}

#[test]
fn a_layout_holds_several_images_and_is_read_by_others() {
    if !has_skopeo("an image layout read by another client") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("images");
    let output = format!("oci:{}", target.display());
    let arguments = ["--backend", "tract", "--output", &output];
    let first = built(&mut command(&iris(), "iris:1", &arguments));
    let again = built(&mut command(&iris(), "iris:1", &arguments));
    assert_eq!(first["digest"], again["digest"]);
    let second = built(&mut command(
        &iris(),
        "iris:2",
        &[&arguments[..], &["--label", "a=b"]].concat(),
    ));
    for (tag, image) in [("1", &first), ("2", &second)] {
        let found = inspected(&format!("oci:{}:{tag}", target.display()), &[]);
        is_the_same(&found, image);
        assert_eq!(found["Digest"], image["digest"]);
    }
    let index: Value =
        serde_json::from_slice(&std::fs::read(target.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn an_archive_is_for_docker_and_for_others() {
    if !has_skopeo("an archive read by another client") {
        return;
    }
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("an archive in an engine", &error.to_string()),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("iris.tar");
    let loaded = Loaded::named(&docker, "archive");
    let output = format!("tar:{}", file.display());
    let arguments = ["--backend", "tract", "--output", &output];
    let image = built(&mut command(&iris(), &loaded.name, &arguments));
    let found = inspected(&format!("oci-archive:{}", file.display()), &[]);
    is_the_same(&found, &image);
    assert_eq!(found["Digest"], image["digest"]);
    let docker_reads = inspected(&format!("docker-archive:{}", file.display()), &["--config"]);
    assert_eq!(docker_reads["config"]["User"], "10001:10001");
    docker
        .run(&["load", "--input", file.to_str().unwrap()])
        .unwrap();
    let id = docker
        .run(&["inspect", "--format", "{{.Id}}", &loaded.name])
        .unwrap();
    assert!([&image["id"], &image["digest"]].contains(&&Value::from(id)));
}

#[test]
fn an_image_in_a_registry_is_pulled_by_others_and_parts_are_sent_once() {
    if !has_skopeo("an image pulled by another client") {
        return;
    }
    let (docker, registry) = match (Docker::connect(), ImageRegistry::start()) {
        (Ok(docker), Ok(registry)) => (docker, registry),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("an image in a registry", &error.to_string());
        }
    };
    let name = format!("{}/team/iris:1", registry.host());
    let push = ["--backend", "tract", "--output", "registry"];
    let image = built(&mut command(&iris(), &name, &push));
    assert!(sent(&image).contains("4 parts sent"), "{image}");
    let found = inspected(&format!("docker://{name}"), &["--tls-verify=false"]);
    is_the_same(&found, &image);
    assert_eq!(found["Digest"], image["digest"]);
    // All of it once more, under another name: nothing is sent but the name.
    let other = format!("{}/team/iris:2", registry.host());
    let again = built(&mut command(&iris(), &other, &push));
    assert!(
        sent(&again).contains("0 parts sent (0 B), 4 were there"),
        "{again}"
    );
    // Another model: its layer and the configuration.
    let folder = tempfile::tempdir().unwrap();
    copy_files(&iris(), folder.path()).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "another").unwrap();
    let third = built(&mut command(folder.path(), &other, &push));
    assert!(sent(&third).contains("2 parts sent"), "{third}");
    // And it runs where it was pulled.
    docker.run(&["pull", "--quiet", &name]).unwrap();
    let container = docker
        .start(&["--publish", "127.0.0.1::8080", "--read-only"], &name, &[])
        .unwrap();
    let address = container.ready(8080, "/ready").unwrap();
    let url = format!("{address}/invocations");
    let answer = Client::new().post(&url, Some("application/json"), &request());
    assert_eq!(answer.unwrap().status, 200);
    drop(container);
    docker.run(&["rmi", "--force", &name]).unwrap();
}

fn sent(image: &Value) -> &str {
    image["output"].as_str().unwrap()
}

/// An account of the registry: `team` with this password, bcrypt.
const ACCOUNT: &str = "team:$2b$05$abcdefghijklmnopqrstuu1V4f8YAEfBGv8dkApfJX/8ADRaJF.6a\n";
const PASSWORD: &str = "secret-of-the-team";

#[test]
fn credentials_come_from_docker_and_its_helpers() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts");
    std::fs::write(&accounts, ACCOUNT).unwrap();
    let registry = match ImageRegistry::start_for(&accounts) {
        Ok(registry) => registry,
        Err(error) => return skipped("a registry with accounts", &error.to_string()),
    };
    let host = registry.host();
    let push = |config: &Path| {
        let name = format!("{host}/iris:1");
        let mut command = command(
            &iris(),
            &name,
            &["--backend", "tract", "--output", "registry"],
        );
        command.env("DOCKER_CONFIG", config);
        command
    };
    // Without credentials, and with wrong ones.
    for config in ["{}", &basic(host, "team:wrong")] {
        let place = docker_config(folder.path(), "refused", config);
        let output = push(&place).output().unwrap();
        let errors = errors(&output);
        assert!(!output.status.success());
        assert!(
            errors.contains(&format!("cannot push `{host}/iris:1`")),
            "{errors}"
        );
        assert!(
            errors.contains(&format!("hint: `docker login {host}`")),
            "{errors}"
        );
        assert!(!errors.contains("wrong"), "{errors}");
    }
    // Those of `docker login`.
    let place = docker_config(
        folder.path(),
        "login",
        &basic(host, &format!("team:{PASSWORD}")),
    );
    assert!(sent(&built(&mut push(&place))).contains("4 parts sent"));
    // Those that a program keeps.
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let helper = programs.join("docker-credential-vault");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let config = format!(r#"{{"credHelpers": {{"{host}": "vault"}}}}"#);
    let place = docker_config(folder.path(), "helper", &config);
    let answer = format!(r#"{{"Username": "team", "Secret": "{PASSWORD}"}}"#);
    script(&helper, &format!("cat >/dev/null; echo '{answer}'"));
    assert!(sent(&built(push(&place).env("PATH", &path))).contains("4 were there"));
    script(
        &helper,
        &format!("cat >/dev/null; echo 'locked: {PASSWORD}'; exit 1"),
    );
    let output = push(&place).env("PATH", &path).output().unwrap();
    let errors = errors(&output);
    assert!(
        errors.contains("`docker-credential-vault` ended with an error"),
        "{errors}"
    );
    assert!(!errors.contains(PASSWORD), "{errors}");
}

fn docker_config(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let place = folder.join(name);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("config.json"), text).unwrap();
    place
}

fn basic(host: &str, account: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(account);
    format!(r#"{{"auths": {{"{host}": {{"auth": "{encoded}"}}}}}}"#)
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    let made = Command::new("chmod").arg("755").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn an_image_is_put_on_a_base_from_a_registry() {
    let (docker, registry) = match (Docker::connect(), ImageRegistry::start()) {
        (Ok(docker), Ok(registry)) => (docker, registry),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("a base image", &error.to_string());
        }
    };
    let base = format!("{}/base:1", registry.host());
    let mut generic = crate::build::mlrs();
    generic.args(["image", "build", "--format", "json", "-t", &base]);
    let base_image = built(generic.args(["--output", "registry"]));
    let loaded = Loaded::named(&docker, "on-base");
    let arguments = ["--backend", "tract", "--base-image", &base];
    let image = built(&mut command(&iris(), &loaded.name, &arguments));
    let kinds: Vec<&str> = image["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["layer"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["base", "base", "base", "mlrs", "model"]);
    assert_eq!(
        image["layers"][0]["digest"],
        base_image["layers"][0]["digest"]
    );
    let container = docker
        .start(
            &["--publish", "127.0.0.1::8080", "--read-only"],
            &loaded.name,
            &[],
        )
        .unwrap();
    container.ready(8080, "/ready").unwrap();
    // What is not there is said before anything is made.
    let absent = format!("{}/absent:1", registry.host());
    let refused = command(
        &iris(),
        "iris:1",
        &["--base-image", &absent, "--output", "oci:never"],
    )
    .output()
    .unwrap();
    let text = errors(&refused);
    assert!(
        text.contains(&format!("cannot pull the base image `{absent}`")),
        "{text}"
    );
    assert!(
        text.contains("hint: check the name, the tag and the platform"),
        "{text}"
    );
    // A base without what the program needs.
    let empty = format!("{}/empty:1", registry.host());
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(
        scratch.path().join("Dockerfile"),
        "FROM scratch\nCOPY a /a\n",
    )
    .unwrap();
    std::fs::write(scratch.path().join("a"), "a").unwrap();
    docker
        .run(&[
            "build",
            "--quiet",
            "-t",
            &empty,
            scratch.path().to_str().unwrap(),
        ])
        .unwrap();
    docker.run(&["push", "--quiet", &empty]).unwrap();
    docker.run(&["rmi", "--force", &empty]).unwrap();
    let refused = command(
        &iris(),
        "iris:1",
        &["--base-image", &empty, "--output", "oci:never"],
    )
    .output()
    .unwrap();
    let text = errors(&refused);
    assert!(
        text.contains(&format!("the base image `{empty}` has no `/lib")),
        "{text}"
    );
    assert!(!Path::new("never").exists());
}
