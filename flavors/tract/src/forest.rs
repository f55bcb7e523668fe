//! Tree ensembles, evaluated by mlrs instead of tract.
//!
//! tract searches all leaves of an ensemble for each tree, takes one kind of comparison (`>=`) for a
//! leaf, and trusts the numbers of the file. [`Forest`] checks them once, at load, and then follows
//! the trees. It gives what tract's operator gives: for each row, the sum of the weights of the
//! leaves for each class, tree by tree in the order of the file, in single precision.

#[allow(
    clippy::wildcard_imports,
    reason = "the macros that declare an operator expect it"
)]
use tract_onnx::tract_core::internal::*;
use tract_onnx_opl::ml::tree_ensemble_classifier::{
    Aggregate, TreeEnsemble, TreeEnsembleClassifier,
};

/// Numbers that a node takes in tract's table, and those of a vote.
const NODE: usize = 5;
const VOTE: usize = 2;
const NAN_IS_TRUE: u32 = 0x100;

/// Puts a [`Forest`] in the place of each tree ensemble of the model.
pub(crate) fn replace(model: &mut TypedModel) -> TractResult<()> {
    for node in &mut model.nodes {
        if let Some(classifier) = node.op_as::<TreeEnsembleClassifier>() {
            let forest =
                Forest::new(&classifier.ensemble).with_context(|| format!("`{}`", node.name))?;
            node.op = Box::new(forest);
        }
    }
    Ok(())
}

/// A checked ensemble: each child, vote and class exists, and no tree has a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forest {
    roots: Vec<usize>,
    nodes: Vec<Node>,
    votes: Vec<Vote>,
    features: usize,
    classes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Branch {
        feature: usize,
        threshold: Bits,
        comparison: Comparison,
        nan_is_true: bool,
        children: [usize; 2],
    },
    Leaf {
        first: usize,
        end: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vote {
    class: usize,
    weight: Bits,
}

/// A single-precision number that can be compared bit by bit, as operators of tract must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits(u32);

impl Bits {
    const fn number(self) -> f32 {
        f32::from_bits(self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

impl Comparison {
    /// tract's numbers for them; 0 marks a leaf.
    const fn from_flags(flags: u32) -> Option<Self> {
        Some(match flags & 0xff {
            1 => Self::Equal,
            2 => Self::NotEqual,
            3 => Self::Less,
            4 => Self::Greater,
            5 => Self::LessOrEqual,
            6 => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    #[allow(clippy::float_cmp, reason = "the model asks for equality")]
    fn holds(self, value: f32, threshold: f32) -> bool {
        match self {
            Self::Equal => value == threshold,
            Self::NotEqual => value != threshold,
            Self::Less => value < threshold,
            Self::Greater => value > threshold,
            Self::LessOrEqual => value <= threshold,
            Self::GreaterOrEqual => value >= threshold,
        }
    }
}

impl Forest {
    fn new(ensemble: &TreeEnsemble) -> TractResult<Self> {
        ensure!(
            ensemble.aggregate_fn == Aggregate::Sum,
            "a classifier that does not sum its trees"
        );
        let table = |tensor: &Tensor| -> TractResult<Vec<u32>> {
            Ok(tensor.try_as_plain_ram()?.as_slice::<u32>()?.to_vec())
        };
        let rows = table(&ensemble.data.nodes)?;
        let votes = table(&ensemble.data.leaves)?;
        let vote = |vote: &[u32]| Vote {
            class: vote[0] as usize,
            weight: Bits(vote[1]),
        };
        let forest = Self {
            roots: table(&ensemble.data.trees)?
                .into_iter()
                .map(|root| root as usize)
                .collect(),
            nodes: rows.chunks_exact(NODE).map(node).collect(),
            votes: votes.chunks_exact(VOTE).map(vote).collect(),
            features: ensemble.max_used_feature.saturating_add(1),
            classes: ensemble.n_classes,
        };
        forest.check()?;
        Ok(forest)
    }

    /// Walks all trees: in a tree that is one, each node is reached once at most.
    fn check(&self) -> TractResult<()> {
        ensure!(
            self.votes.iter().all(|vote| vote.class < self.classes),
            "a leaf votes for a class that is not there"
        );
        let mut reached = vec![false; self.nodes.len()];
        let mut open = self.roots.clone();
        while let Some(index) = open.pop() {
            let node = self
                .nodes
                .get(index)
                .context("a tree leads to a node that is not there")?;
            ensure!(
                !std::mem::replace(&mut reached[index], true),
                "a tree has a cycle"
            );
            match node {
                Node::Branch {
                    feature, children, ..
                } => {
                    ensure!(
                        *feature < self.features,
                        "a tree asks for a feature that is not there"
                    );
                    open.extend(children);
                }
                Node::Leaf { first, end } => {
                    ensure!(
                        first <= end && *end <= self.votes.len(),
                        "a leaf has votes that are not there"
                    );
                }
            }
        }
        Ok(())
    }

    fn vote(&self, row: &[f32], sums: &mut [f32]) {
        for root in &self.roots {
            let mut index = *root;
            let (first, end) = loop {
                match self.nodes[index] {
                    Node::Leaf { first, end } => break (first, end),
                    Node::Branch {
                        feature,
                        threshold,
                        comparison,
                        nan_is_true,
                        children,
                    } => {
                        let value = row[feature];
                        let goes = if value.is_nan() {
                            nan_is_true
                        } else {
                            comparison.holds(value, threshold.number())
                        };
                        index = children[usize::from(!goes)];
                    }
                }
            };
            for vote in &self.votes[first..end] {
                sums[vote.class] += vote.weight.number();
            }
        }
    }
}

fn node(row: &[u32]) -> Node {
    match Comparison::from_flags(row[4]) {
        None => Node::Leaf {
            first: row[0] as usize,
            end: row[1] as usize,
        },
        Some(comparison) => Node::Branch {
            feature: row[0] as usize,
            threshold: Bits(row[3]),
            comparison,
            nan_is_true: row[4] & NAN_IS_TRUE != 0,
            children: [row[1] as usize, row[2] as usize],
        },
    }
}

impl Op for Forest {
    fn name(&self) -> StaticName {
        "Forest".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Forest {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = inputs
            .first()
            .context("a forest without input")?
            .cast_to::<f32>()?;
        ensure!(input.rank() == 2, "a forest takes a table");
        let (rows, columns) = (input.shape()[0], input.shape()[1]);
        ensure!(
            columns >= self.features,
            "a forest takes {} columns",
            self.features
        );
        let input = input.try_as_plain_ram()?;
        let mut sums = vec![0.0_f32; rows * self.classes];
        for (row, sums) in input
            .as_slice::<f32>()?
            .chunks_exact(columns)
            .zip(sums.chunks_exact_mut(self.classes))
        {
            self.vote(row, sums);
        }
        Ok(tvec!(
            Tensor::from_shape(&[rows, self.classes], &sums)?.into_tvalue()
        ))
    }
}

impl TypedOp for Forest {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let rows = inputs
            .first()
            .and_then(|fact| fact.shape.first())
            .context("a forest without input")?;
        Ok(tvec!(f32::fact(&[rows.clone(), self.classes.into()])))
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use tract_onnx_opl::ml::tree_ensemble_classifier::TreeEnsembleData;

    use super::*;

    /// One tree: feature 1 `flags` 0.5, then class 0 with weight 2, else class 1 with weight 3.
    fn ensemble(flags: u32, change: impl Fn(&mut Vec<u32>, &mut Vec<u32>)) -> TreeEnsemble {
        let mut nodes = vec![
            1,
            1,
            2,
            0.5_f32.to_bits(),
            flags,
            0,
            1,
            0,
            0,
            0,
            1,
            2,
            0,
            0,
            0,
        ];
        let mut votes = vec![0, 2.0_f32.to_bits(), 1, 3.0_f32.to_bits()];
        change(&mut nodes, &mut votes);
        let data = TreeEnsembleData {
            trees: tensor1(&[0_u32]).into_arc_tensor(),
            nodes: Tensor::from_shape(&[nodes.len() / NODE, NODE], &nodes)
                .unwrap()
                .into_arc_tensor(),
            leaves: Tensor::from_shape(&[votes.len() / VOTE, VOTE], &votes)
                .unwrap()
                .into_arc_tensor(),
        };
        TreeEnsemble {
            data,
            max_used_feature: 1,
            n_classes: 2,
            aggregate_fn: Aggregate::Sum,
        }
    }

    fn sums(flags: u32, value: f32) -> [f32; 2] {
        let mut sums = [0.0; 2];
        Forest::new(&ensemble(flags, |_, _| {}))
            .unwrap()
            .vote(&[9.0, value], &mut sums);
        sums
    }

    #[test]
    fn follows_every_comparison() {
        let (yes, no) = ([2.0, 0.0], [0.0, 3.0]);
        for (flags, below, at, above) in [
            (1, no, yes, no),
            (2, yes, no, yes),
            (3, yes, no, no),
            (4, no, no, yes),
            (5, yes, yes, no),
            (6, no, yes, yes),
        ] {
            assert_eq!(
                [sums(flags, 0.0), sums(flags, 0.5), sums(flags, 1.0)],
                [below, at, above],
                "{flags}"
            );
        }
        assert_eq!(
            (sums(5, f32::NAN), sums(5 | NAN_IS_TRUE, f32::NAN)),
            (no, yes)
        );
    }

    #[test]
    fn refuses_trees_that_are_none() {
        let reason = |change: &dyn Fn(&mut Vec<u32>, &mut Vec<u32>)| {
            Forest::new(&ensemble(5, change)).unwrap_err().to_string()
        };
        assert!(reason(&|nodes, _| nodes[1] = 0).contains("cycle"));
        assert!(reason(&|nodes, _| nodes[2] = 1).contains("cycle"));
        assert!(reason(&|nodes, _| nodes[2] = 7).contains("node that is not there"));
        assert!(reason(&|nodes, _| nodes[0] = 2).contains("feature"));
        assert!(reason(&|nodes, _| nodes[6] = 9).contains("votes"));
        assert!(reason(&|_, votes| votes[2] = 2).contains("class"));
    }

    #[test]
    fn takes_tables_only() {
        let forest = Forest::new(&ensemble(5, |_, _| {})).unwrap();
        let run = |shape: &[usize]| {
            let input = Tensor::zero::<f32>(shape).unwrap().into_tvalue();
            forest.eval(&EvalContext::out_of_plan(), tvec!(input))
        };
        assert_eq!(run(&[3, 2]).unwrap()[0].shape(), [3, 2]);
        assert_eq!(run(&[0, 2]).unwrap()[0].shape(), [0, 2]);
        assert!(run(&[3, 1]).is_err() && run(&[2]).is_err());
    }
}
