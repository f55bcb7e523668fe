//! How a graph is made executable.
//!
//! Best is one plan for all shapes, with symbols for the dimensions that vary. Where tract cannot
//! do that, a plan is made for each shape that comes, and the last few are kept. The main type is
//! [`Plans`].

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mlrs_backend::{Batch, PredictError};
use tract_onnx::Onnx;
use tract_onnx::prelude::{DatumType, InferenceFact, InferenceModel, InferenceModelExt};
use tract_onnx::prelude::{IntoRunnable, IntoTValue, TVec, Tensor, TractError, TractResult};
use tract_onnx::prelude::{TypedModel, TypedSimplePlan};
use tract_onnx::tract_core::internal::EvalContext;
use tract_onnx::tract_core::prelude::TypedSimpleState;

use crate::catch::caught;
use crate::graph::{Axis, Graph};
use crate::{forest, values};

/// Plans for single shapes that are kept.
const KEPT: usize = 16;

/// An executable graph; sessions share it.
#[derive(Clone)]
pub(crate) struct Plan {
    simple: Arc<TypedSimplePlan>,
    keeps_state: bool,
}

impl Plan {
    fn new(graph: TypedModel) -> TractResult<Self> {
        let simple = graph.into_optimized()?.into_runnable()?;
        let keeps_state = keeps_state(&simple)?;
        Ok(Self {
            simple,
            keeps_state,
        })
    }

    /// A state to run the plan with.
    pub fn spawn(&self) -> TractResult<TypedSimpleState> {
        caught(|| self.simple.spawn())
    }

    /// Whether it runs on zeros of these shapes. tract makes plans of recurrent graphs for all shapes
    /// that run for a batch of one only.
    fn runs_on(&self, shapes: &Shapes, types: &[DatumType]) -> bool {
        let run = || {
            let inputs = shapes.iter().zip(types);
            let inputs = inputs.map(|(shape, datum_type)| {
                Tensor::zero_dt(*datum_type, shape).map(IntoTValue::into_tvalue)
            });
            let inputs = inputs.collect::<TractResult<TVec<_>>>()?;
            self.simple.spawn()?.run(inputs)
        };
        caught(run).is_ok()
    }

    /// Whether a state remembers what it ran on, as streams want it: recurrent operators and `Scan`
    /// go on where the run before ended, `GRU` keeps its packed weights, random operators their
    /// seed. A request is not part of a stream, so such a state runs once.
    pub const fn keeps_state(&self) -> bool {
        self.keeps_state
    }
}

/// Shapes that the axes allow, with `length` for each dimension that is not fixed.
fn lengths(axes: &[Vec<Axis>], length: usize) -> Shapes {
    let of = |axis: &Axis| match axis {
        Axis::Fixed(fixed) => *fixed,
        Axis::Symbol(_) => length,
    };
    let shape = |axes: &Vec<Axis>| axes.iter().map(of).collect();
    axes.iter().map(shape).collect()
}

/// Whether any operator of the plan keeps something between runs.
fn keeps_state(plan: &TypedSimplePlan) -> TractResult<bool> {
    let context = EvalContext::out_of_plan();
    for node in plan.model().nodes() {
        if node.op().state(&context)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The shapes of all inputs of a request.
pub(crate) type Shapes = Vec<Vec<usize>>;

/// The plans of a model.
pub(crate) enum Plans {
    /// One for all shapes; the axes say which dimensions must be equal.
    Symbolic { plan: Plan, axes: Vec<Vec<Axis>> },
    /// One for each shape.
    PerShape {
        graph: Box<InferenceModel>,
        types: Vec<DatumType>,
        kept: Mutex<Vec<(Shapes, Plan)>>,
    },
}

impl Plans {
    /// Makes the plan, or finds out that it takes one for each shape.
    pub fn new(framework: &Onnx, graph: &Graph, directory: &Path) -> TractResult<Self> {
        let ranked = graph.inputs.iter().all(|input| input.shape.is_some());
        let types: Vec<DatumType> = graph
            .inputs
            .iter()
            .map(|input| values::datum_type(input.dtype))
            .collect();
        if ranked {
            for shared_rows in [false, true] {
                let (proto, axes) = graph.with_symbols(shared_rows);
                let made = caught(|| optimized(parse(framework, &proto, directory)?));
                if let Ok(plan) = made
                    && (!plan.keeps_state() || plan.runs_on(&lengths(&axes, 2), &types))
                {
                    return Ok(Self::Symbolic { plan, axes });
                }
            }
        }
        let parsed = caught(|| parse(framework, &graph.proto, directory))?;
        let plans = Self::PerShape {
            graph: Box::new(parsed),
            types,
            kept: Mutex::default(),
        };
        if ranked {
            // A graph that works for no shape is found now, not at the first request.
            let (_, axes) = graph.with_symbols(true);
            plans.for_shapes(&lengths(&axes, 1))?;
        }
        Ok(plans)
    }

    /// The plan for requests of these shapes.
    pub fn for_shapes(&self, shapes: &Shapes) -> TractResult<Plan> {
        let (graph, types, kept) = match self {
            Self::Symbolic { plan, .. } => return Ok(plan.clone()),
            Self::PerShape { graph, types, kept } => (graph, types, kept),
        };
        let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = lock().iter().find(|(known, _)| known == shapes) {
            return Ok(plan.clone());
        }
        // Outside the lock: it takes milliseconds, and other sessions go on meanwhile.
        let plan = caught(|| optimized(concrete(graph, types, shapes)?))?;
        let mut kept = lock();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((shapes.clone(), plan.clone()));
        Ok(plan)
    }

    /// Whether one plan serves all shapes.
    pub const fn is_symbolic(&self) -> bool {
        matches!(self, Self::Symbolic { .. })
    }

    /// Checks that dimensions which are the same symbol are equal, as tract takes for granted.
    pub fn check(&self, batch: &Batch) -> Result<(), PredictError> {
        let Self::Symbolic { axes, .. } = self else {
            return Ok(());
        };
        let mut known: Vec<Option<usize>> = Vec::new();
        let lengths = axes
            .iter()
            .zip(&batch.inputs)
            .flat_map(|(axes, tensor)| axes.iter().zip(&tensor.shape));
        for (axis, length) in lengths {
            let Axis::Symbol(symbol) = axis else { continue };
            if known.len() <= *symbol {
                known.resize(symbol + 1, None);
            }
            if *known[*symbol].get_or_insert(*length) != *length {
                let text = "dimensions that the model takes to be equal differ between the inputs";
                return Err(PredictError::Inputs(text.to_owned()));
            }
        }
        Ok(())
    }
}

fn parse(
    framework: &Onnx,
    proto: &tract_onnx::pb::ModelProto,
    directory: &Path,
) -> TractResult<InferenceModel> {
    // As text: the reader takes nothing else. A directory of another encoding has no external data.
    let parsed = framework.parse(proto, directory.to_str())?;
    if parsed.unresolved_inputs.is_empty() {
        return Ok(parsed.model);
    }
    Err(TractError::msg(format!(
        "`{}` comes from nowhere",
        parsed.unresolved_inputs.join("`, `")
    )))
}

fn concrete(
    graph: &InferenceModel,
    types: &[DatumType],
    shapes: &Shapes,
) -> TractResult<InferenceModel> {
    let mut graph = graph.clone();
    for (index, (datum_type, shape)) in types.iter().zip(shapes).enumerate() {
        graph.set_input_fact(
            index,
            InferenceFact::dt_shape(*datum_type, shape.as_slice()),
        )?;
    }
    Ok(graph)
}

fn optimized(graph: InferenceModel) -> TractResult<Plan> {
    let mut typed: TypedModel = graph.into_typed()?;
    forest::replace(&mut typed)?;
    Plan::new(typed)
}
