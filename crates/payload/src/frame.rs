//! A data frame on its way into tensors: cells come by row and column, and land in place.

use std::borrow::Cow;

use crate::convert::{Casts, CellError, Declared, Element, Rule, convert};
use crate::error::DecodeError;
use crate::inferred::{ABSENT, Kinds, Whole, accepts, column_type, inferred_error, kind_of};
use crate::json::number::Number;
use crate::json::scanner::Cell;
use crate::plan::{AnswerShape, Column, Decoded, FramePlan, promote};
use crate::tensor::{DType, Tensor, TensorData};
use crate::{Batch, with_data};

/// Elements that a frame may have for each byte of its text, so that sparse records cannot ask for
/// more memory than their size warrants.
const ELEMENTS_PER_BYTE: usize = 64;

/// Where a payload has a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// `dataframe_split`: the row, and the position in it.
    Split(usize, usize),
    /// A list of records under this key.
    Record(&'a str, usize),
    /// An object of columns under this key.
    Column(&'a str, usize),
    /// A list of rows under this key: the row, and the position in it.
    Field(&'a str, usize, usize),
    /// A list of values under this key.
    Item(&'a str, usize),
    /// The value of this key.
    Value(&'a str),
    /// A row, where there is no more to say: CSV.
    Row(usize),
}

impl Place<'_> {
    /// The row, and the JSON path of the value of the column `name`.
    fn describe(self, name: &str) -> String {
        match self {
            Self::Split(row, position) => {
                format!("row {row} at $.dataframe_split.data[{row}][{position}]")
            }
            Self::Record(key, row) => format!("row {row} at $.{key}[{row}]{}", member(name)),
            Self::Column(key, row) => format!("row {row} at $.{key}{}[{row}]", member(name)),
            Self::Field(key, row, position) => format!("row {row} at $.{key}[{row}][{position}]"),
            Self::Item(key, row) => format!("row {row} at $.{key}[{row}]"),
            Self::Value(key) => format!("row 0 at $.{key}"),
            Self::Row(row) => format!("row {row}"),
        }
    }
}

/// MLflow's sentence for inputs that are not there. Names in the payload are told by their number.
pub(crate) fn missing_inputs(missing: &[&str], extra: usize) -> String {
    let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
    let names = names.join(", ");
    match extra {
        0 => format!("Model is missing inputs [{names}]."),
        1 => format!(
            "Model is missing inputs [{names}]. Note that there was 1 extra input; names are case-sensitive."
        ),
        _ => format!(
            "Model is missing inputs [{names}]. Note that there were {extra} extra inputs; names are case-sensitive."
        ),
    }
}

/// A member of an object in a JSON path: `.name`, or `['the name']` (RFC 9535, section 2.5.1).
pub(crate) fn member(name: &str) -> String {
    let mut letters = name.bytes();
    let is_short = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
    if is_short {
        format!(".{name}")
    } else {
        format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

/// A frame that is being filled.
pub(crate) struct Frame<'p> {
    plan: &'p FramePlan,
    /// The columns: the plan's, or as many of its one as the payload has.
    pub(crate) columns: Cow<'p, [Column]>,
    data: Vec<TensorData>,
    widths: Vec<usize>,
    rows: usize,
    /// Columns that are in the payload.
    present: Vec<bool>,
    /// What each column has shown, where that is watched.
    kinds: Vec<Kinds>,
    /// What its values together make of each, once they have been seen.
    whole: Vec<Whole>,
    room: usize,
    /// Payload columns that lead nowhere.
    pub(crate) ignored: usize,
}

impl<'p> Frame<'p> {
    /// An empty frame for a payload of `bytes` bytes.
    pub(crate) fn new(plan: &'p FramePlan, bytes: usize) -> Self {
        Self {
            plan,
            columns: Cow::Borrowed(&plan.columns),
            data: plan
                .targets
                .iter()
                .map(|target| TensorData::with_capacity(target.dtype, 0))
                .collect(),
            widths: plan.targets.iter().map(|target| target.width).collect(),
            rows: 0,
            present: vec![false; plan.columns.len()],
            kinds: if plan.observe || plan.watch {
                vec![0; plan.columns.len()]
            } else {
                Vec::new()
            },
            whole: Vec::new(),
            room: bytes.saturating_mul(ELEMENTS_PER_BYTE).saturating_add(1024),
            ignored: 0,
        }
    }

    /// An empty frame for a payload that was read before: now it is known what the values of each
    /// column are together.
    pub(crate) fn settled(plan: &'p FramePlan, bytes: usize, whole: Vec<Whole>) -> Self {
        let mut frame = Self::new(plan, bytes);
        for (column, whole) in frame.columns.to_mut().iter_mut().zip(&whole) {
            column.rule.whole = *whole;
        }
        frame.whole = whole;
        frame
    }

    /// What the values of each column are together, where that changes what becomes of them: then
    /// the payload is to be read again, into a [`Frame::settled`].
    pub(crate) fn second_look(&self) -> Option<Vec<Whole>> {
        if !self.plan.watch || !self.whole.is_empty() {
            return None;
        }
        let whole = |(column, kinds): (&Column, &Kinds)| match column.list {
            Some(_) => Whole::of_lists(*kinds),
            None => Whole::of_column(*kinds),
        };
        let whole: Vec<Whole> = self.columns.iter().zip(&self.kinds).map(whole).collect();
        let differs = |(column, whole): (&Column, &Whole)| column.rule.whole != *whole;
        self.columns
            .iter()
            .zip(&whole)
            .any(differs)
            .then_some(whole)
    }

    /// Rows so far.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The plan that it follows.
    pub(crate) const fn plan(&self) -> &'p FramePlan {
        self.plan
    }

    /// In an open frame, the payload has this many columns. Keeps the rows that are there.
    pub(crate) fn set_width(&mut self, width: usize) -> Result<(), DecodeError> {
        let Some(first) = self.plan.columns.first() else {
            return Ok(());
        };
        let old = self.widths.first().copied().unwrap_or_default();
        if self.rows > 0 && width > old {
            self.widen(old, width)?;
        }
        let column = |offset| {
            let mut column = Column {
                offset,
                name: offset.to_string().into(),
                ..first.clone()
            };
            column.rule.whole = self.whole.get(offset).copied().unwrap_or_default();
            column
        };
        self.columns = Cow::Owned((0..width).map(column).collect());
        self.widths = vec![width];
        self.present.resize(width, false);
        if self.plan.observe {
            // A column that shows up after rows is missing in those.
            self.kinds
                .resize(width, if self.rows > 0 { ABSENT } else { 0 });
        }
        Ok(())
    }

    /// Where the columns of a payload lead, by their names or by their positions; `None` is ignored.
    /// Marks those that are known.
    pub(crate) fn lay_out(
        &mut self,
        names: &[Cow<'_, str>],
    ) -> Result<Vec<Option<usize>>, DecodeError> {
        if self.plan.open {
            self.set_width(names.len())?;
        }
        let known = self.columns.len();
        let leads = |(position, name): (usize, &Cow<'_, str>)| {
            // Most payloads have the signature's order: then there is nothing to look up.
            let in_place = self
                .columns
                .get(position)
                .is_some_and(|column| *column.name == **name);
            if in_place || self.plan.positional {
                return (position < known).then_some(position);
            }
            self.plan.names.get(&**name).copied()
        };
        let order: Vec<Option<usize>> = names.iter().enumerate().map(leads).collect();
        for column in order.iter().flatten() {
            if std::mem::replace(&mut self.present[*column], true) {
                let name = &self.columns[*column].name;
                return Err(DecodeError::malformed(format!(
                    "column `{name}` is there twice"
                )));
            }
        }
        self.ignored = order.iter().filter(|column| column.is_none()).count();
        if self.ignored > 0 && !self.plan.extra {
            let width = names.len();
            return Err(DecodeError::schema(format!(
                "the data has {width} columns, expected {known}"
            )));
        }
        Ok(order)
    }

    /// Rows get more columns, which are missing in all of them.
    fn widen(&mut self, old: usize, new: usize) -> Result<(), DecodeError> {
        self.claim(self.rows.saturating_mul(new))?;
        let rows = self.rows;
        for data in &mut self.data {
            let widened = match data {
                // pandas' `NaN`, as MLflow's wrapper hands it to the engine.
                TensorData::Str(texts) if self.plan.observe => {
                    widen_with(texts, rows, old, new, &"nan".to_owned());
                    true
                }
                data => with_data!(data, values => widened(values, rows, old, new)),
            };
            if !widened {
                return Err(DecodeError::malformed(
                    "records differ in their columns, and the model's input has no missing value",
                ));
            }
        }
        Ok(())
    }

    fn claim(&self, elements: usize) -> Result<(), DecodeError> {
        if elements > self.room {
            return Err(DecodeError::malformed(
                "the payload is too sparse for its size: most values are missing",
            ));
        }
        Ok(())
    }

    /// Adds a row, to be filled by [`Frame::set`].
    pub(crate) fn add_row(&mut self) -> Result<(), DecodeError> {
        for (data, width) in self.data.iter_mut().zip(&self.widths) {
            data.resize(data.len() + width);
        }
        self.rows += 1;
        let width: usize = self.widths.iter().sum();
        self.claim(self.rows.saturating_mul(width))
    }

    /// Puts a scalar into a cell.
    #[inline]
    pub(crate) fn set(
        &mut self,
        row: usize,
        column: usize,
        cell: Cell<'_>,
    ) -> Result<(), CellError> {
        if let Some(kinds) = self.kinds.get_mut(column) {
            *kinds |= kind_of(&cell);
        }
        let Column {
            rule,
            tensor,
            offset,
            list,
            ..
        } = self.columns[column];
        let Some(data) = self.data.get_mut(tensor) else {
            return Ok(());
        };
        if let Some(length) = list {
            return Err(CellError::Length(length));
        }
        let at = row * self.widths[tensor] + offset;
        with_data!(data, values => {
            values[at] = convert(cell, rule)?;
        });
        Ok(())
    }

    /// Puts one value of a list into a cell.
    pub(crate) fn set_item(
        &mut self,
        row: usize,
        column: usize,
        item: usize,
        cell: Cell<'_>,
    ) -> Result<(), CellError> {
        if let Some(kinds) = self.kinds.get_mut(column) {
            *kinds |= kind_of(&cell);
        }
        let Column {
            rule, tensor, list, ..
        } = self.columns[column];
        let length = list.unwrap_or(1);
        let Some(data) = self.data.get_mut(tensor).filter(|_| item < length) else {
            return Err(CellError::Length(length));
        };
        let at = row * self.widths[tensor] + item;
        with_data!(data, values => {
            values[at] = convert(cell, rule)?;
        });
        Ok(())
    }

    /// The list length that a cell of a column must have, for columns whose cells are lists.
    pub(crate) fn list_length(&self, column: usize) -> Option<usize> {
        self.columns[column].list
    }

    /// The length of a list that stands in a cell, where one may: a tensor of one value a row takes
    /// it bare, too.
    pub(crate) fn accepted_list(&self, column: usize) -> Option<usize> {
        let bare = self.plan.tensor_answer && !self.plan.positional;
        self.columns[column].list.or_else(|| bare.then_some(1))
    }

    /// How the values of a column are converted.
    pub(crate) fn rule(&self, column: usize) -> Rule {
        self.columns[column].rule
    }

    /// Marks a column as part of the payload.
    pub(crate) fn mark(&mut self, column: usize) {
        self.present[column] = true;
    }

    /// Whether a column is part of the payload.
    pub(crate) fn is_present(&self, column: usize) -> bool {
        self.present[column]
    }

    /// A row of the payload has no value for a column that other rows have.
    ///
    /// pandas makes it `NaN`, whatever the others are. In `instances`, MLflow counts the values of
    /// each column; in `inputs`, only doubles and text bear a `NaN` among them.
    pub(crate) fn set_absent(
        &mut self,
        row: usize,
        column: usize,
        format: &str,
    ) -> Result<(), DecodeError> {
        let entry = &self.columns[column];
        let lossless = entry.rule.casts == Casts::Lossless;
        let bears = matches!(
            entry.rule.declared,
            Declared::Type(DType::F64 | DType::Str) | Declared::Nothing
        );
        if lossless && entry.required
            || (entry.rule.casts == Casts::NumpyArray && format == "inputs" && !bears)
        {
            let message = format!("row {row} has no value for column `{}`", entry.name);
            return Err(DecodeError::schema(message));
        }
        if entry.rule.casts == Casts::NumpyArray && format == "instances" && entry.required {
            return Err(DecodeError::malformed(
                "The length of values for each input/column name are not the same",
            ));
        }
        // A row that is too short is filled with `None`.
        let missing = if lossless || format == "dataframe_split" {
            Cell::Null
        } else {
            Cell::Number(Number::Float(f64::NAN))
        };
        self.set(row, column, missing)
            .map_err(|error| self.cell_error(column, Place::Row(row), &error))
    }

    /// The buffer of the one tensor, and the rows so far, for a reader that fills whole rows.
    pub(crate) fn plain_buffer(&mut self) -> Option<(&mut TensorData, &mut usize)> {
        self.data.first_mut().map(|data| (data, &mut self.rows))
    }

    /// Where MLflow's casts are asked for, bytes are not decoded: so it is in CSV.
    pub(crate) fn take_bytes_as_text(&mut self) {
        let is_raw =
            |rule: Rule| rule.casts != Casts::Lossless && rule.declared == Declared::Binary;
        if self.columns.iter().any(|column| is_raw(column.rule)) {
            let columns = self.columns.to_mut().iter_mut();
            for column in columns.filter(|column| is_raw(column.rule)) {
                column.rule.declared = Declared::Type(DType::Str);
            }
        }
    }

    /// The type of the tensor that a column goes to.
    pub(crate) fn target(&self, column: usize) -> DType {
        let tensor = self.columns[column].tensor;
        self.data.get(tensor).map_or(DType::F64, TensorData::dtype)
    }

    /// An error at a value of a list in a cell.
    #[cold]
    pub(crate) fn item_error(
        &self,
        column: usize,
        place: Place<'_>,
        item: usize,
        error: &CellError,
    ) -> DecodeError {
        match error {
            CellError::Length(_) => self.cell_error(column, place, error),
            _ => self.error_at(column, place, &format!("[{item}]"), error),
        }
    }

    /// An error at a cell, with the place where the payload has it.
    #[cold]
    pub(crate) fn cell_error(
        &self,
        column: usize,
        place: Place<'_>,
        error: &CellError,
    ) -> DecodeError {
        self.error_at(column, place, "", error)
    }

    fn error_at(
        &self,
        column: usize,
        place: Place<'_>,
        inside: &str,
        error: &CellError,
    ) -> DecodeError {
        // A model that takes no frame at all has no use for a better value.
        if let Some(reason) = &self.plan.rejection {
            return DecodeError::model(reason.clone());
        }
        let name = self.columns.get(column).map_or("?", |column| &column.name);
        let place = place.describe(name) + inside;
        let message = format!("{place}, column `{name}`: the value is {error}");
        match error {
            CellError::Length(_) => DecodeError::schema(message),
            _ => DecodeError::malformed(message),
        }
    }

    /// The tensors, once every row is in.
    pub(crate) fn finish(mut self) -> Result<Decoded, DecodeError> {
        self.check_present()?;
        if let Some(reason) = &self.plan.rejection {
            return Err(DecodeError::model(reason.clone()));
        }
        if self.plan.observe {
            self.check_kinds()?;
        }
        let mut inputs = Vec::with_capacity(self.data.len());
        for ((data, target), width) in self
            .data
            .into_iter()
            .zip(&self.plan.targets)
            .zip(&self.widths)
        {
            let mut shape = Vec::with_capacity(1 + target.tail.len());
            shape.push(self.rows);
            if self.plan.open {
                shape.push(*width);
            } else {
                shape.extend_from_slice(&target.tail);
            }
            inputs.push(Tensor { shape, data });
        }
        let answer = if self.plan.tensor_answer {
            AnswerShape::Tensors
        } else {
            AnswerShape::Records
        };
        Ok(Decoded {
            batch: Batch {
                inputs,
                rows: self.rows,
            },
            answer,
            ignored: self.ignored,
            outputs: None,
        })
    }

    /// Columns that the payload does not have: an error if required, else filled.
    fn check_present(&mut self) -> Result<(), DecodeError> {
        if self.present.iter().all(|present| *present) {
            return Ok(());
        }
        let absent: Vec<usize> = (0..self.columns.len())
            .filter(|column| !self.present[*column])
            .collect();
        let required: Vec<&str> = absent
            .iter()
            .map(|column| &self.columns[*column])
            .filter(|column| column.required)
            .map(|column| &*column.name)
            .collect();
        if !required.is_empty() {
            let message = missing_inputs(&required, self.ignored);
            return Err(if self.plan.observe {
                DecodeError::model(message)
            } else {
                DecodeError::schema(message)
            });
        }
        for column in absent {
            self.fill_column(column)?;
        }
        Ok(())
    }

    /// An optional column that is absent: missing values, where the engine's type has one.
    fn fill_column(&mut self, column: usize) -> Result<(), DecodeError> {
        let entry = &self.columns[column];
        let Some(data) = self.data.get_mut(entry.tensor) else {
            return Ok(());
        };
        let name = &entry.name;
        if entry.rule.casts != Casts::Lossless {
            return Err(DecodeError::model(format!(
                "the optional column `{name}` is absent, and the model needs it"
            )));
        }
        let (width, offset) = (self.widths[entry.tensor], entry.offset);
        let rows = self.rows;
        if with_data!(data, values => fill(values, rows, width, offset)) {
            return Ok(());
        }
        Err(DecodeError::schema(format!(
            "the optional column `{name}` is absent, and the model's input has no missing value"
        )))
    }

    /// What numpy would infer, against what the engine takes.
    fn check_kinds(&self) -> Result<(), DecodeError> {
        if self.columns.is_empty() {
            return Err(DecodeError::model("the data has no columns"));
        }
        for (tensor, target) in self.plan.targets.iter().enumerate() {
            let columns = self
                .columns
                .iter()
                .zip(&self.kinds)
                .filter(|(column, _)| column.tensor == tensor);
            let mut types = columns.map(|(_, kinds)| column_type(*kinds));
            let first = types.next().flatten();
            let common = types
                .try_fold(first, |common, kind| {
                    Some(
                        common
                            .zip(kind)
                            .and_then(|(left, right)| promote(left, right)),
                    )
                })
                .flatten();
            if !accepts(common, target.dtype) {
                return Err(inferred_error(common, target.dtype));
            }
        }
        Ok(())
    }
}

/// Gives `rows` rows of `old` elements `new` of them, the others missing; `false` where the type has
/// no missing value.
fn widened<E: Element>(values: &mut Vec<E>, rows: usize, old: usize, new: usize) -> bool {
    let Some(missing) = E::missing() else {
        return false;
    };
    widen_with(values, rows, old, new, &missing);
    true
}

fn widen_with<E: Clone>(values: &mut Vec<E>, rows: usize, old: usize, new: usize, missing: &E) {
    let mut wide = Vec::with_capacity(rows * new);
    for row in 0..rows {
        wide.extend_from_slice(&values[row * old..(row + 1) * old]);
        wide.resize((row + 1) * new, missing.clone());
    }
    *values = wide;
}

/// Makes one element of each row missing; `false` where the type has no missing value.
fn fill<E: Element>(values: &mut [E], rows: usize, width: usize, offset: usize) -> bool {
    let Some(missing) = E::missing() else {
        return rows == 0;
    };
    for row in 0..rows {
        values[row * width + offset] = missing.clone();
    }
    true
}

/// Whether text in a column is to stay text, whatever it looks like.
pub(crate) fn takes_text(rule: Rule, target: Option<DType>) -> bool {
    match rule.declared {
        Declared::Type(declared) => declared == DType::Str,
        Declared::Binary => true,
        Declared::Nothing => target == Some(DType::Str),
    }
}
