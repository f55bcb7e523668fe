//! `mlrs db`: a database is told what it is, and made ready; one of another revision is refused.

use std::path::Path;
use std::process::{Command, Output};

use mlrs_testing::{Postgres, mlrs_binary, python, skipped, workspace_root};
use serde_json::Value;

pub(crate) fn script(name: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python().unwrap())
        .arg(workspace_root().join("tests/python").join(name))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or(Value::Null)
}

pub(crate) fn sqlite(file: &Path) -> String {
    format!("sqlite:///{}", file.display())
}

pub(crate) fn mlrs(arguments: &[&str]) -> Output {
    let mut command = Command::new(mlrs_binary().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_database_is_told_and_made_ready() {
    if let Err(error) = python() {
        return skipped("databases that MLflow made", &error.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| sqlite(&folder.path().join(name));
    look_after(&file("new.db"), &file("theirs.db"), 3);
    match Postgres::start() {
        Ok(cluster) => {
            let database = |name: &str| cluster.database(name).unwrap();
            look_after(&database("new"), &database("theirs"), 1);
        }
        Err(error) => skipped("databases of PostgreSQL", &error.to_string()),
    }
}

fn look_after(new: &str, theirs: &str, indexes: usize) {
    let check = |uri: &str| mlrs(&["db", "check", uri]);
    let upgrade = |uri: &str| mlrs(&["db", "upgrade", uri]);
    let absent = check(new);
    assert_eq!(absent.status.code(), Some(1), "{absent:?}");
    assert!(text(&absent.stderr).contains("is empty or not there"));
    let made = upgrade(new);
    assert!(
        text(&made.stdout).contains("the schema is made"),
        "{made:?}"
    );
    assert!(check(new).status.success());
    assert!(text(&upgrade(new).stdout).contains("nothing to do"));

    script("share_database.py", &["make", theirs]);
    let lacking = check(theirs);
    assert_eq!(lacking.status.code(), Some(1), "{lacking:?}");
    assert_eq!(
        text(&lacking.stderr).matches("mlrs_").count(),
        indexes,
        "{lacking:?}"
    );
    let added = upgrade(theirs);
    assert!(text(&added.stdout).contains("mlrs_runs"), "{added:?}");
    let ready = check(theirs);
    assert!(ready.status.success(), "{ready:?}");
    assert!(text(&ready.stdout).contains("dc11669786a5"), "{ready:?}");

    script("share_database.py", &["revision", theirs, "0123456789ab"]);
    for other in [check(theirs), upgrade(theirs)] {
        assert_eq!(other.status.code(), Some(1));
        let errors = text(&other.stderr);
        assert!(errors.contains("0123456789ab"), "{errors}");
        assert!(errors.contains("no migrations"), "{errors}");
        assert!(
            errors.contains("`mlflow db upgrade` of MLflow 3.17"),
            "{errors}"
        );
    }
    script("share_database.py", &["forget", theirs]);
    for foreign in [check(theirs), upgrade(theirs)] {
        assert!(
            text(&foreign.stderr).contains("has no schema of MLflow"),
            "{foreign:?}"
        );
    }
}
