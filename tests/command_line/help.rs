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
        "server -h",
        "pack -h",
        "unpack -h",
        "onnxruntime -h",
        "onnxruntime install -h",
        "onnxruntime path -h",
        "models -h",
        "models serve --help",
        "models predict -h",
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
        "server --port 70000",
        "server --prot 1",
        "ui --backend-store-uri",
        "pull",
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
