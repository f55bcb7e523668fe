//! `LIKE` and `ILIKE` on SQLite, as PostgreSQL has them.
//!
//! SQLite's own `LIKE` compares every place of a text with the whole pattern, knows the case of ASCII
//! letters only, and cannot be ended before it is through with a text. These functions find the parts
//! of a pattern one after the other, in linear time where it has no `_`, and look at the watch.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Error, Result, ffi};

use crate::watch::Watch;

/// `LIKE`: a text and a pattern.
pub(crate) const LIKE: &str = "mlrs_like";
/// The same without regard to case.
pub(crate) const ILIKE: &str = "mlrs_ilike";

/// Places of a text between two looks at the watch.
const PLACES: usize = 1024;

/// What the functions of a connection share with it: the watch over the work that goes on.
#[derive(Clone, Default)]
pub(super) struct SharedWatch(Arc<Mutex<Option<Watch>>>);

impl SharedWatch {
    pub(super) fn set(&self, watch: Option<Watch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }

    /// Fails as an interrupted statement does, if the work is to end.
    fn check(&self) -> Result<()> {
        let watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.as_ref().and_then(Watch::ended).is_none() {
            return Ok(());
        }
        let interrupted = ffi::Error::new(ffi::SQLITE_INTERRUPT);
        Err(Error::SqliteFailure(interrupted, None))
    }
}

/// Adds the functions to a connection.
pub(super) fn add(connection: &Connection, watch: &SharedWatch) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for (name, folds) in [(LIKE, false), (ILIKE, true)] {
        let watch = watch.clone();
        connection.create_scalar_function(name, 2, flags, move |arguments| {
            let pattern = arguments.get_or_create_aux(1, |pattern| {
                let pattern = pattern.as_str()?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(if folds {
                    Pattern::new(&folded(pattern))
                } else {
                    Pattern::new(pattern)
                })
            })?;
            matches(arguments, &pattern, folds, &watch)
        })?;
    }
    Ok(())
}

fn matches(
    arguments: &Context<'_>,
    pattern: &Pattern,
    folds: bool,
    watch: &SharedWatch,
) -> Result<Option<bool>> {
    watch.check()?;
    let text = arguments.get_raw(0).as_str_or_null()?;
    let matches = |text: &str| pattern.matches(text, &|| watch.check());
    match text {
        None => Ok(None),
        Some(text) if folds => matches(&folded(text)).map(Some),
        Some(text) => matches(text).map(Some),
    }
}

/// A text without regard to case, letter by letter, as PostgreSQL compares them.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// A pattern: what stands between its `%`.
struct Pattern {
    /// At least one; the first begins the text, and the last ends it.
    parts: Vec<Part>,
}

/// What stands between two `%`.
#[derive(Default)]
struct Part {
    /// The characters; none for `_`.
    characters: Vec<Option<char>>,
    /// The same as a text, if there is no `_` in it.
    literal: Option<String>,
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let mut parts = vec![Vec::new()];
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let next = match character {
                '%' => {
                    parts.push(Vec::new());
                    continue;
                }
                '_' => None,
                '\\' => characters.next(),
                other => Some(other),
            };
            if let Some(part) = parts.last_mut() {
                part.push(next);
            }
        }
        let parts = parts.into_iter().map(|characters| Part {
            literal: characters.iter().copied().collect(),
            characters,
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// Whether it is the pattern of a text; `check` may end the comparison.
    fn matches(&self, text: &str, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        let (Some((first, others)), Some(last)) = (self.parts.split_first(), self.parts.last())
        else {
            return Ok(false);
        };
        let Some(mut rest) = first.begins(text) else {
            return Ok(false);
        };
        let Some((_, between)) = others.split_last() else {
            return Ok(rest.is_empty());
        };
        for part in between {
            match part.find(rest, check)? {
                Some(behind) => rest = behind,
                None => return Ok(false),
            }
        }
        Ok(last.ends(rest))
    }
}

impl Part {
    /// What is behind this part, if a text begins with it.
    fn begins<'a>(&self, text: &'a str) -> Option<&'a str> {
        if let Some(literal) = &self.literal {
            return text.strip_prefix(literal.as_str());
        }
        let mut rest = text.chars();
        for expected in &self.characters {
            let found = rest.next()?;
            if expected.is_some_and(|expected| expected != found) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// Whether a text ends with it.
    fn ends(&self, text: &str) -> bool {
        if let Some(literal) = &self.literal {
            return text.ends_with(literal.as_str());
        }
        let last = self.characters.len().saturating_sub(1);
        let begin = text.char_indices().rev().nth(last);
        begin.is_some_and(|(begin, _)| self.begins(&text[begin..]) == Some(""))
    }

    /// What is behind the first place of a text where this part stands.
    fn find<'a>(&self, text: &'a str, check: &dyn Fn() -> Result<()>) -> Result<Option<&'a str>> {
        if let Some(literal) = &self.literal {
            return Ok(text.split_once(literal.as_str()).map(|(_, behind)| behind));
        }
        for (place, (begin, _)) in text.char_indices().enumerate() {
            if place % PLACES == 0 {
                check()?;
            }
            if let Some(behind) = self.begins(&text[begin..]) {
                return Ok(Some(behind));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::new(pattern).matches(text, &|| Ok(())).unwrap()
    }

    #[test]
    fn patterns_match_as_postgresql_has_them() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("a", "", false),
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a%c", true),
            ("abc", "a%%c", true),
            ("ac", "a%c", true),
            ("abc", "a_c", true),
            ("äöü", "_ö_", true),
            ("äöü", "%_ü", true),
            ("äöü", "__", false),
            ("aXbXc", "%_X_", true),
            ("ab", "ab%ab", false),
            ("abab", "ab%ab", true),
            ("aab", "a%ab", true),
            ("mississippi", "m%iss%ppi", true),
            ("mississippi", "m%iss_ss%pi", true),
            ("mississippi", "m%iss_pp%pi", false),
            ("a_b", r"a\_b", true),
            ("aXb", r"a\_b", false),
            ("50%", r"50\%", true),
            ("500", r"50\%", false),
            (r"a\b", r"a\\b", true),
            ("abc", r"a\bc", true),
            ("ABC", "abc", false),
        ] {
            assert_eq!(like(text, pattern), expected, "'{text}' LIKE '{pattern}'");
        }
    }

    #[test]
    fn case_is_folded_letter_by_letter() {
        assert_eq!(folded("Tree_%"), "tree_%");
        assert_eq!(folded("ÄÖÜ Ελλάς ПРИВЕТ"), "äöü ελλάς привет");
        // At the end of a word, too: what stands behind it may be a `%`.
        assert_eq!(folded("ΟΔΟΣ"), "οδοσ");
    }

    #[test]
    fn statements_have_the_functions() {
        let connection = Connection::open_in_memory().unwrap();
        add(&connection, &SharedWatch::default()).unwrap();
        let ask = |sql: &str| -> Option<bool> {
            connection.query_row(sql, (), |row| row.get(0)).unwrap()
        };
        assert_eq!(
            ask("SELECT mlrs_ilike('DIE GRÖßE ПРИВЕТ', '%größe_привет')"),
            Some(true)
        );
        assert_eq!(ask("SELECT mlrs_like('DIE GRÖßE', '%größe')"), Some(false));
        assert_eq!(ask("SELECT mlrs_like(NULL, '%')"), None);
    }

    #[test]
    fn a_long_comparison_ends_when_nobody_waits() {
        let connection = Connection::open_in_memory().unwrap();
        let shared = SharedWatch::default();
        add(&connection, &shared).unwrap();
        let (text, pattern) = ("a".repeat(1 << 20), format!("%_{}b%", "a".repeat(1000)));
        let timeout = std::time::Duration::from_millis(50);
        shared.set(Some(Watch::timed(Some(timeout))));
        let begin = std::time::Instant::now();
        let sql = "SELECT mlrs_like(?, ?)";
        let ended = connection.query_row(sql, [&text, &pattern], |row| row.get::<_, bool>(0));
        let code = ended.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
        let took = begin.elapsed();
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
        // Without `_` it takes no time worth ending.
        shared.set(None);
        let plain = format!("%{}b%", "a".repeat(1000));
        let found = connection.query_row(sql, [&text, &plain], |row| row.get::<_, bool>(0));
        assert!(!found.unwrap());
    }

    proptest::proptest! {
        #[test]
        fn it_matches_what_sqlite_matches(text in "[ab%_é]{0,12}", pattern in "[ab%_é\\\\]{0,8}") {
            // SQLite matches nothing where an escape is left at the end; the grammar refuses that.
            let trailing = pattern.chars().rev().take_while(|last| *last == '\\').count();
            proptest::prop_assume!(trailing % 2 == 0);
            let connection = Connection::open_in_memory().unwrap();
            connection.pragma_update(None, "case_sensitive_like", true).unwrap();
            let sql = "SELECT ? LIKE ? ESCAPE '\\'";
            let expected: bool = connection
                .query_row(sql, [&text, &pattern], |row| row.get(0))
                .unwrap();
            proptest::prop_assert_eq!(like(&text, &pattern), expected);
        }
    }
}
