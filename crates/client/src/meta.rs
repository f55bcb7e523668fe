//! `registered_model_meta`: the file that says which registered version a copy is of.
//!
//! MLflow's client writes it into what it downloads through `models:`, and reads it back for
//! lineage. It is written only into copies of our own, never into a store.

use crate::locate::Identity;

/// Name of the file, at the root of the model.
pub const FILE_NAME: &str = "registered_model_meta";

/// The content: YAML with name and version, both `null` for a logged model.
pub fn content(identity: &Identity) -> String {
    let name = identity
        .name
        .as_deref()
        .map_or_else(|| "null".to_owned(), yaml_text);
    let version = identity.version.as_deref().map_or_else(
        || "null".to_owned(),
        |version| format!("'{}'", version.replace('\'', "''")),
    );
    format!("model_name: {name}\nmodel_version: {version}\n")
}

/// A text as a YAML scalar, in the style that `PyYAML` picks for MLflow; only long names with spaces,
/// which it folds, stay on one line.
fn yaml_text(text: &str) -> String {
    if text.chars().any(needs_escape) {
        // A JSON string is a YAML string; only here are escapes needed.
        serde_json::Value::from(text).to_string()
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn needs_escape(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{10000}'..)
}

/// Whether no reader takes the bare text for anything else than this text.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let begins_well = match first {
        'a'..='z' | 'A'..='Z' | '_' | '\u{a0}'.. => true,
        // What has other letters than numbers and times have is neither.
        '0'..='9' => text.bytes().any(|byte| {
            byte.is_ascii_alphabetic() && !b"abcdefotxz".contains(&byte.to_ascii_lowercase())
        }),
        _ => false,
    };
    begins_well
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !means_something_else(text)
}

/// The words of YAML 1.1 that are no text, each in lower case, upper case, or with a capital.
fn means_something_else(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or_default();
    let is_cased = rest.bytes().all(|byte| byte.is_ascii_lowercase())
        || text.bytes().all(|byte| byte.is_ascii_uppercase());
    is_cased
        && ["null", "true", "false", "yes", "no", "on", "off"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        content(&Identity {
            name: Some(name.to_owned()),
            version: Some("1".to_owned()),
            ..Identity::default()
        })
    }

    #[test]
    fn the_file_is_written_as_mlflow_writes_it() {
        assert_eq!(of("reg"), "model_name: reg\nmodel_version: '1'\n");
        assert_eq!(
            content(&Identity::default()),
            "model_name: null\nmodel_version: null\n"
        );
    }

    #[test]
    fn names_are_quoted_where_pyyaml_quotes_them() {
        for name in [
            "iris of 2.0",
            "2.0 iris",
            "y",
            "nUll",
            "a:b",
            "a#b",
            "ünï x",
            "名前",
            "a,b",
            "x]",
            "a\"b",
            "a@b",
            "a%b",
            "a!",
            "a-",
            "e5",
            "a\\b",
        ] {
            assert!(
                of(name).starts_with(&format!("model_name: {name}\n")),
                "{name}"
            );
        }
        for name in [
            "my model: x",
            "Yes",
            "yes",
            "NULL",
            "1e3",
            "2001-12-14",
            "0x1f",
            "1_000",
            "a ",
            "a:",
            "a #b",
            "&a",
            "@a",
            "%a",
            "!a",
            "- a",
            "~",
            "[x",
        ] {
            assert!(
                of(name).starts_with(&format!("model_name: '{name}'\n")),
                "{name}"
            );
        }
        assert!(of("[it's").starts_with("model_name: '[it''s'\n"));
        assert!(of("a\u{7}").starts_with("model_name: \"a\\u0007\"\n"));
    }
}
