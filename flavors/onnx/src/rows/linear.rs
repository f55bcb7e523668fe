//! Products of matrices, convolutions and recurrences.

use std::collections::HashMap;

use super::extent::Extent;
use super::fact::{Fact, stretched};
use super::{Mixing, Step, mixing};

impl Step<'_> {
    pub(super) fn linear(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "MatMul" => self.rest_is_same(2).and_then(|()| self.product(0, 1)),
            // Zero points and scales are those of the whole tensor, so they must be constants.
            "MatMulInteger" => self.rest_is_same(2).and_then(|()| self.product(0, 1)),
            "QLinearMatMul" => self.quantised_product(),
            "Gemm" => self.general_product(),
            "Einsum" => self.sums(),
            "Conv"
            | "ConvInteger"
            | "ConvTranspose"
            | "QLinearConv"
            | "DeformConv"
            | "MaxPool"
            | "AveragePool"
            | "LpPool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "LRN"
            | "InstanceNormalization"
            | "GroupNormalization" => self.image(),
            "Resize" | "Upsample" => self.resize(),
            "RNN" | "GRU" | "LSTM" => self.recurrence(),
            _ => return None,
        })
    }

    /// The product of the matrices at two places, over leading dimensions that are stretched.
    pub(super) fn product(&mut self, left: usize, right: usize) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let left = self.input(left)?.dims()?;
        let right = self.input(right)?.dims()?;
        Ok(vec![Fact::shaped(multiplied(left, right)?)?])
    }

    /// `a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point`.
    fn quantised_product(&mut self) -> Result<Vec<Fact>, Mixing> {
        for place in [1, 2, 4, 5, 6, 7] {
            if !self.input(place)?.is_same() {
                return Err(mixing("a scale comes from the rows"));
            }
        }
        self.product(0, 3)
    }

    fn general_product(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let matrix = |place: usize, turned: &str| -> Result<[Extent; 2], Mixing> {
            let [first, second] = self.input(place)?.dims()? else {
                return Err(mixing("a factor is no matrix"));
            };
            let (first, second) = (first.clone(), second.clone());
            Ok(if self.node.integer(turned, 0) == 0 {
                [first, second]
            } else {
                [second, first]
            })
        };
        let shape = multiplied(&matrix(0, "transA")?, &matrix(1, "transB")?)?;
        let shape = match self.given(2) {
            Some(added) => stretched(&shape, added.dims()?)?,
            None => shape,
        };
        Ok(vec![Fact::shaped(shape)?])
    }

    /// `Einsum`: rows must have the same letter wherever they are, and it must be in the output.
    fn sums(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let equation: String = self
            .node
            .text("equation")
            .unwrap_or_default()
            .chars()
            .filter(|each| !each.is_whitespace())
            .collect();
        let unclear = || mixing("an equation is not followed");
        let (terms, result) = equation.split_once("->").ok_or_else(unclear)?;
        if equation.contains('.') {
            return Err(unclear());
        }
        let mut lengths: HashMap<char, Extent> = HashMap::new();
        let terms: Vec<&str> = terms.split(',').collect();
        if terms.len() != self.inputs.len() {
            return Err(unclear());
        }
        for (place, term) in terms.into_iter().enumerate() {
            let dims = self.input(place)?.dims()?;
            if term.chars().count() != dims.len() {
                return Err(unclear());
            }
            for (letter, length) in term.chars().zip(dims) {
                let known = lengths.entry(letter).or_insert_with(|| length.clone());
                if (known.rows || length.rows) && known != length {
                    return Err(mixing("rows meet a dimension that is not of the rows"));
                }
            }
        }
        let gone = lengths
            .iter()
            .any(|(letter, length)| length.rows && !result.contains(*letter));
        if gone {
            return Err(mixing("rows are summed"));
        }
        let shape = result.chars().map(|letter| lengths.get(&letter).cloned());
        Ok(vec![Fact::shaped(
            shape.collect::<Option<_>>().ok_or_else(unclear)?,
        )?])
    }

    /// One image a row: whatever happens within it, its row stays apart.
    pub(super) fn image(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(1)?;
        let first = self.input(0)?;
        let dims = first.dims()?.to_vec();
        if !matches!(first.row_axis(), None | Some(0)) || dims.is_empty() {
            return Err(mixing("rows are not the images of the batch"));
        }
        let rest = (1..dims.len()).map(|_| self.fresh()).collect::<Vec<_>>();
        let shape = [&dims[..1], &rest].concat();
        // A second output of a pool says places in the whole tensor.
        Ok(vec![Fact::shaped(shape)?])
    }

    /// Images in another size; the batch must keep its own.
    fn resize(&mut self) -> Result<Vec<Fact>, Mixing> {
        let sizes = self.given(3).filter(|_| self.opset >= 11);
        let rows = self.input(0)?.dims()?.first().cloned();
        let kept = if let Some(items) = sizes.and_then(|sizes| sizes.items.as_ref()) {
            items.first().and_then(super::Item::length) == rows
        } else {
            let place = if self.opset >= 11 { 2 } else { 1 };
            let scales = self
                .given(place)
                .and_then(|scales| scales.items.as_ref()?.first().cloned());
            scales == Some(super::Item::Known(1))
        };
        if !kept || self.node.attribute("axes").is_some() {
            return Err(mixing("the batch may get another length"));
        }
        if let Some(sizes) = self.inputs.get_mut(3) {
            *sizes = None;
        }
        self.image()
    }

    /// `X, W, R, B, sequence_lens, initial_h, initial_c, P`; along the steps everything is mixed.
    fn recurrence(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let batch_first = self.node.integer("layout", 0) == 1;
        let (axis, steps) = if batch_first { (0, 1) } else { (1, 0) };
        let first = self.input(0)?;
        let dims = first.dims()?;
        let rows = match (first.row_axis(), dims.get(axis)) {
            (Some(place), Some(rows)) if place == axis => rows.clone(),
            _ => return Err(mixing("the steps of a recurrence are rows")),
        };
        let time = dims
            .get(steps)
            .cloned()
            .ok_or_else(|| mixing("a sequence has no steps"))?;
        for place in [1, 2, 3, 7] {
            if self.given(place).is_some_and(|fact| !fact.is_same()) {
                return Err(mixing("a parameter of the operator comes from the rows"));
            }
        }
        for (place, axis) in [(4, 0), (5, axis), (6, axis)] {
            let Some(state) = self.given(place) else {
                continue;
            };
            if state.dims()?.get(axis) != Some(&rows) {
                return Err(mixing("a state is not that of its row"));
            }
        }
        let (directions, hidden) = (self.fresh(), self.fresh());
        let [all, last] = if batch_first {
            [
                vec![rows.clone(), time, directions.clone(), hidden.clone()],
                vec![rows, directions, hidden],
            ]
        } else {
            [
                vec![time, directions.clone(), rows.clone(), hidden.clone()],
                vec![directions, rows, hidden],
            ]
        };
        let last = Fact::shaped(last)?;
        Ok(vec![Fact::shaped(all)?, last.clone(), last])
    }
}

/// The shape of a product of matrices, as numpy's `matmul` has it.
fn multiplied(left: &[Extent], right: &[Extent]) -> Result<Vec<Extent>, Mixing> {
    let none = || mixing("a factor has no dimension");
    let (left_summed, left_kept) = left.split_last().ok_or_else(none)?;
    let (right_summed, right_lead, right_kept) = match right {
        [] => return Err(none()),
        [only] => (only, &right[..0], None),
        [lead @ .., summed, kept] => (summed, lead, Some(kept)),
    };
    if left_summed.rows || right_summed.rows {
        return Err(mixing("rows are summed"));
    }
    let (left_lead, left_row) = match left_kept.split_last() {
        Some((row, lead)) => (lead, Some(row)),
        None => (left_kept, None),
    };
    let mut shape = stretched(left_lead, right_lead)?;
    shape.extend(left_row.into_iter().chain(right_kept).cloned());
    Ok(shape)
}
