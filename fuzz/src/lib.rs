//! What targets share: plans of models of different kinds for those that decode payloads, and a server.

pub mod server;

use mlrs_mlmodel::Signature;
use mlrs_mlmodel::signature::Schema;
use mlrs_payload::{Compat, DType, Decoded, Dim, InputPlan, TensorInfo};

/// A schema, and the inputs of a model that goes with it.
type Kind = (
    Option<&'static str>,
    &'static [(&'static str, DType, &'static [Option<usize>])],
);

const KINDS: [Kind; 6] = [
    (
        Some(
            r#"[{"name": "a", "type": "double"}, {"name": "b", "type": "float", "required": false}]"#,
        ),
        &[("x", DType::F32, &[None, Some(2)])],
    ),
    (
        Some(
            r#"[{"name": "a", "type": "string"}, {"name": "b", "type": "integer"}, {"name": "c", "type": "boolean"}]"#,
        ),
        &[
            ("c", DType::Bool, &[None, Some(1)]),
            ("a", DType::Str, &[None]),
            ("b", DType::I32, &[None, Some(1)]),
        ],
    ),
    (
        Some(r#"[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]"#),
        &[("x", DType::F64, &[None, Some(2)])],
    ),
    (
        Some(
            r#"[{"name": "a", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}},
                {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}]"#,
        ),
        &[
            ("a", DType::I64, &[None, Some(2)]),
            ("b", DType::Str, &[None]),
        ],
    ),
    (None, &[("a", DType::F32, &[None, None])]),
    (
        None,
        &[("a", DType::U8, &[None]), ("b", DType::F16, &[None])],
    ),
];

/// Every plan there is.
pub fn plans() -> Vec<InputPlan> {
    let mut plans = Vec::new();
    for (schema, inputs) in KINDS {
        let schema = schema.map(|text| Schema::parse(text).expect("a schema"));
        let signature = schema.map(|inputs| Signature {
            inputs: Some(inputs),
            ..Signature::default()
        });
        let input = |(name, dtype, shape): &(&str, DType, &[Option<usize>])| TensorInfo {
            name: (*name).to_owned(),
            dtype: *dtype,
            shape: Some(
                shape
                    .iter()
                    .map(|length| length.map_or(Dim::Unknown, Dim::Fixed))
                    .collect(),
            ),
        };
        let inputs: Vec<TensorInfo> = inputs.iter().map(input).collect();
        for compat in [Compat::Strict, Compat::Mlflow] {
            plans.push(InputPlan::compile(signature.as_ref(), &inputs, compat));
        }
    }
    plans
}

/// What holds of everything that was decoded.
pub fn check(decoded: &Decoded) {
    for tensor in &decoded.batch.inputs {
        assert_eq!(
            tensor.shape.iter().product::<usize>(),
            tensor.data.len(),
            "{:?}",
            tensor.shape
        );
    }
}
