//! What runs read and made.

use mlrs_api::datasets::{Dataset, DatasetInput, ModelInput, ModelOutput};

use super::{Outcome, Store, new_experiment, new_run, same};

/// Names that no order but that of coming gives: neither of letters nor of steps.
const NAMES: [&str; 6] = ["m", "z", "a", "q", "b", "k"];

pub(super) async fn in_order(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let dataset = |name: &str| DatasetInput {
        tags: Vec::new(),
        dataset: Some(Dataset {
            name: name.to_owned(),
            digest: "d".to_owned(),
            source_type: "local".to_owned(),
            source: "{}".to_owned(),
            schema: None,
            profile: None,
        }),
    };
    let id = |name: &str| format!("m-{name}");
    // Some together, the others each alone.
    let (together, alone) = NAMES.split_at(3);
    let datasets = together.iter().map(|name| dataset(name)).collect();
    let models = together
        .iter()
        .map(|name| ModelInput { model_id: id(name) });
    let models = models.collect();
    store.log_inputs(run.clone(), datasets, models).await?;
    for name in alone {
        let model = ModelInput { model_id: id(name) };
        let inputs = store.log_inputs(run.clone(), vec![dataset(name)], vec![model]);
        inputs.await?;
    }
    for (place, name) in NAMES.into_iter().enumerate() {
        let model = ModelOutput {
            model_id: id(name),
            step: 10 - place as i64,
        };
        store.log_outputs(run.clone(), vec![model]).await?;
    }
    let found = store.run(run).await?;
    let inputs = found.inputs.unwrap_or_default();
    let datasets = inputs.dataset_inputs.into_iter();
    let datasets = datasets.filter_map(|input| Some(input.dataset?.name));
    same(
        "datasets",
        &datasets.collect(),
        &NAMES.map(str::to_owned).to_vec(),
    )?;
    let expected = NAMES.map(id).to_vec();
    let models = inputs.model_inputs.into_iter().map(|model| model.model_id);
    same("models that it read", &models.collect(), &expected)?;
    let models = found.outputs.unwrap_or_default().model_outputs.into_iter();
    let models = models.map(|model| model.model_id);
    same("models that it made", &models.collect(), &expected)
}
