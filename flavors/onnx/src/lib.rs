//! What the graph of an ONNX file tells before an engine runs it: whether the rows of a batch can
//! influence each other, and whether the cost of a prediction depends on values.
//!
//! Both engines of the `onnx` flavor need it, and neither tells it. [`examine`] reads the file
//! without its weights and returns [`Findings`]. What cannot be shown counts as not so: an operator
//! that is not known mixes rows.

mod cost;
mod source;
mod state;

pub mod rows;
pub mod wire;

use std::io;
use std::path::Path;

use mlrs_backend::{Batching, Cost, Refusal, TensorInfo, ValueInfo};

pub use cost::ValueDriven;
pub use rows::Mixing;
pub use state::InTraining;
use wire::{Model, Node};

/// What a graph tells.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Whether each row of each output depends on the same row of the inputs only, where rows are
    /// the leading dimension of every input.
    pub rows: Result<(), Mixing>,
    /// Whether time and memory of a prediction follow from the shapes of its inputs alone.
    pub cost: Result<(), ValueDriven>,
    /// Whether the model is the same after a prediction.
    pub state: Result<(), InTraining>,
}

/// Why a file cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// It cannot be read.
    #[error("the ONNX file cannot be read")]
    Read(#[source] io::Error),
    /// It is not an ONNX model.
    #[error("the file is not an ONNX model")]
    Decode(#[source] prost::DecodeError),
    /// It has no graph.
    #[error("the ONNX file has no graph")]
    NoGraph,
}

/// Examines the ONNX file at `path`. Weights are skipped, not read.
///
/// # Errors
/// When the file cannot be read or is not an ONNX model.
pub fn examine(path: &Path) -> Result<Findings, ExamineError> {
    let model: Model = source::decode(path)?;
    let graph = model.graph.as_ref().ok_or(ExamineError::NoGraph)?;
    Ok(Findings {
        rows: rows::examine(graph, model.opset()),
        cost: cost::examine(graph),
        state: state::examine(graph),
    })
}

/// How a model behaves in service, as far as its graph and its declared shapes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Whether requests may share a batch.
    pub batching: Batching,
    /// What the cost of a prediction depends on.
    pub cost: Cost,
    /// The first, with its reason, for the facts of a model.
    pub fact: String,
}

/// Finds out how the model in the file behaves. A file that cannot be examined shows nothing, so its
/// requests run alone and its cost is taken to depend on values.
///
/// # Errors
/// Refuses a model that a prediction would change.
pub fn conduct(
    path: &Path,
    inputs: &[TensorInfo],
    outputs: &[ValueInfo],
) -> Result<Conduct, Refusal> {
    let declared = Batching::of(inputs, outputs);
    let (rows, cost) = match examine(path) {
        Ok(findings) => {
            findings.state.map_err(|found| {
                Refusal::new(found.to_string())
                    .with_hint("export the model for inference (`model.eval()` in PyTorch)")
            })?;
            (
                findings.rows.map_err(|found| found.to_string()),
                findings.cost.map_or(Cost::ByValues, |()| Cost::ByShapes),
            )
        }
        Err(error) => (Err(error.to_string()), Cost::ByValues),
    };
    let (batching, fact) = match (declared, rows) {
        (Batching::RowWise, Ok(())) => (Batching::RowWise, "rows are independent".to_owned()),
        (Batching::RowWise, Err(reason)) => {
            (Batching::Alone, format!("requests run alone: {reason}"))
        }
        (Batching::Alone, _) => {
            let reason = "requests run alone: a leading dimension is fixed or missing";
            (Batching::Alone, reason.to_owned())
        }
    };
    Ok(Conduct {
        batching,
        cost,
        fact,
    })
}

/// A node for messages: its operator, and its name where it has one.
fn label(node: &Node) -> String {
    let short = |text: &str| text.chars().take(80).collect::<String>();
    if node.name.is_empty() {
        format!("`{}`", short(&node.op_type))
    } else {
        format!("`{}` (`{}`)", short(&node.op_type), short(&node.name))
    }
}
