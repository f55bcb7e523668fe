//! The signature of a graph: what `mlflow.models.infer_signature` says of arrays that fit a model's real
//! inputs and outputs ([`signature_of`]), and whether a signature fits them ([`check_signature`],
//! [`check_output`]).

use mlrs_mlmodel::signature::{Schema, Signature, TensorSpec, TensorType};

use crate::batch::{Output, Value};
use crate::plan::{Compat, InputPlan};
use crate::tensor::{DType, Dim, TensorInfo, ValueInfo, ValueKind};

/// A tensor of a signature and one of a model do not meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The signature declares a tensor that the model does not have.
    #[error(
        "the signature declares the {part} `{name}`, which the model does not have; it has {known}"
    )]
    Unknown {
        /// `input` or `output`.
        part: &'static str,
        /// Its name.
        name: String,
        /// Those that the model has.
        known: String,
    },
    /// The model takes a tensor that the signature does not declare.
    #[error("the model takes the input `{name}`, which the signature does not declare")]
    Undeclared {
        /// Its name.
        name: String,
    },
    /// Type or shape differ.
    #[error("the {part} `{name}`: the signature declares {expected}, and the model has {found}")]
    Differs {
        /// `input` or `output`.
        part: &'static str,
        /// Its name.
        name: String,
        /// What the signature says.
        expected: String,
        /// What the model says, or gave.
        found: String,
    },
    /// Columns that cannot be laid out as the model's inputs.
    #[error("{0}")]
    Columns(String),
}

/// The signature of a model with these inputs and outputs. One input is an array without a name, as
/// MLflow has it for `infer_signature(array, …)`; several are named. A dimension that is not fixed is
/// -1.
///
/// Outputs are left out where one of them is no tensor (a `ZipMap`'s), or declares no rank. `None` when
/// an input declares no rank, or there are no inputs: then nothing can be said.
pub fn signature_of(inputs: &[TensorInfo], outputs: &[ValueInfo]) -> Option<Signature> {
    let named = inputs.len() > 1;
    let spec = |input: &TensorInfo| {
        Some(TensorSpec {
            name: named.then(|| input.name.clone()),
            dtype: tensor_type(input.dtype),
            shape: sizes(input.shape.as_deref()?),
        })
    };
    let taken: Vec<TensorSpec> = inputs.iter().map(spec).collect::<Option<_>>()?;
    if taken.is_empty() {
        return None;
    }
    let given: Option<Vec<TensorSpec>> = outputs.iter().map(output_spec).collect();
    Some(Signature {
        inputs: Some(Schema::Tensors(taken)),
        outputs: given.filter(|given| !given.is_empty()).map(Schema::Tensors),
        params: None,
    })
}

fn output_spec(output: &ValueInfo) -> Option<TensorSpec> {
    let ValueKind::Tensor { dtype, shape } = &output.kind else {
        return None;
    };
    // Texts come out of ONNX Runtime as Python objects.
    let dtype = match dtype {
        DType::Str => TensorType::Object,
        other => tensor_type(*other),
    };
    Some(TensorSpec {
        name: Some(output.name.clone()),
        dtype,
        shape: sizes(shape.as_deref()?),
    })
}

/// The type of a tensor in a signature.
pub fn tensor_type(dtype: DType) -> TensorType {
    match dtype {
        // numpy, and so a signature, has no bfloat16; every one of them is a float32.
        DType::BF16 => TensorType::Float32,
        dtype => TensorType::from_name(dtype.numpy_name()),
    }
}

fn sizes(shape: &[Dim]) -> Vec<Option<usize>> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => Some(*size),
        Dim::Symbolic(_) | Dim::Unknown => None,
    };
    shape.iter().map(size).collect()
}

/// Checks that a signature fits what a model takes and gives: every input is declared, nothing else
/// is, types are equal (or a double for a float, which MLflow narrows), and no fixed dimension
/// contradicts another.
///
/// Output columns are not looked at: a model that answers with maps has columns that its outputs do not
/// tell.
///
/// # Errors
/// The first tensor that does not fit.
pub fn check_signature(
    signature: &Signature,
    inputs: &[TensorInfo],
    outputs: &[ValueInfo],
) -> Result<(), Misfit> {
    match &signature.inputs {
        Some(Schema::Tensors(specs)) => check_inputs(specs, inputs)?,
        Some(Schema::Columns(_)) => {
            let plan = InputPlan::compile(Some(signature), inputs, Compat::Strict);
            if let Some(reason) = plan.warnings().first() {
                return Err(Misfit::Columns(reason.clone()));
            }
        }
        None => {}
    }
    let Some(Schema::Tensors(specs)) = &signature.outputs else {
        return Ok(());
    };
    for (index, spec) in specs.iter().enumerate() {
        let found = output_named(spec, index, outputs)?;
        if let ValueKind::Tensor { dtype, shape } = &found.kind {
            let shape = shape.as_deref().map(sizes);
            meets("output", &found.name, spec, *dtype, shape.as_deref())?;
        }
    }
    Ok(())
}

/// Checks that what a model gave fits the outputs of its signature.
///
/// # Errors
/// The first tensor that does not fit.
pub fn check_output(
    signature: &Signature,
    outputs: &[ValueInfo],
    given: &Output,
) -> Result<(), Misfit> {
    let Some(Schema::Tensors(specs)) = &signature.outputs else {
        return Ok(());
    };
    for (index, spec) in specs.iter().enumerate() {
        let info = output_named(spec, index, outputs)?;
        let position = outputs.iter().position(|output| output.name == info.name);
        let value = position.and_then(|position| given.values.get(position));
        if let Some(Value::Tensor(tensor)) = value {
            let shape: Vec<Option<usize>> = tensor.shape.iter().copied().map(Some).collect();
            meets(
                "output",
                &info.name,
                spec,
                tensor.data.dtype(),
                Some(&shape),
            )?;
        }
    }
    Ok(())
}

fn check_inputs(specs: &[TensorSpec], inputs: &[TensorInfo]) -> Result<(), Misfit> {
    let nameless = |spec: &TensorSpec| spec.name.is_none() && inputs.len() == 1;
    for input in inputs {
        let named = |spec: &&TensorSpec| spec.name.as_deref() == Some(&input.name);
        let spec = specs.iter().find(|spec| named(spec) || nameless(spec));
        let spec = spec.ok_or_else(|| match specs {
            // One name for another is a slip of the pen.
            [only] if inputs.len() == 1 => unknown("input", only, names(inputs)),
            _ => Misfit::Undeclared {
                name: input.name.clone(),
            },
        })?;
        let shape = input.shape.as_deref().map(sizes);
        meets("input", &input.name, spec, input.dtype, shape.as_deref())?;
    }
    let known = |spec: &TensorSpec| {
        nameless(spec)
            || inputs
                .iter()
                .any(|input| spec.name.as_deref() == Some(&input.name))
    };
    match specs.iter().find(|spec| !known(spec)) {
        Some(spec) => Err(unknown("input", spec, names(inputs))),
        None => Ok(()),
    }
}

fn names(inputs: &[TensorInfo]) -> String {
    let names = inputs.iter().map(|input| format!("`{}`", input.name));
    names.collect::<Vec<_>>().join(", ")
}

fn unknown(part: &'static str, spec: &TensorSpec, known: String) -> Misfit {
    Misfit::Unknown {
        part,
        name: spec.name.clone().unwrap_or_default(),
        known,
    }
}

/// The output that a tensor of a signature means: that of its name, or the one of its place when it has
/// no name.
fn output_named<'o>(
    spec: &TensorSpec,
    index: usize,
    outputs: &'o [ValueInfo],
) -> Result<&'o ValueInfo, Misfit> {
    let found = match &spec.name {
        Some(name) => outputs.iter().find(|output| output.name == *name),
        None => outputs.get(index),
    };
    found.ok_or_else(|| {
        let names = outputs.iter().map(|output| format!("`{}`", output.name));
        unknown("output", spec, names.collect::<Vec<_>>().join(", "))
    })
}

fn meets(
    part: &'static str,
    name: &str,
    spec: &TensorSpec,
    dtype: DType,
    shape: Option<&[Option<usize>]>,
) -> Result<(), Misfit> {
    let found = tensor_type(dtype);
    let narrowed = part == "input" && spec.dtype == TensorType::Float64 && dtype == DType::F32;
    let text = spec.dtype == TensorType::Object && dtype == DType::Str;
    let typed = spec.dtype == found || narrowed || text;
    let agree = |(one, other): (&Option<usize>, &Option<usize>)| match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let shaped = shape.is_none_or(|shape| {
        shape.len() == spec.shape.len() && spec.shape.iter().zip(shape).all(agree)
    });
    if typed && shaped {
        return Ok(());
    }
    Err(Misfit::Differs {
        part,
        name: name.to_owned(),
        expected: described(&spec.dtype, Some(&spec.shape)),
        found: described(&found, shape),
    })
}

/// `float32 (-1, 4)`.
fn described(dtype: &TensorType, shape: Option<&[Option<usize>]>) -> String {
    let Some(shape) = shape else {
        return dtype.name().to_owned();
    };
    let sizes: Vec<String> = shape
        .iter()
        .map(|size| size.map_or("-1".to_owned(), |size| size.to_string()))
        .collect();
    format!("{} ({})", dtype.name(), sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Tensor, TensorData};

    fn input(name: &str, dtype: DType, shape: Option<Vec<Dim>>) -> TensorInfo {
        TensorInfo {
            name: name.to_owned(),
            dtype,
            shape,
        }
    }

    fn output(name: &str, dtype: DType, shape: Vec<Dim>) -> ValueInfo {
        let shape = Some(shape);
        ValueInfo {
            name: name.to_owned(),
            kind: ValueKind::Tensor { dtype, shape },
        }
    }

    fn rows(width: usize) -> Vec<Dim> {
        vec![Dim::Symbolic("rows".to_owned()), Dim::Fixed(width)]
    }

    fn json(schema: Option<&Schema>) -> String {
        schema.map(Schema::to_json).unwrap_or_default()
    }

    fn read(inputs: &str, outputs: &str) -> Signature {
        let schema = |text: &str| (!text.is_empty()).then(|| Schema::parse(text).unwrap());
        Signature {
            inputs: schema(inputs),
            outputs: schema(outputs),
            params: None,
        }
    }

    #[test]
    fn one_input_has_no_name_and_several_have() {
        let one = [input("x", DType::F32, Some(rows(4)))];
        let y = [output("y", DType::Str, vec![Dim::Unknown])];
        let signature = signature_of(&one, &y).unwrap();
        assert_eq!(
            json(signature.inputs.as_ref()),
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]"#
        );
        assert_eq!(
            json(signature.outputs.as_ref()),
            r#"[{"name": "y", "type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}]"#
        );
        let two = [one[0].clone(), input("t", DType::Str, Some(Vec::new()))];
        let signature = signature_of(&two, &y).unwrap();
        assert_eq!(
            json(signature.inputs.as_ref()),
            r#"[{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}, {"name": "t", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": []}}]"#
        );
    }

    #[test]
    fn what_has_no_shape_is_left_out() {
        let x = input("x", DType::F32, Some(rows(4)));
        let maps = ValueInfo {
            name: "p".to_owned(),
            kind: ValueKind::Maps,
        };
        let signature = signature_of(&[x], &[maps]).unwrap();
        assert!(signature.outputs.is_none());
        assert!(signature_of(&[input("x", DType::F32, None)], &[]).is_none());
        assert!(signature_of(&[], &[]).is_none());
    }

    #[test]
    fn what_was_inferred_fits() {
        let inputs = [
            input("x", DType::F32, Some(rows(4))),
            input("t", DType::Str, Some(rows(1))),
        ];
        let outputs = [output("y", DType::Str, vec![Dim::Unknown])];
        for count in [1, 2] {
            let signature = signature_of(&inputs[..count], &outputs).unwrap();
            assert_eq!(
                check_signature(&signature, &inputs[..count], &outputs),
                Ok(())
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tensor = |name: &str, dtype: &str, shape: &str| {
            format!(
                r#"[{{"name": "{name}", "type": "tensor", "tensor-spec": {{"dtype": "{dtype}", "shape": {shape}}}}}]"#
            )
        };
        let inputs = [input("x", DType::F32, Some(rows(4)))];
        let outputs = [output("y", DType::I64, vec![Dim::Unknown])];
        let refused = |taken: &str, given: &str| {
            let refused = check_signature(&read(taken, given), &inputs, &outputs);
            refused.unwrap_err().to_string()
        };
        let fits = |taken: &str, given: &str| {
            assert_eq!(
                check_signature(&read(taken, given), &inputs, &outputs),
                Ok(())
            );
        };
        fits(&tensor("x", "float64", "[-1, -1]"), "");
        fits("", &tensor("y", "int64", "[3]"));
        assert_eq!(
            refused(&tensor("x", "float32", "[-1, 5]"), ""),
            "the input `x`: the signature declares float32 (-1, 5), and the model has float32 (-1, 4)"
        );
        assert_eq!(
            refused(&tensor("x", "int64", "[-1, 4]"), ""),
            "the input `x`: the signature declares int64 (-1, 4), and the model has float32 (-1, 4)"
        );
        assert_eq!(
            refused(&tensor("z", "float32", "[-1, 4]"), ""),
            "the signature declares the input `z`, which the model does not have; it has `x`"
        );
        assert_eq!(
            refused("", &tensor("z", "int64", "[-1]")),
            "the signature declares the output `z`, which the model does not have; it has `y`"
        );
        assert_eq!(
            refused("", &tensor("y", "int64", "[-1, 1]")),
            "the output `y`: the signature declares int64 (-1, 1), and the model has int64 (-1)"
        );
        let column = r#"[{"type": "double", "name": "a", "required": true}]"#;
        assert_eq!(
            refused(column, ""),
            "the signature has 1 columns, and the model's input `x` takes 4"
        );
        let two = [inputs[0].clone(), input("b", DType::F32, Some(rows(1)))];
        let only = read(&tensor("x", "float32", "[-1, 4]"), "");
        assert_eq!(
            check_signature(&only, &two, &outputs)
                .unwrap_err()
                .to_string(),
            "the model takes the input `b`, which the signature does not declare"
        );
    }

    #[test]
    fn what_a_model_gave_is_held_against_its_word() {
        let outputs = [output("y", DType::F32, rows(2))];
        let inputs = [input("x", DType::F32, Some(rows(4)))];
        let signature = signature_of(&inputs, &outputs).unwrap();
        let gave = |shape: &[usize]| {
            let count = shape.iter().product();
            let data = TensorData::F32(vec![0.0; count]);
            let shape = shape.to_vec();
            Output {
                values: vec![Value::Tensor(Tensor { shape, data })],
            }
        };
        assert_eq!(check_output(&signature, &outputs, &gave(&[3, 2])), Ok(()));
        let refused = check_output(&signature, &outputs, &gave(&[3, 1])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the output `y`: the signature declares float32 (-1, 2), and the model has float32 (3, 1)"
        );
    }
}
