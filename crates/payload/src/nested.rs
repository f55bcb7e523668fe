//! Tensors as nested lists: `inputs` and `instances` where no columns are declared.
//!
//! The first path down to a value fixes the rank, the first list on each level its length; a list
//! that differs is an error with its place. Elements go straight into the engine's type.

use crate::Batch;
use crate::convert::{CellError, Element, Rule, convert, push_float};
use crate::error::DecodeError;
use crate::frame::{member, missing_inputs};
use crate::inferred::{Kinds, accepts, array_type, inferred_error, kind_of};
use crate::json::matrix::Attempts;
use crate::json::scanner::{Cell, Scanner, unescape};
use crate::plan::{AnswerShape, Decoded, TensorPlan, TensorTarget};
use crate::raw;
use crate::tensor::{DType, Tensor, TensorData};
use crate::with_data;

/// How deep lists may nest: more dimensions than any engine takes.
const RANK: usize = 32;

/// Where the payload has a tensor.
#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    /// It is the value of this key.
    Whole(&'a str),
    /// It is a member of the object under this key.
    Member(&'a str),
    /// Each of its rows is a member of an object in the list `instances`.
    Rows,
}

/// A tensor that is being read.
struct Reader<'t> {
    target: &'t TensorTarget,
    origin: Origin<'t>,
    observe: bool,
    data: TensorData,
    /// The length of each level; unknown until its first list ends.
    lengths: Vec<Option<usize>>,
    /// The level of the values, once one has been met.
    rank: Option<usize>,
    kinds: Kinds,
    attempts: Attempts,
    /// Indices of the lists that are open, for messages.
    place: Vec<usize>,
}

impl<'t> Reader<'t> {
    fn new(target: &'t TensorTarget, origin: Origin<'t>, observe: bool) -> Self {
        let data = TensorData::with_capacity(target.dtype, 0);
        Self {
            target,
            origin,
            observe,
            data,
            lengths: Vec::new(),
            rank: None,
            kinds: 0,
            attempts: Attempts::default(),
            place: Vec::new(),
        }
    }

    /// Reads the value that comes next, `level` lists deep.
    fn read(&mut self, level: usize, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        let rule = self.target.rule;
        if scanner.peek() == Some(b'[') {
            return self.read_list(level, scanner);
        }
        if self.rank.is_none() {
            self.rank = Some(level);
        }
        if self.rank != Some(level) {
            return Err(self.ragged());
        }
        let cell = scanner.cell()?;
        self.push(cell, rule)
    }

    fn push(&mut self, cell: Cell<'_>, rule: Rule) -> Result<(), DecodeError> {
        if self.observe {
            self.kinds |= kind_of(&cell);
        }
        let result = with_data!(&mut self.data, values => convert(cell, rule).map(|element| values.push(element)));
        result.map_err(|error| self.error(&error))
    }

    fn read_list(&mut self, level: usize, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
        if self.rank.is_some_and(|rank| level >= rank) {
            return Err(self.ragged());
        }
        if level == RANK {
            return Err(DecodeError::malformed(format!(
                "`{}` has more than {RANK} dimensions",
                self.target.name
            )));
        }
        if self.lengths.len() == level {
            self.lengths.push(None);
        }
        scanner.take(b'[');
        let count = if self.rank == Some(level + 1) {
            self.read_values(scanner)?
        } else {
            self.read_items(level, scanner)?
        };
        match self.lengths[level] {
            None => self.lengths[level] = Some(count),
            Some(length) if length == count => {}
            Some(_) => return Err(self.ragged()),
        }
        Ok(())
    }

    fn read_items(
        &mut self,
        level: usize,
        scanner: &mut Scanner<'_>,
    ) -> Result<usize, DecodeError> {
        let mut count = 0;
        while scanner.item(count == 0)? {
            let rows = self.read_rows(level, scanner);
            if rows > 0 {
                count += rows;
                continue;
            }
            self.place.push(count);
            self.read(level + 1, scanner)?;
            self.place.pop();
            count += 1;
        }
        Ok(count)
    }

    /// Reads innermost lists that are as long as those before, or as declared, as far as they are
    /// plain numbers, and gives how many there were.
    fn read_rows(&mut self, level: usize, scanner: &mut Scanner<'_>) -> usize {
        let rank = level + 2;
        let declared = || match &self.target.shape {
            Some(shape) if shape.len() == rank => shape.last().copied().flatten(),
            _ => None,
        };
        let width = match self.lengths.get(level + 1) {
            Some(length) => *length,
            None => declared(),
        };
        let Some(width) = width else { return 0 };
        if self.rank.is_some_and(|known| known != rank)
            || self.observe
            || !self.target.rule.plain_float
        {
            return 0;
        }
        let rows = with_data!(&mut self.data, values => scanner.number_rows(width, values, &mut self.attempts));
        if rows > 0 && self.rank.is_none() {
            self.rank = Some(rank);
            self.lengths.push(Some(width));
        }
        rows
    }

    /// The innermost lists, where nearly all time goes: one type, one loop.
    fn read_values(&mut self, scanner: &mut Scanner<'_>) -> Result<usize, DecodeError> {
        let rule = self.target.rule;
        let (observe, kinds) = (self.observe, &mut self.kinds);
        let result = with_data!(&mut self.data, values => values_into(values, rule, observe.then_some(kinds), scanner));
        result?.map_err(|(index, fault)| {
            self.place.push(index);
            match fault {
                Some(error) => self.error(&error),
                None => self.ragged(),
            }
        })
    }

    #[cold]
    fn error(&self, error: &CellError) -> DecodeError {
        DecodeError::malformed(format!("{}: the value is {error}", self.path()))
    }

    #[cold]
    fn ragged(&self) -> DecodeError {
        DecodeError::malformed(format!(
            "{}: the list differs in its length or depth from the ones before: setting an array element with a sequence",
            self.path()
        ))
    }

    /// The place of the value in hand, the first index being the row.
    fn path(&self) -> String {
        let indices = |place: &[usize]| {
            place.iter().fold(String::new(), |path, index| {
                path + "[" + &index.to_string() + "]"
            })
        };
        let name = &self.target.name;
        let path = match (self.origin, self.place.split_first()) {
            (Origin::Whole(key), _) => format!("$.{key}{}", indices(&self.place)),
            (Origin::Member(key), _) => {
                format!("$.{key}{}{}", member(name), indices(&self.place))
            }
            (Origin::Rows, Some((row, rest))) => {
                format!("$.instances[{row}]{}{}", member(name), indices(rest))
            }
            (Origin::Rows, None) => "$.instances".to_owned(),
        };
        match self.place.first() {
            Some(row) => format!("row {row} at {path}, input `{name}`"),
            None => format!("at {path}, input `{name}`"),
        }
    }

    /// The tensor, checked against the declared shape.
    fn finish(self) -> Result<Tensor, DecodeError> {
        let shape: Vec<usize> = self
            .lengths
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        check_shape(self.target, &shape)?;
        if self.observe {
            let actual = array_type(self.kinds);
            if !accepts(actual, self.target.dtype) {
                return Err(inferred_error(actual, self.target.dtype));
            }
        }
        Ok(Tensor {
            shape,
            data: self.data,
        })
    }
}

/// What stopped the reading of a list: where, and why; no reason is a list among values.
type ItemFault = (usize, Option<CellError>);

fn values_into<E: Element>(
    values: &mut Vec<E>,
    rule: Rule,
    mut kinds: Option<&mut Kinds>,
    scanner: &mut Scanner<'_>,
) -> Result<Result<usize, ItemFault>, DecodeError> {
    if rule.plain_float && kinds.is_none() {
        let filled = values.len();
        if let Some(count) = scanner.plain_numbers(|value| push_float(values, value)) {
            return Ok(Ok(count));
        }
        values.truncate(filled);
    }
    let mut count = 0;
    while scanner.item(count == 0)? {
        let cell = scanner.cell()?;
        if cell == Cell::List {
            return Ok(Err((count, None)));
        }
        if let Some(kinds) = kinds.as_mut() {
            **kinds |= kind_of(&cell);
        }
        match convert(cell, rule) {
            Ok(element) => values.push(element),
            Err(error) => return Ok(Err((count, Some(error)))),
        }
        count += 1;
    }
    Ok(Ok(count))
}

fn check_shape(target: &TensorTarget, shape: &[usize]) -> Result<(), DecodeError> {
    let Some(expected) = &target.shape else {
        return Ok(());
    };
    let fits = expected.len() == shape.len()
        && expected
            .iter()
            .zip(shape)
            .all(|(expected, actual)| expected.is_none_or(|expected| expected == *actual));
    if fits {
        return Ok(());
    }
    let expected: Vec<String> = expected
        .iter()
        .map(|length| length.map_or("-1".into(), |length| length.to_string()))
        .collect();
    Err(DecodeError::schema(format!(
        "Shape of input {} ({}) does not match expected shape ({}).",
        target.name,
        shape
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        expected.join(", ")
    )))
}

/// Decodes the value of `inputs`, or of `instances` where that is no list of objects.
pub(crate) fn decode_inputs(
    plan: &TensorPlan,
    format: &'static str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    let as_bytes = scanner.peek() == Some(b'{') && is_whole(plan, scanner);
    if scanner.peek() == Some(b'{') && !as_bytes {
        return decode_named(plan, format, scanner);
    }
    let target = match plan.targets.as_slice() {
        [only] => only,
        targets => {
            scanner.skip()?;
            return Err(plan
                .rejection
                .clone()
                .map_or_else(|| one_for_many(plan, targets.len()), DecodeError::model));
        }
    };
    let tensor = read_tensor(target, Origin::Whole(format), plan.observe, scanner)?;
    finish(plan, vec![tensor], 0)
}

/// Whether an object is the one tensor as bytes, rather than tensors by name.
fn is_whole(plan: &TensorPlan, scanner: &Scanner<'_>) -> bool {
    let is_name = |target: &TensorTarget| ["b64", "npy", "dtype", "shape"].contains(&&*target.name);
    raw::is_next(scanner) && matches!(plan.targets.as_slice(), [only] if !is_name(only))
}

/// Reads a tensor: nested lists, or its bytes.
fn read_tensor(
    target: &TensorTarget,
    origin: Origin<'_>,
    observe: bool,
    scanner: &mut Scanner<'_>,
) -> Result<Tensor, DecodeError> {
    if scanner.peek() != Some(b'{') || !raw::is_next(scanner) {
        let mut reader = Reader::new(target, origin, observe);
        reader.read(0, scanner)?;
        return reader.finish();
    }
    let sent = raw::read(scanner, target.rule, target.dtype)?;
    checked(target, sent, observe)
}

/// A tensor that came as bytes, checked as one that came as lists.
fn checked(
    target: &TensorTarget,
    (dtype, tensor): (DType, Tensor),
    observe: bool,
) -> Result<Tensor, DecodeError> {
    check_shape(target, &tensor.shape)?;
    if observe && !accepts(Some(dtype), target.dtype) {
        return Err(inferred_error(Some(dtype), target.dtype));
    }
    Ok(tensor)
}

/// Decodes an `.npy` file: the one tensor that there is.
pub(crate) fn decode_npy(plan: &TensorPlan, file: &[u8]) -> Result<Decoded, DecodeError> {
    let [target] = plan.targets.as_slice() else {
        let message = "an .npy file is one tensor, and the model takes columns or several inputs";
        return Err(plan
            .rejection
            .clone()
            .map_or_else(|| DecodeError::schema(message), DecodeError::model));
    };
    let sent = raw::of_npy(file, target.rule, target.dtype)?;
    finish(plan, vec![checked(target, sent, plan.observe)?], 0)
}

#[cold]
fn one_for_many(plan: &TensorPlan, inputs: usize) -> DecodeError {
    let message = format!("the model takes {inputs} named inputs, and the payload is one list");
    if plan.extra {
        DecodeError::schema(message)
    } else {
        DecodeError::model(message)
    }
}

/// An object of tensors by name; those of `instances` must have as many rows as each other.
fn decode_named(
    plan: &TensorPlan,
    format: &'static str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    if !plan.named && plan.extra {
        scanner.skip()?;
        return Err(DecodeError::malformed(
            "Failed to parse input data. This model contains an un-named model signature which expects a single \
             n-dimensional array or a single value as input, however, an input of type <class 'dict'> was found.",
        ));
    }
    scanner.take(b'{');
    let mut tensors: Vec<Option<Tensor>> = plan.targets.iter().map(|_| None).collect();
    let mut ignored = 0;
    let mut first = true;
    while let Some(raw) = scanner.member(first)? {
        first = false;
        let name = unescape(raw)
            .ok_or_else(|| DecodeError::malformed("a key has an escape that JSON does not know"))?;
        let Some(index) = plan.targets.iter().position(|target| *target.name == *name) else {
            if !plan.extra {
                return Err(DecodeError::model(
                    "the payload names an input that the model does not have",
                ));
            }
            scanner.skip()?;
            ignored += 1;
            continue;
        };
        let target = &plan.targets[index];
        let tensor = read_tensor(target, Origin::Member(format), plan.observe, scanner)?;
        tensors[index] = Some(tensor);
    }
    let tensors = complete(plan, tensors, ignored)?;
    if format == "instances" {
        let rows: Vec<Option<usize>> = tensors
            .iter()
            .map(|tensor| tensor.shape.first().copied())
            .collect();
        if rows.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(DecodeError::malformed(
                "The length of values for each input/column name are not the same",
            ));
        }
    }
    finish(plan, tensors, ignored)
}

/// Every input must be there.
fn complete(
    plan: &TensorPlan,
    tensors: Vec<Option<Tensor>>,
    ignored: usize,
) -> Result<Vec<Tensor>, DecodeError> {
    let absent: Vec<&str> = plan
        .targets
        .iter()
        .zip(&tensors)
        .filter(|(_, tensor)| tensor.is_none())
        .map(|(target, _)| &*target.name)
        .collect();
    if absent.is_empty() {
        return Ok(tensors.into_iter().flatten().collect());
    }
    let message = missing_inputs(&absent, ignored);
    Err(if plan.extra {
        DecodeError::schema(message)
    } else {
        DecodeError::model(message)
    })
}

/// Decodes the value of `instances`: a list of objects is one row each; anything else is as `inputs`.
pub(crate) fn decode_instances(
    plan: &TensorPlan,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    let mut ahead = scanner.clone();
    if !(ahead.take(b'[') && ahead.peek() == Some(b'{')) {
        return decode_inputs(plan, "instances", scanner);
    }
    if !plan.named && plan.extra {
        scanner.skip()?;
        return Err(DecodeError::schema(
            "the signature has one unnamed tensor, and the payload names columns",
        ));
    }
    scanner.take(b'[');
    let mut readers: Vec<Reader<'_>> = plan
        .targets
        .iter()
        .map(|target| Reader::new(target, Origin::Rows, plan.observe))
        .collect();
    for reader in &mut readers {
        reader.lengths.push(None);
    }
    let mut counts = vec![0usize; readers.len()];
    let mut ignored = 0;
    let mut row = 0;
    while scanner.item(row == 0)? {
        if !scanner.take(b'{') {
            return Err(DecodeError::malformed(format!(
                "row {row} at $.instances[{row}] must be an object"
            )));
        }
        let mut first = true;
        while let Some(raw) = scanner.member(first)? {
            first = false;
            let name = unescape(raw).ok_or_else(|| {
                DecodeError::malformed("a key has an escape that JSON does not know")
            })?;
            let Some(index) = plan.targets.iter().position(|target| *target.name == *name) else {
                if !plan.extra {
                    return Err(DecodeError::model(
                        "the payload names an input that the model does not have",
                    ));
                }
                scanner.skip()?;
                ignored += usize::from(row == 0);
                continue;
            };
            let reader = &mut readers[index];
            reader.place.push(row);
            reader.read(1, scanner)?;
            reader.place.clear();
            counts[index] += 1;
        }
        row += 1;
    }
    let mut tensors = Vec::with_capacity(readers.len());
    for (mut reader, count) in readers.into_iter().zip(counts) {
        if count != row && count != 0 {
            return Err(DecodeError::malformed(
                "The length of values for each input/column name are not the same",
            ));
        }
        reader.lengths[0] = Some(row);
        tensors.push(if count == 0 {
            None
        } else {
            Some(reader.finish()?)
        });
    }
    let tensors = complete(plan, tensors, ignored)?;
    finish(plan, tensors, ignored)
}

fn finish(plan: &TensorPlan, inputs: Vec<Tensor>, ignored: usize) -> Result<Decoded, DecodeError> {
    if let Some(reason) = &plan.rejection {
        return Err(DecodeError::model(reason.clone()));
    }
    let rows = shared_rows(&inputs);
    Ok(Decoded {
        batch: Batch { inputs, rows },
        answer: AnswerShape::Tensors,
        ignored,
        outputs: None,
    })
}

/// The leading dimension that all tensors share, or 1.
fn shared_rows(inputs: &[Tensor]) -> usize {
    let mut leading = inputs.iter().map(|tensor| tensor.shape.first().copied());
    let Some(Some(first)) = leading.next() else {
        return 1;
    };
    if leading.all(|other| other == Some(first)) {
        first
    } else {
        1
    }
}
