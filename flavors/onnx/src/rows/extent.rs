//! Lengths of dimensions as products: [`Extent`], and the small integers that shapes are made of:
//! [`Item`].
//!
//! The number of rows of a batch is one unknown among others, but the one that matters: two lengths
//! are equal only if they are equal for every number of rows.

use super::{Mixing, mixing};

/// A length: `factor`, times the number of rows or not, times other unknown lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub factor: u64,
    pub rows: bool,
    /// Numbers of unknown lengths, sorted; twice is squared.
    symbols: Vec<u32>,
}

impl Extent {
    pub const fn fixed(factor: u64) -> Self {
        Self {
            factor,
            rows: false,
            symbols: Vec::new(),
        }
    }

    pub const fn rows() -> Self {
        Self {
            factor: 1,
            rows: true,
            symbols: Vec::new(),
        }
    }

    pub fn symbol(number: u32) -> Self {
        Self {
            factor: 1,
            rows: false,
            symbols: vec![number],
        }
    }

    pub fn is_one(&self) -> bool {
        *self == Self::fixed(1)
    }

    /// The length, where it is the same for every batch and known.
    pub fn known(&self) -> Option<u64> {
        (!self.rows && self.symbols.is_empty()).then_some(self.factor)
    }

    /// The product; two numbers of rows mix them.
    pub fn times(&self, other: &Self) -> Result<Self, Mixing> {
        if self.rows && other.rows {
            return Err(mixing("rows meet rows"));
        }
        let mut symbols = [self.symbols.as_slice(), &other.symbols].concat();
        symbols.sort_unstable();
        let factor = self.factor.checked_mul(other.factor);
        Ok(Self {
            factor: factor.ok_or_else(|| mixing("a length is beyond all measure"))?,
            rows: self.rows || other.rows,
            symbols,
        })
    }

    /// The quotient, where it is whole for every batch.
    pub fn over(&self, other: &Self) -> Option<Self> {
        if other.factor == 0
            || !self.factor.is_multiple_of(other.factor)
            || (other.rows && !self.rows)
        {
            return None;
        }
        let mut symbols = self.symbols.clone();
        for symbol in &other.symbols {
            let place = symbols.iter().position(|each| each == symbol)?;
            symbols.remove(place);
        }
        Some(Self {
            factor: self.factor / other.factor,
            rows: self.rows && !other.rows,
            symbols,
        })
    }
}

/// The product of lengths.
pub(super) fn product<'e>(extents: impl IntoIterator<Item = &'e Extent>) -> Result<Extent, Mixing> {
    extents
        .into_iter()
        .try_fold(Extent::fixed(1), |product, extent| product.times(extent))
}

/// An element of a small tensor of integers, which may say a shape, axes or indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// This number.
    Known(i64),
    /// The length of a dimension.
    Length(Extent),
    /// Some number, the same for every batch.
    Same,
}

impl Item {
    pub fn of(extent: Extent) -> Self {
        match extent.known().and_then(|length| i64::try_from(length).ok()) {
            Some(length) => Self::Known(length),
            None => Self::Length(extent),
        }
    }

    /// Whether it depends on the number of rows.
    pub const fn counts_rows(&self) -> bool {
        matches!(self, Self::Length(Extent { rows: true, .. }))
    }

    pub const fn known(&self) -> Option<i64> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Length(_) | Self::Same => None,
        }
    }

    /// As a length; `None` for one that is not known to be one.
    pub fn length(&self) -> Option<Extent> {
        match self {
            Self::Known(value) => u64::try_from(*value).ok().map(Extent::fixed),
            Self::Length(extent) => Some(extent.clone()),
            Self::Same => None,
        }
    }

    fn otherwise(&self, other: &Self) -> Result<Self, Mixing> {
        if self.counts_rows() || other.counts_rows() {
            return Err(mixing("a value depends on the number of rows"));
        }
        Ok(Self::Same)
    }

    pub fn plus(&self, other: &Self) -> Result<Self, Mixing> {
        match (self, other) {
            (Self::Known(left), Self::Known(right)) => {
                Ok(left.checked_add(*right).map_or(Self::Same, Self::Known))
            }
            (Self::Known(0), other) | (other, Self::Known(0)) => Ok(other.clone()),
            _ => self.otherwise(other),
        }
    }

    pub fn minus(&self, other: &Self) -> Result<Self, Mixing> {
        match (self, other) {
            (Self::Known(left), Self::Known(right)) => {
                Ok(left.checked_sub(*right).map_or(Self::Same, Self::Known))
            }
            (_, Self::Known(0)) => Ok(self.clone()),
            _ => self.otherwise(other),
        }
    }

    pub fn times(&self, other: &Self) -> Result<Self, Mixing> {
        if let (Self::Known(left), Self::Known(right)) = (self, other) {
            return Ok(left.checked_mul(*right).map_or(Self::Same, Self::Known));
        }
        match (self.length(), other.length()) {
            (Some(left), Some(right)) => Ok(Self::of(left.times(&right)?)),
            _ => self.otherwise(other),
        }
    }

    pub fn over(&self, other: &Self) -> Result<Self, Mixing> {
        let quotient = match (self.length(), other.length()) {
            (Some(left), Some(right)) => left.over(&right),
            _ => None,
        };
        quotient.map_or_else(|| self.otherwise(other), |quotient| Ok(Self::of(quotient)))
    }

    /// 1 where they are equal, 0 where they are not. Lengths are not negative.
    pub fn equals(&self, other: &Self) -> Result<Self, Mixing> {
        match (self, other) {
            (Self::Known(left), Self::Known(right)) => Ok(Self::Known(i64::from(left == right))),
            (Self::Known(negative), Self::Length(_)) | (Self::Length(_), Self::Known(negative))
                if *negative < 0 =>
            {
                Ok(Self::Known(0))
            }
            (Self::Length(left), Self::Length(right)) if left == right => Ok(Self::Known(1)),
            _ => self.otherwise(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_products() {
        let rows_of_three = Extent::rows().times(&Extent::fixed(3)).unwrap();
        let symbol = Extent::symbol(1);
        let both = rows_of_three.times(&symbol).unwrap();
        assert_eq!(
            both.over(&Extent::rows()).unwrap(),
            symbol.times(&Extent::fixed(3)).unwrap()
        );
        assert_eq!(both.over(&Extent::fixed(2)), None);
        assert_eq!(both.over(&Extent::symbol(2)), None);
        assert_eq!(symbol.over(&Extent::rows()), None);
        assert!(rows_of_three.times(&Extent::rows()).is_err());
    }

    #[test]
    fn values_that_count_rows_are_followed_or_refused() {
        let rows = Item::of(Extent::rows());
        assert_eq!(
            rows.times(&Item::Known(4))
                .unwrap()
                .over(&Item::Known(4))
                .unwrap(),
            rows
        );
        assert_eq!(rows.plus(&Item::Known(0)).unwrap(), rows);
        assert_eq!(rows.equals(&Item::Known(-1)).unwrap(), Item::Known(0));
        assert!(rows.plus(&Item::Known(1)).is_err());
        assert!(rows.equals(&Item::Known(1)).is_err());
        assert!(rows.minus(&rows).is_err());
    }
}
