use serde_json::Value;

use crate::terminal::Terminal;

#[test]
fn a_model_is_shown_as_tables() {
    let mut terminal = Terminal::new();
    terminal.run("inspect iris");
    terminal.run("inspect iris --backend tract");
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_program_reads_json() {
    let mut terminal = Terminal::new();
    let ended = terminal.run("inspect iris --output json");
    let facts: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(facts["chosen"], "tract");
    assert_eq!(facts["signature"]["inputs"][2]["name"], "petal_length");
    assert_eq!(facts["backends"][0]["serves"], false);
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_model_that_nobody_serves_is_shown_all_the_same() {
    let mut terminal = Terminal::new();
    terminal.write(
        "iris/MLmodel",
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.9.1\n  \
         python_function:\n    loader_module: mlflow.sklearn\nmlflow_version: 3.17.2\n",
    );
    terminal.run("inspect iris");
    terminal.run("serve iris --port 0");
    terminal.write(
        "iris/MLmodel",
        "flavors:\n  onnx:\n    data: lost.onnx\nmlflow_version: 3.17.2\n",
    );
    terminal.run("serve iris --port 0");
    terminal.run("inspect elsewhere");
    terminal.run("inspect models:/iris");
    insta::assert_snapshot!(terminal.transcript());
}
