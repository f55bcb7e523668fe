use crate::terminal::Terminal;

#[test]
fn a_model_is_packed_and_unpacked() {
    let mut terminal = Terminal::new();
    terminal.run("pack iris");
    terminal.run("inspect iris.zip");
    terminal.run("unpack iris.zip");
    terminal.run("unpack iris.zip other");
    terminal.run("pack iris iris.zip");
    terminal.run("pack iris iris/iris.zip");
    terminal.run("pack nothing");
    terminal.run("unpack nothing.zip");
    terminal.run("unpack iris.zip small --max-bytes 100");
    insta::assert_snapshot!(terminal.transcript());
    assert!(!terminal.path("small").exists());
    for entry in std::fs::read_dir(terminal.path("iris")).unwrap() {
        let entry = entry.unwrap();
        let copy = terminal.path("other").join(entry.file_name());
        let (one, other) = (std::fs::read(entry.path()), std::fs::read(copy));
        assert_eq!(one.unwrap(), other.unwrap(), "{:?}", entry.file_name());
    }
}

#[test]
fn the_same_directory_gives_the_same_archive() {
    let mut terminal = Terminal::new();
    terminal.run("pack iris one.zip");
    std::fs::rename(terminal.path("iris"), terminal.path("moved")).unwrap();
    std::fs::write(
        terminal.path("moved/MLmodel"),
        std::fs::read(terminal.path("moved/MLmodel")).unwrap(),
    )
    .unwrap();
    terminal.run("pack moved two.zip");
    let (one, two) = (terminal.path("one.zip"), terminal.path("two.zip"));
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
}
