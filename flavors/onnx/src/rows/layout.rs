//! Operators that put the same elements into another shape or order.

use super::extent::{Extent, Item, product};
use super::fact::{Fact, axis_of};
use super::{Mixing, Step, mixing};

impl Step<'_> {
    pub(super) fn layout(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Reshape" => self.reshape(),
            "Flatten" => self.flatten(),
            "Transpose" => self.transpose(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Concat" => self.concat(),
            "Split" => self.split(),
            _ => return None,
        })
    }

    fn reshape(&mut self) -> Result<Vec<Fact>, Mixing> {
        let target = match self.node.integers("shape") {
            Some(numbers) => numbers.iter().copied().map(Item::Known).collect(),
            None => self
                .input(1)?
                .items
                .clone()
                .ok_or_else(|| mixing("a shape is not known"))?,
        };
        let first = self.input(0)?.clone();
        let from = first.dims()?.to_vec();
        let copies = self.node.integer("allowzero", 0) == 0;
        let mut shape = Vec::with_capacity(target.len());
        let mut rest = None;
        for (place, item) in target.iter().enumerate() {
            shape.push(match item {
                Item::Known(0) if copies => from
                    .get(place)
                    .cloned()
                    .ok_or_else(|| mixing("a shape has no such dimension"))?,
                Item::Known(-1) if rest.is_none() => {
                    rest = Some(place);
                    Extent::fixed(1)
                }
                item => item.length().unwrap_or_else(|| self.fresh()),
            });
        }
        if let Some(place) = rest {
            shape[place] = self.left_over(&product(&from)?, &product(&shape)?)?;
        }
        let items = first
            .items
            .filter(|items| shape.len() <= 1 && (shape.len() == 1 || items.len() == 1));
        if items.is_none() {
            self.counts_nothing_but(1)?;
        }
        let fact = reshaped(&from, shape)?;
        Ok(vec![Fact { items, ..fact }])
    }

    /// As [`Step::counts_nothing`], but for the input at `place`, which says a shape.
    fn counts_nothing_but(&self, place: usize) -> Result<(), Mixing> {
        let others = self
            .inputs
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != place);
        if others
            .filter_map(|(_, fact)| fact.as_ref())
            .any(Fact::counts_rows)
        {
            return Err(mixing("a value depends on the number of rows"));
        }
        Ok(())
    }

    /// The length that a reshape leaves open.
    fn left_over(&mut self, all: &Extent, said: &Extent) -> Result<Extent, Mixing> {
        if let Some(quotient) = all.over(said) {
            return Ok(quotient);
        }
        // Rows on both sides cancel, whatever the other lengths are.
        if all.rows == said.rows {
            return Ok(self.fresh());
        }
        Err(mixing(
            "rows are put into a shape that does not keep them whole",
        ))
    }

    fn flatten(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let from = self.input(0)?.dims()?.to_vec();
        let axis = self.node.integer("axis", 1);
        let rank = from.len() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        let axis = usize::try_from(axis)
            .ok()
            .filter(|axis| *axis <= from.len());
        let (left, right) = from.split_at(axis.ok_or_else(|| mixing("an axis is out of range"))?);
        let shape = vec![product(left)?, product(right)?];
        Ok(vec![reshaped(&from, shape)?])
    }

    fn transpose(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?;
        let reversed: Vec<i64> = (0..dims.len() as i64).rev().collect();
        let order = self.node.integers("perm").unwrap_or(&reversed);
        let mut seen = vec![false; dims.len()];
        let mut shape = Vec::with_capacity(dims.len());
        for axis in order {
            let axis = axis_of(*axis, dims.len())?;
            if std::mem::replace(&mut seen[axis], true) {
                return Err(mixing("an axis is named twice"));
            }
            shape.push(dims[axis].clone());
        }
        if shape.len() != dims.len() {
            return Err(mixing("an axis is missing"));
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    fn squeeze(&mut self) -> Result<Vec<Fact>, Mixing> {
        let first = self.input(0)?.clone();
        let dims = first.dims()?;
        let axes = self.axes(1, dims.len())?;
        // Without axes, the rank depends on which lengths are 1, and the number of rows may be.
        let known = dims.iter().all(|length| length.known().is_some());
        let gone = |place: usize, length: &Extent| match &axes {
            Some(axes) => axes.contains(&place),
            None => length.is_one(),
        };
        if axes.is_none() && !known {
            return Err(mixing("the rank depends on the lengths of dimensions"));
        }
        let mut shape = Vec::new();
        for (place, length) in dims.iter().enumerate() {
            if !gone(place, length) {
                shape.push(length.clone());
            } else if length.rows {
                return Err(mixing("the dimension of the rows is taken away"));
            }
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact {
            items: first.items,
            ..fact
        }])
    }

    fn unsqueeze(&mut self) -> Result<Vec<Fact>, Mixing> {
        let first = self.input(0)?.clone();
        let dims = first.dims()?;
        let count = self
            .integers("axes", 1)?
            .ok_or_else(|| mixing("axes are missing"))?
            .len();
        let rank = dims.len() + count;
        let axes = self.axes(1, rank)?.unwrap_or_default();
        let mut old = dims.iter();
        let mut shape = Vec::with_capacity(rank);
        for place in 0..rank {
            let kept = if axes.contains(&place) {
                None
            } else {
                old.next()
            };
            shape.push(kept.cloned().unwrap_or_else(|| Extent::fixed(1)));
        }
        if old.next().is_some() {
            return Err(mixing("an axis is named twice"));
        }
        let items = first.items.filter(|_| rank <= 1);
        if items.is_none() {
            self.counts_nothing()?;
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact { items, ..fact }])
    }

    fn concat(&mut self) -> Result<Vec<Fact>, Mixing> {
        let parts: Vec<&Fact> = self.inputs.iter().flatten().collect();
        let first = parts.first().ok_or_else(|| mixing("an input is missing"))?;
        let rank = first.dims()?.len();
        let axis = self.axis("axis", 1, rank)?;
        let mut shape = first.dims()?.to_vec();
        let mut total = Some(0_u64);
        for part in &parts {
            let dims = part.dims()?;
            if dims.len() != rank {
                return Err(mixing("tensors of different ranks are joined"));
            }
            total = total.and_then(|total| total.checked_add(dims[axis].known()?));
            if dims[axis].rows {
                return Err(mixing("rows are joined with others"));
            }
            for (place, length) in dims.iter().enumerate().filter(|(place, _)| *place != axis) {
                if (length.rows || shape[place].rows) && *length != shape[place] {
                    return Err(mixing("rows are joined with others"));
                }
            }
        }
        let items: Option<Vec<Item>> = parts
            .iter()
            .map(|part| part.items.clone())
            .collect::<Option<Vec<_>>>()
            .filter(|_| rank == 1)
            .map(|lists| lists.concat());
        shape[axis] = match total {
            Some(total) => Extent::fixed(total),
            None => self.fresh(),
        };
        if items.is_none() {
            self.counts_nothing()?;
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact { items, ..fact }])
    }

    fn split(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?.to_vec();
        let axis = self.axis("axis", 0, dims.len())?;
        if dims[axis].rows {
            return Err(mixing("rows are split up"));
        }
        let said = self.integers("split", 1)?;
        (0..self.node.output.len())
            .map(|place| {
                let length = said
                    .as_ref()
                    .and_then(|said| u64::try_from(*said.get(place)?).ok());
                let mut shape = dims.clone();
                shape[axis] = length.map_or_else(|| self.fresh(), Extent::fixed);
                Fact::shaped(shape)
            })
            .collect()
    }
}

/// The same elements in another shape.
///
/// Rows stay whole if as many elements stand before each of them in both shapes: then the rows, or
/// a multiple of them, are a dimension again.
fn reshaped(from: &[Extent], shape: Vec<Extent>) -> Result<Fact, Mixing> {
    let place = |shape: &[Extent]| shape.iter().position(|length| length.rows);
    match (place(from), place(&shape)) {
        (None, None) => Fact::shaped(shape),
        (Some(old), Some(new)) if product(&from[..old])? == product(&shape[..new])? => {
            Fact::shaped(shape)
        }
        _ => Err(mixing(
            "rows are put into a shape that does not keep them whole",
        )),
    }
}
