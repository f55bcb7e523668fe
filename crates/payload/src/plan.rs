//! The input plan: how the columns and tensors of a payload become an engine's inputs.
//!
//! [`InputPlan::compile`] runs once, when a model is loaded. It lays the signature over the inputs
//! that the engine really has, as MLflow's ONNX wrapper does: a data frame for an engine with one
//! input is stacked into one matrix; with several inputs each takes the column of its name; tensors
//! go to the input of their name. What the wrapper would make the engine refuse is known here
//! already, as a *rejection*: such a payload is answered with an error without running the model.

use std::collections::HashMap;

use mlrs_mlmodel::signature::{ColumnSpec, ColumnType, ParamSpec, Schema, Signature, TensorSpec};

use crate::convert::{Casts, Declared, Rule};
use crate::json::body;
use crate::tensor::{DType, Dim, TensorInfo};
use crate::{Batch, DecodeError, csv, lines, nested};

/// How values are converted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// Lossless conversions only; anything else is refused. Non-finite outputs become `null`.
    #[default]
    Strict,
    /// As MLflow 3.17 does: numpy's casts on input, `NaN` and `Infinity` literals on output.
    Mlflow,
}

/// The format of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`, whose first line names the columns.
    Csv,
    /// `text/csv` without such a line: columns come in the order of the signature.
    CsvRows,
    /// JSON lines: a record or a list for each row.
    Lines,
    /// `.npy`: the one tensor that the model takes.
    Npy,
}

/// The shape that the answer takes; it follows from what the payload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerShape {
    /// A list of records, one a row: the payload was a data frame.
    Records,
    /// An object of arrays keyed by output name: the payload was tensors.
    Tensors,
}

/// A decoded request.
#[derive(Debug)]
pub struct Decoded {
    /// The engine's inputs.
    pub batch: Batch,
    /// The shape of the answer.
    pub answer: AnswerShape,
    /// Columns or inputs that the signature does not know; they were ignored.
    pub ignored: usize,
    /// The names of the outputs that the body asks for; all when it names none.
    pub outputs: Option<Vec<String>>,
}

/// How the columns and tensors of a payload become an engine's inputs; compiled once, at load.
#[derive(Debug)]
pub struct InputPlan {
    pub(crate) compat: Compat,
    /// Whether the signature is one of columns: then `inputs` and `instances` are frames, too.
    pub(crate) columns: bool,
    /// For `dataframe_*` and CSV.
    pub(crate) frame: FramePlan,
    /// For `inputs` and `instances` under a signature of columns.
    pub(crate) columnar: FramePlan,
    /// For `inputs` and `instances` otherwise.
    pub(crate) tensors: TensorPlan,
    /// The schema of `params`.
    pub(crate) params: Option<Vec<ParamSpec>>,
    warnings: Vec<String>,
}

/// The plan for payloads that are data frames.
#[derive(Clone, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations occur"
)]
pub(crate) struct FramePlan {
    /// The columns that are known, in the signature's order.
    pub(crate) columns: Vec<Column>,
    /// The tensors that they fill, in the engine's order.
    pub(crate) targets: Vec<Target>,
    /// Where a column's name leads; empty when columns go by position.
    pub(crate) names: HashMap<Box<str>, usize>,
    /// Columns come by position: names in the payload do not matter.
    pub(crate) positional: bool,
    /// The payload's own columns decide: `columns` holds one that stands for all of them.
    pub(crate) open: bool,
    /// More columns than are known may come and are ignored; otherwise they are an error.
    pub(crate) extra: bool,
    /// The kinds of the values must be watched: nothing is declared, and numpy would infer a type.
    pub(crate) observe: bool,
    /// What becomes of a value depends on those beside it in its column: see [`crate::inferred`].
    pub(crate) watch: bool,
    /// Every cell is a number for one float tensor, in the order of the columns.
    pub(crate) plain: bool,
    /// Why the model cannot take a frame, whatever it holds.
    pub(crate) rejection: Option<String>,
    /// The shape of the answer.
    pub(crate) tensor_answer: bool,
}

/// A column of a frame.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its name, for messages; the position where it has none.
    pub(crate) name: Box<str>,
    /// Whether a frame must have it.
    pub(crate) required: bool,
    /// How its values are converted.
    pub(crate) rule: Rule,
    /// The tensor that it goes to.
    pub(crate) tensor: usize,
    /// Its place in a row of that tensor.
    pub(crate) offset: usize,
    /// Elements of one cell when cells are lists.
    pub(crate) list: Option<usize>,
}

/// A tensor that a frame fills.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its element type.
    pub(crate) dtype: DType,
    /// Elements in a row.
    pub(crate) width: usize,
    /// The dimensions behind the rows; their product is `width`.
    pub(crate) tail: Vec<usize>,
}

/// The plan for payloads that are tensors.
#[derive(Clone, Debug, Default)]
pub(crate) struct TensorPlan {
    /// One for each input of the engine, in its order.
    pub(crate) targets: Vec<TensorTarget>,
    /// Payloads name their tensors (several inputs, or a signature with names).
    pub(crate) named: bool,
    /// Names that are not known are ignored rather than refused.
    pub(crate) extra: bool,
    /// See [`FramePlan::observe`].
    pub(crate) observe: bool,
    /// Why the model cannot take tensors, whatever they hold.
    pub(crate) rejection: Option<String>,
}

/// A tensor of a payload and the input that it goes to.
#[derive(Clone, Debug)]
pub(crate) struct TensorTarget {
    /// Its name in a payload.
    pub(crate) name: Box<str>,
    /// The engine's element type.
    pub(crate) dtype: DType,
    /// How its values are converted.
    pub(crate) rule: Rule,
    /// The declared shape.
    pub(crate) shape: Option<Vec<Option<usize>>>,
}

impl InputPlan {
    /// Compiles the plan for a model with this signature and these inputs.
    ///
    /// Never fails: a signature that the engine's inputs cannot meet is kept as a warning, and as
    /// an answer to each request, as MLflow does.
    pub fn compile(signature: Option<&Signature>, inputs: &[TensorInfo], compat: Compat) -> Self {
        let schema = signature.and_then(|signature| signature.inputs.as_ref());
        let (frame_casts, array_casts) = match compat {
            Compat::Strict => (Casts::Lossless, Casts::Lossless),
            Compat::Mlflow => (Casts::NumpyFrame, Casts::NumpyArray),
        };
        let none = FramePlan::default();
        let (columns, frame, columnar, tensors) = match schema {
            Some(Schema::Columns(columns)) => {
                let plan = |casts| frame::of_columns(columns, inputs, compat, casts);
                (
                    true,
                    plan(frame_casts),
                    plan(array_casts),
                    TensorPlan::default(),
                )
            }
            Some(Schema::Tensors(tensors)) => {
                let plan = tensor_plan(Some(tensors), inputs, compat, array_casts);
                (
                    false,
                    frame::of_tensors(tensors, inputs, compat, frame_casts),
                    none,
                    plan,
                )
            }
            None => {
                let plan = tensor_plan(None, inputs, compat, array_casts);
                (
                    false,
                    frame::of_inputs(inputs, compat, frame_casts),
                    none,
                    plan,
                )
            }
        };
        let mut warnings: Vec<String> = Vec::new();
        for reason in [&frame.rejection, &tensors.rejection].into_iter().flatten() {
            warnings.push(reason.clone());
        }
        let params = signature.and_then(|signature| signature.params.clone());
        Self {
            compat,
            columns,
            frame,
            columnar,
            tensors,
            params,
            warnings,
        }
    }

    /// The conversions of this plan.
    pub const fn compat(&self) -> Compat {
        self.compat
    }

    /// What to tell the operator when the model is loaded: a signature that the model's inputs
    /// cannot meet, for instance. Each is a sentence.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Decodes a request body.
    ///
    /// # Errors
    /// When the body is malformed, against the signature, or nothing that the model can take.
    pub fn decode(&self, format: Format, body: &[u8]) -> Result<Decoded, DecodeError> {
        match format {
            Format::Json => body::decode(self, body),
            Format::Csv => csv::decode(self, body, csv::Header::Present, 0),
            Format::CsvRows => csv::decode(self, body, csv::Header::Absent, 0),
            Format::Lines => lines::decode(self, body),
            Format::Npy => nested::decode_npy(&self.tensors, body),
        }
    }

    /// Decodes a part of a long CSV: the header, and rows of which the first is row `first_row` of
    /// the whole. Errors name rows as the whole counts them, from 0.
    ///
    /// # Errors
    /// As [`InputPlan::decode`].
    pub fn decode_csv_part(&self, body: &[u8], first_row: usize) -> Result<Decoded, DecodeError> {
        csv::decode(self, body, csv::Header::Present, first_row)
    }
}

/// Lays a tensor schema, or none, over the engine's inputs.
fn tensor_plan(
    schema: Option<&[TensorSpec]>,
    inputs: &[TensorInfo],
    compat: Compat,
    casts: Casts,
) -> TensorPlan {
    let mut plan = TensorPlan {
        named: inputs.len() > 1
            || schema.is_some_and(|specs| specs.iter().any(|spec| spec.name.is_some())),
        extra: schema.is_some(),
        observe: schema.is_none() && compat == Compat::Mlflow,
        ..TensorPlan::default()
    };
    for input in inputs {
        let Some(specs) = schema else {
            let rule = Rule::new(Declared::Nothing, casts, input.dtype);
            plan.targets.push(target(&input.name, input, rule, None));
            continue;
        };
        let Some((spec, declared)) =
            declared_for(specs, input, inputs.len(), compat, &mut plan.rejection)
        else {
            continue;
        };
        let rule = Rule::new(declared, casts, input.dtype);
        let name = spec.name.as_deref().unwrap_or(&input.name);
        plan.targets
            .push(target(name, input, rule, Some(spec.shape.clone())));
    }
    plan
}

fn target(
    name: &str,
    input: &TensorInfo,
    rule: Rule,
    shape: Option<Vec<Option<usize>>>,
) -> TensorTarget {
    TensorTarget {
        name: name.into(),
        dtype: input.dtype,
        rule,
        shape,
    }
}

/// The tensor of the schema that an input takes. Where there is one of each, their names need not
/// agree: only MLflow itself insists on it.
fn spec_for<'s>(
    specs: &'s [TensorSpec],
    input: &TensorInfo,
    inputs: usize,
    compat: Compat,
) -> Option<&'s TensorSpec> {
    specs
        .iter()
        .find(|spec| spec.name.as_deref() == Some(&input.name))
        .or_else(|| match specs {
            [only] if inputs == 1 && (only.name.is_none() || compat == Compat::Strict) => {
                Some(only)
            }
            _ => None,
        })
}

/// The tensor of the schema that an input takes, and its type. Where there is none, or the types do
/// not meet, the reason becomes the plan's rejection.
fn declared_for<'s>(
    specs: &'s [TensorSpec],
    input: &TensorInfo,
    inputs: usize,
    compat: Compat,
    rejection: &mut Option<String>,
) -> Option<(&'s TensorSpec, Declared)> {
    let name = &input.name;
    let Some(spec) = spec_for(specs, input, inputs, compat) else {
        *rejection = Some(format!(
            "the model's input `{name}` is not in its signature"
        ));
        return None;
    };
    let Some(declared) = Declared::tensor(&spec.dtype) else {
        *rejection = Some(format!(
            "the signature declares a type for `{name}` that the model cannot take"
        ));
        return None;
    };
    if compat == Compat::Mlflow && !reaches(declared, input.dtype) {
        *rejection = Some(mismatch(name, declared, input.dtype));
    }
    Some((spec, declared))
}

/// Whether MLflow's wrapper gets a value of the declared type into the engine's input: the types
/// are equal, or a double is narrowed.
fn reaches(declared: Declared, input: DType) -> bool {
    declared
        .dtype()
        .is_none_or(|declared| declared == input || (declared == DType::F64 && input == DType::F32))
}

fn mismatch(name: &str, declared: Declared, input: DType) -> String {
    let declared = declared.dtype().map_or("object", DType::numpy_name);
    format!("the signature gives `{name}` as {declared}, and the model takes {input}")
}

mod frame;

pub(crate) use frame::promote;

#[cfg(test)]
mod tests {
    use super::{Compat, InputPlan};
    use crate::tensor::{DType, Dim, TensorInfo};
    use mlrs_mlmodel::signature::{ColumnSpec, ColumnType, DataType, Schema, Signature};

    fn columns(kinds: &[DataType]) -> Signature {
        let column = |(index, kind): (usize, &DataType)| ColumnSpec {
            name: Some(format!("c{index}")),
            kind: ColumnType::Scalar(*kind),
            required: true,
        };
        let inputs = Schema::Columns(kinds.iter().enumerate().map(column).collect());
        Signature {
            inputs: Some(inputs),
            ..Signature::default()
        }
    }

    fn matrix(dtype: DType, width: usize) -> TensorInfo {
        TensorInfo {
            name: "x".into(),
            dtype,
            shape: Some(vec![Dim::Unknown, Dim::Fixed(width)]),
        }
    }

    #[test]
    fn numpy_refuses_what_the_wrapper_does_not_cast() {
        let long = columns(&[DataType::Long, DataType::Long]);
        let mlflow = InputPlan::compile(Some(&long), &[matrix(DType::F32, 2)], Compat::Mlflow);
        assert!(
            mlflow.warnings()[0].contains("int64"),
            "{:?}",
            mlflow.warnings()
        );
        let strict = InputPlan::compile(Some(&long), &[matrix(DType::F32, 2)], Compat::Strict);
        assert!(strict.warnings().is_empty());
        let mixed = columns(&[DataType::Long, DataType::Double]);
        let mlflow = InputPlan::compile(Some(&mixed), &[matrix(DType::F32, 2)], Compat::Mlflow);
        assert!(mlflow.warnings().is_empty());
    }

    #[test]
    fn a_matrix_of_another_width_is_known_to_fail() {
        let plan = InputPlan::compile(
            Some(&columns(&[DataType::Double])),
            &[matrix(DType::F32, 4)],
            Compat::Strict,
        );
        assert_eq!(
            plan.warnings(),
            ["the signature has 1 columns, and the model's input `x` takes 4"]
        );
    }
}
