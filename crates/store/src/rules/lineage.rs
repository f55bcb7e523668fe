//! What runs read and made.

use mlrs_api::datasets::{
    Dataset, DatasetInput, LogInputsRequest, LogModelRequest, LogOutputsRequest, ModelInput,
    ModelOutput, SearchDatasetsRequest,
};
use serde_json::{Map, Value};

use crate::error::StoreError;
use crate::rules::limits;
use crate::rules::metrics::check_run_id;
use crate::rules::values::{Truncate, missing, parse_experiment_id, required, within};

/// The tag that lists the models that clients before MLflow 3 logged.
pub const HISTORY_TAG: &str = "mlflow.log-model.history";

/// The run, and the datasets and models that it read.
///
/// # Errors
/// When the run is absent, or a dataset is not whole or out of its limits.
pub fn log_inputs(
    request: LogInputsRequest,
) -> Result<(String, Vec<DatasetInput>, Vec<ModelInput>), StoreError> {
    let run_id = required(&request.run_id, "run_id")?.to_owned();
    check_run_id(&run_id)?;
    let mut datasets: Vec<DatasetInput> = Vec::new();
    for input in request.datasets {
        let input = checked(input)?;
        // The first of a name and digest counts.
        if !datasets.iter().any(|known| is_same(known, &input)) {
            datasets.push(input);
        }
    }
    Ok((run_id, datasets, request.models))
}

fn is_same(one: &DatasetInput, other: &DatasetInput) -> bool {
    let key = |input: &DatasetInput| {
        let dataset = input.dataset.as_ref();
        dataset.map(|dataset| (dataset.name.clone(), dataset.digest.clone()))
    };
    key(one) == key(other)
}

fn checked(input: DatasetInput) -> Result<DatasetInput, StoreError> {
    let dataset = input
        .dataset
        .ok_or_else(|| StoreError::invalid("Dataset cannot be None"))?;
    let refuse = |what, limit, text| within(what, limit, text, Truncate::Refuse);
    let maybe =
        |what, limit, text: Option<String>| text.map(|text| refuse(what, limit, text)).transpose();
    let dataset = Dataset {
        name: refuse("name", limits::DATASET_NAME, dataset.name)?,
        digest: refuse("digest", limits::DATASET_DIGEST, dataset.digest)?,
        source_type: dataset.source_type,
        source: refuse("source", limits::DATASET_SOURCE, dataset.source)?,
        schema: maybe("schema", limits::DATASET_SCHEMA, dataset.schema)?,
        profile: maybe("profile", limits::DATASET_PROFILE, dataset.profile)?,
    };
    let mut tags = Vec::with_capacity(input.tags.len());
    for mut tag in input.tags {
        tag.key = refuse("key", limits::INPUT_TAG_KEY, tag.key)?;
        tag.value = refuse("value", limits::INPUT_TAG_VALUE, tag.value)?;
        tags.push(tag);
    }
    Ok(DatasetInput {
        tags,
        dataset: Some(dataset),
    })
}

/// The run, and the models that it made.
///
/// # Errors
/// When one is absent.
pub fn log_outputs(request: LogOutputsRequest) -> Result<(String, Vec<ModelOutput>), StoreError> {
    let run_id = required(&request.run_id, "run_id")?.to_owned();
    if request.models.is_empty() {
        return Err(missing("models"));
    }
    Ok((run_id, request.models))
}

/// The run, and what its tag says of a model.
///
/// # Errors
/// When one is absent, or the manifest is not JSON or not whole.
pub fn log_model(request: &LogModelRequest) -> Result<(String, Value), StoreError> {
    let run_id = required(&request.run_id, "run_id")?.to_owned();
    let text = required(&request.model_json, "model_json")?;
    let malformed = || {
        StoreError::invalid(format!(
            "Malformed model info. \n {text} \n is not a valid JSON."
        ))
    };
    let manifest: Map<String, Value> = serde_json::from_str(text).map_err(|_| malformed())?;
    let mandatory = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let absent: Vec<String> = mandatory
        .iter()
        .filter(|field| !manifest.contains_key(**field))
        .map(|field| format!("'{field}'"))
        .collect();
    if !absent.is_empty() {
        return Err(StoreError::invalid(format!(
            "Model json is missing mandatory fields: {{{}}}",
            absent.join(", ")
        )));
    }
    Ok((run_id, Value::Object(history_entry(manifest))))
}

/// The fields of a manifest that the tag keeps; flavors without their configuration.
fn history_entry(manifest: Map<String, Value>) -> Map<String, Value> {
    let mut entry = Map::new();
    let mut flavors = Map::new();
    for (field, value) in manifest {
        match (field.as_str(), value) {
            ("flavors", Value::Object(of_flavors)) => flavors = of_flavors,
            ("run_id" | "utc_time_created" | "artifact_path" | "model_uuid", value) => {
                entry.insert(field, value);
            }
            _ => {}
        }
    }
    for flavor in flavors.values_mut() {
        if let Value::Object(fields) = flavor {
            fields.remove("config");
        }
    }
    entry.insert("flavors".to_owned(), Value::Object(flavors));
    entry
}

/// The experiments whose datasets are asked for.
///
/// # Errors
/// When there is none, there are too many, or one is no number.
pub fn datasets(request: &SearchDatasetsRequest) -> Result<Vec<i64>, StoreError> {
    let count = request.experiment_ids.len();
    if count == 0 {
        return Err(StoreError::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if count > limits::DATASET_EXPERIMENTS {
        return Err(StoreError::invalid(format!(
            "SearchDatasets request cannot specify more than {} experiment_ids. Received {count} \
             experiment_ids.",
            limits::DATASET_EXPERIMENTS
        )));
    }
    request
        .experiment_ids
        .iter()
        .map(|id| parse_experiment_id(id))
        .collect()
}
