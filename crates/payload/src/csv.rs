//! CSV bodies, as `pandas.DataFrame.to_csv` writes and `pandas.read_csv` reads them.
//!
//! The first line names the columns. Empty fields and pandas' words for a missing value are
//! missing; in a text column those words are text, unless MLflow's casts are asked for. Fields may be
//! quoted; a quote inside is doubled.

use std::borrow::Cow;

use crate::convert::{Casts, CellError};
use crate::error::DecodeError;
use crate::frame::{Frame, Place, takes_text};
use crate::inferred::{Kinds, Whole, kind_of, stays_text};
use crate::json::number::{self, Number};
use crate::json::scanner::Cell;
use crate::plan::{Decoded, FramePlan, InputPlan};
use crate::tensor::DType;

/// What pandas takes for a missing value (`pandas.io.parsers.readers.STR_NA_VALUES`).
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Whether the first line names the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// It does.
    Present,
    /// It is a row like the others: columns come in the order of the signature.
    Absent,
}

/// Decodes a CSV body, whose rows are called `first_row` and on in errors.
pub(crate) fn decode(
    plan: &InputPlan,
    body: &[u8],
    header: Header,
    first_row: usize,
) -> Result<Decoded, DecodeError> {
    let text = text(body)?;
    let mut reader = Reader { text, at: 0 };
    let mut record = Vec::new();
    if !reader.next(&mut record)? {
        return Err(DecodeError::malformed(
            "Failed to parse input as a Pandas DataFrame: the CSV is empty",
        ));
    }
    if header == Header::Absent {
        reader.at = 0;
        record = names_in_order(&plan.frame, record.len())?;
    }
    if plan.compat == crate::Compat::Mlflow && plan.frame.tensor_answer {
        return Err(DecodeError::malformed(
            "Failed to parse input as a Pandas DataFrame: CSV does not go with a tensor signature",
        ));
    }
    let mut frame = Frame::new(&plan.frame, body.len());
    let mut order = frame.lay_out(&record)?;
    frame.take_bytes_as_text();
    let mut texts = text_columns(&frame, &plan.frame);
    if plan.frame.observe && texts.contains(&true) {
        let kinds = column_kinds(reader.clone(), &order, texts.len())?;
        let whole = kinds.iter().map(|kinds| Whole::of_column(*kinds)).collect();
        frame = Frame::settled(&plan.frame, body.len(), whole);
        order = frame.lay_out(&record)?;
        texts = kinds.iter().map(|kinds| stays_text(*kinds)).collect();
    }
    fill(&mut frame, reader, &order, &texts, first_row)?;
    frame.finish()
}

/// The names of `width` columns that come in the order of the signature.
fn names_in_order(plan: &FramePlan, width: usize) -> Result<Vec<Cow<'_, str>>, DecodeError> {
    if plan.open {
        return Ok((0..width)
            .map(|position| position.to_string().into())
            .collect());
    }
    let columns = plan.columns.len();
    if width != columns {
        return Err(DecodeError::schema(format!(
            "the first row has {width} fields, and the signature {columns} columns"
        )));
    }
    Ok(plan
        .columns
        .iter()
        .map(|column| Cow::Borrowed(&*column.name))
        .collect())
}

/// Reads the rows into a frame.
fn fill(
    frame: &mut Frame<'_>,
    mut reader: Reader<'_>,
    order: &[Option<usize>],
    texts: &[bool],
    first_row: usize,
) -> Result<(), DecodeError> {
    let mut record = Vec::new();
    let mut row = 0;
    while reader.next(&mut record)? {
        if record.len() > order.len() {
            return Err(DecodeError::malformed(format!(
                "row {}: expected {} fields, saw {}",
                first_row + row,
                order.len(),
                record.len()
            )));
        }
        frame.add_row()?;
        for (position, column) in order.iter().enumerate() {
            let Some(column) = *column else { continue };
            let field = record.get(position).map_or("", |field| &**field);
            set(frame, row, column, field, texts[column])
                .map_err(|error| frame.cell_error(column, Place::Row(first_row + row), &error))?;
        }
        row += 1;
    }
    Ok(())
}

/// What the fields of each column look like, where nothing is declared.
fn column_kinds(
    mut reader: Reader<'_>,
    order: &[Option<usize>],
    columns: usize,
) -> Result<Vec<Kinds>, DecodeError> {
    let mut kinds = vec![0; columns];
    let mut record = Vec::new();
    while reader.next(&mut record)? {
        for (position, column) in order.iter().enumerate() {
            let Some(column) = *column else { continue };
            let field = record.get(position).map_or("", |field| &**field);
            kinds[column] |= kind_of(&undeclared(field));
        }
    }
    Ok(kinds)
}

/// A field by what it looks like; pandas' words for a missing value are `NaN`.
fn undeclared(field: &str) -> Cell<'_> {
    if is_missing(field) {
        Cell::Number(Number::Float(f64::NAN))
    } else {
        scalar(unpadded(field))
    }
}

/// The text of a CSV body, without a byte order mark.
pub(crate) fn text(body: &[u8]) -> Result<&str, DecodeError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body).map_err(|error| {
        DecodeError::malformed(format!(
            "Ensure that input is a valid UTF-8 encoded string. Error: invalid byte at {}",
            error.valid_up_to()
        ))
    })
}

/// Whether pandas takes the field for a missing value.
pub(crate) fn is_missing(field: &str) -> bool {
    MISSING.binary_search(&field).is_ok()
}

/// For each column, whether its fields stay text whatever they look like.
fn text_columns(frame: &Frame<'_>, plan: &FramePlan) -> Vec<bool> {
    frame
        .columns
        .iter()
        .map(|column| {
            takes_text(
                column.rule,
                plan.targets.get(column.tensor).map(|target| target.dtype),
            )
        })
        .collect()
}

/// Puts a field into a cell: missing, a number, a truth value, or text.
fn set(
    frame: &mut Frame<'_>,
    row: usize,
    column: usize,
    field: &str,
    text: bool,
) -> Result<(), CellError> {
    let rule = frame.rule(column);
    if rule.casts == Casts::Lossless
        && !text
        && let Some((number, length)) = number::read(field.as_bytes())
        && length == field.len()
    {
        // No word for a missing value is a number.
        return frame.set(row, column, Cell::Number(number));
    }
    // A text column may well hold `NA`, a country, or `None`, a name: there only nothing is missing.
    let missing = match (rule.casts, text) {
        (Casts::Lossless, true) => field.is_empty(),
        _ => is_missing(field),
    };
    if rule.casts != Casts::Lossless
        && let Some(declared) = rule.declared.dtype()
    {
        let cell = as_pandas(field, declared, missing)?;
        return frame.set(row, column, cell);
    }
    let cell = match (missing, text) {
        (true, _) if rule.casts != Casts::Lossless => undeclared(field),
        (true, _) => Cell::Null,
        (false, true) => Cell::Text(Cow::Borrowed(field)),
        (false, false) if rule.casts != Casts::Lossless => scalar(unpadded(field)),
        (false, false) => scalar(field),
    };
    frame.set(row, column, cell)
}

/// A field by what it looks like.
pub(crate) fn scalar(field: &str) -> Cell<'_> {
    let trimmed = field.trim_matches([' ', '\t']);
    match number::read(trimmed.as_bytes()) {
        Some((number, length)) if length == trimmed.len() => Cell::Number(number),
        _ => truth(trimmed).map_or(Cell::Text(Cow::Borrowed(field)), Cell::Bool),
    }
}

fn truth(field: &str) -> Option<bool> {
    match field {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

/// A field as `pandas.read_csv` reads it for a column of a type: stricter than its casts elsewhere.
fn as_pandas(field: &str, declared: DType, missing: bool) -> Result<Cell<'_>, CellError> {
    let nan = Cell::Number(Number::Float(f64::NAN));
    match declared {
        DType::Str => Ok(if missing {
            nan
        } else {
            Cell::Text(Cow::Borrowed(field))
        }),
        _ if missing && matches!(declared, DType::F16 | DType::BF16 | DType::F32 | DType::F64) => {
            Ok(nan)
        }
        _ if missing => Err(CellError::Missing(declared)),
        DType::Bool => truth(field).map(Cell::Bool).ok_or(CellError::Kind {
            found: "text",
            wanted: declared,
        }),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => match scalar(field) {
            Cell::Bool(_) => Err(CellError::NotANumber(declared)),
            other => Ok(other),
        },
        _ => match scalar(unpadded(field)) {
            Cell::Number(Number::Integer(value))
                if declared == DType::I32 && i32::try_from(value).is_err() =>
            {
                Err(CellError::Range(declared))
            }
            Cell::Number(Number::Integer(value)) => Ok(Cell::Number(Number::Integer(value))),
            Cell::Number(Number::Float(value)) if value.fract() == 0.0 && value.abs() < 9e18 => {
                Ok(Cell::Number(Number::Integer(value as i64)))
            }
            Cell::Number(_) => Err(CellError::Fraction(declared)),
            _ => Err(CellError::NotANumber(declared)),
        },
    }
}

/// An integer without the plus sign and the leading zeros that JSON does not know.
fn unpadded(field: &str) -> &str {
    let digits = field.trim_matches([' ', '\t']);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let significant = digits.trim_start_matches('0');
    if significant.starts_with(|first: char| first.is_ascii_digit()) {
        significant
    } else {
        digits
    }
}

/// Splits CSV text into records.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    /// The next record that is not a blank line; `false` at the end.
    pub(crate) fn next(&mut self, record: &mut Vec<Cow<'a, str>>) -> Result<bool, DecodeError> {
        record.clear();
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b'\n' | b'\r')) {
            self.at += 1;
        }
        if self.at >= bytes.len() {
            return Ok(false);
        }
        loop {
            record.push(self.field()?);
            match bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'\r') if bytes.get(self.at + 1) == Some(&b'\n') => {
                    self.at += 2;
                    return Ok(true);
                }
                Some(_) => {
                    self.at += 1;
                    return Ok(true);
                }
                None => return Ok(true),
            }
        }
    }

    /// The field that starts here, up to the comma or the end of the line.
    fn field(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'"') {
            return self.quoted();
        }
        let start = self.at;
        let rest = &bytes[start..];
        self.at = start + memchr::memchr3(b',', b'\n', b'\r', rest).unwrap_or(rest.len());
        Ok(Cow::Borrowed(&self.text[start..self.at]))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let bytes = self.text.as_bytes();
        let mut start = self.at + 1;
        let mut text: Option<String> = None;
        loop {
            let Some(step) = memchr::memchr(b'"', &bytes[start..]) else {
                return Err(DecodeError::malformed(
                    "Failed to parse input as a Pandas DataFrame: a quoted field has no end",
                ));
            };
            let end = start + step;
            let part = &self.text[start..end];
            if bytes.get(end + 1) == Some(&b'"') {
                let text = text.get_or_insert_default();
                text.push_str(part);
                text.push('"');
                start = end + 2;
                continue;
            }
            self.at = end + 1;
            let mut field = text.map_or(Cow::Borrowed(part), |text| Cow::Owned(text + part));
            // Text behind the closing quote belongs to the field, as pandas has it.
            let tail_start = self.at;
            let rest = &bytes[tail_start..];
            self.at += memchr::memchr3(b',', b'\n', b'\r', rest).unwrap_or(rest.len());
            if self.at > tail_start {
                field.to_mut().push_str(&self.text[tail_start..self.at]);
            }
            return Ok(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MISSING, Reader};

    fn records(text: &str) -> Vec<Vec<String>> {
        let mut reader = Reader { text, at: 0 };
        let (mut all, mut record) = (Vec::new(), Vec::new());
        while reader.next(&mut record).unwrap() {
            all.push(record.iter().map(ToString::to_string).collect());
        }
        all
    }

    #[test]
    fn words_for_missing_values_are_sorted() {
        assert!(MISSING.is_sorted());
    }

    #[test]
    fn records_end_with_any_line_end() {
        assert_eq!(
            records("a,b\n1,2\r\n\n3,\n"),
            [["a", "b"], ["1", "2"], ["3", ""]]
        );
        assert_eq!(records("a,b\r1,2"), [["a", "b"], ["1", "2"]]);
    }

    #[test]
    fn quotes_protect_commas_lines_and_quotes() {
        assert_eq!(records("\"a,\"\"b\"\"\",\"c\nd\"\n"), [["a,\"b\"", "c\nd"]]);
        assert!(Reader { text: "\"a", at: 0 }.next(&mut Vec::new()).is_err());
    }
}
