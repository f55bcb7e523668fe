//! The contract suite on tract, with the gaps that tract has.

use std::path::{Path, PathBuf};

use mlrs_backend::contract::{self, Gap};
use mlrs_backend::{Backend, Batching};
use mlrs_tract::Tract;

const fn gap(case: &'static str, reason: &'static str) -> Gap {
    Gap { case, reason }
}

/// What tract refuses, and why.
const GAPS: [Gap; 9] = [
    gap("brain_float", "bfloat16"),
    gap("filled", "shape input is variable"),
    gap("identity_str", "the input `x` of type `str`"),
    gap("loop", "the operator `Loop`"),
    gap(
        "lstm_reverse",
        "the attribute `direction` of the operator `LSTM`",
    ),
    gap(
        "lstm_clipped",
        "the attribute `clip` of the operator `LSTM`",
    ),
    gap(
        "lstm_activations",
        "the attribute `activations` of the operator `LSTM`",
    ),
    gap("sequence_output", "the operator `SplitToSequence`"),
    gap("text_output", "the operator `LabelEncoder`"),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx")
}

#[test]
fn keeps_the_contract() {
    let failures = contract::check(&Tract, &fixtures(), &GAPS).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn says_how_it_runs() {
    let plan = |name: &str| {
        let model = Tract
            .load(&contract::source(&fixtures(), name), &contract::options())
            .unwrap();
        let facts = model.facts();
        facts.into_iter().find(|(key, _)| *key == "plan").unwrap().1
    };
    assert_eq!(plan("logistic.onnx"), "one for all shapes");
    assert_eq!(plan("two_inputs.onnx"), "one for all shapes");
    assert_eq!(plan("no_rank.onnx"), "one for each shape");
}

#[test]
fn many_shapes_do_not_pile_up() {
    let model = Tract
        .load(
            &contract::source(&fixtures(), "no_rank.onnx"),
            &contract::options(),
        )
        .unwrap();
    assert_eq!(model.batching(), Batching::Alone);
    let mut session = model.session().unwrap();
    for length in 1..40_usize {
        let data = mlrs_payload::TensorData::F32(vec![1.0; length]);
        let batch = mlrs_backend::Batch {
            inputs: vec![mlrs_payload::Tensor {
                shape: vec![length],
                data,
            }],
            rows: length,
        };
        assert!(session.predict(batch).is_ok());
    }
}
