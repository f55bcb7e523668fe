//! `mlrs deployments`: MLflow's commands, on a cluster whose Service leads to a real server.

use mlrs_testing::Mlrs;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, Behaviour};
use crate::with_cluster;

#[test]
fn a_model_is_deployed_asked_updated_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let model = mlrs_testing::workspace_root().join("examples/iris");
    mlrs_testing::copy_files(&model, &folder.path().join("iris")).unwrap();
    let backend = Mlrs::serve(&folder.path().join("iris"), &[]).unwrap();
    let (mut terminal, server) = with_cluster(Behaviour {
        backend: Some(backend.address().to_owned()),
        ..Behaviour::default()
    });
    let on = "-t kubernetes --name iris";
    terminal.run(&format!(
        "deployments create {on} -m models:/iris/1 -C tracking-uri=http://mlflow:5000 -C replicas=2 -C env.MLRS_COMPAT=mlflow"
    ));
    terminal.run(&format!("deployments get {on}"));
    terminal.run("deployments list -t kubernetes:/models");
    terminal.run("deployments list -t kubernetes:/default");
    // An update changes what it says, and nothing else: of variables it is the Deployment that knows them.
    terminal.run(&format!(
        "deployments update {on} -m models:/iris/2 -f onnx"
    ));
    let deployment = server.object("deployments", "iris").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    let note = &deployment["metadata"]["annotations"]["mlrs/deployment"];
    let note: Value = serde_json::from_str(note.as_str().unwrap()).unwrap();
    assert_eq!(note["env.MLRS_COMPAT"], Value::Null);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][0]["args"][1], "models:/iris/2");
    assert_eq!(
        variable(&server),
        json!({"name": "MLRS_COMPAT", "value": "mlflow"})
    );
    terminal.run(&format!(
        "deployments update {on} -C env.MLRS_COMPAT=strict"
    ));
    terminal.run(&format!("deployments update {on} -C autoscale=1:3:50"));
    assert_eq!(
        variable(&server),
        json!({"name": "MLRS_COMPAT", "value": "strict"})
    );
    let status = terminal.quietly("deploy status iris --output json", b"");
    assert!(status.code == 0 && !status.output.contains("strict"));
    // What somebody has made a reference of is no value to keep.
    let reference = json!({"secretKeyRef": {"name": "settings", "key": "compat"}});
    server.edit("deployments", "iris", |deployment| {
        let variables = &mut deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let mut variables = variables.as_array_mut().unwrap().iter_mut();
        let variable = variables.find(|it| it["name"] == "MLRS_COMPAT").unwrap();
        *variable = json!({"name": "MLRS_COMPAT", "valueFrom": reference});
    });
    terminal.run(&format!("deployments update {on} -m models:/iris/3"));
    assert!(server.object("horizontalpodautoscalers", "iris").is_some());

    terminal.write(
        "rows.json",
        r#"{"sepal_length": {"0": 5.1}, "sepal_width": {"0": 3.5}, "petal_length": {"0": 1.4}, "petal_width": {"0": 0.2}}"#,
    );
    let asked = terminal.quietly(&format!("deployments predict {on} -I rows.json"), b"");
    let there: Value = serde_json::from_str(&asked.output).unwrap();
    let here = terminal.quietly("predict -m iris -i rows.json", b"");
    assert_eq!(here.code, 1, "a table of pandas is no request");
    assert_eq!(there["predictions"][0]["species"], 0);
    terminal.run(&format!(
        "deployments predict {on} -I iris/serving_input_example.json -O answer.json"
    ));
    assert!(terminal.path("answer.json").exists());
    terminal.write("bad.json", r#"[{"sepal_length": 1}]"#);
    terminal.run(&format!("deployments predict {on} -I bad.json"));
    server.change(|behaviour| behaviour.backend = None);
    terminal.run(&format!("deployments predict {on} -I rows.json"));

    terminal.run(&format!("deployments delete {on}"));
    terminal.run(&format!("deployments delete {on}"));
    terminal.run("deployments help -t kubernetes");
    assert!(server.inventory().is_empty());
    insta::with_settings!({filters => [(r#""request_id":"\w+""#, r#""request_id":"ID""#)]}, {
        insta::assert_snapshot!(terminal.transcript());
    });
}

/// The variable of the server, as it stands in the Deployment.
fn variable(server: &ApiServer) -> Value {
    let deployment = server.object("deployments", "iris").unwrap();
    let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let mut variables = variables.as_array().unwrap().iter();
    let found = variables.find(|variable| variable["name"] == "MLRS_COMPAT");
    found.unwrap().clone()
}

#[test]
fn a_model_that_refuses_is_asked_once() {
    let (terminal, server) = with_cluster(Behaviour {
        backend_code: Some(429),
        ..Behaviour::default()
    });
    let on = "-t kubernetes --name iris";
    let created =
        format!("deployments create {on} -m models:/iris/1 -C tracking-uri=http://mlflow:5000");
    assert_eq!(terminal.quietly(&created, b"").code, 0);
    terminal.write("rows.json", "[{\"a\": 1}]");
    let asked = terminal.quietly(&format!("deployments predict {on} -I rows.json"), b"");
    assert_eq!(asked.code, 1);
    assert!(
        asked.errors.starts_with("error: `iris` answered 429: "),
        "{}",
        asked.errors
    );
    let requests = server.requests();
    let sent = requests
        .iter()
        .filter(|request| request.path.ends_with("/proxy/invocations"));
    assert_eq!(sent.count(), 1);
}
