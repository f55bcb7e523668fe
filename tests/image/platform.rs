//! An image for another processor: its program, its engine and its libraries, and nothing of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use mlrs_testing::{home, program, python, skipped};
use serde_json::Value;

use crate::build::{built, command, errors, iris};

/// The libraries of Debian for programs of ARM: `libc6-arm64-cross`, `libstdc++6-arm64-cross`.
const SYSROOT: &str = "/usr/aarch64-linux-gnu";

/// Takes a program and ONNX Runtime for ARM out of their wheels, into the folder of its argument.
const FETCH: &str = "
import glob, os, subprocess, sys, zipfile
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
for package in ['onnxruntime==1.31.1', 'ninja==1.13.2']:
    subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
        '--only-binary=:all:', '--python-version', '311', '--platform', 'manylinux_2_28_aarch64',
        '--platform', 'manylinux2014_aarch64', '--dest', folder, package], check=True)
for wheel in glob.glob(os.path.join(folder, '*.whl')):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = os.path.basename(name)
            if base == 'ninja' or base.startswith('libonnxruntime.so'):
                with open(os.path.join(folder, base), 'wb') as file:
                    file.write(archive.read(name))
";

/// A program and ONNX Runtime for ARM.
fn arm64() -> Result<(PathBuf, PathBuf), String> {
    let folder = home().join("arm64");
    let files = (
        folder.join("ninja"),
        folder.join("libonnxruntime.so.1.31.1"),
    );
    if files.0.is_file() && files.1.is_file() {
        return Ok(files);
    }
    let fetched = Command::new(python().map_err(|error| error.to_string())?)
        .args(["-c", FETCH])
        .arg(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    if fetched.status.success() {
        Ok(files)
    } else {
        Err(errors(&fetched))
    }
}

#[test]
fn an_image_for_another_processor_holds_nothing_of_this_one() {
    let what = "an image for ARM";
    let (binary, library) = match arm64() {
        Ok(files) => files,
        Err(error) => return skipped(what, &error),
    };
    if !Path::new(SYSROOT).join("lib/libstdc++.so.6").exists() {
        return skipped(
            what,
            &format!("there are no libraries of ARM in `{SYSROOT}`"),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("image");
    let output = format!("oci:{}", target.display());
    let (binary, library) = (binary.to_str().unwrap(), library.to_str().unwrap());
    let arguments = [
        "--output",
        &output,
        "--platform",
        "linux/arm64",
        "--binary",
        binary,
        "--sysroot",
        SYSROOT,
        "--onnxruntime",
        library,
    ];
    let image = built(&mut command(&iris(), "iris:1", &arguments));
    assert_eq!(image["platform"], "linux/arm64");
    let found = program(
        "skopeo",
        &["inspect", &format!("oci:{}:1", target.display())],
    );
    let found: Value = serde_json::from_str(&found.unwrap()).unwrap();
    assert_eq!(found["Architecture"], "arm64");
    let mut programs = 0;
    for layer in image["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().replace(':', "/");
        let path = target.join("blobs").join(digest);
        let unpacked = folder.path().join(layer["layer"].as_str().unwrap());
        std::fs::create_dir(&unpacked).unwrap();
        let (path, unpacked) = (path.to_str().unwrap(), unpacked.to_str().unwrap());
        program("tar", &["-xzf", path, "-C", unpacked]).unwrap();
        let machines = program(
            "sh",
            &[
                "-c",
                "find \"$0\" -type f -perm -u+x -exec od -A n -t u2 -j 18 -N 2 {} ';'",
                unpacked,
            ],
        );
        for machine in machines.unwrap().lines() {
            // EM_AARCH64
            assert_eq!(machine.trim(), "183");
            programs += 1;
        }
    }
    // The loader, the program, the engine, and at least the C and the C++ library.
    assert!(programs >= 5, "{programs}");
    // What is for this machine is not taken for that one.
    let ours = [
        "--output",
        &output,
        "--platform",
        "linux/arm64",
        "--backend",
        "tract",
    ];
    let refused = command(&iris(), "iris:1", &ours).output().unwrap();
    let text = errors(&refused);
    assert!(
        text.contains(", and the image is for linux/arm64"),
        "{text}"
    );
    assert!(
        text.contains("hint: name files for that platform with --binary"),
        "{text}"
    );
}
