//! Model directories and archives that cannot be served: the error names the file and the remedy.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mlrs_testing::{copy_files, mlrs_binary, onnxruntime_library, skipped};
use zip::write::SimpleFileOptions;

use crate::models::{Signature, graph, iris, manifest};

/// How long a model may take to be refused.
const LIMIT: Duration = Duration::from_secs(30);

/// Cases in a temporary folder, and what `mlrs serve` says of each.
struct Cases {
    folder: tempfile::TempDir,
    rows: Vec<String>,
}

impl Cases {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            rows: Vec::new(),
        }
    }

    /// An empty model directory.
    fn empty(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// A copy of a good model.
    fn good(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        copy_files(&iris(), &path).unwrap();
        path
    }

    /// A good model with this `MLmodel`.
    fn manifest(&mut self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.good(name);
        std::fs::write(path.join("MLmodel"), text).unwrap();
        self.refused(name, &path);
    }

    /// A good model whose `MLmodel` has one text in place of another.
    fn with(&mut self, name: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(iris().join("MLmodel")).unwrap();
        assert!(text.contains(old), "{name}");
        self.manifest(name, text.replacen(old, new, 1));
    }

    /// A good model with other data.
    fn data(&mut self, name: &str, data: &[u8]) {
        let path = self.good(name);
        std::fs::write(path.join("model.onnx"), data).unwrap();
        self.refused(name, &path);
    }

    fn archive(&mut self, name: &str, entries: &[(&str, &[u8])]) {
        let path = self.folder.path().join(name);
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (entry, content) in entries {
            writer
                .start_file(*entry, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        self.refused(name, &path);
    }

    /// `mlrs serve` must end at once, with an error of few lines.
    fn refused(&mut self, name: &str, model: &Path) {
        self.refused_by("tract", name, model);
    }

    /// The same of one backend.
    fn refused_by(&mut self, backend: &str, name: &str, model: &Path) {
        let (out, error) = (
            self.folder.path().join("out"),
            self.folder.path().join("err"),
        );
        let mut child = Command::new(mlrs_binary().unwrap())
            .arg("serve")
            .arg(model)
            .args(["--port", "0", "--backend", backend, "--log-level", "warn"])
            .env("MLRS_CACHE_DIR", self.folder.path().join("cache"))
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&error).unwrap())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if started.elapsed() > LIMIT => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    panic!("{name}: served, or still at it after {LIMIT:?}");
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = String::from_utf8_lossy(&std::fs::read(&error).unwrap()).into_owned();
        let text = text.replace(&self.folder.path().display().to_string(), "DIR");
        assert_eq!(status.code(), Some(1), "{name}: {text}");
        assert!(std::fs::read(&out).unwrap().is_empty(), "{name}");
        assert!(text.len() < 2000, "{name}: {text}");
        assert!(!text.contains("panicked"), "{name}: {text}");
        self.rows.push(format!("# {name}\n{text}"));
    }
}

#[test]
fn directories_that_are_no_model() {
    let mut cases = Cases::new();
    cases.refused("nothing there", &cases.folder.path().join("nothing"));
    let path = cases.empty("empty directory");
    cases.refused("empty directory", &path);
    let path = cases.empty("model one level down");
    copy_files(&iris(), &path.join("inner")).unwrap();
    cases.refused("model one level down", &path);
    let path = cases.empty("MLmodel is a directory");
    std::fs::create_dir(path.join("MLmodel")).unwrap();
    cases.refused("MLmodel is a directory", &path);
    let path = cases.empty("an ONNX file and no manifest");
    std::fs::copy(graph("perceptron"), path.join("model.onnx")).unwrap();
    cases.refused("an ONNX file and no manifest", &path);
    let path = cases.folder.path().join("bare.onnx");
    std::fs::copy(graph("perceptron"), &path).unwrap();
    cases.refused("a bare graph", &path);
    insta::assert_snapshot!(cases.rows.join("\n"));
}

#[test]
fn manifests_that_are_wrong() {
    let mut cases = Cases::new();
    cases.manifest("empty manifest", "");
    cases.manifest("manifest of spaces", "   \n\n");
    cases.manifest("manifest that is no YAML", "flavors: [");
    cases.manifest("manifest with tabs", "flavors:\n\tonnx:\n");
    cases.manifest("manifest that is a list", "- flavors\n- onnx\n");
    cases.manifest("manifest that is a number", "7");
    cases.manifest("manifest that is not text", b"flavors: \xff\xfe\n");
    cases.manifest("manifest without flavors", "mlflow_version: 3.17.2\n");
    cases.manifest("flavors are a list", "flavors: [onnx]\n");
    cases.manifest("no flavor", "flavors: {}\n");
    cases.manifest(
        "a flavor that nobody serves",
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.9.1\n  python_function:\n    loader_module: mlflow.sklearn\n",
    );
    cases.manifest(
        "truncated manifest",
        &std::fs::read(iris().join("MLmodel")).unwrap()[..60],
    );
    let mut laughs = "a0: &a0 ha\n".to_owned();
    for level in 1..=12 {
        let last = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{last}]\n"));
    }
    cases.manifest("a billion laughs", format!("{laughs}flavors: *a12\n"));
    let deep = format!("flavors: {}", "[".repeat(100_000));
    cases.manifest("a hundred thousand brackets", deep);
    let signature = "inputs: '[";
    cases.with("signature that is no JSON", signature, "inputs: '[[");
    cases.with("signature of an unknown type", "\"double\"", "\"dubious\"");
    cases.with("data is missing", "data: model.onnx", "data: other.onnx");
    cases.with(
        "data outside the model",
        "data: model.onnx",
        "data: ../model.onnx",
    );
    cases.with(
        "data with an absolute path",
        "data: model.onnx",
        "data: /etc/passwd",
    );
    cases.with("data is the directory", "data: model.onnx", "data: .");
    cases.with("data is no text", "data: model.onnx", "data: [model.onnx]");
    insta::assert_snapshot!(cases.rows.join("\n"));
}

#[test]
fn graphs_that_are_wrong() {
    let mut cases = Cases::new();
    let whole = std::fs::read(iris().join("model.onnx")).unwrap();
    cases.data("empty graph", b"");
    cases.data("truncated graph", &whole[..whole.len() / 2]);
    cases.data("graph that is text", b"this is no graph\n");
    cases.data("graph of zeros", &[0; 4096]);
    let mut flipped = whole.clone();
    for index in (40..flipped.len()).step_by(97) {
        flipped[index] ^= 0xff;
    }
    cases.data("graph with flipped bytes", &flipped);
    let path = cases.empty("external data is missing");
    std::fs::copy(graph("external"), path.join("model.onnx")).unwrap();
    std::fs::write(path.join("MLmodel"), manifest(Signature::default())).unwrap();
    cases.refused("external data is missing", &path);
    insta::assert_snapshot!(cases.rows.join("\n"));
}

#[test]
fn archives_that_are_wrong() {
    let mut cases = Cases::new();
    let text = std::fs::read(iris().join("MLmodel")).unwrap();
    let data = std::fs::read(iris().join("model.onnx")).unwrap();
    cases.archive("empty.zip", &[]);
    cases.archive("no-manifest.zip", &[("model.onnx", &data)]);
    cases.archive(
        "one-level-down.zip",
        &[("inner/MLmodel", &text), ("inner/other/model.onnx", &data)],
    );
    cases.archive("traversal.zip", &[("MLmodel", &text), ("../evil", b"x")]);
    cases.archive("absolute.zip", &[("MLmodel", &text), ("/tmp/evil", b"x")]);
    let zeros = vec![0; 64 << 20];
    cases.archive("bomb.zip", &[("MLmodel", &text), ("model.onnx", &zeros)]);
    let path = cases.folder.path().join("bomb.zip");
    let whole = std::fs::read(&path).unwrap();
    let cut = cases.folder.path().join("truncated.zip");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    cases.refused("truncated.zip", &cut);
    let zeros = cases.folder.path().join("zeros.zip");
    std::fs::write(&zeros, [0; 1000]).unwrap();
    cases.refused("zeros.zip", &zeros);
    insta::assert_snapshot!(cases.rows.join("\n"));
}

#[test]
fn onnxruntime_names_a_remedy_too() {
    if let Err(error) = onnxruntime_library() {
        return skipped("damaged graphs for ONNX Runtime", &error.to_string());
    }
    let mut cases = Cases::new();
    let whole = std::fs::read(iris().join("model.onnx")).unwrap();
    for (name, data) in [
        ("truncated", &whole[..whole.len() / 2]),
        ("text", b"this is no graph\n"),
        ("empty", b""),
    ] {
        let path = cases.good(name);
        std::fs::write(path.join("model.onnx"), data).unwrap();
        cases.refused_by("onnxruntime", name, &path);
        let text = cases.rows.last().unwrap();
        // What the library says differs from version to version.
        assert!(text.contains("`model.onnx`"), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
}
