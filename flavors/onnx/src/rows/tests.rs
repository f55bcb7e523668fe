//! Graphs in a few words: `x[rows, 3]` is the input, `w` a constant matrix, `y` the output.

use super::*;
use crate::wire::{Attribute, Dimension, Shape, TensorFields, TensorType, Type};

fn info(name: &str, dims: &[&str]) -> ValueInfo {
    let dim = |text: &&str| match text.parse() {
        Ok(length) => Dimension {
            dim_value: Some(length),
            dim_param: None,
        },
        Err(_) => Dimension {
            dim_value: None,
            dim_param: Some((*text).to_owned()),
        },
    };
    let shape = Shape {
        dim: dims.iter().map(dim).collect(),
    };
    ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor_type: Some(TensorType { shape: Some(shape) }),
        }),
    }
}

fn numbers(name: &str, dims: &[i64], values: &[i64]) -> Tensor {
    Tensor(TensorFields {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: 7,
        int64_data: values.to_vec(),
        ..TensorFields::default()
    })
}

/// `Operator a b -> c d; key=1 key=1,2 key:text`.
fn node(text: &str) -> Node {
    let (call, attributes) = text.split_once(';').unwrap_or((text, ""));
    let (call, outputs) = call.split_once("->").unwrap();
    let mut words = call.split_whitespace();
    let operator = words.next().unwrap();
    let (domain, operator) = operator.rsplit_once('/').unwrap_or(("", operator));
    let name = |word: &str| {
        if word == "_" {
            String::new()
        } else {
            word.to_owned()
        }
    };
    let attribute = |text: &str| {
        let (key, value) = text.split_once(['=', ':']).unwrap();
        let integers: Option<Vec<i64>> = value.split(',').map(|each| each.parse().ok()).collect();
        let integers = integers.unwrap_or_default();
        Attribute {
            name: key.to_owned(),
            i: integers.first().copied().unwrap_or_default(),
            ints: integers,
            s: value.as_bytes().to_vec(),
            ..Attribute::default()
        }
    };
    Node {
        op_type: operator.to_owned(),
        domain: domain.to_owned(),
        input: words.map(name).collect(),
        output: outputs.split_whitespace().map(str::to_owned).collect(),
        attribute: attributes.split_whitespace().map(attribute).collect(),
        ..Node::default()
    }
}

fn examine_text(inputs: &[(&str, &[&str])], nodes: &[&str]) -> Result<(), Mixing> {
    let graph = Graph {
        node: nodes.iter().map(|text| node(text)).collect(),
        initializer: vec![
            numbers("w", &[3, 3], &[]),
            numbers("b", &[3], &[]),
            numbers("scale", &[], &[]),
            numbers("zero", &[1], &[0]),
            numbers("one", &[1], &[1]),
            numbers("two", &[1], &[2]),
            numbers("minus", &[1], &[-1]),
            numbers("heads", &[4], &[0, 0, 3, -1]),
            numbers("flat", &[2], &[-1, 3]),
            numbers("wide", &[2], &[-1, 2]),
            numbers("embedding", &[10, 4], &[]),
        ],
        input: inputs.iter().map(|(name, dims)| info(name, dims)).collect(),
        output: vec![info("y", &[])],
    };
    examine(&graph, 17)
}

fn table(nodes: &[&str]) -> Result<(), Mixing> {
    examine_text(&[("x", &["batch", "3"])], nodes)
}

fn apart(inputs: &[(&str, &[&str])], nodes: &[&str]) {
    let found = examine_text(inputs, nodes);
    assert_eq!(found, Ok(()), "{nodes:?}");
}

fn mixed(inputs: &[(&str, &[&str])], nodes: &[&str]) {
    assert!(examine_text(inputs, nodes).is_err(), "{nodes:?}");
}

#[test]
fn plain_networks_keep_rows_apart() {
    for nodes in [
        &["Gemm x w b -> h", "Relu h -> a", "Softmax a -> y; axis=1"][..],
        &["MatMul x w -> h", "Add h b -> y"],
        &["ReduceSum x one -> y; keepdims=0"],
        &["ReduceMean x -> m; axes=-1", "Sub x m -> y"],
        &["ArgMax x -> y; axis=1 keepdims=0"],
        &[
            "ai.onnx.ml/Scaler x -> s",
            "ai.onnx.ml/TreeEnsembleClassifier s -> y scores",
        ],
        &[
            "ai.onnx.ml/LinearClassifier x -> label p",
            "ai.onnx.ml/Normalizer p -> y",
        ],
        &[
            "QuantizeLinear x scale zero -> q",
            "DequantizeLinear q scale zero -> y",
        ],
        &["Reshape x flat -> y"],
        &[
            "Transpose x -> t; perm=1,0",
            "Softmax t -> s; axis=0",
            "Transpose s -> y; perm=1,0",
        ],
        &["Einsum x w -> y; equation:nk,kj->nj"],
        &["LayerNormalization x b b -> y; axis=-1"],
        &[
            "Shape x -> s",
            "Gather s zero -> n",
            "Concat n minus -> t; axis=0",
            "Reshape x t -> y",
        ],
    ] {
        assert_eq!(table(nodes), Ok(()), "{nodes:?}");
    }
}

#[test]
fn what_mixes_rows_is_found() {
    for nodes in [
        &[
            "DynamicQuantizeLinear x -> q s z",
            "DequantizeLinear q s z -> y",
        ][..],
        &["ReduceMean x -> m; axes=0", "Sub x m -> y"],
        &["ReduceMax x -> m; keepdims=0", "Div x m -> y"],
        &["Softmax x -> y; axis=0"],
        &[
            "Transpose x -> t; perm=1,0",
            "MatMul x t -> a",
            "Softmax a -> p; axis=-1",
            "MatMul p x -> y",
        ],
        &["CumSum x zero -> y"],
        &["TopK x one -> y i; axis=0"],
        &[
            "Shape x -> s",
            "Cast s -> f; to=1",
            "Gather f zero -> n",
            "Div x n -> y",
        ],
        &["Reshape x wide -> y"],
        &["Flatten x -> y; axis=0"],
        &["BatchNormalization x b b b b -> y; training_mode=1"],
        &["Gather x zero -> f; axis=0", "Sub x f -> y"],
        &["RandomNormalLike x -> r", "Add x r -> y"],
        &["Bernoulli x -> y"],
        &["custom/Anything x -> y"],
        &["Einsum x x -> y; equation:nk,mk->nm"],
        &["Einsum x -> y; equation:nk->k"],
        &["MatMulInteger x w z -> y"],
        &["Slice x zero one zero -> f", "Add x f -> y"],
        &["LpNormalization x -> y; axis=0"],
        &[
            "Shape x -> s",
            "Gather s zero -> n",
            "ReduceSum x -> t; keepdims=0",
            "Mul x n -> y",
        ],
        &["Concat x x -> y; axis=0"],
        &["Tile x wide -> y"],
        &["Relu w -> y"],
    ] {
        assert!(table(nodes).is_err(), "{nodes:?}");
    }
}

#[test]
fn attention_within_rows_is_apart_and_over_rows_is_not() {
    let within = [
        "MatMul x w -> q",
        "Reshape q heads -> s",
        "Transpose s -> t; perm=0,2,1,3",
        "Transpose s -> k; perm=0,2,3,1",
        "MatMul t k -> a",
        "Softmax a -> p; axis=-1",
        "MatMul p t -> v",
        "Transpose v -> b4; perm=0,2,1,3",
        "Shape x -> shape",
        "Reshape b4 shape -> y",
    ];
    apart(&[("x", &["batch", "time", "3"])], &within);
    // The same graph, but time comes first.
    let over = within.map(|text| {
        text.replace("perm=0,2,1,3", "perm=1,2,0,3")
            .replace("perm=0,2,3,1", "perm=1,2,3,0")
    });
    let over: Vec<&str> = over.iter().map(String::as_str).collect();
    mixed(&[("x", &["batch", "time", "3"])], &over);
}

#[test]
fn embeddings_and_masks_of_exported_transformers_are_followed() {
    let inputs: &[(&str, &[&str])] = &[("ids", &["batch", "time"]), ("mask", &["batch", "time"])];
    let nodes = [
        "Gather embedding ids -> words; axis=0",
        "Shape ids -> s",
        "Gather s one -> t",
        "Squeeze t zero -> count",
        "Constant -> zero0; value_int=0",
        "Constant -> one0; value_int=1",
        "Range zero0 count one0 -> places",
        "Gather embedding places -> positions; axis=0",
        "Add words positions -> h",
        "Unsqueeze mask minus -> m",
        "Cast m -> mf; to=1",
        "Mul h mf -> hm",
        "ReduceSum hm one -> sum; keepdims=0",
        "ReduceSum mf one -> norm; keepdims=0",
        "Div sum norm -> y",
    ];
    apart(inputs, &nodes);
    // A row of the mask of another request.
    mixed(inputs, &["Gather ids mask -> y; axis=0"]);
}

#[test]
fn pipelines_of_scikit_learn_are_followed() {
    let input: &[(&str, &[&str])] = &[("colour", &["n", "1"]), ("x", &["n", "1"])];
    let nodes = [
        "Constant -> from; value_ints=1",
        "Constant -> to; value_ints=2",
        "Constant -> width; value_ints=-1,5",
        "Constant -> flat; value_ints=-1",
        "ai.onnx.ml/OneHotEncoder colour -> three; cats_int64s=1,2,3",
        "ai.onnx.ml/OneHotEncoder x -> pair; cats_int64s=1,2",
        "Concat three pair -> both; axis=-1",
        "Reshape both width -> table",
        "ai.onnx.ml/LinearClassifier table -> label scores; classlabels_ints=0,1,2",
        "Slice scores from to from -> part",
        "Reshape part flat -> y",
    ];
    apart(input, &nodes);
}

#[test]
fn recurrences_run_along_steps() {
    let time_first = ["LSTM x w w -> y h c"];
    mixed(&[("x", &["steps", "batch", "3"])], &time_first);
    let batch_first = [
        "Transpose x -> t; perm=1,0,2",
        "LSTM t w w -> all h c",
        "Transpose h -> last; perm=1,0,2",
        "Flatten last -> y; axis=1",
    ];
    apart(&[("x", &["batch", "steps", "3"])], &batch_first);
}

#[test]
fn images_are_rows() {
    let input: &[(&str, &[&str])] = &[("x", &["n", "3", "32", "32"])];
    apart(
        input,
        &[
            "Conv x w b -> c",
            "BatchNormalization c b b b b -> d",
            "GlobalAveragePool d -> g",
            "Flatten g -> y",
        ],
    );
    mixed(input, &["Transpose x -> t; perm=1,0,2,3", "Conv t w -> y"]);
    mixed(input, &["MeanVarianceNormalization x -> y"]);
}

#[test]
fn the_place_is_named() {
    let found = table(&["ReduceMean x -> m; axes=0", "Sub x m -> y"]).unwrap_err();
    assert_eq!(
        found.to_string(),
        "`ReduceMean`: rows are summed or compared with each other"
    );
}
