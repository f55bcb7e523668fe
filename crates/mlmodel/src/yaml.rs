//! YAML in: a text becomes JSON values, within bounds, as `PyYAML` reads it.
//!
//! MLflow writes and reads its files with `PyYAML`, whose scalars are those of YAML 1.1: `yes` is true, `010`
//! is 8, `1e5` is a text (see `scalar`). Aliases are followed and `<<` merges, but what they unfold to is
//! counted, so a small file cannot become a large value. Tags build nothing: those of the YAML namespace are
//! passed over, others are refused. Writing is done by `yaml_text`.

mod compose;
mod scalar;

use granit_parser::ScanError;
use serde_json::{Map, Value};

use compose::Composer;

/// The longest text that is read, in bytes.
pub const TEXT_LIMIT: usize = 16 << 20;
/// How deep `[` and `{` may nest, those in texts counted; nodes may nest less deep.
const MOST_OPEN_BRACKETS: usize = 1_000;

/// Why a YAML text was refused.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text is too long to be read.
    #[error("{bytes} bytes of YAML, over the limit of {TEXT_LIMIT}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// There is nothing in it but white space and comments.
    #[error("the YAML is empty")]
    Empty,
    /// It is YAML, but no map.
    #[error("expected a YAML map, found {found}")]
    NotAMap {
        /// What it is instead.
        found: &'static str,
    },
    /// Brackets nest too deep.
    #[error("brackets nest deeper than {MOST_OPEN_BRACKETS}")]
    TooDeep,
    /// It is no YAML, or YAML that is refused here.
    #[error("not readable as YAML")]
    Syntax(#[source] YamlSyntax),
}

/// What is wrong in a text, with line and column.
#[derive(Debug, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct YamlSyntax {
    message: String,
    line: usize,
    column: usize,
}

impl YamlSyntax {
    fn at(marker: &granit_parser::Marker, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    /// The line and the column where it went wrong, from 1.
    pub fn line_and_column(&self) -> (usize, usize) {
        (self.line, self.column)
    }
}

impl From<ScanError> for YamlSyntax {
    fn from(error: ScanError) -> Self {
        Self::at(error.marker(), error.info())
    }
}

/// Which scalars stay as they were written, whatever they look like: `1_0`, which is a number to `PyYAML`,
/// can be the start of a run id.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// Those under these keys of the map.
    Under(&'a [&'a str]),
    /// All of them, at any depth.
    All,
}

/// Reads a text that holds one map. The scalars under the keys `texts` of that map stay as they
/// were written.
pub(crate) fn read_map(text: &str, texts: &[&str]) -> Result<Map<String, Value>, YamlError> {
    if text.len() > TEXT_LIMIT {
        return Err(YamlError::TooLarge { bytes: text.len() });
    }
    if opens_too_many_brackets(text) {
        return Err(YamlError::TooDeep);
    }
    read(text, Texts::Under(texts))
}

/// Reads a text that holds one map. Scalars stay as they were written: they are texts or null. How long the
/// text may be is the caller's to say.
///
/// # Errors
/// When it is not readable as YAML, holds no map, or unfolds to too much.
pub fn read_texts(text: &str) -> Result<Map<String, Value>, YamlError> {
    read(text, Texts::All)
}

fn read(text: &str, texts: Texts<'_>) -> Result<Map<String, Value>, YamlError> {
    match Composer::new(text, texts).document() {
        Ok(Some(Value::Object(map))) => Ok(map),
        Ok(None | Some(Value::Null)) => Err(YamlError::Empty),
        Ok(Some(other)) => Err(YamlError::NotAMap {
            found: crate::signature::found(&other),
        }),
        Err(error) => Err(YamlError::Syntax(error)),
    }
}

/// Counts all brackets, also those inside texts, where they are balanced in any sane file.
fn opens_too_many_brackets(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MOST_OPEN_BRACKETS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, YamlError> {
        read_map(text, &["run_id"])
    }

    #[test]
    fn aliases_are_followed_and_counted() {
        let map = read("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(map["a"], map["b"]);

        let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            lines.push(format!("a{level}: &a{level} [{inner}]"));
        }
        let bomb = lines.join("\n");
        assert!(matches!(read(&bomb), Err(YamlError::Syntax(_))));
    }

    #[test]
    fn a_long_anchor_repeated_is_counted_in_bytes() {
        let text = format!(
            "a: &x {}\nb: [{}]\n",
            "y".repeat(1 << 20),
            vec!["*x"; 1000].join(",")
        );
        assert!(read(&text).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        assert!(matches!(read(&deep), Err(YamlError::Syntax(_))));
        assert!(matches!(
            read(&"[".repeat(1 << 20)),
            Err(YamlError::TooDeep)
        ));
    }

    #[test]
    fn named_scalars_stay_texts() {
        let map = read("run_id: 12345e10\nother: 12345e10\n").unwrap();
        assert_eq!(map["run_id"], "12345e10");
        assert_eq!(map["other"], "12345e10");
        let map = read("run_id: 1_0\nother: 1_0\n").unwrap();
        assert_eq!(map["run_id"], "1_0");
        assert_eq!(map["other"], 10);
        assert_eq!(read("run_id: null\n").unwrap()["run_id"], Value::Null);
    }

    #[test]
    fn tags_build_nothing() {
        let map = read("a: !!python/object/apply:os.system ['id']\n").unwrap();
        assert_eq!(map["a"], serde_json::json!(["id"]));
        assert!(read("a: !thing x\n").is_err());
        assert!(read("a: !thing [x]\n").is_err());
    }

    #[test]
    fn keys_that_are_no_texts() {
        let map = read("a: {1: x, true: y, null: z}\n").unwrap();
        let keys: Vec<&String> = map["a"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["1", "true", "null"]);
        assert!(read("? [1, 2]\n: x\n").is_err());
    }

    /// Each of these is quadratic or worse for a careless reader.
    #[test]
    fn long_hostile_texts_end_soon() {
        let many = 50_000;
        for text in [
            "- ".repeat(many),
            "? ".repeat(many),
            "a: ".repeat(many),
            "{a: ".repeat(900),
            "[".repeat(900),
            format!("a: {}", "&x ".repeat(many)),
            (0..many)
                .map(|index| format!("- &a{index} x"))
                .collect::<Vec<_>>()
                .join("\n"),
            format!("a: \"{}\"", "\\n".repeat(many)),
            format!("{}: x", "k".repeat(many)),
            format!(
                "a: &x [{}]\nb: [{}]",
                "1,".repeat(2_000),
                "*x,".repeat(2_000)
            ),
        ] {
            let _ = read(&text);
        }
    }

    #[test]
    fn what_is_no_map() {
        assert!(matches!(read(""), Err(YamlError::Empty)));
        assert!(matches!(read("# only a comment\n"), Err(YamlError::Empty)));
        assert!(matches!(
            read("[1]"),
            Err(YamlError::NotAMap { found: "a list" })
        ));
        assert!(matches!(
            read("a: 1\n---\nb: 2\n"),
            Err(YamlError::Syntax(_))
        ));
        assert!(read("a: &a [*a]\n").is_err());
    }
}
