//! Requirements of Python packages, and a model's lists of them: [`Requirement`] and [`update`].
//!
//! The grammar is that of PEP 508; texts come out as Python's `packaging` (26) writes them, because
//! `mlflow models update-pip-requirements` writes them so. Nothing is looked up or installed.

mod cursor;
mod marker;
mod update;
mod version;

use std::collections::BTreeSet;
use std::fmt;

use cursor::Cursor;
pub use update::{Operation, UpdateError, Updated, update};

use crate::signature::shorten;

/// Requirements beyond this many bytes are refused.
const LONGEST: usize = 10_000;

/// What a model needs of a package: `scikit-learn[extra]>=1.0,<2; python_version < "3.13"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package, as it was written.
    pub name: String,
    /// Its optional parts.
    pub extras: BTreeSet<String>,
    /// Clauses about its version, in the order of their texts: `<2`, `>=1.0`.
    pub versions: BTreeSet<String>,
    /// Where it is to be had.
    pub url: Option<String>,
    /// On which machines it is needed.
    pub marker: Option<String>,
}

/// Why a text is no requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no requirement: {problem}, at character {at}")]
pub struct RequirementError {
    /// The text, shortened.
    pub text: String,
    /// What is wrong.
    pub problem: String,
    /// Where, from 1.
    pub at: usize,
}

impl Requirement {
    /// Reads a requirement.
    ///
    /// # Errors
    /// When it breaks the grammar; the error says where.
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        let mut cursor = Cursor::new(text.get(..LONGEST).unwrap_or(text));
        let read = if text.len() > LONGEST {
            Err("it is too long".to_owned())
        } else {
            read(&mut cursor)
        };
        read.map_err(|problem| RequirementError {
            text: shorten(text),
            problem,
            at: text.get(..cursor.at()).unwrap_or_default().chars().count() + 1,
        })
    }
}

fn read(cursor: &mut Cursor<'_>) -> Result<Requirement, String> {
    cursor.blanks();
    let name = identifier(cursor).ok_or("it begins with the name of a package")?;
    cursor.blanks();
    let extras = extras(cursor)?;
    cursor.blanks();
    let mut requirement = Requirement {
        name,
        extras,
        versions: BTreeSet::new(),
        url: None,
        marker: None,
    };
    if cursor.take("@") {
        cursor.blanks();
        let url = cursor.take_while(|character| !matches!(character, ' ' | '\t'));
        if url.is_empty() {
            return Err("a URL comes after `@`".to_owned());
        }
        requirement.url = Some(url.to_owned());
        if !cursor.blanks() || cursor.is_done() {
            return Ok(requirement);
        }
    } else {
        requirement.versions = versions(cursor)?;
        cursor.blanks();
        if cursor.is_done() {
            return Ok(requirement);
        }
    }
    if !cursor.take(";") {
        return Err("expected a version such as `>=1.0`, a `;`, or its end".to_owned());
    }
    let marker = marker::marker(cursor).map_err(|expected| format!("expected {expected}"))?;
    requirement.marker = Some(marker);
    if cursor.is_done() {
        Ok(requirement)
    } else {
        Err("expected `and`, `or`, or its end".to_owned())
    }
}

/// A name: letters, digits, and `.`, `-`, `_` between them.
fn identifier(cursor: &mut Cursor<'_>) -> Option<String> {
    let before = *cursor;
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let found = cursor.take_while(allowed);
    let edge = |character: char| character.is_ascii_alphanumeric();
    // `_` is a part of words, so that a name may end with it.
    let ends = |character: char| edge(character) || character == '_';
    if found.starts_with(edge) && found.ends_with(ends) {
        return Some(found.to_owned());
    }
    *cursor = before;
    None
}

fn extras(cursor: &mut Cursor<'_>) -> Result<BTreeSet<String>, String> {
    let mut extras = BTreeSet::new();
    if !cursor.take("[") {
        return Ok(extras);
    }
    cursor.blanks();
    let mut next = identifier(cursor);
    while let Some(extra) = next {
        extras.insert(extra);
        cursor.blanks();
        if !cursor.take(",") {
            break;
        }
        cursor.blanks();
        next = Some(identifier(cursor).ok_or("the name of an extra comes after a comma")?);
    }
    if cursor.take("]") {
        Ok(extras)
    } else {
        Err("expected `,` or `]`".to_owned())
    }
}

fn versions(cursor: &mut Cursor<'_>) -> Result<BTreeSet<String>, String> {
    let enclosed = cursor.take("(");
    cursor.blanks();
    let mut versions = BTreeSet::new();
    while let Some(clause) = version::clause(cursor)? {
        versions.insert(clause);
        cursor.blanks();
        if !cursor.take(",") {
            break;
        }
        cursor.blanks();
    }
    if enclosed && !cursor.take(")") {
        return Err("expected `)`".to_owned());
    }
    Ok(versions)
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |texts: &BTreeSet<String>| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            texts.join(",")
        };
        formatter.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(formatter, "[{}]", joined(&self.extras))?;
        }
        formatter.write_str(&joined(&self.versions))?;
        if let Some(url) = &self.url {
            write!(formatter, " @ {url}")?;
        }
        match (&self.marker, &self.url) {
            (Some(marker), Some(_)) => write!(formatter, " ; {marker}"),
            (Some(marker), None) => write!(formatter, "; {marker}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
