//! Whether time and memory of a prediction follow from the shapes of its inputs alone.
//!
//! A loop whose number of turns is an input, or a tensor whose shape is one, may take any time and
//! any memory for a request of a few bytes. [`examine`] finds them.

use std::collections::HashSet;

use crate::wire::{Graph, Node};

/// The operator that makes the cost depend on values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: the cost depends on values")]
pub struct ValueDriven {
    /// The operator, and its name.
    pub node: String,
}

/// The inputs of an operator that say how large its output is.
fn sizes(operator: &str) -> &'static [usize] {
    match operator {
        "ConstantOfShape" | "BlackmanWindow" | "HammingWindow" | "HannWindow" => &[0],
        "Range" => &[0, 1, 2],
        "Expand" | "Tile" | "Pad" | "OneHot" | "CenterCropPad" => &[1],
        "Resize" | "Upsample" => &[1, 2, 3],
        "MelWeightMatrix" => &[0, 1],
        "MaxUnpool" => &[2],
        _ => &[],
    }
}

/// Shows that no operator's cost depends on values of the inputs.
///
/// # Errors
/// Names the operator whose cost does.
pub(crate) fn examine(graph: &Graph) -> Result<(), ValueDriven> {
    let constants: HashSet<&str> = graph
        .initializer
        .iter()
        .map(|each| each.0.name.as_str())
        .collect();
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    // Tensors whose values a request decides.
    let mut decided: HashSet<&str> = inputs.filter(|name| !constants.contains(name)).collect();
    for node in &graph.node {
        let driven = |place: &usize| {
            node.input
                .get(*place)
                .is_some_and(|name| decided.contains(name.as_str()))
        };
        if node.has_graphs() || sizes(&node.op_type).iter().any(driven) {
            return Err(ValueDriven {
                node: crate::label(node),
            });
        }
        if passes_values(node)
            && node
                .input
                .iter()
                .any(|name| decided.contains(name.as_str()))
        {
            decided.extend(node.output.iter().map(String::as_str));
        }
    }
    Ok(())
}

/// Whether the values of the output come from those of the inputs; a shape does not.
fn passes_values(node: &Node) -> bool {
    !matches!(node.op_type.as_str(), "Shape" | "Size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Attribute, ValueInfo};

    fn node(operator: &str, inputs: &[&str], output: &str) -> Node {
        Node {
            op_type: operator.to_owned(),
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Node::default()
        }
    }

    fn driven(nodes: Vec<Node>) -> Option<String> {
        let graph = Graph {
            node: nodes,
            input: vec![ValueInfo {
                name: "x".to_owned(),
                ..ValueInfo::default()
            }],
            ..Graph::default()
        };
        examine(&graph).err().map(|found| found.node)
    }

    #[test]
    fn sizes_from_values_are_found_and_sizes_from_shapes_are_not() {
        let filled = node("ConstantOfShape", &["n"], "y");
        assert_eq!(
            driven(vec![node("Cast", &["x"], "n"), filled.clone()]).unwrap(),
            "`ConstantOfShape`"
        );
        assert_eq!(driven(vec![node("Shape", &["x"], "n"), filled]), None);
        assert_eq!(driven(vec![node("Relu", &["x"], "y")]), None);
        let mut looped = node("Loop", &["x"], "y");
        looped.attribute.push(Attribute {
            name: "body".to_owned(),
            g: Some(crate::wire::InnerGraph {}),
            ..Attribute::default()
        });
        assert_eq!(driven(vec![looped]).unwrap(), "`Loop`");
    }
}
