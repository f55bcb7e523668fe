//! The files of the pages: what is answered, and what is not.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{Client, Headed, MlrsServer, mlrs_binary};

fn build(folder: &Path) -> String {
    let build = folder.join("build");
    std::fs::create_dir_all(build.join("static/js")).unwrap();
    std::fs::write(
        build.join("index.html"),
        "<!doctype html><title>pages</title>",
    )
    .unwrap();
    std::fs::write(build.join("static/js/main.js"), "console.log('ä')").unwrap();
    std::fs::write(folder.join("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret.txt", build.join("link.txt")).unwrap();
    build.display().to_string()
}

fn get(server: &MlrsServer, path: &str, headers: &[(&str, &str)]) -> Headed {
    let url = format!("{}{path}", server.address());
    Client::new().ask("GET", &url, headers).unwrap()
}

#[test]
fn files_are_answered_as_browsers_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = MlrsServer::start(&["--ui-dir", &build(folder.path())]).unwrap();
    let first = get(&server, "/", &[]);
    assert_eq!(first.answer.status, 200);
    assert!(first.answer.body.contains("<title>pages</title>"));
    assert_eq!(first.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(first.headers["cache-control"], "no-cache");
    assert_eq!(first.headers["x-frame-options"], "SAMEORIGIN");
    assert!(!first.headers.contains_key("content-disposition"));

    let path = "/static-files/static/js/main.js";
    let script = get(&server, path, &[]);
    assert_eq!(script.answer.body, "console.log('ä')");
    assert_eq!(
        script.headers["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(script.headers["cache-control"], "public, max-age=2419200");
    assert_eq!(script.headers["x-content-type-options"], "nosniff");
    let tag = script.headers["etag"].clone();
    let same = get(&server, path, &[("if-none-match", &tag)]);
    assert_eq!((same.answer.status, same.answer.body.as_str()), (304, ""));
    assert_eq!(same.headers["cache-control"], "public, max-age=2419200");
    let part = get(&server, path, &[("range", "bytes=0-6")]);
    assert_eq!(
        (part.answer.status, part.answer.body.as_str()),
        (206, "console")
    );

    for path in ["/", path] {
        let url = format!("{}{path}", server.address());
        let head = Client::new().ask("HEAD", &url, &[]).unwrap();
        assert_eq!((head.answer.status, head.answer.body.as_str()), (200, ""));
        assert!(head.headers["content-length"].parse::<u32>().unwrap() > 0);
    }
}

#[test]
fn nothing_but_files_of_the_folder_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = MlrsServer::start(&["--ui-dir", &build(folder.path())]).unwrap();
    for path in [
        "",
        "none.js",
        "static",
        "static/",
        "link.txt",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "%252e%252e/secret.txt",
        "static/../../secret.txt",
        "%2fetc/passwd",
        "/etc/passwd",
        "..%5csecret.txt",
        "index.html%00",
    ] {
        let found = get(&server, &format!("/static-files/{path}"), &[]).answer;
        assert_eq!(found.status, 404, "{path}: {}", found.body);
        assert!(
            found.body.contains("ENDPOINT_NOT_FOUND"),
            "{path}: {}",
            found.body
        );
    }
}

#[test]
fn without_pages_the_first_page_says_what_to_do() {
    let server = MlrsServer::start(&[]).unwrap();
    let first = get(&server, "/", &[]);
    assert_eq!(first.answer.status, 200);
    assert_eq!(first.answer.content_type, "text/html; charset=utf-8");
    for text in ["MLFLOW_TRACKING_URI", "--ui-dir", "mlflow/server/js/build"] {
        assert!(first.answer.body.contains(text), "{text}");
    }
    let file = get(&server, "/static-files/index.html", &[]);
    assert_eq!(file.answer.status, 404);
}

#[test]
fn a_folder_without_pages_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |pages: &Path| {
        let output = Command::new(mlrs_binary().unwrap())
            .args(["ui", "--port", "0", "--ui-dir"])
            .arg(pages)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let errors = start(folder.path());
    assert!(errors.contains("no `index.html` in the folder"), "{errors}");
    assert!(
        errors.contains("hint: name the folder `mlflow/server/js/build`"),
        "{errors}"
    );
    let errors = start(&folder.path().join("none"));
    assert!(
        errors.contains("cannot open the folder of web pages"),
        "{errors}"
    );
    assert!(!folder.path().join("mlflow.db").exists(), "nothing is made");
}
