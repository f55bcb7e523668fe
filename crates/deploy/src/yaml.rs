//! YAML that every reader takes for the same: block style, and quotes wherever YAML 1.1 and 1.2 could
//! disagree.
//!
//! Kubernetes' tools read YAML 1.1, where a bare `yes`, `on` or `1_000` is no text, and the writers of
//! YAML 1.2 put no quotes there: an environment variable with such a value would be refused by the API
//! server. The tree also has places for what Helm fills in ([`Node::Expression`], [`Node::Block`], a
//! condition on an entry), so that a chart is the manifest with holes in it.

use std::fmt::Write as _;

use serde_json::Value;

/// A document, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `null`, a number or a truth value, as it is written.
    Plain(String),
    /// A text, in quotes where it needs them.
    Text(String),
    /// A template's expression in the place of a value.
    Expression(String),
    /// A template's expression that gives lines of YAML, with this many spaces more than its key.
    Block(String),
    /// Items, each perhaps under a condition.
    List(Vec<Item>),
    /// Entries, in their order.
    Map(Vec<Entry>),
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) node: Node,
    /// What must hold in a template for the item to be there: `if …` or `with …`.
    pub(crate) condition: Option<String>,
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key; empty for a [`Node::Block`] whose lines are entries themselves.
    pub(crate) key: String,
    pub(crate) node: Node,
    /// What must hold in a template for the entry to be there: `if …` or `with …`.
    pub(crate) condition: Option<String>,
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Plain(value.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Item::of(item.into())).collect())
            }
            Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| Entry::of(key, value.into()))
                    .collect(),
            ),
        }
    }
}

impl Item {
    pub(crate) fn of(node: Node) -> Self {
        Self {
            node,
            condition: None,
        }
    }
}

impl Entry {
    /// The entries that a template's expression gives.
    pub(crate) fn lines(expression: &str) -> Self {
        Self::of("", Node::Block(expression.to_owned()))
    }

    pub(crate) fn of(key: &str, node: Node) -> Self {
        Self {
            key: key.to_owned(),
            node,
            condition: None,
        }
    }
}

impl Node {
    /// The document, each line with its end.
    pub(crate) fn document(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => write_map(&mut text, entries, 0, false),
            Self::List(items) if !items.is_empty() => write_list(&mut text, items, 0),
            scalar => {
                text.push_str(&scalar.inline());
                text.push('\n');
            }
        }
        text
    }

    /// A value that fits behind its key; nothing for what needs lines of its own.
    fn inline(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => scalar(text),
            Self::Expression(expression) => format!("{{{{ {expression} }}}}"),
            Self::List(items) if items.is_empty() => "[]".to_owned(),
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Block(_) | Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

fn indent(text: &mut String, spaces: usize) {
    text.extend(std::iter::repeat_n(' ', spaces));
}

fn write_map(text: &mut String, entries: &[Entry], spaces: usize, first_is_begun: bool) {
    for (index, entry) in entries.iter().enumerate() {
        begin_condition(text, entry.condition.as_deref());
        if let ("", Node::Block(expression)) = (entry.key.as_str(), &entry.node) {
            // A `String` takes any text.
            let _ = writeln!(text, "{{{{- {expression} | nindent {spaces} }}}}");
            end_condition(text, entry.condition.as_deref());
            continue;
        }
        if index > 0 || !first_is_begun {
            indent(text, spaces);
        }
        text.push_str(&scalar(&entry.key));
        text.push(':');
        write_value(text, &entry.node, spaces);
        end_condition(text, entry.condition.as_deref());
    }
}

/// What stands behind a key, with the end of the line.
fn write_value(text: &mut String, node: &Node, spaces: usize) {
    match node {
        Node::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            write_map(text, entries, spaces + 2, false);
        }
        // A list stands as far left as its key, as kubectl writes it.
        Node::List(items) if !items.is_empty() => {
            text.push('\n');
            write_list(text, items, spaces);
        }
        Node::Block(expression) => {
            let depth = spaces + 2;
            // A `String` takes any text.
            let _ = writeln!(text, "\n{{{{- {expression} | nindent {depth} }}}}");
        }
        scalar => {
            text.push(' ');
            text.push_str(&scalar.inline());
            text.push('\n');
        }
    }
}

fn write_list(text: &mut String, items: &[Item], spaces: usize) {
    for item in items {
        begin_condition(text, item.condition.as_deref());
        if let Node::Block(expression) = &item.node {
            // The items themselves come out of the expression.
            let _ = writeln!(text, "{{{{- {expression} | nindent {spaces} }}}}");
        } else {
            indent(text, spaces);
            text.push('-');
            match &item.node {
                Node::Map(entries) if !entries.is_empty() => {
                    text.push(' ');
                    write_map(text, entries, spaces + 2, true);
                }
                node => write_value(text, node, spaces + 2),
            }
        }
        end_condition(text, item.condition.as_deref());
    }
}

fn begin_condition(text: &mut String, condition: Option<&str>) {
    if let Some(condition) = condition {
        let _ = writeln!(text, "{{{{- {condition} }}}}");
    }
}

fn end_condition(text: &mut String, condition: Option<&str>) {
    if condition.is_some() {
        text.push_str("{{- end }}\n");
    }
}

/// A text as a scalar: bare only where no reader can take it for anything else.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    // A JSON string is a YAML string, but for characters that YAML does not print.
    let mut quoted = String::with_capacity(text.len() + 2);
    for letter in Value::from(text).to_string().chars() {
        match letter {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted
}

fn is_plain(text: &str) -> bool {
    let begins_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:@+-".contains(&byte);
    begins_well && text.bytes().all(letters) && !text.ends_with(':') && !is_word_of_yaml(text)
}

/// The words that are no text in some version of YAML.
fn is_word_of_yaml(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_readers_disagree_about_is_quoted() {
        for bare in [
            "iris",
            "/opt/ml/model",
            "apps/v1",
            "a:b",
            "RuntimeDefault",
            "--host",
            "nodes",
        ] {
            let quoted = if bare == "--host" { "\"--host\"" } else { bare };
            assert_eq!(scalar(bare), quoted);
        }
        for text in [
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "~",
            "null",
            "1_000",
            "1:30",
            "0x1f",
            "012",
            "1e3",
            "8080",
            "2001-12-14",
            "=",
            "<<",
            "",
            "a b",
            "a: b",
            "a #b",
            "*a",
            "&a",
            "{{ x }}",
            "a:",
            ".5",
            "- a",
        ] {
            assert_eq!(scalar(text), format!("{text:?}"), "{text}");
        }
        assert_eq!(scalar("a\nb\"\\"), r#""a\nb\"\\""#);
        assert_eq!(scalar("\u{7f}\u{85}\u{2028}ü"), r#""\u007f\u0085\u2028ü""#);
    }

    #[test]
    fn the_style_is_kubectls() {
        let node = Node::from(&json!({
            "a": {"b": [{"c": 1, "d": [true, null]}, "x y"], "e": {}, "f": []},
            "g": [[1, 2]],
        }));
        assert_eq!(
            node.document(),
            "a:\n  b:\n  - c: 1\n    d:\n    - true\n    - null\n  - \"x y\"\n  e: {}\n  f: []\ng:\n-\n  - 1\n  - 2\n"
        );
    }
}
