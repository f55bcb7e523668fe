//! What the binary is linked with, and the list of the crates in it.

use std::collections::BTreeSet;
use std::env::var;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    println!("cargo::rerun-if-changed=../../Cargo.toml");
    fold_equal_functions();
    if let Err(error) = list_crates() {
        for line in error.lines().filter(|line| !line.trim().is_empty()) {
            println!("cargo::error={line}");
        }
    }
}

/// Generic code of the engines is there many times; equal functions become one.
fn fold_equal_functions() {
    let target = |what: &str| var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let is_linux = target("OS") == "linux" && target("ENV") == "gnu" && target("ARCH") == "x86_64";
    let is_release = var("PROFILE").is_ok_and(|profile| profile == "release");
    // There, rustc links with lld, which can; a linker of somebody's choice perhaps cannot.
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_own_linker = flags.contains("link") || var("RUSTC_LINKER").is_ok();
    if is_linux && is_release && !has_own_linker {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// Writes `crates.txt`: the crates of registries that the binary is made of, `name version` a line.
fn list_crates() -> Result<(), String> {
    let tree = dependency_tree()?;
    let mut lines = BTreeSet::new();
    for package in tree.lines().map(|line| line.trim_end_matches(" (*)")) {
        let unknown = || format!("`cargo tree` names a package of unknown form: `{package}`");
        let (name, version) = package.split_once(" v").ok_or_else(unknown)?;
        let Some((_, source)) = version.split_once(" (") else {
            lines.insert(format!("{name} {version}\n"));
            continue;
        };
        // A package of the workspace is part of mlrs; a feature that it asks for changes the list.
        let manifest = Path::new(source.trim_end_matches(')')).join("Cargo.toml");
        if !manifest.is_file() {
            return Err(unknown());
        }
        println!("cargo::rerun-if-changed={}", manifest.display());
    }
    if lines.is_empty() {
        return Err("`cargo tree` names no crates; bills of materials would lack them".to_owned());
    }
    let list: String = lines.into_iter().collect();
    let file = Path::new(&variable("OUT_DIR")?).join("crates.txt");
    std::fs::write(&file, list)
        .map_err(|error| format!("cannot write `{}`: {error}", file.display()))
}

/// What the binary depends on for this target and with these features, without what only tests, builds
/// and macros need.
///
/// Asked like this, cargo resolves what it has resolved for this very build: `Cargo.lock` and crates that
/// the build has already, so that nothing is fetched. `cargo metadata` wants the whole workspace's.
fn dependency_tree() -> Result<String, String> {
    let output = Command::new(variable("CARGO")?)
        .args(["tree", "--locked", "--offline", "--quiet", "--color=never"])
        .args(["--package", &variable("CARGO_PKG_NAME")?])
        .args(["--target", &variable("TARGET")?])
        .arg("--no-default-features")
        .args(["--features", &var("CARGO_CFG_FEATURE").unwrap_or_default()])
        .args(["--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .map_err(|error| format!("cannot run `cargo tree`: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout)
            .map_err(|_| "`cargo tree` did not write UTF-8".to_owned());
    }
    Err(format!(
        "cannot list the crates of the bill of materials; build with `--locked`, in a clone with its \
         `Cargo.lock`\n`cargo tree` said:\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn variable(name: &str) -> Result<String, String> {
    var(name).map_err(|_| format!("cargo did not set `{name}`"))
}
