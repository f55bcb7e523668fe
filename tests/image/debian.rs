//! A Debian made here, since no image can be pulled.

use std::fs::File;
use std::process::Command;

use mlrs_testing::{Docker, home, program};

use crate::build::errors;

/// The name of an image with a small Debian; made when the engine does not have it.
pub fn debian(docker: &Docker) -> Result<String, String> {
    let name = "mlrs-tests/debian:bookworm";
    // Tests are processes of their own, and one Debian is enough.
    let lock = home().join("debian.lock");
    let lock = File::create(&lock).map_err(|error| format!("`{}`: {error}", lock.display()))?;
    lock.lock().map_err(|error| error.to_string())?;
    if docker.run(&["inspect", name]).is_ok() {
        return Ok(name.to_owned());
    }
    let folder = home().join("debian");
    let _ = std::fs::remove_dir_all(&folder);
    let path = folder.display().to_string();
    let made = program(
        "debootstrap",
        &[
            "--variant=minbase",
            "--include=ca-certificates,tzdata",
            "bookworm",
            &path,
        ],
    );
    made.map_err(|error| error.to_string())?;
    let imported = Command::new("sh")
        .args([
            "-c",
            "tar -C \"$0\" -c . | docker import - \"$1\"",
            &path,
            name,
        ])
        .output()
        .map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all(&folder);
    if imported.status.success() {
        Ok(name.to_owned())
    } else {
        Err(errors(&imported))
    }
}
