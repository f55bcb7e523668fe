//! Operators that work along axes: sums, maxima, softmax, normalisation.

use super::extent::Extent;
use super::fact::{Fact, stretched};
use super::{Mixing, Step, mixing};

impl Step<'_> {
    pub(super) fn normal(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Softmax" | "LogSoftmax" | "Hardmax" => self.softmax(),
            "LpNormalization" => self.along("axis", -1),
            "LayerNormalization" | "RMSNormalization" => self.layers(),
            "BatchNormalization" => self.batch_normalization(),
            "MeanVarianceNormalization" => self.mean_variance(),
            "ArgMax" | "ArgMin" => self.place_of_extreme(),
            "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
            | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
                self.reduce()
            }
            _ => return None,
        })
    }

    fn softmax(&mut self) -> Result<Vec<Fact>, Mixing> {
        if self.opset >= 13 {
            return self.along("axis", -1);
        }
        // Before version 13 all dimensions from the axis on are one.
        self.along_all_from(1)
    }

    /// Along one axis, which must not be the rows.
    fn along(&mut self, name: &str, otherwise: i64) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?;
        if dims[self.axis(name, otherwise, dims.len())?].rows {
            return Err(mixing("rows are normalised together"));
        }
        Ok(vec![Fact::shaped(dims.to_vec())?])
    }

    /// Along all dimensions from an axis on.
    fn along_all_from(&mut self, otherwise: i64) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?;
        let axis = self.axis("axis", otherwise, dims.len())?;
        if dims[axis..].iter().any(|length| length.rows) {
            return Err(mixing("rows are normalised together"));
        }
        Ok(vec![Fact::shaped(dims.to_vec())?])
    }

    fn layers(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.rest_is_same(1)?;
        let [fact] = self
            .along_all_from(-1)?
            .try_into()
            .map_err(|_| mixing("an output is missing"))?;
        let mut shape = fact.dims()?.to_vec();
        let axis = self.axis("axis", -1, shape.len())?;
        shape[axis..].fill(Extent::fixed(1));
        let statistics = Fact::shaped(shape)?;
        Ok(vec![fact, statistics.clone(), statistics])
    }

    fn batch_normalization(&mut self) -> Result<Vec<Fact>, Mixing> {
        let trains = self.node.integer("training_mode", 0) != 0 || self.opset < 7;
        if trains {
            return Err(mixing("rows are normalised together"));
        }
        let shape = self.input(0)?.dims()?.to_vec();
        self.image()?;
        Ok(vec![Fact::shaped(shape)?])
    }

    fn mean_variance(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?;
        let axes = self.axes(usize::MAX, dims.len())?;
        let axes = axes.ok_or_else(|| mixing("rows are normalised together"))?;
        if axes.iter().any(|axis| dims[*axis].rows) {
            return Err(mixing("rows are normalised together"));
        }
        Ok(vec![Fact::shaped(dims.to_vec())?])
    }

    fn place_of_extreme(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?.to_vec();
        let axis = self.axis("axis", 0, dims.len())?;
        self.without(dims, &[axis])
    }

    fn reduce(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let dims = self.input(0)?.dims()?.to_vec();
        let axes = self.axes(1, dims.len())?.filter(|axes| !axes.is_empty());
        match axes {
            Some(axes) => self.without(dims, &axes),
            None if self.node.integer("noop_with_empty_axes", 0) != 0 => {
                Ok(vec![Fact::shaped(dims)?])
            }
            None => {
                let axes: Vec<usize> = (0..dims.len()).collect();
                self.without(dims, &axes)
            }
        }
    }

    /// The shape without some axes, or with 1 in their places.
    fn without(&mut self, dims: Vec<Extent>, axes: &[usize]) -> Result<Vec<Fact>, Mixing> {
        let kept = self.node.integer("keepdims", 1) != 0;
        let mut shape = Vec::with_capacity(dims.len());
        for (place, length) in dims.into_iter().enumerate() {
            if !axes.contains(&place) {
                shape.push(length);
            } else if length.rows {
                return Err(mixing("rows are summed or compared with each other"));
            } else if kept {
                shape.push(Extent::fixed(1));
            }
        }
        Ok(vec![Fact::shaped(shape)?])
    }

    /// Operators that ONNX Runtime's own tools write into a graph.
    pub(super) fn fused(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        Some(match self.node.op_type.as_str() {
            "Gelu" | "FastGelu" | "QuickGelu" | "BiasGelu" => self.with_bias(),
            "QuantizeLinear" | "DequantizeLinear" => {
                self.rest_is_same(1).and_then(|()| self.as_first())
            }
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => self.skip_layers(),
            _ => return None,
        })
    }

    fn as_first(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        Ok(vec![Fact::shaped(self.input(0)?.dims()?.to_vec())?])
    }

    fn with_bias(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.rest_is_same(1)?;
        self.as_first()
    }

    /// `input, skip, gamma, beta, bias`: a sum, normalised along the last axis.
    fn skip_layers(&mut self) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        self.rest_is_same(2)?;
        let shape = stretched(self.input(0)?.dims()?, self.input(1)?.dims()?)?;
        if shape.last().is_none_or(|length| length.rows) {
            return Err(mixing("rows are normalised together"));
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![fact])
    }
}
