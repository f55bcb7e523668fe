//! Replaces the text labels of classifiers by numbers, which tract can compute with.
//!
//! A classifier of the `ai.onnx.ml` domain gives the label of the best class first. When the labels
//! are text, and the label goes to outputs of the graph alone, the classifier is made to give the
//! number of the class, and the names are kept for [`crate::values`]. Source of the format: the ONNX
//! operator specification, `ai.onnx.ml.LinearClassifier` and `ai.onnx.ml.TreeEnsembleClassifier`.

use std::collections::HashSet;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

const NAMES: &str = "classlabels_strings";

/// Numbers the classes where it can. For each output of the graph: the names, if it gives numbers now.
pub(crate) fn number(graph: &mut GraphProto) -> Vec<Option<Vec<String>>> {
    let mut found = vec![None; graph.output.len()];
    for index in 0..graph.node.len() {
        let Some((names, attribute)) = named_classes(&graph.node[index]) else {
            continue;
        };
        let Some(label) = graph.node[index].output.first() else {
            continue;
        };
        let Some(reached) = reached(graph, label) else {
            continue;
        };
        for (output, found) in graph.output.iter().zip(&mut found) {
            if reached.contains(output.name.as_str()) {
                *found = Some(names.clone());
            }
        }
        let numbers = AttributeProto {
            name: attribute.to_owned(),
            r#type: AttributeType::Ints as i32,
            ints: (0..names.len() as i64).collect(),
            ..AttributeProto::default()
        };
        let node = &mut graph.node[index];
        node.attribute.retain(|attribute| attribute.name != NAMES);
        node.attribute.push(numbers);
    }
    found
}

/// The names of a classifier's classes, and the attribute that its numbers would be in.
fn named_classes(node: &NodeProto) -> Option<(Vec<String>, &'static str)> {
    let attribute = match node.op_type.as_str() {
        "LinearClassifier" => "classlabels_ints",
        "TreeEnsembleClassifier" => "classlabels_int64s",
        _ => return None,
    };
    let names = &node
        .attribute
        .iter()
        .find(|attribute| attribute.name == NAMES)?
        .strings;
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).ok();
    let names = names
        .iter()
        .map(text)
        .collect::<Option<Vec<_>>>()
        .filter(|names| !names.is_empty())?;
    Some((names, attribute))
}

/// The value and its copies by `Identity`; `None` when any other operator reads one of them.
fn reached<'graph>(graph: &'graph GraphProto, label: &'graph str) -> Option<HashSet<&'graph str>> {
    let mut reached = HashSet::from([label]);
    // Nodes are in an order in which values are made before they are read.
    for node in &graph.node {
        if !node
            .input
            .iter()
            .any(|input| reached.contains(input.as_str()))
        {
            continue;
        }
        if node.op_type != "Identity" {
            return None;
        }
        reached.extend(node.output.iter().map(String::as_str));
    }
    Some(reached)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::ValueInfoProto;

    use super::*;

    fn node(operator: &str, input: &str, outputs: &[&str]) -> NodeProto {
        let output = outputs.iter().map(ToString::to_string).collect();
        NodeProto {
            op_type: operator.to_owned(),
            input: vec![input.to_owned()],
            output,
            ..NodeProto::default()
        }
    }

    fn graph(reader: &str) -> GraphProto {
        let mut classifier = node("LinearClassifier", "x", &["label", "table"]);
        let strings = vec![b"no".to_vec(), b"yes".to_vec()];
        classifier.attribute.push(AttributeProto {
            name: NAMES.to_owned(),
            strings,
            ..AttributeProto::default()
        });
        let output = |name: &str| ValueInfoProto {
            name: name.to_owned(),
            ..ValueInfoProto::default()
        };
        GraphProto {
            node: vec![classifier, node(reader, "label", &["copy"])],
            output: vec![output("copy"), output("table")],
            ..GraphProto::default()
        }
    }

    #[test]
    fn numbers_labels_that_only_leave_the_graph() {
        let mut graph = graph("Identity");
        assert_eq!(
            number(&mut graph),
            [Some(vec!["no".to_owned(), "yes".to_owned()]), None]
        );
        let attributes = &graph.node[0].attribute;
        assert_eq!(attributes.len(), 1);
        assert_eq!(
            (attributes[0].name.as_str(), attributes[0].ints.as_slice()),
            ("classlabels_ints", &[0, 1][..])
        );
    }

    #[test]
    fn leaves_labels_that_are_read() {
        let mut read = graph("LabelEncoder");
        assert_eq!(number(&mut read), [None, None]);
        assert_eq!(read, graph("LabelEncoder"));
    }
}
