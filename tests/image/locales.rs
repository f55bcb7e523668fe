//! Models whose operators need a locale of the machine: the image has it, or is not built.

use std::path::{Path, PathBuf};
use std::process::Command;

use mlrs_testing::{Client, Docker, copy_files, python, skipped};

use crate::build::{Loaded, built, command, errors, mlrs};

/// No machine has it, so that it comes from where this test puts it.
const LOCALE: &str = "xx_YY.UTF-8";

/// Every Debian has it.
const COMPILED: &str = "/usr/lib/locale/C.utf8";

const MODEL: &str = "
import sys, onnx
from onnx import TensorProto, helper
node = helper.make_node('StringNormalizer', ['text'], ['lower'], case_change_action='LOWER', locale=sys.argv[2])
value = lambda name: helper.make_tensor_value_info(name, TensorProto.STRING, [None])
graph = helper.make_graph([node], 'words', [value('text')], [value('lower')])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
onnx.save(model, sys.argv[1])
";

const MANIFEST: &str = r#"flavors:
  onnx:
    data: model.onnx
    onnx_version: 1.23.2
signature:
  inputs: '[{"name": "text", "type": "string"}]'
  outputs: '[{"name": "lower", "type": "string"}]'
"#;

/// A model that needs the locale, and a folder that has it; nothing when they cannot be made here.
fn made(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let what = "a model with a locale";
    let python = match python() {
        Ok(python) => python,
        Err(error) => {
            skipped(what, &error.to_string());
            return None;
        }
    };
    if !Path::new(COMPILED).is_dir() {
        skipped(what, "this system has no `C.utf8`");
        return None;
    }
    let (model, locales) = (folder.join("model"), folder.join("locales"));
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("MLmodel"), MANIFEST).unwrap();
    let output = Command::new(python)
        .args(["-c", MODEL])
        .arg(model.join("model.onnx"))
        .arg(LOCALE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let locale = locales.join("xx_YY.utf8");
    let messages = Path::new(COMPILED).join("LC_MESSAGES");
    copy_files(&messages, &locale.join("LC_MESSAGES")).unwrap();
    for entry in std::fs::read_dir(COMPILED).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), locale.join(entry.file_name())).unwrap();
        }
    }
    Some((model, locales))
}

#[test]
fn a_model_takes_its_locale_into_the_image() {
    let docker = match Docker::connect() {
        Ok(docker) => docker,
        Err(error) => return skipped("a locale in an image", &error.to_string()),
    };
    let folder = tempfile::tempdir().unwrap();
    let Some((model, locales)) = made(folder.path()) else {
        return;
    };
    let image = Loaded::named(&docker, "locale");
    built(command(&model, &image.name, &["--output", "docker"]).env("LOCPATH", &locales));
    let published = ["--read-only", "--publish", "127.0.0.1::8080"];
    let container = docker.start(&published, &image.name, &[]).unwrap();
    let address = container.ready(8080, "/ready").unwrap();
    let request = r#"{"dataframe_split": {"columns": ["text"], "data": [["ÄRGER"], ["Ωmega"]]}}"#;
    let answer = Client::new()
        .post(
            &format!("{address}/invocations"),
            Some("application/json"),
            request.as_bytes(),
        )
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.body;
    assert!(text.contains("ärger") && text.contains("ωmega"), "{text}");
}

#[test]
fn a_machine_without_the_locale_builds_nothing_and_says_what_to_make() {
    let folder = tempfile::tempdir().unwrap();
    let Some((model, _)) = made(folder.path()) else {
        return;
    };
    let target = format!("oci:{}", folder.path().join("image").display());
    let output = command(&model, "words:1", &["--output", &target])
        .env_remove("LOCPATH")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = errors(&output);
    assert!(
        text.contains("this machine has no locale `xx_YY.UTF-8`"),
        "{text}"
    );
    assert!(
        text.contains("localedef -i xx_YY -f UTF-8 xx_YY.UTF-8"),
        "{text}"
    );
    assert!(!text.contains("cut short"), "{text}");
    assert!(!folder.path().join("image").exists());
}

#[test]
fn a_dockerfile_copies_the_locale() {
    let folder = tempfile::tempdir().unwrap();
    let Some((model, locales)) = made(folder.path()) else {
        return;
    };
    let context = folder.path().join("context");
    let output = mlrs()
        .args(["models", "generate-dockerfile", "-m"])
        .arg(&model)
        .arg("-d")
        .arg(&context)
        .env("LOCPATH", &locales)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let dockerfile = std::fs::read_to_string(context.join("Dockerfile")).unwrap();
    assert!(
        dockerfile.contains("COPY locale/ /usr/lib/locale/\n"),
        "{dockerfile}"
    );
    for category in ["LC_CTYPE", "LC_MESSAGES/SYS_LC_MESSAGES"] {
        let copied = std::fs::read(context.join("locale").join(LOCALE).join(category)).unwrap();
        assert!(copied == std::fs::read(Path::new(COMPILED).join(category)).unwrap());
    }
}
