//! Operators that pick, pad and order elements along an axis.

use super::extent::{Extent, Item};
use super::fact::{Fact, axis_of};
use super::{Mixing, Step, mixing};

impl Step<'_> {
    pub(super) fn index(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Gather" => self.gather(),
            "GatherElements" => self.gather_elements(),
            "GatherND" => self.gather_points(),
            "Slice" => self.slice(),
            "Pad" => self.pad(),
            "TopK" => self.top(),
            "CumSum" => self.running_sum(),
            "Trilu" => self.triangle(),
            "OneHot" => self.one_hot(),
            "ReverseSequence" => self.reverse(),
            _ => return None,
        })
    }

    fn gather(&mut self) -> Result<Vec<Fact>, Mixing> {
        let (data, places) = (self.input(0)?, self.input(1)?);
        let dims = data.dims()?;
        let axis = self.axis("axis", 0, dims.len())?;
        if let (Some(items), Some(numbers)) = (&data.items, places.numbers()) {
            let pick = |place: &i64| items.get(axis_of(*place, items.len()).ok()?).cloned();
            let picked: Option<Vec<Item>> = numbers.iter().map(pick).collect();
            let picked = picked.ok_or_else(|| mixing("an index is out of range"))?;
            return Ok(vec![Fact {
                shape: places.shape.clone(),
                items: Some(picked),
            }]);
        }
        self.counts_nothing()?;
        if dims[axis].rows || (data.row_axis().is_some() && places.row_axis().is_some()) {
            return Err(mixing("rows are picked"));
        }
        let shape = [&dims[..axis], places.dims()?, &dims[axis + 1..]].concat();
        Ok(vec![Fact::shaped(shape)?])
    }

    fn gather_elements(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let (data, places) = (self.input(0)?, self.input(1)?);
        let axis = self.axis("axis", 0, data.dims()?.len())?;
        let rows = data.row_axis();
        if rows.is_none() || rows != places.row_axis() || rows == Some(axis) {
            return Err(mixing("rows are picked"));
        }
        same_rows(data, places)?;
        Ok(vec![Fact::shaped(places.dims()?.to_vec())?])
    }

    fn gather_points(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let (data, places) = (self.input(0)?, self.input(1)?);
        let (dims, places_dims) = (data.dims()?, places.dims()?);
        let shared = usize::try_from(self.node.integer("batch_dims", 0)).unwrap_or(usize::MAX);
        let count = places_dims
            .last()
            .and_then(Extent::known)
            .and_then(|count| usize::try_from(count).ok());
        let tail = count.and_then(|count| dims.get(shared.checked_add(count)?..));
        let tail = tail.ok_or_else(|| mixing("the length of an index is not known"))?;
        match (data.row_axis(), places.row_axis()) {
            // Shared dimensions would pair rows with places of the table.
            (None, Some(_)) if shared == 0 => {}
            (Some(left), Some(right)) if left == right && left < shared => same_rows(data, places)?,
            _ => return Err(mixing("rows are picked")),
        }
        let shape = [&places_dims[..places_dims.len() - 1], tail].concat();
        Ok(vec![Fact::shaped(shape)?])
    }

    fn slice(&mut self) -> Result<Vec<Fact>, Mixing> {
        let first = self.input(0)?.clone();
        let dims = first.dims()?;
        let starts = self.integers("starts", 1);
        let ends = self.integers("ends", 2);
        let axes = match self.integers("axes", 3)? {
            Some(axes) => axes,
            // From the first axis on, as many as there are ends.
            None => (0..self.slices(1)? as i64).collect(),
        };
        let steps = self.integers("steps", 4);
        let bounds = [starts, ends, steps].map(|bound| bound.ok().flatten());
        let [Some(starts), Some(ends), steps] = bounds else {
            return self.sliced_somewhere(&first, &axes);
        };
        let at = |numbers: &[i64], index: usize| numbers.get(index).copied();
        let step = |index: usize| steps.as_ref().map_or(Some(1), |steps| at(steps, index));
        self.rest_is_same(1)?;
        if let Some(items) = &first.items {
            let part = part(items, at(&starts, 0), at(&ends, 0), step(0));
            return part
                .map(|items| vec![Fact::list(items)])
                .ok_or_else(|| mixing("a part is not known"));
        }
        let mut shape = dims.to_vec();
        for (index, named) in axes.iter().enumerate() {
            let place = axis_of(*named, dims.len())?;
            if dims[place].rows {
                return Err(mixing("rows are picked"));
            }
            let known = dims[place].known();
            let length = known.and_then(|length| {
                part_length(length, at(&starts, index)?, at(&ends, index)?, step(index)?)
            });
            shape[place] = length.map_or_else(|| self.fresh(), Extent::fixed);
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    /// A slice between bounds that are not known, but the same for every batch.
    fn sliced_somewhere(&mut self, first: &Fact, axes: &[i64]) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let mut shape = first.dims()?.to_vec();
        for named in axes {
            let place = axis_of(*named, shape.len())?;
            if shape[place].rows {
                return Err(mixing("rows are picked"));
            }
            shape[place] = self.fresh();
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    /// How many axes a slice without axes has.
    fn slices(&self, place: usize) -> Result<u64, Mixing> {
        if let Some(starts) = self.node.integers("starts") {
            return Ok(starts.len() as u64);
        }
        let length = self.input(place)?.dims()?.first().and_then(Extent::known);
        length.ok_or_else(|| mixing("a part is not known"))
    }

    fn pad(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let dims = self.input(0)?.dims()?.to_vec();
        let pads = match self.node.integers("paddings") {
            Some(pads) => Some(pads.to_vec()),
            None => self.integers("pads", 1)?,
        };
        let pads = pads.filter(|pads| pads.len() == 2 * dims.len() && self.given(3).is_none());
        let pads = pads.ok_or_else(|| mixing("what is added around the rows is not known"))?;
        let mut shape = Vec::with_capacity(dims.len());
        for (axis, length) in dims.iter().enumerate() {
            let added = (pads[axis], pads[axis + dims.len()]);
            match length {
                length if added == (0, 0) => shape.push(length.clone()),
                length if length.rows => return Err(mixing("something is added to the rows")),
                _ => shape.push(self.fresh()),
            }
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    fn top(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let mut shape = self.input(0)?.dims()?.to_vec();
        let axis = self.axis("axis", -1, shape.len())?;
        if shape[axis].rows {
            return Err(mixing("rows are compared with each other"));
        }
        shape[axis] = self.fresh();
        let fact = Fact::shaped(shape)?;
        Ok(vec![fact.clone(), fact])
    }

    fn running_sum(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?;
        let axis = self
            .input(1)?
            .number()
            .ok_or_else(|| mixing("an axis is not known"))?;
        if dims[axis_of(axis, dims.len())?].rows {
            return Err(mixing("rows are summed"));
        }
        Ok(vec![Fact::shaped(dims.to_vec())?])
    }

    fn triangle(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let dims = self.input(0)?.dims()?;
        if dims.iter().rev().take(2).any(|length| length.rows) {
            return Err(mixing("rows are cut off by their place"));
        }
        Ok(vec![Fact::shaped(dims.to_vec())?])
    }

    fn one_hot(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let mut shape = self.input(0)?.dims()?.to_vec();
        let axis = self.axis("axis", -1, shape.len() + 1)?;
        let depth = self
            .input(1)?
            .number()
            .and_then(|depth| u64::try_from(depth).ok());
        let depth = depth.map_or_else(|| self.fresh(), Extent::fixed);
        shape.insert(axis, depth);
        Ok(vec![Fact::shaped(shape)?])
    }

    fn reverse(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let (first, lengths) = (self.input(0)?, self.input(1)?);
        let batch = usize::try_from(self.node.integer("batch_axis", 1)).ok();
        if batch != first.row_axis() || lengths.row_axis() != Some(0) {
            return Err(mixing("rows are put into another order"));
        }
        same_rows(first, lengths)?;
        Ok(vec![Fact::shaped(first.dims()?.to_vec())?])
    }
}

/// That the dimensions of rows of both are equally long.
fn same_rows(left: &Fact, right: &Fact) -> Result<(), Mixing> {
    let rows = |fact: &Fact| -> Result<Option<Extent>, Mixing> {
        let length = |axis: usize| fact.dims().map(|dims| dims[axis].clone());
        fact.row_axis().map(length).transpose()
    };
    if rows(left)? == rows(right)? {
        Ok(())
    } else {
        Err(mixing("rows meet a dimension that is not of the rows"))
    }
}

/// How many of `length` elements a slice with steps forward takes.
fn part_length(length: u64, start: i64, end: i64, step: i64) -> Option<u64> {
    let count = i64::try_from(length).ok()?;
    let bound = |place: i64| {
        if place < 0 {
            place.saturating_add(count)
        } else {
            place
        }
        .clamp(0, count)
    };
    let step = u64::try_from(step).ok().filter(|step| *step > 0)?;
    let span = (bound(end) - bound(start)).max(0) as u64;
    Some(span.div_ceil(step))
}

/// `items[start:end:step]`, for steps forward.
fn part(
    items: &[Item],
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
) -> Option<Vec<Item>> {
    let count = items.len() as i64;
    let bound = |place: i64| {
        if place < 0 {
            place.saturating_add(count)
        } else {
            place
        }
        .clamp(0, count) as usize
    };
    let step = usize::try_from(step?).ok().filter(|step| *step > 0)?;
    let (start, end) = (bound(start?), bound(end?));
    Some(
        items
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .step_by(step)
            .cloned()
            .collect(),
    )
}
