//! Conditions on the machine, such as `python_version < "3.10"`: [`marker`]. The grammar is that of PEP
//! 508; the text that comes out is spelled as Python's `packaging` spells it.

use super::cursor::Cursor;

/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 50;

/// What a machine is asked for, longer names first.
const VARIABLES: [&str; 20] = [
    "platform_python_implementation",
    "platform.python_implementation",
    "python_implementation",
    "implementation_version",
    "implementation_name",
    "python_full_version",
    "platform_machine",
    "platform.machine",
    "platform_version",
    "platform.version",
    "platform_release",
    "platform_system",
    "dependency_groups",
    "python_version",
    "sys_platform",
    "sys.platform",
    "os_name",
    "os.name",
    "extras",
    "extra",
];

const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// A part of a condition.
enum Part {
    /// `python_version < "3.10"`.
    Item(String),
    /// In parentheses.
    Group(Vec<Part>),
    /// `and`, `or`.
    Word(&'static str),
}

/// Reads a condition up to where it ends; gives its text.
///
/// # Errors
/// What was expected where it is not.
pub(super) fn marker(cursor: &mut Cursor<'_>) -> Result<String, &'static str> {
    let parts = expression(cursor, 0)?;
    Ok(text(&parts, true))
}

fn expression(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<Part>, &'static str> {
    let mut parts = vec![atom(cursor, depth)?];
    loop {
        let word = if cursor.word("and") {
            "and"
        } else if cursor.word("or") {
            "or"
        } else {
            return Ok(parts);
        };
        parts.push(Part::Word(word));
        parts.push(atom(cursor, depth)?);
    }
}

fn atom(cursor: &mut Cursor<'_>, depth: usize) -> Result<Part, &'static str> {
    cursor.blanks();
    let part = if cursor.take("(") {
        if depth == MAX_DEPTH {
            return Err("fewer parentheses in each other");
        }
        let inner = expression(cursor, depth + 1)?;
        if !cursor.take(")") {
            return Err("a closing parenthesis");
        }
        Part::Group(inner)
    } else {
        Part::Item(item(cursor)?)
    };
    cursor.blanks();
    Ok(part)
}

/// One side of a comparison.
enum Side {
    Variable(String),
    Value(String),
}

fn item(cursor: &mut Cursor<'_>) -> Result<String, &'static str> {
    let mut left = side(cursor)?;
    cursor.blanks();
    let operator = operator(cursor)?;
    cursor.blanks();
    let mut right = side(cursor)?;
    match (&mut left, &mut right) {
        (Side::Variable(name), Side::Value(value)) if name == "extra" => {
            *value = canonical(value);
        }
        (Side::Value(value), Side::Variable(name))
            if ["extra", "extras", "dependency_groups"].contains(&name.as_str()) =>
        {
            *value = canonical(value);
        }
        _ => {}
    }
    Ok(format!("{} {operator} {}", left.text(), right.text()))
}

fn side(cursor: &mut Cursor<'_>) -> Result<Side, &'static str> {
    for quote in ['"', '\''] {
        if cursor.take(quote.encode_utf8(&mut [0; 4])) {
            let value = cursor.take_while(|character| character != quote);
            if !cursor.take(quote.encode_utf8(&mut [0; 4])) {
                return Err("a closing quote");
            }
            // Python would read escapes in it; no machine has such a name.
            if value.contains(['\\', '\n', '"']) {
                return Err("a text without quotes and backslashes");
            }
            return Ok(Side::Value(value.to_owned()));
        }
    }
    let name = VARIABLES.into_iter().find(|name| cursor.word(name));
    let name = name.ok_or("a variable such as `python_version`, or a text in quotes")?;
    let name = match name.replace('.', "_").as_str() {
        "python_implementation" => "platform_python_implementation".to_owned(),
        other => other.to_owned(),
    };
    Ok(Side::Variable(name))
}

fn operator(cursor: &mut Cursor<'_>) -> Result<&'static str, &'static str> {
    if cursor.word("in") {
        return Ok("in");
    }
    if cursor.word("not") {
        return if cursor.blanks() && cursor.word("in") {
            Ok("not in")
        } else {
            Err("`in` after `not`")
        };
    }
    cursor
        .take_one(&OPERATORS)
        .ok_or("a comparison such as `<`, `==`, `in`")
}

impl Side {
    fn text(&self) -> String {
        match self {
            Self::Variable(name) => name.clone(),
            Self::Value(value) => format!("\"{value}\""),
        }
    }
}

/// A name of an extra as it is compared: lower case, one `-` for each run of `-`, `_` and `.`.
fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            other => out.extend(other.to_lowercase()),
        }
    }
    out
}

fn text(parts: &[Part], outermost: bool) -> String {
    if let [Part::Group(inner)] = parts {
        return text(inner, outermost);
    }
    if let [Part::Item(item)] = parts {
        return item.clone();
    }
    let words: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Item(item) => item.clone(),
            Part::Group(inner) => text(inner, false),
            Part::Word(word) => (*word).to_owned(),
        })
        .collect();
    let joined = words.join(" ");
    if outermost {
        joined
    } else {
        format!("({joined})")
    }
}
