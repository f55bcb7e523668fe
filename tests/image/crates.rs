//! The list of crates in bills of materials: the build script of the binary, run as cargo runs it, with no
//! more crates on the machine than the build of the binary needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlrs_testing::workspace_root;
use serde_json::Value;

use crate::build::errors;

/// How many crates a build may have beyond those that it compiles.
const MORE_THAN_COMPILED: usize = 40;

/// The folder of crates and indexes that this test's build was made with.
fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"))
        .join("registry")
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// What cargo would compile for the binary, and from which package to which.
fn unit_graph(home: Option<&Path>) -> Output {
    let mut command = Command::new(cargo());
    command
        .args(["build", "--package", "mlrs", "--locked", "--offline"])
        .args(["-Z", "unstable-options", "--unit-graph"])
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(workspace_root());
    if let Some(home) = home {
        command.env("CARGO_HOME", home);
    }
    command.output().unwrap()
}

/// The `name version` of a package of a registry.
fn crate_of(unit: &Value) -> Option<String> {
    let id = unit["pkg_id"].as_str().unwrap();
    let (_, package) = id.strip_prefix("registry+")?.split_once('#').unwrap();
    Some(package.replace('@', " "))
}

/// The crates whose code is in the binary: those that it is linked with, and those that they are.
fn linked(graph: &Value) -> BTreeSet<String> {
    let units = graph["units"].as_array().unwrap();
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let mut waiting: Vec<usize> = graph["roots"]
        .as_array()
        .unwrap()
        .iter()
        .map(index)
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some(place) = waiting.pop() {
        let unit = &units[place];
        let kinds = unit["target"]["kind"].to_string();
        let is_compiled_in = unit["mode"] == "build"
            && !kinds.contains("custom-build")
            && !kinds.contains("proc-macro");
        if is_compiled_in && seen.insert(place) {
            found.extend(crate_of(unit));
            let needed = unit["dependencies"].as_array().unwrap();
            waiting.extend(needed.iter().map(|dependency| index(&dependency["index"])));
        }
    }
    found
}

/// A home of cargo with the index of the registry, and as many crates as one lets in.
struct CargoHome(tempfile::TempDir);

impl CargoHome {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("registry")).unwrap();
        symlink(registry().join("index"), home.path().join("registry/index")).unwrap();
        Self(home)
    }

    /// Lets a crate in, `name-version`.
    fn admit(&self, package: &str) {
        for (kind, file) in [
            ("cache", format!("{package}.crate")),
            ("src", package.to_owned()),
        ] {
            for index in fs::read_dir(registry().join(kind)).unwrap() {
                let index = index.unwrap();
                let folder = self
                    .0
                    .path()
                    .join("registry")
                    .join(kind)
                    .join(index.file_name());
                fs::create_dir_all(&folder).unwrap();
                let (held, link) = (index.path().join(&file), folder.join(&file));
                if held.exists() && !link.exists() {
                    symlink(held, link).unwrap();
                }
            }
        }
    }

    /// One in which the binary can be built, with what that needs and nothing else.
    fn of_the_build(graph: &Value) -> Self {
        let home = Self::new();
        let units = graph["units"].as_array().unwrap();
        for package in units.iter().filter_map(crate_of) {
            home.admit(&package.replace(' ', "-"));
        }
        // A build fetches a little more than it compiles.
        for _ in 0..MORE_THAN_COMPILED {
            let output = unit_graph(Some(home.0.path()));
            if output.status.success() {
                return home;
            }
            let text = errors(&output);
            let (_, package) = text.split_once("failed to download `").expect(&text);
            let (package, _) = package.split_once('`').unwrap();
            home.admit(&package.replace(" v", "-"));
        }
        panic!("a build needs far more than it compiles");
    }
}

/// The build script, compiled.
fn build_script(folder: &Path) -> PathBuf {
    let program = folder.join("build-script");
    let output = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&program)
        .arg(workspace_root().join("crates/cli/build.rs"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    program
}

/// The platform of this machine, as cargo names it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.unwrap().to_owned()
}

/// Runs the build script for a target; gives what it tells cargo.
fn told(script: &Path, home: &CargoHome, target: &str) -> String {
    let folder = script.parent().unwrap();
    let variables = BTreeMap::from([
        ("CARGO", cargo()),
        ("CARGO_HOME", home.0.path().display().to_string()),
        ("CARGO_PKG_NAME", "mlrs".to_owned()),
        ("OUT_DIR", folder.display().to_string()),
        ("TARGET", target.to_owned()),
    ]);
    let output = Command::new(script)
        .current_dir(workspace_root().join("crates/cli"))
        .envs(variables)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_list_of_crates_needs_nothing_that_the_build_does_not() {
    let output = unit_graph(None);
    assert!(output.status.success(), "{}", errors(&output));
    let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
    let home = CargoHome::of_the_build(&graph);
    let folder = tempfile::tempdir().unwrap();
    let script = build_script(folder.path());
    let said = told(&script, &home, &host());
    assert!(!said.contains("cargo::error"), "{said}");
    assert!(said.contains("/crates/tracking/Cargo.toml"), "{said}");
    let list = fs::read_to_string(folder.path().join("crates.txt")).unwrap();
    let listed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    // Exactly what is linked: neither what only tests, macros and other systems need, nor less.
    assert_eq!(listed, linked(&graph));
    assert!(listed.iter().any(|package| package.starts_with("axum ")));
}

#[test]
fn a_build_that_cannot_list_its_crates_fails() {
    let folder = tempfile::tempdir().unwrap();
    let script = build_script(folder.path());
    let said = told(&script, &CargoHome::new(), &host());
    let expected = "cargo::error=cannot list the crates of the bill of materials";
    assert!(said.contains(expected), "{said}");
    assert!(!folder.path().join("crates.txt").exists());
}
