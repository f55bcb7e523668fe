//! Base images that no Dockerfile made: `docker import` writes `null` where others write nothing.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{Docker, ImageRegistry, skipped};
use serde_json::Value;

use crate::build::{Loaded, built, command, errors, iris, mlrs};

fn started(what: &str) -> Option<(Docker, ImageRegistry)> {
    match (Docker::connect(), ImageRegistry::start()) {
        (Ok(docker), Ok(registry)) => Some((docker, registry)),
        (Err(error), _) | (_, Err(error)) => {
            skipped(what, &error.to_string());
            None
        }
    }
}

/// Makes an image of an archive that a command writes, puts it into the registry, and keeps no other.
fn import(docker: &Docker, archive: &str, changes: &[&str], name: &str) {
    let changes = changes
        .iter()
        .map(|change| format!("--change '{change}'"))
        .collect::<Vec<_>>()
        .join(" ");
    let script = format!("{archive} | docker import {changes} - {name}");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    docker.run(&["push", "--quiet", name]).unwrap();
    docker.run(&["rmi", "--force", name]).unwrap();
}

#[test]
fn a_base_that_says_nothing_is_looked_into() {
    let Some((docker, registry)) = started("an imported base image") else {
        return;
    };
    let base = format!("{}/notes:1", registry.host());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes"), "abc").unwrap();
    let archive = format!("tar -C '{}' -c .", folder.path().display());
    import(&docker, &archive, &[], &base);
    let arguments = ["--base-image", &base, "--output", "oci:never"];
    let output = command(&iris(), "iris:1", &arguments).output().unwrap();
    let text = errors(&output);
    assert!(!output.status.success());
    assert!(
        text.starts_with(&format!("error: the base image `{base}` has no `/lib")),
        "{text}"
    );
    assert!(!Path::new("never").exists());
}

#[test]
fn what_a_base_says_of_itself_is_not_said_of_the_image() {
    let Some((docker, registry)) = started("an imported base image") else {
        return;
    };
    // The files of an image without a base, and what Ubuntu's says of itself.
    let system = Loaded::named(&docker, "system");
    built(mlrs().args(["image", "build", "--format", "json", "-t", &system.name]));
    let container = docker.run(&["create", &system.name]).unwrap();
    let base = format!("{}/system:1", registry.host());
    let changes = [
        "LABEL org.opencontainers.image.version=24.04 team=images",
        "ENV LD_LIBRARY_PATH=/usr/lib/mlrs",
        "ONBUILD RUN false",
    ];
    import(
        &docker,
        &format!("docker export {container}"),
        &changes,
        &base,
    );
    docker.run(&["rm", &container]).unwrap();
    let loaded = Loaded::named(&docker, "on-imported");
    let arguments = ["--backend", "tract", "--base-image", &base];
    built(&mut command(&iris(), &loaded.name, &arguments));
    let shown = docker
        .run(&["inspect", "--format", "{{json .Config}}", &loaded.name])
        .unwrap();
    let config: Value = serde_json::from_str(&shown).unwrap();
    let labels = &config["Labels"];
    assert_eq!(labels["team"], "images");
    assert_eq!(labels["org.opencontainers.image.version"], Value::Null);
    assert_eq!(labels["mlrs.model.flavor"], "onnx");
    assert!(config["OnBuild"].is_null(), "{config}");
    assert_eq!(config["Healthcheck"]["Test"][2], "healthcheck");
    let container = docker
        .start(
            &["--publish", "127.0.0.1::8080", "--read-only"],
            &loaded.name,
            &[],
        )
        .unwrap();
    container.ready(8080, "/ready").unwrap();
}
