//! `inputs` and `instances` under a signature of columns: what MLflow makes a data frame of.
//!
//! An object holds columns, a list of objects holds rows, a bare list is the one column there is.

use super::read_cell;
use super::records;
use super::scanner::{Cell, Scanner, unescape};
use crate::error::DecodeError;
use crate::frame::{Frame, Place};
use crate::plan::{Decoded, FramePlan};

/// Decodes the value of `format`.
pub(super) fn decode(
    plan: &FramePlan,
    format: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    match scanner.peek() {
        Some(b'{') => columns(plan, format, scanner),
        Some(b'[') if starts_with_object(scanner) && plan.positional && format == "inputs" => {
            scanner.skip()?;
            Err(DecodeError::schema(
                "the signature names no columns, and the payload does",
            ))
        }
        Some(b'[') if starts_with_object(scanner) => records::decode(plan, format, scanner),
        Some(b'[') => list(plan, format, scanner),
        _ => scalar(plan, format, scanner),
    }
}

fn starts_with_object(scanner: &Scanner<'_>) -> bool {
    let mut ahead = scanner.clone();
    ahead.take(b'[') && ahead.peek() == Some(b'{')
}

/// An object of columns. A scalar stands for a column of that value.
fn columns(
    plan: &FramePlan,
    format: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    if plan.positional {
        scanner.skip()?;
        return Err(DecodeError::malformed(
            "Failed to parse input data. This model contains an un-named model signature which expects a single \
             n-dimensional array or a single value as input.",
        ));
    }
    scanner.take(b'{');
    let mut frame = Frame::new(plan, scanner.remaining());
    let mut scalars: Vec<(usize, Cell<'_>)> = Vec::new();
    let mut rows: Option<usize> = None;
    let mut first = true;
    while let Some(raw) = scanner.member(first)? {
        first = false;
        let name = unescape(raw)
            .ok_or_else(|| DecodeError::malformed("a key has an escape that JSON does not know"))?;
        let Some(column) = plan.names.get(&*name).copied() else {
            scanner.skip()?;
            frame.ignored += 1;
            continue;
        };
        frame.mark(column);
        if scanner.peek() == Some(b'[') {
            let length = read_column(&mut frame, format, column, rows, scanner)?;
            rows = Some(length);
        } else {
            let cell = scanner.cell()?;
            if cell == Cell::Object {
                scanner.skip()?;
            }
            scalars.push((column, cell));
        }
    }
    if rows.is_none() && !scalars.is_empty() {
        frame.add_row()?;
    }
    for (column, cell) in scalars {
        for row in 0..frame.rows() {
            let result = frame.set(row, column, cell.clone());
            result.map_err(|error| frame.cell_error(column, Place::Column(format, row), &error))?;
        }
    }
    frame.finish()
}

/// Reads one column: a list. The first one makes the rows, the others must have as many.
fn read_column(
    frame: &mut Frame<'_>,
    format: &str,
    column: usize,
    rows: Option<usize>,
    scanner: &mut Scanner<'_>,
) -> Result<usize, DecodeError> {
    scanner.take(b'[');
    let mut row = 0;
    while scanner.item(row == 0)? {
        if rows.is_none() {
            frame.add_row()?;
        } else if row == frame.rows() {
            return Err(lengths(frame, column));
        }
        read_cell(frame, row, column, Place::Column(format, row), scanner)?;
        row += 1;
    }
    if row == frame.rows() {
        Ok(row)
    } else {
        Err(lengths(frame, column))
    }
}

#[cold]
fn lengths(frame: &Frame<'_>, column: usize) -> DecodeError {
    let name = &frame.columns[column].name;
    DecodeError::malformed(format!(
        "The length of values for each input/column name are not the same: column `{name}`"
    ))
}

/// A list that holds no objects: the one column, or rows of unnamed columns.
fn list(plan: &FramePlan, format: &str, scanner: &mut Scanner<'_>) -> Result<Decoded, DecodeError> {
    let mut frame = Frame::new(plan, scanner.remaining());
    if frame.columns.len() != 1 && !plan.positional {
        scanner.skip()?;
        return frame.finish();
    }
    scanner.take(b'[');
    let width = frame.columns.len();
    for column in 0..width {
        frame.mark(column);
    }
    let mut row = 0;
    while scanner.item(row == 0)? {
        frame.add_row()?;
        read_row(&mut frame, format, row, width, scanner)?;
        row += 1;
    }
    if row == 0 && width > 1 {
        return Err(DecodeError::schema(format!(
            "an empty list has no columns, expected {width}"
        )));
    }
    frame.finish()
}

/// One row of a list: a list of values, or a bare value where there is one column.
fn read_row(
    frame: &mut Frame<'_>,
    format: &str,
    row: usize,
    width: usize,
    scanner: &mut Scanner<'_>,
) -> Result<(), DecodeError> {
    let wrong_length = || {
        DecodeError::schema(format!(
            "row {row} at $.{format}[{row}] must be a list of {width} values"
        ))
    };
    if scanner.peek() != Some(b'[') {
        if width != 1 {
            scanner.skip()?;
            return Err(wrong_length());
        }
        return read_cell(frame, row, 0, Place::Item(format, row), scanner);
    }
    scanner.take(b'[');
    let mut column = 0;
    while scanner.item(column == 0)? {
        if column == width {
            return Err(wrong_length());
        }
        let place = Place::Field(format, row, column);
        read_cell(frame, row, column, place, scanner)?;
        column += 1;
    }
    if column == width {
        Ok(())
    } else {
        Err(wrong_length())
    }
}

/// A bare value: one row of the one unnamed column.
fn scalar(
    plan: &FramePlan,
    format: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    let mut frame = Frame::new(plan, scanner.remaining());
    let cell = scanner.cell()?;
    if frame.columns.len() == 1 && plan.positional {
        frame.add_row()?;
        frame.mark(0);
        let place = Place::Value(format);
        frame
            .set(0, 0, cell)
            .map_err(|error| frame.cell_error(0, place, &error))?;
    }
    frame.finish()
}
