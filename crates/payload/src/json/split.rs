//! `dataframe_split`: `{"columns": […], "data": [[…], …], "index": […]}`.

use std::borrow::Cow;

use super::matrix::Attempts;
use super::read_cell;
use super::scanner::{Cell, Scanner, SyntaxError, unescape};
use crate::convert::{Casts, Element, convert};
use crate::error::DecodeError;
use crate::frame::{Frame, Place};
use crate::plan::{Column, Decoded, FramePlan};
use crate::tensor::TensorData;

/// Decodes the value of `dataframe_split`.
pub(super) fn decode(plan: &FramePlan, scanner: &mut Scanner<'_>) -> Result<Decoded, DecodeError> {
    if scanner.peek() != Some(b'{') {
        scanner.skip()?;
        return Err(DecodeError::malformed(
            "Dataframe split format must be a dictionary.",
        ));
    }
    scanner.take(b'{');
    let mut names = None;
    let mut index = None;
    // Data that stands before its columns waits for them.
    let mut data = None;
    let mut frame: Option<Frame<'_>> = None;
    let mut first = true;
    while let Some(raw) = scanner.member(first)? {
        first = false;
        match unescape(raw).as_deref() {
            Some("columns") => {
                names = read_names(scanner)?;
                frame = None;
            }
            Some("index") => index = count(scanner)?,
            Some("data") => {
                data = Some(scanner.clone());
                frame = None;
                if names.is_some() {
                    frame = Some(read_rows(plan, names.as_deref(), scanner)?);
                } else {
                    scanner.skip()?;
                }
            }
            _ => return Err(wrong_keys()),
        }
    }
    let frame = match (frame, data) {
        (Some(frame), _) => frame,
        (None, Some(mut data)) => read_rows(plan, names.as_deref(), &mut data)?,
        (None, None) => return Err(wrong_keys()),
    };
    if let Some(length) = index.filter(|length| *length != frame.rows()) {
        let message = format!("the index has {length} entries for {} rows", frame.rows());
        return Err(DecodeError::malformed(message));
    }
    frame.finish()
}

#[cold]
fn wrong_keys() -> DecodeError {
    DecodeError::malformed(
        "Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields.",
    )
}

/// The names of the columns; `null` is none. Numbers count by their text.
fn read_names<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Vec<Cow<'a, str>>>, DecodeError> {
    if scanner.cell()? == Cell::Null {
        return Ok(None);
    }
    scanner.expect(b'[', "a list of column names")?;
    let mut names = Vec::with_capacity(32);
    while scanner.item(names.is_empty())? {
        match scanner.cell()? {
            Cell::Text(name) => names.push(name),
            Cell::Number(number) => names.push(Cow::Owned(number.to_f64().to_string())),
            other => {
                return Err(DecodeError::malformed(format!(
                    "a column name is {}, expected text",
                    other.kind()
                )));
            }
        }
    }
    Ok(Some(names))
}

/// The length of the list that comes next; `null` has none.
fn count(scanner: &mut Scanner<'_>) -> Result<Option<usize>, DecodeError> {
    if scanner.cell()? == Cell::Null {
        return Ok(None);
    }
    scanner.expect(b'[', "a list")?;
    Ok(Some(count_items(scanner)?))
}

/// The items up to the end of a list that was entered.
fn count_items(scanner: &mut Scanner<'_>) -> Result<usize, SyntaxError> {
    let mut items = 0;
    while scanner.item(items == 0)? {
        scanner.skip()?;
        items += 1;
    }
    Ok(items)
}

/// The columns of the first row of the data, without taking it.
fn first_width(scanner: &Scanner<'_>) -> Result<usize, SyntaxError> {
    let mut ahead = scanner.clone();
    if !ahead.take(b'[') || !ahead.take(b'[') {
        return Ok(1);
    }
    count_items(&mut ahead)
}

/// Where each position of a row leads; `None` is ignored. Without names they are numbers.
fn order(
    frame: &mut Frame<'_>,
    names: Option<&[Cow<'_, str>]>,
    scanner: &Scanner<'_>,
) -> Result<Vec<Option<usize>>, DecodeError> {
    if let Some(names) = names {
        return frame.lay_out(names);
    }
    let numbers = (0..first_width(scanner)?).map(|position| Cow::Owned(position.to_string()));
    frame.lay_out(&numbers.collect::<Vec<_>>())
}

/// Reads the rows of `data`; again, where what becomes of a value depends on those of other rows.
fn read_rows<'p>(
    plan: &'p FramePlan,
    names: Option<&[Cow<'_, str>]>,
    scanner: &mut Scanner<'_>,
) -> Result<Frame<'p>, DecodeError> {
    let mut again = scanner.clone();
    let bytes = scanner.remaining();
    let frame = read_into(Frame::new(plan, bytes), names, scanner)?;
    match frame.second_look() {
        Some(whole) => read_into(Frame::settled(plan, bytes, whole), names, &mut again),
        None => Ok(frame),
    }
}

/// Reads the rows of `data` into a frame.
fn read_into<'p>(
    mut frame: Frame<'p>,
    names: Option<&[Cow<'_, str>]>,
    scanner: &mut Scanner<'_>,
) -> Result<Frame<'p>, DecodeError> {
    let plan = frame.plan();
    let order = order(&mut frame, names, scanner)?;
    scanner.expect(b'[', "a list of rows")?;
    let in_order = order.len() == frame.columns.len()
        && order
            .iter()
            .enumerate()
            .all(|(position, column)| *column == Some(position));
    let lossless = plan
        .columns
        .iter()
        .all(|column| column.rule.casts == Casts::Lossless);
    if plan.plain && in_order && order.len() > 1 && lossless {
        read_plain(&mut frame, &plan.columns, scanner)?;
        return Ok(frame);
    }
    let mut row = 0;
    let mut widest = 0;
    while scanner.item(row == 0)? {
        frame.add_row()?;
        widest = widest.max(read_row(&mut frame, row, &order, scanner)?);
        row += 1;
    }
    if row > 0 && widest < order.len() {
        return Err(width_error(0, order.len()));
    }
    Ok(frame)
}

/// Reads a row: a list, or a bare value where there is one column. Gives the number of its values,
/// which pandas lets be fewer than there are columns, if only one row has them all.
fn read_row(
    frame: &mut Frame<'_>,
    row: usize,
    order: &[Option<usize>],
    scanner: &mut Scanner<'_>,
) -> Result<usize, DecodeError> {
    if scanner.peek() != Some(b'[') || (order.len() == 1 && is_bare_list(frame, order, scanner)) {
        let [column] = order else {
            return Err(width_error(row, order.len()));
        };
        read_position(frame, row, 0, *column, scanner)?;
        return Ok(1);
    }
    scanner.take(b'[');
    let mut position = 0;
    while scanner.item(position == 0)? {
        let Some(column) = order.get(position) else {
            return Err(width_error(row, order.len()));
        };
        read_position(frame, row, position, *column, scanner)?;
        position += 1;
    }
    for column in &order[position..] {
        let Some(column) = *column else { continue };
        if frame.rule(column).casts == Casts::Lossless {
            return Err(width_error(row, order.len()));
        }
        frame.set_absent(row, column, "dataframe_split")?;
    }
    Ok(position)
}

/// Whether the row of a column of lists is such a list itself, not wrapped in a row.
fn is_bare_list(frame: &Frame<'_>, order: &[Option<usize>], scanner: &Scanner<'_>) -> bool {
    let wants_list = order[0].is_some_and(|column| frame.list_length(column).is_some());
    let mut ahead = scanner.clone();
    wants_list && ahead.take(b'[') && ahead.peek() != Some(b'[')
}

fn read_position(
    frame: &mut Frame<'_>,
    row: usize,
    position: usize,
    column: Option<usize>,
    scanner: &mut Scanner<'_>,
) -> Result<(), DecodeError> {
    match column {
        Some(column) => read_cell(frame, row, column, Place::Split(row, position), scanner),
        None => Ok(scanner.skip()?),
    }
}

#[cold]
fn width_error(row: usize, width: usize) -> DecodeError {
    DecodeError::malformed(format!(
        "row {row} at $.dataframe_split.data[{row}] must be a list of {width} values, as there are columns"
    ))
}

/// Reads rows that are numbers in the order of the plan, for one float tensor.
fn read_plain(
    frame: &mut Frame<'_>,
    columns: &[Column],
    scanner: &mut Scanner<'_>,
) -> Result<(), DecodeError> {
    let Some((data, rows)) = frame.plain_buffer() else {
        return Ok(());
    };
    let result = match data {
        TensorData::F32(values) => plain_rows(columns, values, rows, scanner),
        TensorData::F64(values) => plain_rows(columns, values, rows, scanner),
        _ => Ok(Ok(())),
    };
    result?
        .map_err(|(row, column, error)| frame.cell_error(column, Place::Split(row, column), &error))
}

/// A value that could not be converted: its row, its column, and why.
type CellFault = (usize, usize, crate::convert::CellError);

fn plain_rows<E: Element>(
    columns: &[Column],
    values: &mut Vec<E>,
    rows: &mut usize,
    scanner: &mut Scanner<'_>,
) -> Result<Result<(), CellFault>, DecodeError> {
    let width = columns.len();
    let mut attempts = Attempts::default();
    while scanner.item(*rows == 0)? {
        let plain = scanner.number_rows(width, values, &mut attempts);
        if plain > 0 {
            *rows += plain;
            continue;
        }
        if !scanner.take(b'[') {
            return Err(width_error(*rows, width));
        }
        for (position, column) in columns.iter().enumerate() {
            if !scanner.item(position == 0)? {
                return Err(width_error(*rows, width));
            }
            let cell = scanner.cell()?;
            match convert(cell, column.rule) {
                Ok(element) => values.push(element),
                Err(error) => return Ok(Err((*rows, position, error))),
            }
        }
        if scanner.item(false)? {
            return Err(width_error(*rows, width));
        }
        *rows += 1;
    }
    Ok(Ok(()))
}
