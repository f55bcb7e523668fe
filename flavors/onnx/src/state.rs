//! Whether a model is the same after a prediction.
//!
//! Batch normalisation in training mode keeps running statistics. ONNX Runtime writes them into the
//! constants of the loaded model, so each request would change the values of the next.

use crate::wire::{Graph, Node};

/// An operator that is still being trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node} is in training mode: each request would change the next")]
pub struct InTraining {
    /// The operator, and its name.
    pub node: String,
}

/// Shows that no operator is in training mode.
///
/// # Errors
/// Names the operator that is.
pub(crate) fn examine(graph: &Graph) -> Result<(), InTraining> {
    match graph.node.iter().find(|node| is_training(node)) {
        None => Ok(()),
        Some(node) => Err(InTraining {
            node: crate::label(node),
        }),
    }
}

/// Before version 14 there was no mode: further outputs were its sign. An output without a name is
/// none.
fn is_training(node: &Node) -> bool {
    let statistics = node.output.iter().skip(1).any(|name| !name.is_empty());
    node.op_type == "BatchNormalization" && (node.integer("training_mode", 0) != 0 || statistics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Attribute;

    #[test]
    fn batch_normalisation_in_training_is_found() {
        let node = |mode: i64, outputs: &[&str]| Node {
            op_type: "BatchNormalization".to_owned(),
            output: outputs.iter().map(|name| (*name).to_owned()).collect(),
            attribute: vec![Attribute {
                name: "training_mode".to_owned(),
                i: mode,
                ..Attribute::default()
            }],
            ..Node::default()
        };
        let found = |node: Node| {
            let graph = Graph {
                node: vec![node],
                ..Graph::default()
            };
            examine(&graph).is_err()
        };
        assert!(found(node(1, &["y"])) && found(node(0, &["y", "mean", "var"])));
        assert!(!found(node(0, &["y"])) && !found(node(0, &["y", "", ""])));
    }
}
