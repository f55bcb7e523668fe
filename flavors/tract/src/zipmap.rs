//! Takes the operator `ZipMap` off the end of a graph.
//!
//! Converters of scikit-learn models put it there by default: it pairs each column of a table of
//! probabilities with a class label. tract has no maps, so the node is removed, the table becomes
//! the output of the graph, and the labels are kept for [`crate::values`].
//! Source of the format: the ONNX operator specification, `ai.onnx.ml.ZipMap`.

use mlrs_payload::MapKeys;
use tract_onnx::pb::{GraphProto, NodeProto};

const OPERATOR: &str = "ZipMap";

/// Removes each `ZipMap` that gives an output of the graph. For each output: its labels, if it was one.
pub(crate) fn strip(graph: &mut GraphProto) -> Vec<Option<MapKeys>> {
    let GraphProto {
        node: nodes,
        output: outputs,
        ..
    } = graph;
    let labels = outputs
        .iter_mut()
        .map(|output| {
            let node = nodes.iter().find(|node| {
                node.op_type == OPERATOR && node.output.first() == Some(&output.name)
            })?;
            let labels = labels(node)?;
            output.name = node.input.first()?.clone();
            output.r#type = None;
            Some(labels)
        })
        .collect();
    let used =
        |name: &String| nodes_use(nodes, name) || outputs.iter().any(|output| output.name == *name);
    let keep: Vec<bool> = nodes
        .iter()
        .map(|node| node.op_type != OPERATOR || node.output.first().is_some_and(used))
        .collect();
    let mut keep = keep.into_iter();
    nodes.retain(|_| keep.next().unwrap_or(true));
    labels
}

fn nodes_use(nodes: &[NodeProto], name: &String) -> bool {
    nodes.iter().any(|node| node.input.contains(name))
}

fn labels(node: &NodeProto) -> Option<MapKeys> {
    let attribute = |name: &str| {
        node.attribute
            .iter()
            .find(|attribute| attribute.name == name)
    };
    if let Some(integers) =
        attribute("classlabels_int64s").filter(|attribute| !attribute.ints.is_empty())
    {
        return Some(MapKeys::Integers(integers.ints.clone()));
    }
    let strings = &attribute("classlabels_strings")?.strings;
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).ok();
    strings
        .iter()
        .map(text)
        .collect::<Option<Vec<_>>>()
        .map(MapKeys::Strings)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, ValueInfoProto};

    use super::*;

    fn node(operator: &str, input: &str, output: &str, attribute: AttributeProto) -> NodeProto {
        NodeProto {
            op_type: operator.to_owned(),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        }
    }

    fn output(name: &str) -> ValueInfoProto {
        ValueInfoProto {
            name: name.to_owned(),
            ..ValueInfoProto::default()
        }
    }

    #[test]
    fn strips_what_gives_an_output() {
        let integers = AttributeProto {
            name: "classlabels_int64s".to_owned(),
            ints: vec![3, 7],
            ..Default::default()
        };
        let names = vec![b"a".to_vec(), b"b".to_vec()];
        let strings = AttributeProto {
            name: "classlabels_strings".to_owned(),
            strings: names,
            ..Default::default()
        };
        let mut graph = GraphProto {
            node: vec![
                node("Softmax", "x", "table", AttributeProto::default()),
                node("ZipMap", "table", "map", integers),
                node("ZipMap", "table", "names", strings),
            ],
            output: vec![output("table"), output("map"), output("names")],
            ..GraphProto::default()
        };
        let labels = strip(&mut graph);
        let names = MapKeys::Strings(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            labels,
            [None, Some(MapKeys::Integers(vec![3, 7])), Some(names)]
        );
        assert_eq!(graph.node.len(), 1);
        assert!(graph.output.iter().all(|output| output.name == "table"));
    }

    #[test]
    fn leaves_what_it_does_not_understand() {
        let broken = AttributeProto {
            name: "classlabels_strings".to_owned(),
            strings: vec![vec![0xff]],
            ..Default::default()
        };
        let mut graph = GraphProto {
            node: vec![node("ZipMap", "table", "map", broken)],
            output: vec![output("map")],
            ..GraphProto::default()
        };
        assert_eq!(strip(&mut graph), [None]);
        assert_eq!(
            (graph.node.len(), graph.output[0].name.as_str()),
            (1, "map")
        );
    }
}
