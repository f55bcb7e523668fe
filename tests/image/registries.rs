//! Registries that a build meets: names without one, accounts, helpers with nothing, proxies.

use std::path::Path;
use std::process::{Command, Output};

use mlrs_testing::{ImageRegistry, skipped};

use crate::build::{built, command, errors, iris, layers, mlrs};

fn registry(what: &str) -> Option<ImageRegistry> {
    let started = ImageRegistry::start();
    started
        .map_err(|error| skipped(what, &error.to_string()))
        .ok()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    assert!(output.stdout.is_empty(), "{output:?}");
    errors(output)
}

/// A build into a registry.
fn push(name: &str) -> Command {
    command(
        &iris(),
        name,
        &["--backend", "tract", "--output", "registry"],
    )
}

/// A program in a folder of its own, for `PATH`.
fn helper(folder: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs).unwrap();
    let path = programs.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())
}

#[test]
fn names_that_nothing_can_be_pushed_under_are_refused_first() {
    let folder = tempfile::tempdir().unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let by_digest = format!("localhost/iris@{digest}");
    let away = "127.0.0.1:1/iris:1";
    for (name, expected) in [
        ("iris:3", "error: `iris:3` does not say which registry"),
        ("team/iris:3", "error: `team/iris:3` does not say which"),
        (&by_digest, "names an image by its digest"),
        (away, "error: cannot push `127.0.0.1:1/iris:1`"),
    ] {
        let output = push(name).env("MLRS_CACHE_DIR", folder.path()).output();
        let text = refused(&output.unwrap());
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("  hint: "), "{text}");
        // Nothing was packed.
        assert!(!folder.path().join("images").exists(), "{name}");
    }
}

#[test]
fn who_may_not_push_is_told_before_anything_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts");
    std::fs::write(&accounts, "").unwrap();
    let registry = match ImageRegistry::start_for(&accounts) {
        Ok(registry) => registry,
        Err(error) => return skipped("a registry with accounts", &error.to_string()),
    };
    let host = registry.host();
    let cache = folder.path().join("cache");
    let output = push(&format!("{host}/iris:1"))
        .env("MLRS_CACHE_DIR", &cache)
        .output()
        .unwrap();
    let text = refused(&output);
    assert!(
        text.contains(&format!("hint: `docker login {host}`")),
        "{text}"
    );
    assert!(!cache.join("images").exists());
}

#[test]
fn a_store_of_credentials_that_has_none_is_no_obstacle() {
    let Some(registry) = registry("a store of credentials that has none") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"credsStore": "keychain"}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let nothing = "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1";
    let path = helper(folder.path(), "docker-credential-keychain", nothing);
    built(
        push(&format!("{}/iris:1", registry.host()))
            .env("DOCKER_CONFIG", folder.path())
            .env("PATH", path),
    );
}

#[test]
fn a_proxy_is_not_asked_for_what_is_on_this_machine() {
    let Some(registry) = registry("a registry beside a proxy") else {
        return;
    };
    let name = format!("{}/iris:1", registry.host());
    let mut generic = mlrs();
    generic.args(["image", "build", "--format", "json", "--output", "registry"]);
    generic.args(["-t", &name]);
    let mut on_base = push(&name);
    on_base.args(["--base-image", &name]);
    for command in [&mut generic, &mut on_base] {
        for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(variable, "http://127.0.0.1:1");
        }
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        built(command);
    }
}

#[test]
fn plain_http_is_said_of_a_host() {
    let target = ["--plain-http", "http://registry.example"];
    let output = command(&iris(), "iris:1", &target).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("a registry is HOST or HOST:PORT"),
        "{}",
        errors(&output)
    );
}

#[test]
fn an_image_without_an_engine_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = format!("oci:{}", folder.path().join("image").display());
    let mut generic = mlrs();
    generic
        .args(["image", "build", "--format", "json", "-t", "mlrs:1"])
        .args(["--output", &output])
        .env_remove("ORT_DYLIB_PATH")
        .env("MLRS_CACHE_DIR", folder.path());
    let image = built(&mut generic);
    // Some machines have one among the libraries of the system.
    let has_engine = layers(&image).iter().any(|(layer, _)| layer == "engine");
    let warned = image["warnings"]
        .to_string()
        .contains("without ONNX Runtime the image serves only models that tract serves");
    assert_ne!(has_engine, warned, "{image}");
}

#[test]
fn a_dockerfile_is_made_without_a_base_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("iris-image");
    for option in [["--base-image", "iris:1"], ["--sysroot", "/usr"]] {
        let output = mlrs()
            .args(["models", "generate-dockerfile", "-m"])
            .arg(iris())
            .arg("-d")
            .arg(&context)
            .args(option)
            .output()
            .unwrap();
        let text = refused(&output);
        let expected = format!("error: a Dockerfile is not made with {}", option[0]);
        assert!(text.starts_with(&expected), "{text}");
        assert!(!context.exists());
    }
}
