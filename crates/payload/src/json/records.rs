//! Lists of records: `[{"a": 1, "b": 2}, …]`.
//!
//! Records tend to repeat their keys in one order, so the key that came last time is tried first.

use std::collections::HashMap;

use super::read_cell;
use super::scanner::{Scanner, SyntaxError, unescape};
use crate::error::DecodeError;
use crate::frame::{Frame, Place};
use crate::plan::{Decoded, FramePlan};

/// What is known of the keys of the records.
struct Keys<'a> {
    /// The keys of the record before, as they stand in the text, and where they lead.
    last: Vec<(&'a [u8], Option<usize>)>,
    /// Where columns go by position: the names in the order of their first appearance.
    positions: HashMap<String, usize>,
    /// For each column, the row that set it last, plus one.
    stamps: Vec<usize>,
}

/// Decodes a list of records under `key`.
pub(super) fn decode(
    plan: &FramePlan,
    key: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    let first = scanner.peek();
    if first != Some(b'[') {
        let found = if first == Some(b'{') {
            "dictionary"
        } else {
            "another type"
        };
        scanner.skip()?;
        return Err(DecodeError::malformed(format!(
            "Dataframe records format must be a list of records. Got {found}."
        )));
    }
    let mut again = scanner.clone();
    let bytes = scanner.remaining();
    let mut frame = read_into(Frame::new(plan, bytes), key, scanner)?;
    if let Some(whole) = frame.second_look() {
        frame = read_into(Frame::settled(plan, bytes, whole), key, &mut again)?;
    }
    frame.finish()
}

/// Reads the records into a frame.
fn read_into<'p>(
    mut frame: Frame<'p>,
    key: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Frame<'p>, DecodeError> {
    scanner.take(b'[');
    if frame.plan().open {
        frame.set_width(first_width(scanner)?)?;
    }
    let mut keys = Keys {
        last: Vec::new(),
        positions: HashMap::new(),
        stamps: vec![0; frame.columns.len()],
    };
    let mut row = 0;
    while scanner.item(row == 0)? {
        if !scanner.take(b'{') {
            return Err(DecodeError::malformed(format!(
                "row {row} at $.{key}[{row}] must be an object"
            )));
        }
        frame.add_row()?;
        read_record(&mut frame, &mut keys, key, row, scanner)?;
        row += 1;
    }
    Ok(frame)
}

/// The members of the first record, without taking it.
fn first_width(scanner: &Scanner<'_>) -> Result<usize, SyntaxError> {
    let mut ahead = scanner.clone();
    let mut members = 0;
    if ahead.take(b'{') {
        while ahead.member(members == 0)?.is_some() {
            ahead.skip()?;
            members += 1;
        }
    }
    Ok(members)
}

/// Reads the members of one record, and marks what it lacks.
fn read_record<'a>(
    frame: &mut Frame<'_>,
    keys: &mut Keys<'a>,
    format: &str,
    row: usize,
    scanner: &mut Scanner<'a>,
) -> Result<(), DecodeError> {
    let mut position = 0;
    let mut filled = 0;
    while let Some(raw) = scanner.member(position == 0)? {
        let column = match keys.last.get(position) {
            Some((expected, column)) if *expected == raw => *column,
            _ => {
                let column = find(frame, keys, format, row, raw)?;
                keys.last.truncate(position);
                keys.last.push((raw, column));
                column
            }
        };
        position += 1;
        let Some(column) = column else {
            scanner.skip()?;
            frame.ignored += usize::from(row == 0);
            continue;
        };
        filled += usize::from(keys.stamps[column] != row + 1);
        keys.stamps[column] = row + 1;
        read_cell(frame, row, column, Place::Record(format, row), scanner)?;
    }
    if filled < keys.stamps.len() {
        for column in 0..keys.stamps.len() {
            if keys.stamps[column] != row + 1 && frame.is_present(column) {
                frame.set_absent(row, column, format)?;
            }
        }
    }
    Ok(())
}

/// Where a key leads; a column that shows up late is missing in the rows before.
fn find(
    frame: &mut Frame<'_>,
    keys: &mut Keys<'_>,
    format: &str,
    row: usize,
    raw: &[u8],
) -> Result<Option<usize>, DecodeError> {
    let name = unescape(raw)
        .ok_or_else(|| DecodeError::malformed("a key has an escape that JSON does not know"))?;
    let plan = frame.plan();
    let column = if plan.positional {
        let next = keys.positions.len();
        let column = *keys.positions.entry(name.into_owned()).or_insert(next);
        if plan.open && column >= frame.columns.len() {
            frame.set_width(column + 1)?;
            keys.stamps.resize(column + 1, 0);
        }
        if column >= frame.columns.len() {
            let known = frame.columns.len();
            if plan.extra {
                return Ok(None);
            }
            return Err(DecodeError::schema(format!(
                "the data has more columns than the expected {known}"
            )));
        }
        column
    } else {
        let Some(column) = plan.names.get(&*name) else {
            return Ok(None);
        };
        *column
    };
    if !frame.is_present(column) {
        frame.mark(column);
        for earlier in 0..row {
            frame.set_absent(earlier, column, format)?;
        }
    }
    Ok(Some(column))
}
