use crate::terminal::Terminal;

#[test]
fn every_command_explains_itself() {
    let mut terminal = Terminal::new();
    for words in [
        "--help",
        "serve -h",
        "predict -h",
        "inspect -h",
        "pull -h",
        "server --help",
        "import-filestore -h",
        "gc -h",
        "db -h",
        "db upgrade -h",
        "db check -h",
        "db resolve-locations -h",
        "package -h",
        "package onnx -h",
        "register -h",
        "pack -h",
        "unpack -h",
        "onnxruntime -h",
        "onnxruntime install -h",
        "onnxruntime path -h",
        "models -h",
        "models serve --help",
        "models predict -h",
        "models update-pip-requirements -h",
        "experiments -h",
        "experiments create -h",
        "experiments search -h",
        "experiments get -h",
        "experiments delete -h",
        "experiments restore -h",
        "experiments rename -h",
        "experiments csv -h",
        "runs -h",
        "runs list -h",
        "runs describe -h",
        "runs create -h",
        "runs delete -h",
        "runs restore -h",
        "runs move -h",
        "artifacts -h",
        "artifacts log-artifact -h",
        "artifacts log-artifacts -h",
        "artifacts list -h",
        "artifacts download -h",
        "registry -h",
        "registry models -h",
        "registry models list -h",
        "registry models get -h",
        "registry models create -h",
        "registry models rename -h",
        "registry models delete -h",
        "registry versions -h",
        "registry versions list -h",
        "registry versions get -h",
        "registry versions create -h",
        "registry versions delete -h",
        "registry stages -h",
        "registry stages transition -h",
        "registry aliases -h",
        "registry aliases set -h",
        "registry aliases delete -h",
        "registry aliases get -h",
        "deploy -h",
        "deploy kubernetes -h",
        "deploy status -h",
        "deploy scale -h",
        "deploy delete -h",
        "deployments -h",
        "deployments create -h",
        "deployments update -h",
        "deployments delete -h",
        "deployments list -h",
        "deployments get -h",
        "deployments predict -h",
        "deployments run-local -h",
        "deployments help -h",
        "doctor -h",
    ] {
        let ended = terminal.run(words);
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""), "{words}");
    }
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn arguments_that_are_wrong_are_named() {
    let mut terminal = Terminal::new();
    for words in [
        "",
        "sevrer",
        "serve",
        "serve iris --port 70000",
        "serve iris --workers 0",
        "serve iris --timeout 0",
        "serve iris --compat loose",
        "serve iris --log-format xml",
        "serve iris --prot 1",
        "predict",
        "predict -m iris -t xml",
        "inspect iris --output yaml",
        "models serve",
        "models update-pip-requirements -m iris replace numpy",
        "package",
        "package onnx model.onnx",
        "package onnx model.onnx -o out --metadata novalue",
        "register iris",
        "server --port 70000",
        "server --prot 1",
        "ui --backend-store-uri",
        "pull",
        "experiments get",
        "experiments get -x 1 -n iris",
        "experiments search --view some",
        "runs list",
        "runs create -t novalue",
        "runs create --status paused",
        "artifacts download",
        "registry",
        "registry stages transition iris 1 Live",
    ] {
        assert_eq!(terminal.run(words).code, 2, "{words}");
    }
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn the_version_is_printed() {
    let ended = Terminal::new().run("--version");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(ended.output, format!("mlrs {version}\n"));
}
