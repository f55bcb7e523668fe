//! What tract leaves out of recurrent operators (`RNN`, `GRU`, `LSTM`): refused, or written into the
//! graph.
//!
//! tract reads none of the attributes that change what a cell computes, nor the direction of a single
//! one: a graph that sets them would get wrong values, so it is refused. Initial states that are left
//! out are zeros; tract makes them for a fixed batch only, so [`complete`] adds operators that make
//! them for the batch that comes. Source: the ONNX operator specification, `RNN`, `GRU` and `LSTM`.

use mlrs_backend::Refusal;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::HINT;

/// Inputs of the initial states.
const INITIAL_H: usize = 5;
const INITIAL_C: usize = 6;

/// The activations that tract computes with, for one direction.
fn activations(operator: &str) -> Option<&'static [&'static str]> {
    match operator {
        "RNN" => Some(&["Tanh"]),
        "GRU" => Some(&["Sigmoid", "Tanh"]),
        "LSTM" => Some(&["Sigmoid", "Tanh", "Tanh"]),
        _ => None,
    }
}

/// Refuses attributes that tract would ignore.
pub(crate) fn check(graph: &GraphProto) -> Result<(), Refusal> {
    match graph.node.iter().find_map(ignored) {
        None => Ok(()),
        Some((operator, attribute)) => Err(Refusal::new(format!(
            "tract does not have the attribute `{attribute}` of the operator `{operator}`"
        ))
        .with_hint(HINT)),
    }
}

fn ignored(node: &NodeProto) -> Option<(&str, &str)> {
    let usual = activations(&node.op_type)?;
    let changes = |attribute: &&AttributeProto| match attribute.name.as_str() {
        "activations" => {
            let mut each = attribute.strings.iter().zip(usual.iter().cycle());
            !each.all(|(found, usual)| found.eq_ignore_ascii_case(usual.as_bytes()))
        }
        "activation_alpha" | "activation_beta" => !attribute.floats.is_empty(),
        "clip" => true,
        "input_forget" => attribute.i != 0,
        "direction" => attribute.s == b"reverse",
        _ => false,
    };
    let found = node.attribute.iter().find(changes)?;
    Some((&node.op_type, &found.name))
}

/// Adds zeros for initial states that are left out. Operators of before version 9 cannot make them.
pub(crate) fn complete(graph: &mut GraphProto, opset: i64) {
    if opset < 9 {
        return;
    }
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut constants = Vec::new();
    for (index, mut node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let places: &[usize] = match node.op_type.as_str() {
            "RNN" | "GRU" => &[INITIAL_H],
            "LSTM" => &[INITIAL_H, INITIAL_C],
            _ => &[],
        };
        let absent = |place: &&usize| node.input.get(**place).is_none_or(String::is_empty);
        let absent: Vec<usize> = places.iter().filter(absent).copied().collect();
        if !absent.is_empty()
            && let Some(zeros) = Zeros::new(&node, index)
        {
            constants.extend(zeros.constants());
            nodes.extend(zeros.nodes());
            for place in absent {
                if node.input.len() <= place {
                    node.input.resize(place + 1, String::new());
                }
                node.input[place] = zeros.name("zeros");
            }
        }
        nodes.push(node);
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

/// The state of zeros for one recurrent operator.
struct Zeros {
    index: usize,
    sequence: String,
    directions: i64,
    hidden: i64,
    batch_first: bool,
}

impl Zeros {
    fn new(node: &NodeProto, index: usize) -> Option<Self> {
        let attribute = |name: &str| node.attribute.iter().find(|each| each.name == name);
        let both = attribute("direction").is_some_and(|each| each.s == b"bidirectional");
        Some(Self {
            index,
            sequence: node.input.first()?.clone(),
            directions: if both { 2 } else { 1 },
            hidden: attribute("hidden_size")?.i,
            batch_first: attribute("layout").is_some_and(|each| each.i == 1),
        })
    }

    /// A name that no exporter gives.
    fn name(&self, part: &str) -> String {
        format!("mlrs.recurrent.{}.{part}", self.index)
    }

    fn constants(&self) -> [TensorProto; 3] {
        let batch = i64::from(!self.batch_first);
        [
            ("axis", batch),
            ("directions", self.directions),
            ("hidden", self.hidden),
        ]
        .map(|(part, value)| TensorProto {
            name: self.name(part),
            dims: vec![1],
            data_type: DataType::Int64 as i32,
            int64_data: vec![value],
            ..TensorProto::default()
        })
    }

    /// `[directions, batch, hidden]`, or with the batch first, filled with zeros.
    fn nodes(&self) -> [NodeProto; 4] {
        let node = |operator: &str, inputs: &[String], output: &str| NodeProto {
            op_type: operator.to_owned(),
            name: self.name(output),
            input: inputs.to_vec(),
            output: vec![self.name(output)],
            ..NodeProto::default()
        };
        let mut parts = ["directions", "batch", "hidden"].map(|part| self.name(part));
        if self.batch_first {
            parts.swap(0, 1);
        }
        let mut joined = node("Concat", &parts, "shape");
        joined.attribute.push(AttributeProto {
            name: "axis".to_owned(),
            r#type: AttributeType::Int as i32,
            i: 0,
            ..AttributeProto::default()
        });
        let mut zeros = node("ConstantOfShape", &[self.name("shape")], "zeros");
        zeros.attribute.push(AttributeProto {
            name: "value".to_owned(),
            r#type: AttributeType::Tensor as i32,
            t: Some(TensorProto {
                dims: vec![1],
                data_type: DataType::Float as i32,
                float_data: vec![0.0],
                ..TensorProto::default()
            }),
            ..AttributeProto::default()
        });
        let lengths = [self.name("lengths"), self.name("axis")];
        [
            node("Shape", std::slice::from_ref(&self.sequence), "lengths"),
            node("Gather", &lengths, "batch"),
            joined,
            zeros,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(operator: &str, attributes: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            op_type: operator.to_owned(),
            input: ["x", "w", "r"].map(str::to_owned).to_vec(),
            attribute: attributes,
            ..NodeProto::default()
        }
    }

    fn texts(name: &str, texts: &[&str]) -> AttributeProto {
        AttributeProto {
            name: name.to_owned(),
            strings: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
            ..AttributeProto::default()
        }
    }

    fn number(name: &str, i: i64) -> AttributeProto {
        AttributeProto {
            name: name.to_owned(),
            i,
            ..AttributeProto::default()
        }
    }

    fn refused(node: NodeProto) -> Option<String> {
        let graph = GraphProto {
            node: vec![node],
            ..GraphProto::default()
        };
        check(&graph).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn attributes_that_tract_ignores_are_refused() {
        let direction = |text: &str| AttributeProto {
            name: "direction".to_owned(),
            s: text.as_bytes().to_vec(),
            ..AttributeProto::default()
        };
        for fine in [
            node("LSTM", vec![number("hidden_size", 4)]),
            node("LSTM", vec![direction("bidirectional")]),
            node(
                "GRU",
                vec![texts(
                    "activations",
                    &["sigmoid", "tanh", "Sigmoid", "Tanh"],
                )],
            ),
            node("LSTM", vec![number("input_forget", 0)]),
            node("Softmax", vec![number("clip", 1)]),
        ] {
            assert_eq!(refused(fine), None);
        }
        for wrong in [
            node("LSTM", vec![direction("reverse")]),
            node("RNN", vec![texts("activations", &["Relu"])]),
            node(
                "LSTM",
                vec![texts("activations", &["Sigmoid", "Tanh", "Relu"])],
            ),
            node("GRU", vec![number("clip", 0)]),
            node("LSTM", vec![number("input_forget", 1)]),
        ] {
            assert!(refused(wrong).is_some());
        }
    }

    #[test]
    fn states_that_are_left_out_are_added_once() {
        let mut graph = GraphProto {
            node: vec![node("LSTM", vec![number("hidden_size", 4)])],
            ..GraphProto::default()
        };
        complete(&mut graph, 18);
        assert_eq!(graph.node.len(), 5);
        let given = &graph.node[4].input[3..];
        let zeros = "mlrs.recurrent.0.zeros";
        assert_eq!(given, ["", "", zeros, zeros]);
        let before = graph.clone();
        complete(&mut graph, 18);
        assert_eq!(graph, before);
    }
}
