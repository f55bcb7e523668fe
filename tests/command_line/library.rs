use std::path::PathBuf;
use std::process::Command;

use mlrs_testing::{onnxruntime_library, python};

use crate::terminal::Terminal;

#[test]
fn the_library_that_would_be_used_is_printed() {
    let library = match onnxruntime_library() {
        Ok(library) => library,
        Err(error) => return mlrs_testing::skipped("mlrs onnxruntime path", &error.to_string()),
    };
    let mut terminal = Terminal::new();
    terminal.write("broken.so", b"\x7fELF and nothing else");
    terminal.write("text.so", b"no library\n");
    terminal.run("onnxruntime path --onnxruntime absent.so");
    terminal.run("onnxruntime path --onnxruntime broken.so");
    terminal.run("onnxruntime path --onnxruntime text.so");
    terminal.run("onnxruntime path --onnxruntime iris");
    terminal.run("serve iris --port 0 --backend onnxruntime --onnxruntime broken.so");
    insta::assert_snapshot!(terminal.transcript());
    terminal.set("ORT_DYLIB_PATH", library.display().to_string());
    let ended = terminal.run("onnxruntime path");
    assert_eq!(ended.output, format!("{}\n", library.display()));
    // What is named on the command line comes first.
    let ended = terminal.run("onnxruntime path --onnxruntime broken.so");
    assert_eq!(ended.code, 1);
}

/// The official wheel, fetched once for all runs.
fn wheel() -> Result<PathBuf, String> {
    let folder = mlrs_testing::home().join("wheels");
    let found = || {
        let entries = std::fs::read_dir(&folder).ok()?;
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.find(|path| path.extension().is_some_and(|end| end == "whl"))
    };
    if let Some(wheel) = found() {
        return Ok(wheel);
    }
    let output = Command::new(python().map_err(|error| error.to_string())?)
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--only-binary", ":all:", "onnxruntime==1.31.1", "--dest"])
        .arg(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    found().ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_library_is_installed_out_of_a_wheel() {
    let wheel = match wheel() {
        Ok(wheel) => wheel,
        Err(why) => return mlrs_testing::skipped("mlrs onnxruntime install --wheel", &why),
    };
    let mut terminal = Terminal::new();
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    std::fs::copy(&wheel, terminal.path(&name)).unwrap();
    let whole = std::fs::read(&wheel).unwrap();
    terminal.write("cut.whl", &whole[..whole.len() / 2]);
    terminal.run("onnxruntime install --wheel cut.whl");
    terminal.run("onnxruntime install --wheel absent.whl");
    terminal.run("onnxruntime install --wheel iris/model.onnx");
    let wrong = "00".repeat(32);
    let words = format!("onnxruntime install --wheel {name} --sha256 {wrong}");
    let ended = terminal.quietly(&words, b"");
    assert_eq!(ended.code, 1);
    assert!(
        ended.errors.contains(&format!("not {wrong}")),
        "{}",
        ended.errors
    );
    terminal.run("onnxruntime path");
    terminal.run(&format!("onnxruntime install --wheel {name}"));
    terminal.run(&format!("onnxruntime install --wheel {name}"));
    terminal.run("onnxruntime path");
    let ended = terminal.quietly("inspect iris --output json", b"");
    assert!(ended.output.contains("\"chosen\": \"onnxruntime\""));
    let transcript = terminal.transcript().replace(&name, "WHEEL");
    insta::assert_snapshot!(transcript);
}

#[test]
fn the_library_is_installed_from_the_index() {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return mlrs_testing::skipped("mlrs onnxruntime install", &error.to_string()),
    };
    let mut terminal = Terminal::new();
    // `python3` is the one with pip.
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(python.parent().unwrap().to_path_buf())
        .chain(std::env::split_paths(&folders));
    let path = std::env::join_paths(folders).unwrap();
    terminal.set("PATH", path.into_string().unwrap());
    let ended = terminal.quietly("onnxruntime install", b"");
    assert_eq!(ended.code, 0, "{}", ended.errors);
    let ended = terminal.quietly("inspect iris --output json", b"");
    assert!(ended.output.contains("\"chosen\": \"onnxruntime\""));
    let ended = terminal.quietly("onnxruntime install --version 0.0.0", b"");
    assert_eq!(ended.code, 1);
    assert!(ended.errors.contains("--wheel FILE"), "{}", ended.errors);
    terminal.set("PATH", "/nonexistent");
    terminal.run("onnxruntime install");
    insta::assert_snapshot!(terminal.transcript());
}
