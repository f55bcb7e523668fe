//! What was made, for people and for programs.

use mlrs_backend::{TensorInfo, ValueInfo};
use mlrs_mlmodel::ModelDirectory;
use mlrs_mlmodel::signature::Schema;
use mlrs_payload::{Dim, ValueKind};
use serde_json::{Value, json};

use crate::engine::{self, Loaded};
use crate::output::{self, OutputFormat};

/// Prints what a directory holds, and what can be done with it.
pub(super) fn made(
    made: &ModelDirectory,
    loaded: &Loaded,
    name: Option<&str>,
    format: OutputFormat,
) -> anyhow::Result<()> {
    match format {
        OutputFormat::Json => output::json(&as_json(made, loaded)),
        OutputFormat::Table => table(made, loaded, name),
    }
}

fn table(made: &ModelDirectory, loaded: &Loaded, name: Option<&str>) -> anyhow::Result<()> {
    let size = made.manifest.model_size_bytes.unwrap_or_default();
    let mut model = output::table(&["model", ""]);
    model.add_row(["path".to_owned(), made.path.display().to_string()]);
    model.add_row(["backend", loaded.backend]);
    for refused in &loaded.refused {
        let reason = engine::describe(&refused.refusal);
        model.add_row([format!("not {}", refused.backend), reason]);
    }
    model.add_row(["size".to_owned(), indicatif::HumanBytes(size).to_string()]);
    output::line(&model.to_string())?;
    let mut tensors = output::table(&["graph", "name", "type", "shape"]);
    for input in loaded.model.inputs() {
        let shape = shape(input.shape.as_deref());
        let name = output::shown(&input.name);
        tensors.add_row(["input", &name, input.dtype.numpy_name(), &shape]);
    }
    for given in loaded.model.outputs() {
        let (kind, shape) = described(given);
        tensors.add_row(["output", &output::shown(&given.name), kind, &shape]);
    }
    output::line(&tensors.to_string())?;
    output::line(&signature_line(made))?;
    let path = made.path.display();
    let name = name.unwrap_or("NAME");
    output::line(&format!("serve it:    mlrs serve {path}"))?;
    output::line(&format!("register it: mlrs register {path} --name {name}"))
}

/// The signature in a sentence.
fn signature_line(made: &ModelDirectory) -> String {
    let Some(signature) = &made.signature else {
        return "No signature: an input of the graph has no shape; give one with --signature."
            .to_owned();
    };
    let part = |schema: &Option<Schema>| {
        let rows = schema.iter().flat_map(Schema::describe);
        let rows: Vec<String> = rows
            .map(|row| match row.name {
                Some(name) => format!("{}: {}", output::shown(&name), row.type_text),
                None => row.type_text,
            })
            .collect();
        if rows.is_empty() {
            "not declared".to_owned()
        } else {
            rows.join(", ")
        }
    };
    format!(
        "signature:   {} → {}",
        part(&signature.inputs),
        part(&signature.outputs)
    )
}

fn shape(dims: Option<&[Dim]>) -> String {
    let Some(dims) = dims else {
        return "any".to_owned();
    };
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => size.to_string(),
        Dim::Symbolic(name) => output::shown(name),
        Dim::Unknown => "?".to_owned(),
    };
    format!("[{}]", dims.iter().map(dim).collect::<Vec<_>>().join(", "))
}

fn described(output: &ValueInfo) -> (&'static str, String) {
    match &output.kind {
        ValueKind::Tensor { dtype, shape: dims } => (dtype.numpy_name(), shape(dims.as_deref())),
        ValueKind::Maps => ("a map for each row", String::new()),
        ValueKind::Sequence => ("a sequence of tensors", String::new()),
    }
}

fn as_json(made: &ModelDirectory, loaded: &Loaded) -> Value {
    let sizes = |dims: &Option<Vec<Dim>>| {
        dims.as_ref().map(|dims| {
            let size = |dim: &Dim| match dim {
                Dim::Fixed(size) => json!(size),
                Dim::Symbolic(_) | Dim::Unknown => json!(-1),
            };
            dims.iter().map(size).collect::<Value>()
        })
    };
    let input = |input: &TensorInfo| json!({"name": input.name, "type": input.dtype.numpy_name(), "shape": sizes(&input.shape)});
    let output = |output: &ValueInfo| match &output.kind {
        ValueKind::Tensor { dtype, shape } => {
            json!({"name": output.name, "type": dtype.numpy_name(), "shape": sizes(shape)})
        }
        ValueKind::Maps => json!({"name": output.name, "type": "maps", "shape": null}),
        ValueKind::Sequence => json!({"name": output.name, "type": "sequence", "shape": null}),
    };
    let schema = |schema: &Option<Schema>| {
        let text = schema.as_ref().map(Schema::to_json);
        text.and_then(|text| serde_json::from_str::<Value>(&text).ok())
    };
    let signature = made.signature.as_ref().map(|signature| {
        json!({"inputs": schema(&signature.inputs), "outputs": schema(&signature.outputs)})
    });
    let example = made.manifest.saved_input_example_info.is_some();
    json!({
        "path": made.path,
        "model_uuid": made.manifest.model_uuid,
        "backend": loaded.backend,
        "size_bytes": made.manifest.model_size_bytes,
        "inputs": loaded.model.inputs().iter().map(input).collect::<Value>(),
        "outputs": loaded.model.outputs().iter().map(output).collect::<Value>(),
        "signature": signature,
        "has_example": example,
    })
}
