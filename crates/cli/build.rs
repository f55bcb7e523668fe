//! What the binary is linked with, and the list of the crates in it.

use std::collections::{BTreeSet, HashMap};
use std::env::var;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    fold_equal_functions();
    let list = crates().unwrap_or_else(|| {
        println!("cargo:warning=cargo does not tell the crates; bills of materials will lack them");
        String::new()
    });
    let folder = var("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(Path::new(&folder).join("crates.txt"), list) {
        println!("cargo:error=cannot write the list of crates: {error}");
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
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// The crates of registries that the binary is made of, `name version` a line: what its packages
/// depend on for this target, without what only tests and builds need.
fn crates() -> Option<String> {
    let cargo = var("CARGO").ok()?;
    let target = var("TARGET").ok()?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", &target])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let metadata: Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata["packages"].as_array()?.iter();
    let packages: HashMap<&str, &Value> = packages
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes = metadata["resolve"]["nodes"].as_array()?.iter();
    let nodes: HashMap<&str, &Value> = nodes
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let root = packages
        .iter()
        .find(|(_, package)| package["name"] == "mlrs")?;
    let mut waiting = vec![*root.0];
    let mut seen = BTreeSet::new();
    let mut lines = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let package = packages.get(id)?;
        if package["source"].is_string() {
            let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
            lines.insert(format!("{name} {version}\n"));
        }
        for dependency in nodes.get(id)?["deps"].as_array()? {
            let kinds = dependency["dep_kinds"].as_array()?;
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                waiting.push(dependency["pkg"].as_str()?);
            }
        }
    }
    Some(lines.into_iter().collect())
}
