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

/// A text as a YAML scalar: plain where no reader can take it for anything else.
fn yaml_text(text: &str) -> String {
    let is_word = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let means_something_else = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if is_word && !means_something_else {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        // A JSON string is a YAML string; only here are escapes needed.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
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
    fn names_that_yaml_would_misread_are_quoted() {
        assert!(of("my model: x").starts_with("model_name: 'my model: x'\n"));
        assert!(of("it's").starts_with("model_name: 'it''s'\n"));
        assert!(of("Yes").starts_with("model_name: 'Yes'\n"));
        assert!(of("1e3").starts_with("model_name: '1e3'\n"));
        assert!(of("a\u{7}").starts_with("model_name: \"a\\u0007\"\n"));
    }
}
