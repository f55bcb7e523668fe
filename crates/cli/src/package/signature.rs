//! The signature of a model that is packaged: the one of a file, or the one that the graph tells.

use std::path::Path;

use anyhow::Context as _;
use mlrs_backend::Model;
use mlrs_mlmodel::Signature;
use mlrs_mlmodel::signature::SCHEMA_SIZE_LIMIT;
use mlrs_payload::{check_signature, signature_of};
use serde_json::Value;

use super::example::read_file;
use crate::failure::hinted;

/// A signature that was given, and where.
pub(super) struct Given {
    signature: Signature,
    file: String,
}

/// Reads a signature file.
pub(super) fn read(path: &Path) -> anyhow::Result<Given> {
    let file = path.display().to_string();
    let content = read_file(path, SCHEMA_SIZE_LIMIT as u64)?;
    let form = "MLflow's form is {\"inputs\": [{\"type\": \"double\", \"name\": \"a\"}], \"outputs\": null}; \
                each schema may be a JSON text, too";
    let value: Value = serde_json::from_slice(&content)
        .with_context(|| format!("the signature `{file}` is not JSON"))?;
    let Value::Object(map) = value else {
        return Err(hinted(
            format!("the signature `{file}` is no JSON object"),
            form,
        ));
    };
    let signature = Signature::from_map(&map)
        .with_context(|| format!("cannot understand the signature `{file}`"))?;
    if signature == Signature::default() {
        return Err(hinted(
            format!("the signature `{file}` has neither inputs nor outputs"),
            form,
        ));
    }
    Ok(Given { signature, file })
}

/// The signature of the model: the given one if it fits, else the one that the graph tells, if it does.
pub(super) fn choose(given: Option<Given>, model: &dyn Model) -> anyhow::Result<Option<Signature>> {
    let Some(given) = given else {
        return Ok(signature_of(model.inputs(), model.outputs()));
    };
    check_signature(&given.signature, model.inputs(), model.outputs())
        .with_context(|| format!("the signature `{}` does not fit the model", given.file))?;
    Ok(Some(given.signature))
}
