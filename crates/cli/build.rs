//! Folds functions of equal code into one: generic code of the engines is there many times.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
