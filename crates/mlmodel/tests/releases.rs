//! Signatures as every release of MLflow wrote them (`releases/make.py` makes them).

// clippy allows these in test functions only, not in what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use mlrs_mlmodel::Signature;
use mlrs_mlmodel::signature::{ColumnSpec, Schema};
use serde::Deserialize;
use serde_json::{Map, json};

#[derive(Deserialize)]
struct Written {
    what: String,
    since: String,
    text: String,
}

fn written() -> Vec<Written> {
    serde_json::from_str(include_str!("releases/schemas.json")).unwrap()
}

fn columns(text: &str) -> Vec<ColumnSpec> {
    match Schema::parse(text).unwrap() {
        Schema::Columns(columns) => columns,
        Schema::Tensors(_) => panic!("these are columns: {text}"),
    }
}

#[test]
fn what_any_release_wrote_is_read() {
    let all = written();
    assert!(all.len() >= 17, "{} texts", all.len());
    for Written { what, since, text } in all {
        let part = if what == "params1" {
            "params"
        } else {
            "inputs"
        };
        let map = Map::from_iter([(part.to_owned(), json!(text))]);
        let signature = Signature::from_map(&map);
        let signature = signature.unwrap_or_else(|error| panic!("{what} of {since}: {error}"));
        assert_ne!(signature, Signature::default(), "{what} of {since}");
    }
}

/// 2.4 to 2.9 wrote `"optional": true`, later ones `"required": false`.
#[test]
fn an_optional_column_is_not_required() {
    let mut spellings = 0;
    for Written { what, since, text } in written() {
        if what == "optional" || what == "notrequired" {
            let required: Vec<bool> = columns(&text)
                .iter()
                .map(|column| column.required)
                .collect();
            assert_eq!(required, [true, false], "{what} of {since}");
            spellings += 1;
        }
    }
    assert!(spellings >= 2);
}

#[test]
fn optional_and_required_must_not_contradict() {
    let spec = |flags| format!(r#"[{{"type": "double", "name": "a"{flags}}}]"#);
    for (flags, required) in [
        (r#", "optional": false"#, true),
        (r#", "optional": null"#, true),
        (r#", "optional": true, "required": false"#, false),
        (r#", "optional": false, "required": true"#, true),
        (r#", "optional": true, "required": null"#, false),
    ] {
        assert_eq!(columns(&spec(flags))[0].required, required, "{flags}");
    }
    for flags in [
        r#", "optional": true, "required": true"#,
        r#", "optional": 1"#,
    ] {
        assert!(Schema::parse(&spec(flags)).is_err(), "{flags}");
    }
    assert!(Schema::parse(r#"[{"type": "double", "optional": true}]"#).is_err());
}
