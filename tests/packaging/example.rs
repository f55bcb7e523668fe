//! `examples/package-onnx` as it stands in its README.

use std::process::Command;

use mlrs_testing::{MlrsServer, mlrs_binary, workspace_root};
use serde_json::{Value, json};

use crate::workshop::Workshop;

#[test]
fn the_example_packages_registers_and_asks() {
    let Some(mut workshop) = Workshop::open("examples/package-onnx") else {
        return;
    };
    let server = MlrsServer::start(&[]).unwrap();
    workshop.server = Some(server.address().to_owned());
    let script = workspace_root().join("examples/package-onnx/run.sh");
    let mut command = workshop.prepared(Command::new(script));
    let output = command
        .env("MLRS", mlrs_binary().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let species = [0, 1].map(|row| last["predictions"][row]["species"].clone());
    assert_eq!(species, [json!(0), json!(2)], "{said}");

    let frame = json!({
        "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
        "data": [[6.3, 3.3, 6.0, 2.5]],
    });
    let task = json!([{"do": "predict", "model": "models:/iris@champion", "frame": frame}]);
    let answer = workshop.python("packaged.py", &task).remove(0);
    assert_eq!(answer["species"], json!([2]), "{answer}");
}
