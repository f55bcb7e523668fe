//! Finds the operators of a graph that tract does not have, so that a refusal can name them.

use std::collections::BTreeSet;

use mlrs_backend::Refusal;
use tract_onnx::Onnx;
use tract_onnx::pb::GraphProto;

use crate::HINT;

/// tract knows operators by their name alone; these are the domains that it means.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];
/// Graphs within graphs; real models have two or three levels.
const DEEPEST: usize = 32;

/// Refuses a graph with operators that tract does not have.
pub(crate) fn check(framework: &Onnx, graph: &GraphProto) -> Result<(), Refusal> {
    let mut unknown = BTreeSet::new();
    collect(framework, graph, 0, &mut unknown);
    if unknown.is_empty() {
        return if votes_are_sound(graph) {
            Ok(())
        } else {
            Err(Refusal::new("a tree votes for a class that is not there"))
        };
    }
    let names: Vec<String> = unknown.iter().map(|name| format!("`{name}`")).collect();
    let noun = if names.len() == 1 {
        "operator"
    } else {
        "operators"
    };
    Err(Refusal::new(format!(
        "tract does not have the {noun} {}",
        names.join(", ")
    ))
    .with_hint(HINT))
}

/// Whether each vote of a tree ensemble is for a class. tract writes past its table otherwise, should
/// it evaluate the ensemble while it reads the graph.
fn votes_are_sound(graph: &GraphProto) -> bool {
    let ensembles = graph
        .node
        .iter()
        .filter(|node| node.op_type == "TreeEnsembleClassifier");
    ensembles.into_iter().all(|node| {
        let attribute = |name: &str| {
            node.attribute
                .iter()
                .find(|attribute| attribute.name == name)
        };
        let integers = attribute("classlabels_int64s").map_or(0, |labels| labels.ints.len());
        let classes = attribute("classlabels_strings")
            .map_or(integers, |labels| labels.strings.len().max(integers));
        attribute("class_ids")
            .is_none_or(|ids| ids.ints.iter().all(|id| (0..classes as i64).contains(id)))
    })
}

fn collect(framework: &Onnx, graph: &GraphProto, depth: usize, unknown: &mut BTreeSet<String>) {
    for node in &graph.node {
        if !DOMAINS.contains(&node.domain.as_str()) {
            unknown.insert(format!("{}.{}", node.domain, node.op_type));
        } else if !framework.op_register.0.contains_key(&node.op_type) {
            unknown.insert(node.op_type.clone());
        }
        let inner = node
            .attribute
            .iter()
            .flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        for graph in inner.take_while(|_| depth < DEEPEST) {
            collect(framework, graph, depth + 1, unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, NodeProto};

    use super::*;

    fn node(domain: &str, operator: &str) -> NodeProto {
        NodeProto {
            domain: domain.to_owned(),
            op_type: operator.to_owned(),
            ..NodeProto::default()
        }
    }

    #[test]
    fn names_what_is_missing_once() {
        let inner = GraphProto {
            node: vec![node("", "Deep")],
            ..GraphProto::default()
        };
        let branch = AttributeProto {
            g: Some(inner),
            ..AttributeProto::default()
        };
        let mut branching = node("", "If");
        branching.attribute.push(branch);
        let nodes = vec![
            node("", "Relu"),
            node("", "Nope"),
            node("", "Nope"),
            node("com.microsoft", "Gelu"),
            branching,
        ];
        let graph = GraphProto {
            node: nodes,
            ..GraphProto::default()
        };
        let refusal = check(&tract_onnx::onnx(), &graph).unwrap_err();
        assert_eq!(
            refusal.reason,
            "tract does not have the operators `Deep`, `Nope`, `com.microsoft.Gelu`"
        );
        assert!(refusal.hint.is_some());
        assert!(check(&tract_onnx::onnx(), &GraphProto::default()).is_ok());
    }

    #[test]
    fn refuses_votes_for_no_class() {
        let integers = |name: &str, ints: &[i64]| AttributeProto {
            name: name.to_owned(),
            ints: ints.to_vec(),
            ..AttributeProto::default()
        };
        let with_ids = |ids: &[i64]| {
            let mut ensemble = node("ai.onnx.ml", "TreeEnsembleClassifier");
            ensemble.attribute = vec![
                integers("classlabels_int64s", &[4, 5]),
                integers("class_ids", ids),
            ];
            check(
                &tract_onnx::onnx(),
                &GraphProto {
                    node: vec![ensemble],
                    ..GraphProto::default()
                },
            )
        };
        assert!(with_ids(&[0, 1]).is_ok());
        assert!(with_ids(&[2]).is_err() && with_ids(&[-1]).is_err());
    }
}
