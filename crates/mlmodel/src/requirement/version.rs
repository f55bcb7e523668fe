//! Clauses about versions, such as `>=1.0`: [`clause`]. The grammar is that of PEP 440.

use super::cursor::Cursor;

/// The operators, longer ones first.
const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];

/// Reads a clause; gives it without blanks.
///
/// # Errors
/// What is wrong with the version. `None` when no clause begins here.
pub(super) fn clause(cursor: &mut Cursor<'_>) -> Result<Option<String>, &'static str> {
    let Some(operator) = cursor.take_one(&OPERATORS) else {
        return Ok(None);
    };
    cursor.blanks();
    let start = *cursor;
    if operator == "===" {
        cursor
            .take_while(|character| !character.is_whitespace() && !matches!(character, ';' | ')'));
    } else {
        version(cursor, operator)?;
    }
    Ok(Some(format!("{operator}{}", cursor.since(start))))
}

fn version(cursor: &mut Cursor<'_>, operator: &str) -> Result<(), &'static str> {
    let exact = matches!(operator, "==" | "!=");
    cursor.take("v");
    let mut parts = release(cursor)?;
    if cursor.take("!") {
        parts = release(cursor)?;
    }
    if operator == "~=" && parts < 2 {
        return Err("`~=` needs a version with at least two numbers");
    }
    if cursor.take(".*") {
        return if exact {
            Ok(())
        } else {
            Err("`.*` goes with `==` and `!=` only")
        };
    }
    suffix(
        cursor,
        &["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"],
    );
    post(cursor);
    suffix(cursor, &["dev"]);
    local(cursor, exact)
}

/// Numbers with points between them; gives how many.
fn release(cursor: &mut Cursor<'_>) -> Result<usize, &'static str> {
    if !cursor.digits() {
        return Err("a version begins with a number");
    }
    let mut parts = 1;
    loop {
        let before = *cursor;
        if !(cursor.take(".") && cursor.digits()) {
            *cursor = before;
            return Ok(parts);
        }
        parts += 1;
    }
}

/// `rc1`, `.dev0` and the like: one of these words, with separators and a number around it or not.
fn suffix(cursor: &mut Cursor<'_>, words: &[&'static str]) -> bool {
    let before = *cursor;
    separator(cursor);
    if cursor.take_one(words).is_none() {
        *cursor = before;
        return false;
    }
    let after = *cursor;
    separator(cursor);
    if !cursor.digits() {
        *cursor = after;
    }
    true
}

/// `-1`, or `post1` and its kin.
fn post(cursor: &mut Cursor<'_>) {
    let before = *cursor;
    if cursor.take("-") && cursor.digits() {
        return;
    }
    *cursor = before;
    suffix(cursor, &["post", "rev", "r"]);
}

fn local(cursor: &mut Cursor<'_>, exact: bool) -> Result<(), &'static str> {
    let mut before = *cursor;
    if !cursor.take("+") {
        return Ok(());
    }
    if !exact {
        return Err("a local version such as `1.0+cpu` goes with `==` and `!=` only");
    }
    loop {
        let part = cursor.take_while(|character| character.is_ascii_alphanumeric());
        if part.is_empty() {
            *cursor = before;
            return Ok(());
        }
        before = *cursor;
        if !separator(cursor) {
            return Ok(());
        }
    }
}

fn separator(cursor: &mut Cursor<'_>) -> bool {
    cursor.take_one(&["-", "_", "."]).is_some()
}
