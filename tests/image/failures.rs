//! What fails says what, why and what to do, and leaves nothing behind.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mlrs_testing::{Docker, SmallDisk, home, program, skipped};

use crate::build::{command, errors, iris, signalled};

/// The error of a build that must fail, its lines joined.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    assert!(output.stdout.is_empty(), "{output:?}");
    errors(output)
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn without_an_engine_the_other_outputs_are_named() {
    for host in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"] {
        let output = command(&iris(), "iris:1", &[])
            .env("DOCKER_HOST", host)
            .output()
            .unwrap();
        let text = refused(&output);
        assert!(
            text.starts_with("error: no Docker engine answers\n"),
            "{text}"
        );
        assert!(text.contains("--output oci:DIR"), "{text}");
    }
}

#[test]
fn names_tags_targets_and_platforms_are_checked_first() {
    let folder = tempfile::tempdir().unwrap();
    let target = format!("oci:{}", folder.path().join("image").display());
    for (tag, arguments, expected) in [
        (
            "Iris:1",
            vec!["--output", &target],
            "error: `Iris:1` is no name of an image",
        ),
        (
            "iris:a b",
            vec!["--output", &target],
            "error: `iris:a b` is no name of an image",
        ),
        (
            "iris:1",
            vec!["--output", "floppy:a"],
            "error: an image cannot go to `floppy:a`\n  hint: the targets are: docker, oci:DIR, tar:FILE, registry",
        ),
        (
            "iris:1",
            vec!["--output", "oci:"],
            "error: an image cannot go to `oci:`",
        ),
        (
            "iris:1",
            vec![
                "--output",
                &target,
                "--platform",
                "linux/s390x",
                "--backend",
                "tract",
            ],
            ", and the image is for linux/s390x",
        ),
        (
            "iris:1",
            vec!["--output", &target, "--binary", "/etc/passwd"],
            "error: `/etc/passwd` is no 64-bit program or library of Linux",
        ),
        (
            "iris:1",
            vec!["--output", &target, "--binary", "/nowhere"],
            "error: cannot read `/nowhere`",
        ),
        (
            "iris:1",
            vec!["--output", &target, "--sysroot", "/nowhere"],
            "which is not in `/nowhere`",
        ),
        (
            "iris:1",
            vec!["--output", &target, "--backend", "abacus"],
            "error: there is no backend `abacus`",
        ),
    ] {
        let text = refused(&command(&iris(), tag, &arguments).output().unwrap());
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("  hint: ") || text.contains("  because: "),
            "{text}"
        );
    }
    assert_eq!(entries(folder.path()), Vec::<String>::new());
    let output = command(&iris(), "iris:1", &["--platform", "windows/amd64"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("the platforms are: linux/amd64"));
}

#[test]
fn a_platform_without_an_engine_is_told() {
    let text = refused(
        &command(
            &iris(),
            "iris:1",
            &["--platform", "linux/s390x", "--output", "oci:never"],
        )
        .output()
        .unwrap(),
    );
    assert!(
        text.starts_with("error: this machine has no ONNX Runtime for linux/s390x"),
        "{text}"
    );
    assert!(text.contains("--backend tract"), "{text}");
}

#[test]
fn a_model_that_nothing_serves_gets_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(
        model.join("MLmodel"),
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n  sklearn: {}\n",
    )
    .unwrap();
    let target = format!("oci:{}", folder.path().join("image").display());
    let text = refused(
        &command(&model, "iris:1", &["--output", &target])
            .output()
            .unwrap(),
    );
    assert!(
        text.starts_with("error: no backend serves the model in"),
        "{text}"
    );
    assert!(text.contains("export the model to ONNX"), "{text}");
    assert_eq!(entries(folder.path()), ["model"]);
}

#[test]
fn what_ctrl_c_interrupts_leaves_no_part_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let target = format!("tar:{}", folder.path().join("iris.tar").display());
    let child = command(&iris(), "iris:1", &["--output", &target])
        .env("MLRS_CACHE_DIR", &cache)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The layer with the program takes longest.
    let parts = || {
        let all = std::fs::read_dir(cache.join("images"))
            .into_iter()
            .flatten();
        let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".partial-")).count()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while parts() == 0 {
        assert!(Instant::now() < deadline, "nothing was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(signalled(child, "INT"), Some(130));
    assert_eq!(parts(), 0);
    assert_eq!(entries(folder.path()), ["cache"]);
}

#[test]
fn a_full_disk_leaves_no_part_of_an_image() {
    let disk = match SmallDisk::mount("8m") {
        Ok(disk) => disk,
        Err(error) => return skipped("an image on a full disk", &error.to_string()),
    };
    let path = disk.path().display();
    for target in [format!("tar:{path}/iris.tar"), format!("oci:{path}/iris")] {
        let arguments = ["--backend", "tract", "--output", &target];
        let text = refused(&command(&iris(), "iris:1", &arguments).output().unwrap());
        assert!(text.contains("hint: the disk is full"), "{text}");
        assert_eq!(entries(disk.path()), Vec::<String>::new(), "{target}");
    }
    // Neither does the cache keep a part of a layer.
    let target = format!("oci:{}", home().join("never").display());
    let arguments = ["--backend", "tract", "--output", &target];
    let mut full = command(&iris(), "iris:1", &arguments);
    let text = refused(&full.env("MLRS_CACHE_DIR", disk.path()).output().unwrap());
    assert!(text.contains("hint: the disk is full"), "{text}");
    let kept = entries(&disk.path().join("images"));
    // A part of one has a name that begins with a dot.
    let whole = |name: &String| !name.starts_with('.');
    assert!(kept.iter().all(whole), "{kept:?}");
    assert!(!home().join("never").exists());
}

#[test]
fn a_registry_that_is_away_is_told() {
    let text = refused(
        &command(
            &iris(),
            "127.0.0.1:1/iris:1",
            &["--backend", "tract", "--output", "registry"],
        )
        .output()
        .unwrap(),
    );
    assert!(
        text.starts_with("error: cannot push `127.0.0.1:1/iris:1`"),
        "{text}"
    );
    assert!(
        text.contains("hint: check the registry's name and that it runs"),
        "{text}"
    );
}

#[test]
fn something_else_in_the_way_stays() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years").unwrap();
    let target = format!("oci:{}", folder.path().display());
    let arguments = ["--backend", "tract", "--output", &target];
    let text = refused(&command(&iris(), "iris:1", &arguments).output().unwrap());
    assert!(
        text.contains("is there already, and is no image layout"),
        "{text}"
    );
    assert_eq!(entries(folder.path()), ["thesis.txt"]);
}

/// A second engine, whose disk is small; it ends with this value.
struct SmallEngine {
    process: Child,
    host: String,
    // Unmounted after the engine has ended.
    _disk: SmallDisk,
    _folder: tempfile::TempDir,
}

impl SmallEngine {
    fn start() -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let disk = SmallDisk::mount("24m").map_err(|error| told(&error))?;
        let folder = tempfile::tempdir().map_err(|error| told(&error))?;
        let host = format!("unix://{}/socket", folder.path().display());
        // In a network of its own: an engine without a bridge takes away that of the other.
        let process = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--host", &host, "--bridge=none", "--iptables=false"])
            // Layers are copied, so that it needs nothing of the disk but room.
            .args(["--storage-driver", "vfs"])
            .arg("--data-root")
            .arg(disk.path())
            .arg("--exec-root")
            .arg(folder.path().join("run"))
            .arg("--pidfile")
            .arg(folder.path().join("pid"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("`dockerd` cannot be run: {error}"))?;
        let engine = Self {
            process,
            host,
            _disk: disk,
            _folder: folder,
        };
        let begin = Instant::now();
        while !Docker::answers(&engine.host) {
            if begin.elapsed() > Duration::from_mins(1) {
                return Err("a second `dockerd` does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }
}

impl Drop for SmallEngine {
    fn drop(&mut self) {
        // Asked to end, it ends its own children, too.
        let id = self.process.id().to_string();
        let _ = program("kill", &["-TERM", &id]);
        let _ = self.process.wait();
    }
}

#[test]
fn an_engine_without_room_says_so_and_keeps_no_image() {
    if let Err(error) = Docker::connect() {
        return skipped("an engine without room", &error.to_string());
    }
    let engine = match SmallEngine::start() {
        Ok(engine) => engine,
        Err(error) => return skipped("an engine without room", &error),
    };
    let mut build = command(&iris(), "iris:1", &["--backend", "tract"]);
    let text = refused(&build.env("DOCKER_HOST", &engine.host).output().unwrap());
    assert!(
        text.starts_with("error: the Docker engine did not load `iris:1`"),
        "{text}"
    );
    assert!(text.contains("no space left on device"), "{text}");
    assert!(text.contains("is its disk full?"), "{text}");
    let images = program("docker", &["--host", &engine.host, "images", "--quiet"]);
    assert_eq!(images.unwrap(), "");
}
