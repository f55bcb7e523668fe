//! Every payload shape, through the plan of a model, into its inputs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlrs_mlmodel::signature::{Schema, Signature};
use mlrs_payload::{
    AnswerShape, Batch, Compat, DType, DecodeErrorKind, Dim, Format, InputPlan, Tensor, TensorData,
    TensorInfo,
};

fn signature(inputs: &str) -> Signature {
    Signature {
        inputs: Some(Schema::parse(inputs).unwrap()),
        ..Signature::default()
    }
}

fn input(name: &str, dtype: DType, shape: &[Option<usize>]) -> TensorInfo {
    let dimension = |length: &Option<usize>| length.map_or(Dim::Unknown, Dim::Fixed);
    TensorInfo {
        name: name.into(),
        dtype,
        shape: Some(shape.iter().map(dimension).collect()),
    }
}

/// Two columns of doubles for a matrix of floats.
fn columns(compat: Compat) -> InputPlan {
    let signature =
        signature(r#"[{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]"#);
    InputPlan::compile(
        Some(&signature),
        &[input("x", DType::F32, &[None, Some(2)])],
        compat,
    )
}

/// An unnamed tensor of floats with two columns.
fn tensor(compat: Compat) -> InputPlan {
    let signature =
        signature(r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]"#);
    InputPlan::compile(
        Some(&signature),
        &[input("x", DType::F32, &[None, Some(2)])],
        compat,
    )
}

/// A text and a number, each an input of its own.
fn mixed() -> InputPlan {
    let signature =
        signature(r#"[{"name": "city", "type": "string"}, {"name": "n", "type": "long"}]"#);
    let inputs = [
        input("n", DType::I64, &[None, Some(1)]),
        input("city", DType::Str, &[None, Some(1)]),
    ];
    InputPlan::compile(Some(&signature), &inputs, Compat::Strict)
}

fn unsigned(compat: Compat) -> InputPlan {
    InputPlan::compile(None, &[input("x", DType::F32, &[None, Some(2)])], compat)
}

fn floats(shape: &[usize], values: &[f32]) -> Vec<Tensor> {
    vec![Tensor {
        shape: shape.to_vec(),
        data: TensorData::F32(values.to_vec()),
    }]
}

fn json(plan: &InputPlan, body: &str) -> Batch {
    plan.decode(Format::Json, body.as_bytes())
        .unwrap_or_else(|error| panic!("{body}: {error}"))
        .batch
}

fn refusal(plan: &InputPlan, body: &str) -> (DecodeErrorKind, String) {
    let error = plan.decode(Format::Json, body.as_bytes()).expect_err(body);
    (error.kind, error.message)
}

#[test]
fn every_shape_of_a_frame_gives_the_same_batch() {
    let plan = columns(Compat::Strict);
    for body in [
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3.5, 4]]}}"#,
        r#"{"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1], [4, 3.5]]}}"#,
        r#"{"dataframe_split": {"data": [[9, 2, 1], [9, 4, 3.5]], "index": [5, 6], "columns": ["z", "b", "a"]}}"#,
        r#"{"dataframe_records": [{"a": 1, "b": 2}, {"b": 4, "a": 3.5}]}"#,
        r#"{"dataframe_records": [{"a": 1, "b": 2, "z": {"y": []}}, {"a": 3.5, "b": 4}], "ignored": null}"#,
        r#"{"inputs": {"a": [1, 3.5], "b": [2, 4]}}"#,
        r#"{"inputs": [{"a": 1, "b": 2}, {"a": 3.5, "b": 4}]}"#,
        r#"{"instances": [{"a": 1, "b": 2}, {"a": 3.5, "b": 4}]}"#,
        r#"{"params": {"t": 1}, "instances": {"b": [2, 4], "a": [1, 3.5]}}"#,
    ] {
        let batch = json(&plan, body);
        assert_eq!(
            batch.inputs,
            floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]),
            "{body}"
        );
        assert_eq!(batch.rows, 2);
    }
    let decoded = plan.decode(Format::Csv, b"b,a\n2,1\n4,3.5\n").unwrap();
    assert_eq!(decoded.batch.inputs, floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]));
    assert_eq!(decoded.answer, AnswerShape::Records);
}

#[test]
fn tensors_come_as_nested_lists_or_as_a_frame() {
    let plan = tensor(Compat::Strict);
    for body in [
        r#"{"inputs": [[1, 2], [3.5, 4]]}"#,
        r#"{"instances": [[1, 2], [3.5, 4]]}"#,
        r#"{"dataframe_split": {"columns": ["p", "q"], "data": [[1, 2], [3.5, 4]]}}"#,
        r#"{"dataframe_split": {"data": [[1, 2], [3.5, 4]]}}"#,
        r#"{"dataframe_records": [{"p": 1, "q": 2}, {"p": 3.5, "q": 4}]}"#,
    ] {
        let decoded = plan.decode(Format::Json, body.as_bytes()).unwrap();
        assert_eq!(
            decoded.batch.inputs,
            floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]),
            "{body}"
        );
        assert_eq!(decoded.answer, AnswerShape::Tensors, "{body}");
    }
}

#[test]
fn columns_go_to_the_inputs_of_their_names() {
    let batch = json(
        &mixed(),
        r#"{"dataframe_records": [{"city": "K\u00f6ln", "n": 3.0}, {"n": "7", "city": ""}]}"#,
    );
    let numbers = Tensor {
        shape: vec![2, 1],
        data: TensorData::I64(vec![3, 7]),
    };
    let cities = Tensor {
        shape: vec![2, 1],
        data: TensorData::Str(vec!["Köln".into(), String::new()]),
    };
    assert_eq!(batch.inputs, [numbers, cities]);
}

#[test]
fn named_tensors_may_differ_in_type_and_shape() {
    let signature = signature(
        r#"[{"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}},
            {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]"#,
    );
    let inputs = [
        input("b", DType::I64, &[None]),
        input("a", DType::F32, &[None, Some(2)]),
    ];
    let plan = InputPlan::compile(Some(&signature), &inputs, Compat::Strict);
    for body in [
        r#"{"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6], "extra": "x"}}"#,
        r#"{"instances": [{"a": [1, 2], "b": 5}, {"b": 6, "a": [3, 4]}]}"#,
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[[1, 2], 5], [[3, 4], 6]]}}"#,
    ] {
        let batch = json(&plan, body);
        assert_eq!(
            batch.inputs[0],
            Tensor {
                shape: vec![2],
                data: TensorData::I64(vec![5, 6])
            },
            "{body}"
        );
        assert_eq!(
            batch.inputs[1].data,
            TensorData::F32(vec![1.0, 2.0, 3.0, 4.0]),
            "{body}"
        );
        assert_eq!(batch.inputs[1].shape, [2, 2], "{body}");
    }
    let (kind, message) = refusal(&plan, r#"{"inputs": {"a": [[1, 2]]}}"#);
    assert_eq!(kind, DecodeErrorKind::Schema);
    assert!(
        message.contains("Model is missing inputs ['b']"),
        "{message}"
    );
}

#[test]
fn refusals_name_row_column_and_path() {
    let plan = columns(Compat::Strict);
    let cases = [
        (
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, "x"]]}}"#,
            "row 1 at $.dataframe_split.data[1][1], column `b`",
        ),
        (
            r#"{"dataframe_records": [{"a": 1, "b": true}, {"a": [], "b": 2}]}"#,
            "row 1 at $.dataframe_records[1].a, column `a`",
        ),
        (
            r#"{"inputs": {"a": [1, 2], "b": [1, {}]}}"#,
            "row 1 at $.inputs.b[1], column `b`",
        ),
        (
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1e300, 2]]}}"#,
            "outside the range of float32",
        ),
    ];
    for (body, expected) in cases {
        let (kind, message) = refusal(&plan, body);
        assert_eq!(kind, DecodeErrorKind::Malformed, "{body}");
        assert!(message.contains(expected), "{body}: {message}");
    }
    let (_, message) = refusal(
        &tensor(Compat::Strict),
        r#"{"inputs": [[1, 2], [3, "no"]]}"#,
    );
    assert!(
        message.contains("row 1 at $.inputs[1][1], input `x`"),
        "{message}"
    );
    let error = plan.decode(Format::Csv, b"a,b\n1,2\n3,x\n").unwrap_err();
    assert!(error.message.contains("row 1, column `b`"), "{error}");
}

#[test]
fn what_the_signature_asks_for_must_be_there() {
    let plan = columns(Compat::Strict);
    for body in [
        r#"{"dataframe_split": {"columns": ["a"], "data": [[1]]}}"#,
        r#"{"dataframe_split": {"data": [[1, 2]]}}"#,
        r#"{"dataframe_records": [{"a": 1}]}"#,
        r#"{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}"#,
        r#"{"dataframe_records": [{"a": 1}, {"a": 1, "b": 2}]}"#,
        r#"{"inputs": [1, 2]}"#,
        r#"{"inputs": {"a": [1]}}"#,
    ] {
        assert_eq!(refusal(&plan, body).0, DecodeErrorKind::Schema, "{body}");
    }
    for body in [
        r#"{"inputs": [1, 2]}"#,
        r#"{"inputs": [[1, 2, 3]]}"#,
        r#"{"inputs": 1}"#,
        r#"{"inputs": []}"#,
    ] {
        assert_eq!(
            refusal(&tensor(Compat::Strict), body).0,
            DecodeErrorKind::Schema,
            "{body}"
        );
    }
}

#[test]
fn what_is_not_utf8_is_refused_wherever_it_stands() {
    let plan = columns(Compat::Strict);
    for body in [
        &b"{\"dataframe_split\": {\"columns\": [\"a\", \"\xff\"], \"data\": [[1, 2]]}}"[..],
        b"{\"\xff\": 1, \"inputs\": {\"a\": [1], \"b\": [2]}}",
        b"{\"ignored\": [\"\xc3\"], \"inputs\": {\"a\": [1], \"b\": [2]}}",
        b"{\"inputs\": {\"a\": [1], \"b\": [2]}, \"params\": {\"x\": \"\xe2\x82\"}}",
        b"{\"inputs\": {\"a\": [1], \"b\": [2]}}\xff",
        b"{\"inputs\": {\"a\": [1\xff], \"b\": [2]}}",
        b"[\"\xff",
    ] {
        let error = plan.decode(Format::Json, body).unwrap_err();
        let at = String::from_utf8_lossy(body).find('\u{fffd}').unwrap();
        let expected = format!("UTF-8 encoded string. Error: invalid byte at {at}");
        assert!(error.message.ends_with(&expected), "{error}: {expected}");
    }
}

#[test]
fn malformed_bodies_are_refused() {
    let plan = columns(Compat::Strict);
    for body in [
        "",
        "{",
        "[]",
        "1",
        "null",
        "\"x\"",
        "{}",
        r#"{"inputs": [], "instances": []}"#,
        r#"{"dataframe_split": []}"#,
        r#"{"dataframe_split": {"columns": []}}"#,
        r#"{"dataframe_split": {"data": [], "x": 1}}"#,
        r#"{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}"#,
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}}"#,
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2, 3]]}}"#,
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "index": [1, 2]}}"#,
        r#"{"dataframe_records": {"a": 1}}"#,
        r#"{"dataframe_records": [1]}"#,
        r#"{"inputs": {"a": [1], "b": [1, 2]}}"#,
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}} trailing"#,
    ] {
        assert_eq!(refusal(&plan, body).0, DecodeErrorKind::Malformed, "{body}");
    }
    for body in [
        r#"{"inputs": [[1, 2], [3]]}"#,
        r#"{"inputs": [[1, 2], 3]}"#,
        r#"{"inputs": [1, [2]]}"#,
        r#"{"inputs": {"x": [[1, 2]]}}"#,
    ] {
        assert_eq!(
            refusal(&tensor(Compat::Strict), body).0,
            DecodeErrorKind::Malformed,
            "{body}"
        );
    }
    assert_eq!(
        plan.decode(Format::Json, b"{\"inputs\": \"\xff\"}")
            .unwrap_err()
            .kind,
        DecodeErrorKind::Malformed
    );
    let deep = format!(
        "{{\"inputs\": {}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(
        refusal(&tensor(Compat::Strict), &deep).0,
        DecodeErrorKind::Malformed
    );
}

#[test]
fn missing_values_are_nan_for_floats_only() {
    let batch = json(
        &columns(Compat::Strict),
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[null, NaN]]}}"#,
    );
    let TensorData::F32(values) = &batch.inputs[0].data else {
        panic!("floats")
    };
    assert!(values.iter().all(|value| value.is_nan()));
    assert_eq!(
        refusal(
            &mixed(),
            r#"{"dataframe_records": [{"city": "x", "n": null}]}"#
        )
        .0,
        DecodeErrorKind::Malformed
    );
    let decoded = columns(Compat::Strict)
        .decode(Format::Csv, b"a,b\n,NA\n")
        .unwrap();
    let TensorData::F32(values) = &decoded.batch.inputs[0].data else {
        panic!("floats")
    };
    assert!(values.iter().all(|value| value.is_nan()));
}

#[test]
fn an_optional_column_may_be_absent() {
    let signature = signature(
        r#"[{"name": "a", "type": "double"}, {"name": "b", "type": "double", "required": false}]"#,
    );
    let inputs = [input("x", DType::F32, &[None, Some(2)])];
    let plan = InputPlan::compile(Some(&signature), &inputs, Compat::Strict);
    let batch = json(&plan, r#"{"dataframe_records": [{"a": 1}, {"a": 2}]}"#);
    let TensorData::F32(values) = &batch.inputs[0].data else {
        panic!("floats")
    };
    assert_eq!((values[0], values[2]), (1.0, 2.0));
    assert!(values[1].is_nan() && values[3].is_nan());
}

#[test]
fn without_a_signature_the_engine_decides() {
    let strict = unsigned(Compat::Strict);
    for body in [
        r#"{"inputs": [[1, 2]]}"#,
        r#"{"instances": [[1, 2]]}"#,
        r#"{"inputs": {"x": [[1, 2]]}}"#,
        r#"{"dataframe_split": {"columns": ["whatever", "else"], "data": [[1, 2]]}}"#,
        r#"{"dataframe_records": [{"p": 1, "q": 2}]}"#,
    ] {
        assert_eq!(
            json(&strict, body).inputs,
            floats(&[1, 2], &[1.0, 2.0]),
            "{body}"
        );
    }
    // numpy makes integers of integers, and the wrapper casts only doubles.
    let mlflow = unsigned(Compat::Mlflow);
    assert_eq!(
        refusal(&mlflow, r#"{"inputs": [[1, 2]]}"#).0,
        DecodeErrorKind::Model
    );
    assert_eq!(
        json(&mlflow, r#"{"inputs": [[1, 2.5]]}"#).inputs,
        floats(&[1, 2], &[1.0, 2.5])
    );
    assert_eq!(
        refusal(&mlflow, r#"{"dataframe_split": {"data": [[1, 2]]}}"#).0,
        DecodeErrorKind::Model
    );
    assert_eq!(
        refusal(&mlflow, r#"{"inputs": {"y": [[1, 2.5]]}}"#).0,
        DecodeErrorKind::Model
    );
}

#[test]
fn sparse_records_cannot_ask_for_more_memory_than_their_size_warrants() {
    let names: Vec<String> = (0..1000)
        .map(|index| format!(r#"{{"name": "c{index}", "type": "double", "required": false}}"#))
        .collect();
    let signature = signature(&format!("[{}]", names.join(",")));
    let plan = InputPlan::compile(
        Some(&signature),
        &[input("x", DType::F32, &[None, Some(1000)])],
        Compat::Mlflow,
    );
    let body = format!(
        "{{\"dataframe_records\": [{}]}}",
        vec!["{}"; 100_000].join(",")
    );
    let (_, message) = refusal(&plan, &body);
    assert!(message.contains("too sparse"), "{message}");
}

#[test]
fn params_are_held_to_their_schema() {
    let mut signature =
        signature(r#"[{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]"#);
    let declared = r#"[{"name": "k", "type": "long", "default": 3, "shape": null}, {"name": "t", "type": "double", "default": 0.5, "shape": null}, {"name": "tags", "type": "string", "default": ["a"], "shape": [-1]}]"#;
    let map = serde_json::json!({"inputs": signature.inputs.as_ref().map(Schema::to_json), "params": declared});
    signature = Signature::from_map(map.as_object().unwrap()).unwrap();
    let plan = InputPlan::compile(
        Some(&signature),
        &[input("x", DType::F32, &[None, Some(2)])],
        Compat::Strict,
    );
    let with =
        |params: &str| format!(r#"{{"params": {params}, "inputs": {{"a": [1], "b": [2]}}}}"#);
    for params in [
        "{}",
        "null",
        r#"{"k": 4}"#,
        r#"{"t": 1}"#,
        r#"{"unknown": []}"#,
        r#"{"tags": []}"#,
        r#"{"tags": ["x", "y"]}"#,
        r#"{"k": null}"#,
    ] {
        json(&plan, &with(params));
    }
    for params in [
        "[]",
        "1",
        r#"{"k": 3.0}"#,
        r#"{"k": true}"#,
        r#"{"tags": "x"}"#,
        r#"{"tags": [1]}"#,
        r#"{"t": "x"}"#,
    ] {
        assert_eq!(
            refusal(&plan, &with(params)).0,
            DecodeErrorKind::Params,
            "{params}"
        );
    }
}

/// A country and a name, one matrix of text.
fn words(compat: Compat) -> InputPlan {
    let signature =
        signature(r#"[{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]"#);
    let inputs = [input("x", DType::Str, &[None, Some(2)])];
    InputPlan::compile(Some(&signature), &inputs, compat)
}

fn texts(batch: &Batch) -> &[String] {
    match &batch.inputs[0].data {
        TensorData::Str(values) => values,
        other => panic!("no text: {:?}", other.dtype()),
    }
}

#[test]
fn in_a_text_column_of_csv_only_nothing_is_missing() {
    let csv = |compat, body: &str| words(compat).decode(Format::Csv, body.as_bytes());
    let body = "a,b\nNA,\"None\"\nnull,nan\n N/A ,007\n";
    let strict = csv(Compat::Strict, body).unwrap();
    assert_eq!(
        texts(&strict.batch),
        ["NA", "None", "null", "nan", " N/A ", "007"]
    );
    let mlflow = csv(Compat::Mlflow, body).unwrap();
    assert_eq!(
        texts(&mlflow.batch),
        ["nan", "nan", "nan", "nan", " N/A ", "007"]
    );
    for body in ["a,b\n,x\n", "a,b\n\"\",x\n"] {
        let error = csv(Compat::Strict, body).unwrap_err();
        assert!(
            error
                .message
                .contains("row 0, column `a`: the value is missing"),
            "{error}"
        );
    }
    let numbers = columns(Compat::Strict).decode(Format::Csv, b"a,b\nNA,1\n");
    assert!(
        matches!(&numbers.unwrap().batch.inputs[0].data, TensorData::F32(values) if values[0].is_nan())
    );
}

/// pandas gives a column one type: what becomes of a null depends on what stands beside it.
#[test]
fn in_mlflows_casts_a_whole_column_has_one_type() {
    let plan = words(Compat::Mlflow);
    for (rows, first) in [
        ("[[null, 1]]", ["None"].as_slice()),
        ("[[null, 1], [5, 1]]", &["nan", "5.0"]),
        ("[[null, 1], [\"x\", 1]]", &["nan", "x"]),
        ("[[null, 1], [true, 1]]", &["None", "True"]),
        ("[[null, 1], [\"x\", 1], [5, 1]]", &["None", "x", "5"]),
        ("[[5, 1], [1.5, 1]]", &["5.0", "1.5"]),
        (
            "[[9223372036854775808, 1], [-1, 1]]",
            &["9223372036854775808", "-1"],
        ),
    ] {
        let body = format!(r#"{{"dataframe_split": {{"columns": ["a", "b"], "data": {rows}}}}}"#);
        let batch = json(&plan, &body);
        let column: Vec<&String> = texts(&batch).iter().step_by(2).collect();
        assert_eq!(column, first, "{rows}");
    }
    let records = r#"{"dataframe_records": [{"a": null, "b": 1}, {"a": "x"}]}"#;
    assert_eq!(texts(&json(&plan, records)), ["nan", "1.0", "x", "nan"]);
    let lists = r#"{"inputs": {"a": [null, 5], "b": [1.5, 2]}}"#;
    assert_eq!(texts(&json(&plan, lists)), ["None", "1.5", "5", "2"]);
}

#[test]
fn a_null_in_a_list_of_a_tensor_has_a_place() {
    let spec = |dtype| {
        signature(&format!(
            r#"[{{"name": "x", "type": "tensor", "tensor-spec": {{"dtype": "{dtype}", "shape": [-1, 2]}}}}]"#
        ))
    };
    let plan = |dtype, target, compat| {
        InputPlan::compile(
            Some(&spec(dtype)),
            &[input("x", target, &[None, Some(2)])],
            compat,
        )
    };
    let split = |rows| format!(r#"{{"dataframe_split": {{"columns": ["x"], "data": {rows}}}}}"#);
    let whole = plan("int64", DType::I64, Compat::Strict);
    let (_, message) = refusal(&whole, &split("[[[1, 2]], [[3, null]]]"));
    assert_eq!(
        message,
        "Invalid input. row 1 at $.dataframe_split.data[1][0][1], column `x`: \
         the value is missing, and int64 has no missing value"
    );
    let records = r#"{"dataframe_records": [{"x": [1, 2]}, {"x": null}]}"#;
    let (kind, message) = refusal(&whole, records);
    assert_eq!(kind, DecodeErrorKind::Schema);
    assert!(
        message.ends_with("the value is not a list of 2 values"),
        "{message}"
    );
    // numpy casts an array of doubles, in which no number is the smallest integer.
    let mlflow = plan("int64", DType::I64, Compat::Mlflow);
    let batch = json(&mlflow, &split("[[[1, NaN]]]"));
    assert_eq!(batch.inputs[0].data, TensorData::I64(vec![1, i64::MIN]));
    // MLflow looks at the very first value to see that it is a tensor.
    let real = plan("float32", DType::F32, Compat::Mlflow);
    assert!(
        real.decode(Format::Json, split("[[[null, 1]]]").as_bytes())
            .is_err()
    );
    assert_eq!(json(&real, &split("[[[1, 2]], [[null, 1]]]")).rows, 2);
}

#[test]
fn binary_columns_are_base64() {
    let signature = signature(r#"[{"name": "a", "type": "binary"}]"#);
    let plan = |dtype, compat| {
        InputPlan::compile(
            Some(&signature),
            &[input("x", dtype, &[None, Some(1)])],
            compat,
        )
    };
    let strict = plan(DType::Str, Compat::Strict);
    for body in [
        r#"{"dataframe_split": {"columns": ["a"], "data": [["aGVsbG8="]]}}"#,
        r#"{"dataframe_records": [{"a": "aGVsbG8="}]}"#,
        r#"{"inputs": {"a": ["aGVsbG8="]}}"#,
        r#"{"instances": [{"a": "aGVsbG8="}]}"#,
    ] {
        assert_eq!(texts(&json(&strict, body)), ["hello"], "{body}");
    }
    let csv = strict.decode(Format::Csv, b"a\naGVsbG8=\n").unwrap();
    assert_eq!(texts(&csv.batch), ["hello"]);
    let (_, message) = refusal(&strict, r#"{"inputs": {"a": ["//4="]}}"#);
    assert!(message.contains("no UTF-8 text"), "{message}");
    let (_, message) = refusal(&strict, r#"{"inputs": {"a": ["a b"]}}"#);
    assert!(message.contains("no base64"), "{message}");
    let mlflow = plan(DType::Str, Compat::Mlflow);
    let split = r#"{"dataframe_split": {"columns": ["a"], "data": [["aGVsbG8="]]}}"#;
    assert_eq!(texts(&json(&mlflow, split)), ["b'hello'"]);
    let (kind, _) = refusal(&plan(DType::F32, Compat::Strict), split);
    assert_eq!(kind, DecodeErrorKind::Model);
}

#[test]
fn bodies_of_mlflow_1_are_told_how_they_are_sent_today() {
    let plan = columns(Compat::Strict);
    for (body, hint) in [
        (
            r#"{"columns": ["a", "b"], "data": [[1, 2]]}"#,
            r#"send {"dataframe_split": {"columns": [...], "data": [...]}}."#,
        ),
        (
            r#"[{"a": 1, "b": 2}]"#,
            r#"send {"dataframe_records": [...]}."#,
        ),
        ("[[1, 2]]", r#"Send {"inputs": [...]}."#),
    ] {
        let (kind, message) = refusal(&plan, body);
        assert_eq!(kind, DecodeErrorKind::Malformed);
        assert!(message.ends_with(hint), "{message}");
    }
}

#[test]
fn tensors_come_as_bytes() {
    let floats_as_bytes = STANDARD.encode(
        [1.0f32, 2.0, 3.5, 4.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>(),
    );
    let expected = floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]);
    let sent = format!(r#"{{"b64": "{floats_as_bytes}", "dtype": "float32", "shape": [2, 2]}}"#);
    for plan in [
        tensor(Compat::Strict),
        unsigned(Compat::Strict),
        unsigned(Compat::Mlflow),
    ] {
        for body in [
            format!(r#"{{"inputs": {sent}}}"#),
            format!(r#"{{"instances": {sent}}}"#),
        ] {
            assert_eq!(json(&plan, &body).inputs, expected, "{body}");
        }
    }
    let named = unsigned(Compat::Strict);
    assert_eq!(
        json(&named, &format!(r#"{{"inputs": {{"x": {sent}}}}}"#)).inputs,
        expected
    );
    // Another type goes the way of JSON numbers: without loss, or not at all.
    let whole = |values: [i64; 2]| {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let sent = STANDARD.encode(bytes);
        format!(r#"{{"inputs": {{"dtype": "int64", "shape": [1, 2], "b64": "{sent}"}}}}"#)
    };
    let plan = tensor(Compat::Strict);
    assert_eq!(
        json(&plan, &whole([1, -2])).inputs,
        floats(&[1, 2], &[1.0, -2.0])
    );
    let narrow = InputPlan::compile(
        None,
        &[input("x", DType::I8, &[None, Some(2)])],
        Compat::Strict,
    );
    let (_, message) = refusal(&narrow, &whole([1, 128]));
    assert!(
        message.contains("element 1 of a tensor as bytes: the value is outside the range of int8"),
        "{message}"
    );
    for bad in [
        sent.replace("[2, 2]", "[2, 3]"),
        sent.replace("[2, 2]", "[-2, -2]"),
        sent.replace("[2, 2]", "[4294967296, 4294967296, 4]"),
        sent.replace("float32", "float33"),
        sent.replace("\"dtype\"", "\"type\""),
        sent.replacen('A', "!", 1),
        r#"{"npy": "AAAA"}"#.to_owned(),
    ] {
        let (kind, message) = refusal(&plan, &format!(r#"{{"inputs": {bad}}}"#));
        assert_eq!(kind, DecodeErrorKind::Malformed, "{message}");
        assert!(
            message.contains("a tensor as bytes is invalid"),
            "{message}"
        );
    }
    let wide = format!(r#"{{"inputs": {}}}"#, sent.replace("[2, 2]", "[1, 4]"));
    assert_eq!(refusal(&plan, &wide).0, DecodeErrorKind::Schema);
}

#[test]
fn lines_are_rows_of_a_frame_or_of_a_tensor() {
    let expected = floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]);
    for (plan, lines) in [
        (
            columns(Compat::Strict),
            "{\"a\": 1, \"b\": 2}\n{\"a\": 3.5, \"b\": 4}\n",
        ),
        (columns(Compat::Strict), "[1, 2]\n[3.5, 4]"),
        (tensor(Compat::Strict), "[1, 2]\n[3.5, 4]"),
        (unsigned(Compat::Strict), "[1, 2]\n[3.5, 4]"),
        (
            unsigned(Compat::Strict),
            "{\"x\": [1, 2]}\n{\"x\": [3.5, 4]}",
        ),
    ] {
        let decoded = plan.decode(Format::Lines, lines.as_bytes());
        let decoded = decoded.unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert_eq!(decoded.batch.inputs, expected, "{lines}");
    }
    let error = columns(Compat::Strict)
        .decode(
            Format::Lines,
            b"{\"a\": 1, \"b\": 2}\n{\"a\": \"x\", \"b\": 4}",
        )
        .unwrap_err();
    assert!(
        error.message.contains("row 1 at $.dataframe_records[1].a"),
        "{error}"
    );
}

#[test]
fn rows_of_csv_without_a_header_have_the_order_of_the_signature() {
    let decode = |plan: &InputPlan, body: &str| plan.decode(Format::CsvRows, body.as_bytes());
    let expected = floats(&[2, 2], &[1.0, 2.0, 3.5, 4.0]);
    for plan in [
        columns(Compat::Strict),
        columns(Compat::Mlflow),
        unsigned(Compat::Strict),
    ] {
        let decoded = decode(&plan, "1,2\n3.5,4\n").unwrap();
        assert_eq!(decoded.batch.inputs, expected);
    }
    assert!(decode(&columns(Compat::Strict), "1,2,3\n").is_err());
    assert!(decode(&columns(Compat::Strict), "1,2\n1,2,3\n").is_err());
}

#[test]
fn a_body_may_choose_outputs() {
    let plan = tensor(Compat::Strict);
    let outputs = |body: &str| plan.decode(Format::Json, body.as_bytes()).unwrap().outputs;
    assert_eq!(outputs(r#"{"inputs": [[1, 2]]}"#), None);
    assert_eq!(
        outputs(r#"{"outputs": ["a", "b\u0063"], "inputs": [[1, 2]]}"#),
        Some(vec!["a".to_owned(), "bc".to_owned()])
    );
    for outputs in ["null", "\"a\"", "[1]", "{}"] {
        refusal(
            &plan,
            &format!(r#"{{"inputs": [[1, 2]], "outputs": {outputs}}}"#),
        );
    }
}

#[test]
fn bfloat16_rounds_as_single_precision_does() {
    let spec =
        signature(r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}]"#);
    let inputs = [input("x", DType::BF16, &[None])];
    for signature in [Some(&spec), None] {
        let plan = InputPlan::compile(signature, &inputs, Compat::Strict);
        let batch = json(&plan, r#"{"inputs": [1.5, 0.1, null]}"#);
        let TensorData::BF16(values) = &batch.inputs[0].data else {
            panic!("no bfloat16: {:?}", batch.inputs[0].data.dtype());
        };
        let wide: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
        assert_eq!(wide[..2], [1.5, 0.100_097_656]);
        assert!(wide[2].is_nan());
        let (_, message) = refusal(&plan, r#"{"inputs": [1e39]}"#);
        assert!(message.contains("outside the range"), "{message}");
    }
}
