use std::fmt::Write as _;

use serde_json::Value;

use crate::terminal::Terminal;

const CSV: &[u8] =
    b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.2,2.9,4.3,1.3\n";

/// The text with its fractions cut off after four digits: processors differ in the last ones.
fn rounded(text: &str) -> String {
    let mut digits = None;
    let keep = |letter: &char| {
        match (*letter, digits) {
            ('.', _) => digits = Some(0),
            ('0'..='9', Some(count)) => digits = Some(count + 1),
            _ => digits = None,
        }
        digits.is_none_or(|count| count <= 4)
    };
    text.chars().filter(keep).collect()
}

#[test]
fn files_and_pipes_go_in_and_out() {
    let mut terminal = Terminal::new();
    terminal.write("flowers.csv", CSV);
    terminal.write(
        "flowers.json",
        r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.1, 3.5, 1.4, 0.2]]}}"#,
    );
    terminal.run("predict -m iris -i iris/serving_input_example.json");
    terminal.run("predict -m iris -i flowers.csv -t csv");
    terminal.run_with("predict -m iris -t csv", CSV);
    terminal.run("predict -m iris -i flowers.json -o answer.json");
    terminal.run("models predict -m iris -i flowers.csv -t csv --env-manager local");
    terminal.run("pack iris");
    terminal.run("predict -m iris.zip -i flowers.json");
    insta::assert_snapshot!(rounded(terminal.transcript()));
    let answer = std::fs::read_to_string(terminal.path("answer.json")).unwrap();
    assert!(
        answer.starts_with(r#"{"predictions":[{"species":0,"#),
        "{answer}"
    );
}

#[test]
fn input_that_does_not_fit_is_named() {
    let mut terminal = Terminal::new();
    let row = "5.1,3.5,1.4,0.2";
    let cases: [(&str, &str); 7] = [
        ("json", "{"),
        ("json", "7"),
        (
            "json",
            r#"{"dataframe_split": {"columns": ["sepal_length"], "data": [[5.1]]}}"#,
        ),
        ("csv", ""),
        ("csv", "sepal_length,sepal_width\n5.1,3.5\n"),
        (
            "csv",
            "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,wide\n",
        ),
        ("csv", row),
    ];
    for (format, body) in cases {
        terminal.write("input", body);
        let ended = terminal.run(&format!("predict -m iris -i input -t {format} -o answer"));
        assert_eq!(ended.code, 1, "{body}");
    }
    terminal.run("predict -m iris -i absent.json");
    terminal.run("predict -m iris -i flowers.json -o absent/answer.json");
    terminal.run("predict -m iris --backend torch");
    insta::assert_snapshot!(terminal.transcript());
    assert!(!terminal.path("answer").exists(), "nothing half-done stays");
}

#[test]
fn a_large_table_is_answered_in_batches() {
    const ROWS: usize = 100_000;
    let mut terminal = Terminal::new();
    let mut table = "sepal_length,sepal_width,petal_length,petal_width\n".to_owned();
    for row in 0..ROWS {
        let petal = 0.1 + (row % 70) as f64 / 10.0;
        writeln!(table, "5.{},3.5,{petal},0.2", row % 10).unwrap();
    }
    terminal.write("table.csv", &table);
    let ended = terminal.quietly("predict -m iris -t csv -i table.csv -o answer.json", b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    let answer: Value =
        serde_json::from_slice(&std::fs::read(terminal.path("answer.json")).unwrap()).unwrap();
    let rows = answer["predictions"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS);
    // A row is answered as it is when it is alone.
    for row in [0, 1, 4999, 5000, 77_777, ROWS - 1] {
        let mut lines = table.lines();
        let text = format!("{}\n{}\n", lines.next().unwrap(), lines.nth(row).unwrap());
        let alone = terminal.quietly("predict -m iris -t csv", text.as_bytes());
        let alone: Value = serde_json::from_str(&alone.output).unwrap();
        assert_eq!(rows[row], alone["predictions"][0], "row {row}");
    }
    // A bad row late in the file is named by its place in the file.
    let bad = table.replacen("5.7,3.5", "5.7,none", 9_000);
    let bad = bad.replacen("5.7,none", "5.7,3.5", 8_999);
    let line = bad.lines().position(|line| line.contains("none")).unwrap();
    terminal.write("table.csv", &bad);
    let ended = terminal.run("predict -m iris -t csv -i table.csv -o other.json");
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(format!(
        "data row {} is bad\n\n{}",
        line - 1,
        terminal.transcript()
    ));
    assert!(!terminal.path("other.json").exists());
}
