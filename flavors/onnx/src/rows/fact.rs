//! What is known of a tensor in a graph: [`Fact`].

use super::extent::{Extent, Item};
use super::{Mixing, mixing};

/// What is known of a tensor.
///
/// A tensor without a dimension of rows is the same for every batch, but for items that count rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fact {
    /// Its shape; `None` where not even its rank is known, which only a tensor without rows may be.
    pub shape: Option<Vec<Extent>>,
    /// Its elements, for a small tensor of integers of at most one dimension.
    pub items: Option<Vec<Item>>,
}

impl Fact {
    /// A tensor of this shape.
    pub fn shaped(shape: Vec<Extent>) -> Result<Self, Mixing> {
        if shape.iter().filter(|extent| extent.rows).count() > 1 {
            return Err(mixing("rows meet rows"));
        }
        Ok(Self {
            shape: Some(shape),
            items: None,
        })
    }

    /// A tensor that is the same for every batch, whatever its rank.
    pub const fn same() -> Self {
        Self {
            shape: None,
            items: None,
        }
    }

    /// A list of small integers.
    pub fn list(items: Vec<Item>) -> Self {
        Self {
            shape: Some(vec![Extent::fixed(items.len() as u64)]),
            items: Some(items),
        }
    }

    /// A single small integer.
    pub fn scalar(item: Item) -> Self {
        Self {
            shape: Some(Vec::new()),
            items: Some(vec![item]),
        }
    }

    /// The dimension that is the rows, or a multiple of them.
    pub fn row_axis(&self) -> Option<usize> {
        self.shape.as_ref()?.iter().position(|extent| extent.rows)
    }

    /// Whether nothing of it depends on the batch.
    pub fn is_same(&self) -> bool {
        self.row_axis().is_none() && !self.counts_rows()
    }

    /// Whether an element depends on the number of rows.
    pub fn counts_rows(&self) -> bool {
        self.items.iter().flatten().any(Item::counts_rows)
    }

    /// The shape.
    pub fn dims(&self) -> Result<&[Extent], Mixing> {
        self.shape
            .as_deref()
            .ok_or_else(|| mixing("the rank of an input is not known"))
    }

    /// The elements as known numbers.
    pub fn numbers(&self) -> Option<Vec<i64>> {
        self.items.as_ref()?.iter().map(Item::known).collect()
    }

    /// A single known number.
    pub fn number(&self) -> Option<i64> {
        match self.numbers()?.as_slice() {
            [number] => Some(*number),
            _ => None,
        }
    }
}

/// An axis from the front; `None` where there is none such.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let front = if axis < 0 { axis + rank } else { axis };
    (0..rank).contains(&front).then_some(front as usize)
}

/// The same, as an error.
pub(super) fn axis_of(found: i64, rank: usize) -> Result<usize, Mixing> {
    axis(found, rank).ok_or_else(|| mixing("an axis is out of range"))
}

/// The shape of tensors that are stretched to each other, as operators on elements do it.
pub(super) fn stretched(left: &[Extent], right: &[Extent]) -> Result<Vec<Extent>, Mixing> {
    let rank = left.len().max(right.len());
    let one = Extent::fixed(1);
    let at = |shape: &[Extent], place: usize| {
        let lead = rank - shape.len();
        place
            .checked_sub(lead)
            .map_or_else(|| one.clone(), |place| shape[place].clone())
    };
    (0..rank)
        .map(|place| together(&at(left, place), &at(right, place)))
        .collect()
}

fn together(left: &Extent, right: &Extent) -> Result<Extent, Mixing> {
    if left == right || right.is_one() {
        return Ok(left.clone());
    }
    if left.is_one() {
        return Ok(right.clone());
    }
    if left.rows || right.rows {
        return Err(mixing("rows meet a dimension that is not of the rows"));
    }
    // A length that is known wins over one that may be 1.
    Ok(if right.known().is_some() {
        right.clone()
    } else {
        left.clone()
    })
}
