//! Operators that work on elements: each of the output comes from the elements at its place.

use super::extent::Item;
use super::fact::{Fact, stretched};
use super::{Mixing, Step, mixing};

/// One input, and parameters that are the same for all elements.
const SINGLE: [&str; 51] = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "DequantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "QuantizeLinear",
    "Reciprocal",
    "RegexFullMatch",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "CastLike",
    "Dropout",
    "StringNormalizer",
];

/// Several inputs that are stretched to each other.
const SEVERAL: [&str; 24] = [
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "StringConcat",
    "Sub",
    "Sum",
    "Xor",
];

type Arithmetic = fn(&Item, &Item) -> Result<Item, Mixing>;

impl Step<'_> {
    pub(super) fn elements(&mut self) -> Option<Result<Vec<Fact>, Mixing>> {
        let operator = self.node.op_type.as_str();
        if SINGLE.contains(&operator) {
            return Some(self.single());
        }
        if operator == "Where" {
            return Some(self.choice());
        }
        SEVERAL.contains(&operator).then(|| self.several())
    }

    fn single(&mut self) -> Result<Vec<Fact>, Mixing> {
        let first = self.input(0)?.clone();
        match self.node.op_type.as_str() {
            // To integers, a number of rows stays what it is.
            "Identity" => return Ok(vec![first]),
            "Cast" if matches!(self.node.integer("to", 0), 6 | 7) => return Ok(vec![first]),
            // Its type comes from the second input, its values do not.
            "CastLike" => {}
            "StringNormalizer" if self.node.attribute("stopwords").is_some() => {
                return Err(mixing("words are taken out of the rows"));
            }
            "Dropout" => return self.dropout(first),
            _ => self.rest_is_same(1)?,
        }
        if self.node.op_type == "StringNormalizer" && first.dims()?.len() > 1 {
            return Err(mixing("rows are texts of several words"));
        }
        self.counts_nothing()?;
        Ok(vec![Fact {
            items: None,
            ..first
        }])
    }

    /// In a model that serves, nothing is dropped, unless it says that it is being trained.
    fn dropout(&self, first: Fact) -> Result<Vec<Fact>, Mixing> {
        self.counts_nothing()?;
        let trains = self.given(2).is_some_and(|mode| mode.number() != Some(0));
        if trains || self.opset < 7 {
            return Err(mixing("values are dropped at random"));
        }
        let fact = Fact {
            items: None,
            ..first
        };
        Ok(vec![fact.clone(), fact])
    }

    fn several(&mut self) -> Result<Vec<Fact>, Mixing> {
        // Before version 7 a tensor was put at an axis by attribute.
        if self.opset < 7 && self.node.attribute("axis").is_some() {
            return Err(mixing(
                "the version of the operator is too old to be followed",
            ));
        }
        let mut shape = Vec::new();
        for fact in self.inputs.iter().flatten() {
            shape = stretched(&shape, fact.dims()?)?;
        }
        let items = self.calculated()?;
        if items.is_none() {
            self.counts_nothing()?;
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact { items, ..fact }])
    }

    /// The items of a calculation with small integers, where both sides have some.
    fn calculated(&self) -> Result<Option<Vec<Item>>, Mixing> {
        let calculate: Arithmetic = match self.node.op_type.as_str() {
            "Add" => Item::plus,
            "Sub" => Item::minus,
            "Mul" => Item::times,
            "Div" => Item::over,
            "Equal" => Item::equals,
            _ => return Ok(None),
        };
        let [Some(left), Some(right)] = self.inputs.as_slice() else {
            return Ok(None);
        };
        let (Some(left), Some(right)) = (&left.items, &right.items) else {
            return Ok(None);
        };
        let count = left.len().max(right.len());
        let pairs = (0..count).map(|place| Some((at(left, place)?, at(right, place)?)));
        let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let items: Result<Vec<_>, _> = pairs
            .iter()
            .map(|(left, right)| calculate(left, right))
            .collect();
        items.map(Some)
    }

    /// `Where`: on shapes it picks, on tensors it is an operator on elements.
    fn choice(&mut self) -> Result<Vec<Fact>, Mixing> {
        let (condition, left, right) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let shape = stretched(condition.dims()?, left.dims()?)?;
        let shape = stretched(&shape, right.dims()?)?;
        let items = match (condition.numbers(), &left.items, &right.items) {
            (Some(picks), Some(left), Some(right)) => {
                let count = picks.len().max(left.len()).max(right.len());
                let picked = |place: usize| {
                    let pick = if picks.len() == 1 { 0 } else { place };
                    let side = if *picks.get(pick)? == 0 { right } else { left };
                    at(side, place)
                };
                (0..count).map(picked).collect()
            }
            _ => None,
        };
        if items.is_none() {
            self.counts_nothing()?;
        }
        let fact = Fact::shaped(shape)?;
        Ok(vec![Fact { items, ..fact }])
    }
}

/// The item at a place of a list; one alone is at every place.
fn at(items: &[Item], place: usize) -> Option<Item> {
    match items {
        [single] => Some(single.clone()),
        _ => items.get(place).cloned(),
    }
}
