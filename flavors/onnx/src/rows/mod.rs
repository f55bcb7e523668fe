//! Whether the rows of a batch can influence each other.
//!
//! Every input has the rows as its leading dimension. The graph is walked once, and for each tensor
//! it is followed which dimension are the rows: an operator must treat that dimension element by
//! element, and nothing may depend on how many rows there are. A softmax over the batch, a scale
//! taken from the whole tensor, attention over the rows and a recurrence along them are found so.
//! What is not known here mixes rows: the proof is the other way round. [`examine`] is the whole
//! interface; the rules of operators are those of the ONNX operator specification.

mod elements;
mod extent;
mod fact;
mod index;
mod layout;
mod learned;
mod linear;
mod normal;
mod shapes;

use std::collections::{HashMap, HashSet};

use crate::wire::{Graph, Node, Tensor, ValueInfo};
use extent::{Extent, Item};
use fact::Fact;

/// Elements of a tensor that may be a shape.
const MOST_ITEMS: usize = 256;

/// Why rows are not shown to be independent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default())]
pub struct Mixing {
    /// The operator where it shows, and its name.
    pub node: Option<String>,
    /// What is in the way.
    pub reason: &'static str,
}

const fn mixing(reason: &'static str) -> Mixing {
    Mixing { node: None, reason }
}

/// Shows that each row of each output depends on the same row of the inputs only.
///
/// # Errors
/// Says at which operator it cannot be shown.
pub fn examine(graph: &Graph, opset: i64) -> Result<(), Mixing> {
    let mut walk = Walk {
        opset,
        facts: HashMap::new(),
        symbols: HashMap::new(),
        next: 0,
    };
    walk.begin(graph)?;
    for node in &graph.node {
        walk.step(node).map_err(|found| Mixing {
            node: Some(crate::label(node)),
            ..found
        })?;
    }
    graph.output.iter().try_for_each(|output| walk.end(output))
}

/// The tensors that were met, by name.
struct Walk<'graph> {
    opset: i64,
    facts: HashMap<&'graph str, Fact>,
    /// Lengths that have a name in the graph.
    symbols: HashMap<&'graph str, Extent>,
    next: u32,
}

/// An operator as its rule sees it.
struct Step<'walk> {
    node: &'walk Node,
    opset: i64,
    /// `None` for an input that is left out.
    inputs: Vec<Option<Fact>>,
    next: &'walk mut u32,
}

impl<'graph> Walk<'graph> {
    fn begin(&mut self, graph: &'graph Graph) -> Result<(), Mixing> {
        for tensor in &graph.initializer {
            self.facts.insert(&tensor.0.name, constant(tensor));
        }
        let constants: HashSet<&str> = graph
            .initializer
            .iter()
            .map(|each| each.0.name.as_str())
            .collect();
        let inputs = graph.input.iter();
        let inputs: Vec<_> = inputs
            .filter(|input| !constants.contains(input.name.as_str()))
            .collect();
        // What is named as the rows of one input is the rows wherever it is named.
        for input in &inputs {
            let leading = dimensions(input).and_then(|dims| dims.first());
            if let Some(name) = leading
                .and_then(|dim| dim.dim_param.as_deref())
                .filter(|name| !name.is_empty())
            {
                self.symbols.insert(name, Extent::rows());
            }
        }
        for input in inputs {
            let fact = self.input(input)?;
            self.facts.insert(&input.name, fact);
        }
        Ok(())
    }

    fn input(&mut self, input: &'graph ValueInfo) -> Result<Fact, Mixing> {
        let dims = dimensions(input).filter(|dims| !dims.is_empty());
        let dims = dims.ok_or_else(|| mixing("an input has no leading dimension"))?;
        let mut shape = vec![Extent::rows()];
        for dim in &dims[1..] {
            shape.push(match (dim.dim_value, dim.dim_param.as_deref()) {
                (Some(length), _) if length >= 0 => Extent::fixed(length as u64),
                (_, Some(name)) if !name.is_empty() => self.named(name),
                _ => fresh(&mut self.next),
            });
        }
        Fact::shaped(shape)
    }

    fn named(&mut self, name: &'graph str) -> Extent {
        let next = &mut self.next;
        self.symbols
            .entry(name)
            .or_insert_with(|| fresh(next))
            .clone()
    }

    fn step(&mut self, node: &'graph Node) -> Result<(), Mixing> {
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match name.as_str() {
                "" => None,
                name => Some(
                    self.facts
                        .get(name)
                        .cloned()
                        .ok_or_else(|| mixing("an input comes from nowhere"))?,
                ),
            });
        }
        let same = inputs.iter().flatten().all(Fact::is_same);
        let mut step = Step {
            node,
            opset: self.opset,
            inputs,
            next: &mut self.next,
        };
        let outputs = match step.outputs() {
            Ok(outputs) => outputs,
            // What depends on no row is the same for every batch, however it is made.
            Err(_) if same && is_function(node) => Vec::new(),
            Err(found) => return Err(found),
        };
        let others = std::iter::repeat_with(|| if same { Some(Fact::same()) } else { None });
        for (name, fact) in node
            .output
            .iter()
            .zip(outputs.into_iter().map(Some).chain(others))
        {
            if let (false, Some(fact)) = (name.is_empty(), fact) {
                self.facts.insert(name, fact);
            }
        }
        Ok(())
    }

    fn end(&self, output: &ValueInfo) -> Result<(), Mixing> {
        let fact = self.facts.get(output.name.as_str());
        let leading = fact.and_then(|fact| fact.shape.as_ref()?.first());
        if leading == Some(&Extent::rows()) {
            Ok(())
        } else {
            Err(mixing(
                "an output does not have the rows as its leading dimension",
            ))
        }
    }
}

fn fresh(next: &mut u32) -> Extent {
    *next += 1;
    Extent::symbol(*next)
}

fn dimensions(value: &ValueInfo) -> Option<&[crate::wire::Dimension]> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    Some(&tensor.shape.as_ref()?.dim)
}

/// A constant tensor, with its elements where they may say a shape.
fn constant(tensor: &Tensor) -> Fact {
    let lengths = tensor
        .0
        .dims
        .iter()
        .map(|length| u64::try_from(*length).ok().map(Extent::fixed));
    let shape: Option<Vec<Extent>> = lengths.collect();
    let small = tensor.0.dims.len() < 2 && tensor.count().is_some_and(|count| count <= MOST_ITEMS);
    let items = tensor.integers().filter(|_| small);
    let items = items.map(|numbers| {
        numbers
            .into_iter()
            .map(|each| each.map_or(Item::Same, Item::Known))
            .collect()
    });
    Fact { shape, items }
}

/// Whether an operator gives the same output for the same inputs, and holds no graph that sees other
/// tensors.
fn is_function(node: &Node) -> bool {
    const RANDOM: [&str; 7] = [
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    ];
    !node.has_graphs() && !RANDOM.contains(&node.op_type.as_str())
}

impl Step<'_> {
    /// What is known of the outputs; fewer than there are where the others carry rows and nobody may
    /// use them.
    fn outputs(&mut self) -> Result<Vec<Fact>, Mixing> {
        if self.node.has_graphs() {
            return Err(mixing("a graph inside of the graph is not followed"));
        }
        let known = match self.node.domain.as_str() {
            "" | "ai.onnx" => self
                .elements()
                .or_else(|| self.shapes())
                .or_else(|| self.layout())
                .or_else(|| self.index())
                .or_else(|| self.linear())
                .or_else(|| self.normal()),
            "ai.onnx.ml" => self.learned(),
            "com.microsoft" => self.fused(),
            _ => None,
        };
        known.unwrap_or_else(|| Err(mixing("the operator is not known to treat rows apart")))
    }

    fn given(&self, place: usize) -> Option<&Fact> {
        self.inputs.get(place)?.as_ref()
    }

    fn input(&self, place: usize) -> Result<&Fact, Mixing> {
        self.given(place)
            .ok_or_else(|| mixing("an input is missing"))
    }

    /// That inputs from `first` on are the same for every batch.
    fn rest_is_same(&self, first: usize) -> Result<(), Mixing> {
        let mut rest = self.inputs.iter().skip(first).flatten();
        if rest.all(Fact::is_same) {
            Ok(())
        } else {
            Err(mixing("a parameter of the operator comes from the rows"))
        }
    }

    /// That no input counts rows: this operator makes other values of it.
    fn counts_nothing(&self) -> Result<(), Mixing> {
        if self.inputs.iter().flatten().any(Fact::counts_rows) {
            return Err(mixing("a value depends on the number of rows"));
        }
        Ok(())
    }

    fn fresh(&mut self) -> Extent {
        fresh(self.next)
    }

    /// An axis by attribute.
    fn axis(&self, name: &str, otherwise: i64, rank: usize) -> Result<usize, Mixing> {
        fact::axis_of(self.node.integer(name, otherwise), rank)
    }

    /// Integers that are an attribute in old versions of an operator and an input in new ones;
    /// `None` inside where they are left out.
    fn integers(&self, name: &str, place: usize) -> Result<Option<Vec<i64>>, Mixing> {
        if let Some(integers) = self.node.integers(name) {
            return Ok(Some(integers.to_vec()));
        }
        match self.given(place) {
            None => Ok(None),
            Some(fact) => match fact.numbers() {
                Some(numbers) => Ok(Some(numbers)),
                None => Err(mixing("a parameter of the operator is not known")),
            },
        }
    }
}

#[cfg(test)]
mod tests;
