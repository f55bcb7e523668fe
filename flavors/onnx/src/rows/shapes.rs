//! Operators that make shapes, and tensors of a shape.

use super::extent::{Extent, Item, product};
use super::fact::{Fact, axis_of, stretched};
use super::{Mixing, Step, constant, mixing};

impl Step<'_> {
    pub(super) fn shapes(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Constant" => Ok(vec![self.constant()]),
            "Shape" => self.shape(),
            "Size" => self.size(),
            "ConstantOfShape" => self.filled(),
            "Range" => self.range(),
            "Expand" => self.expand(),
            "Tile" => self.tile(),
            _ => return None,
        })
    }

    fn constant(&self) -> Fact {
        if let Some(tensor) = self
            .node
            .attribute("value")
            .and_then(|value| value.t.as_ref())
        {
            return constant(tensor);
        }
        if let Some(number) = self.node.attribute("value_int") {
            return Fact::scalar(Item::Known(number.i));
        }
        if let Some(numbers) = self.node.integers("value_ints") {
            return Fact::list(numbers.iter().copied().map(Item::Known).collect());
        }
        let scalar = ["value_float", "value_string"];
        if scalar
            .iter()
            .any(|name| self.node.attribute(name).is_some())
        {
            return Fact::scalar(Item::Same);
        }
        Fact::same()
    }

    fn shape(&self) -> Result<Vec<Fact>, Mixing> {
        let dims = self.input(0)?.dims()?;
        let rank = dims.len() as i64;
        let bound = |name: &str, otherwise: i64| {
            let place = self.node.integer(name, otherwise);
            let place = if place < 0 { place + rank } else { place };
            place.clamp(0, rank) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", rank));
        let part = dims.get(start..end.max(start)).unwrap_or_default();
        Ok(vec![Fact::list(
            part.iter().cloned().map(Item::of).collect(),
        )])
    }

    fn size(&self) -> Result<Vec<Fact>, Mixing> {
        let count = product(self.input(0)?.dims()?)?;
        Ok(vec![Fact::scalar(Item::of(count))])
    }

    /// The lengths that an input says.
    fn lengths(&mut self, place: usize) -> Result<Vec<Extent>, Mixing> {
        let items = self.input(place)?.items.clone();
        let items = items.ok_or_else(|| mixing("a shape is not known"))?;
        Ok(items
            .iter()
            .map(|item| item.length().unwrap_or_else(|| self.fresh()))
            .collect())
    }

    fn filled(&mut self) -> Result<Vec<Fact>, Mixing> {
        let value = self
            .node
            .attribute("value")
            .and_then(|value| value.t.as_ref());
        let value = value.map_or(Item::Known(0), |value| match constant(value).number() {
            Some(number) => Item::Known(number),
            None => Item::Same,
        });
        let shape = self.lengths(0)?;
        let items = match shape.as_slice() {
            [] => Some(vec![value]),
            [length] => length
                .known()
                .filter(|length| *length <= 64)
                .map(|length| vec![value; length as usize]),
            _ => None,
        };
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact { items, ..fact }])
    }

    fn range(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(0)?;
        let [start, limit, step] =
            [0, 1, 2].map(|place| self.given(place).and_then(|fact| fact.items.clone()));
        let plain = start == Some(vec![Item::Known(0)]) && step == Some(vec![Item::Known(1)]);
        let length = limit
            .filter(|_| plain)
            .and_then(|limit| limit.first()?.length());
        let length = length.unwrap_or_else(|| self.fresh());
        Ok(vec![Fact::shaped(vec![length])?])
    }

    fn expand(&mut self) -> Result<Vec<Fact>, Mixing> {
        let target = self.lengths(1)?;
        let first = self.input(0)?;
        if first.counts_rows() {
            return Err(mixing("a value depends on the number of rows"));
        }
        Ok(vec![Fact::shaped(stretched(first.dims()?, &target)?)?])
    }

    /// Repeats: rows may not be repeated, since they would stand in another order.
    fn tile(&mut self) -> Result<Vec<Fact>, Mixing> {
        let repeats = self.lengths(1)?;
        let first = self.input(0)?;
        if first.counts_rows() || self.opset < 6 {
            return Err(mixing("a value depends on the number of rows"));
        }
        let dims = first.dims()?;
        if dims.len() != repeats.len() {
            return Err(mixing(
                "a tensor is repeated along other dimensions than it has",
            ));
        }
        let mut shape = Vec::with_capacity(dims.len());
        for (length, repeat) in dims.iter().zip(&repeats) {
            if (length.rows && !repeat.is_one()) || (repeat.rows && !length.is_one()) {
                return Err(mixing("rows are repeated"));
            }
            shape.push(length.times(repeat)?);
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    /// The axes of an operator, from the front; all where none are said.
    pub(super) fn axes(&self, place: usize, rank: usize) -> Result<Option<Vec<usize>>, Mixing> {
        let Some(axes) = self.integers("axes", place)? else {
            return Ok(None);
        };
        axes.iter()
            .map(|axis| axis_of(*axis, rank))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}
