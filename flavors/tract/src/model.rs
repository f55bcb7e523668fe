//! A loaded model on tract. The weights are shared by all of its sessions.

use std::path::Path;
use std::sync::Arc;

use mlrs_backend::{Batching, Cost, LoadOptions, Model, Refusal, Session, TensorInfo, ValueInfo};
use mlrs_onnx::Conduct;

use crate::graph::Graph;
use crate::plan::Plans;
use crate::session::TractSession;
use crate::values::Finish;
use crate::{HINT, VERSION};

/// What sessions share.
pub(crate) struct Shared {
    pub plans: Plans,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<ValueInfo>,
    pub finishes: Vec<Finish>,
    pub conduct: Conduct,
    pub output_bytes: usize,
}

/// A model of the `onnx` flavor on tract.
pub(crate) struct TractModel(Arc<Shared>);

const MISSING: &str = "a file of the model is missing: fetch the model again, with all its files";

impl TractModel {
    /// Loads the model at `path`, which lies inside the model directory.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, Refusal> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        // Hints about intermediate values are left aside: they use the names of dimensions that the
        // inputs are renamed from.
        let framework = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .with_ignore_output_types(true);
        let graph = Graph::read(&framework, path, &name)?;
        let conduct = mlrs_onnx::conduct(path, &graph.inputs, &graph.outputs)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let plans = Plans::new(&framework, &graph, directory).map_err(|error| {
            let reason = format!("tract cannot run `{name}`: {}", error.root_cause());
            // Another engine would miss the same file.
            let missing = error.chain().any(|cause| {
                let cause = cause.downcast_ref::<std::io::Error>();
                cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
            });
            let hint = if missing { MISSING } else { HINT };
            Refusal::new(reason).with_hint(hint).with_source(error)
        })?;
        let Graph {
            inputs,
            outputs,
            finishes,
            ..
        } = graph;
        Ok(Self(Arc::new(Shared {
            plans,
            inputs,
            outputs,
            finishes,
            conduct,
            output_bytes: options.output_bytes,
        })))
    }
}

impl Model for TractModel {
    fn inputs(&self) -> &[TensorInfo] {
        &self.0.inputs
    }

    fn outputs(&self) -> &[ValueInfo] {
        &self.0.outputs
    }

    fn batching(&self) -> Batching {
        self.0.conduct.batching
    }

    fn cost(&self) -> Cost {
        self.0.conduct.cost
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let plan = if self.0.plans.is_symbolic() {
            "one for all shapes"
        } else {
            "one for each shape"
        };
        vec![
            ("engine", format!("tract {VERSION}")),
            ("providers", "CPU".to_owned()),
            ("threads_per_session", "1".to_owned()),
            ("plan", plan.to_owned()),
            ("batching", self.0.conduct.fact.clone()),
        ]
    }

    fn session(&self) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(TractSession::new(Arc::clone(&self.0))))
    }
}
