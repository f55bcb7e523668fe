//! JSON bodies: a scanner that walks the text once, and the readers of MLflow's payload shapes.
//!
//! Nothing here builds a document tree. [`scanner::Scanner`] hands out one scalar at a time, and
//! the readers put it where the input plan says.

pub(crate) mod body;
mod columnar;
mod decimal;
mod encoding;
pub(crate) mod matrix;
pub(crate) mod number;
mod records;
pub(crate) mod scanner;
mod split;

use crate::convert::{Casts, CellError, Declared, Rule};
use crate::error::DecodeError;
use crate::frame::{Frame, Place};
use crate::inferred::Whole;
use crate::tensor::DType;
use scanner::{Cell, Scanner, SyntaxError};

/// Reads the value that comes next into a cell of a frame.
#[inline]
fn read_cell(
    frame: &mut Frame<'_>,
    row: usize,
    column: usize,
    place: Place<'_>,
    scanner: &mut Scanner<'_>,
) -> Result<(), DecodeError> {
    let cell = scanner.cell()?;
    if cell == Cell::List
        && let Some(length) = frame.accepted_list(column)
    {
        return read_list(frame, row, column, length, place, scanner);
    }
    let cell = match cell {
        Cell::List | Cell::Object => composite(frame.rule(column), scanner)?,
        scalar => scalar,
    };
    frame
        .set(row, column, cell)
        .map_err(|error| frame.cell_error(column, place, &error))
}

/// Steps over a list or an object where a scalar is expected. A frame of pandas casts one to its
/// truth value, which is whether it holds anything; everywhere else it is an error.
fn composite<'a>(rule: Rule, scanner: &mut Scanner<'a>) -> Result<Cell<'a>, SyntaxError> {
    let kind = scanner.cell()?;
    let start = scanner.position();
    scanner.skip()?;
    let casts = match rule.casts {
        Casts::Lossless => false,
        Casts::NumpyFrame => true,
        // A list would be one more dimension.
        Casts::NumpyArray => kind == Cell::Object,
    };
    if !casts || rule.declared != Declared::Type(DType::Bool) {
        return Ok(kind);
    }
    let inner = scanner.between(start + 1, scanner.position() - 1);
    Ok(Cell::Bool(!inner.trim_ascii().is_empty()))
}

/// Reads a list of `length` values into a cell.
fn read_list(
    frame: &mut Frame<'_>,
    row: usize,
    column: usize,
    length: usize,
    place: Place<'_>,
    scanner: &mut Scanner<'_>,
) -> Result<(), DecodeError> {
    scanner.take(b'[');
    let mut item = 0;
    while scanner.item(item == 0)? {
        let cell = scanner.cell()?;
        if matches!(cell, Cell::List | Cell::Object) {
            scanner.skip()?;
        }
        if row == 0 && item == 0 && cell == Cell::Null && frame.rule(column).whole != Whole::Alone {
            return Err(first_is_null(frame, column, place));
        }
        frame
            .set_item(row, column, item, cell)
            .map_err(|error| frame.item_error(column, place, item, &error))?;
        item += 1;
    }
    if item == length {
        return Ok(());
    }
    Err(frame.cell_error(column, place, &CellError::Length(length)))
}

/// MLflow tells lists of a tensor by the very first value.
#[cold]
fn first_is_null(frame: &Frame<'_>, column: usize, place: Place<'_>) -> DecodeError {
    let null = CellError::Kind {
        found: Cell::Null.kind(),
        wanted: frame.target(column),
    };
    frame.item_error(column, place, 0, &null)
}
