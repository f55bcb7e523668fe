//! Trains a classifier of irises in plain Rust, and tracks it: params, a loss for each epoch, a
//! confusion matrix, and the model itself as ONNX, which is registered as `iris-from-rust`.
//!
//! `MLFLOW_TRACKING_URI` names the server.

mod iris;
mod model;
mod onnx;

use std::error::Error;

use mlrs_client::ConnectionSettings;
use mlrs_client::tracking::{ActiveRun, NewVersion, StartRun, TrackingClient};

use iris::Split;
use model::{Classifier, Training};

/// The experiment and the registered model.
const EXPERIMENT: &str = "iris-from-rust";
const EPOCHS: u32 = 200;
const LEARNING_RATE: f64 = 0.5;
/// Every fifth flower is not trained on.
const VALIDATION_EVERY: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = ConnectionSettings::from_variables(|name| std::env::var(name).ok())?;
    let client = TrackingClient::new(settings)?;
    let experiment = client.get_or_create_experiment(EXPERIMENT).await?;
    let start = StartRun::in_experiment(experiment)
        .name("softmax regression")
        .source("track-from-rust");
    let run_id = client.with_run(start, train_and_log).await?;
    say(&format!("run {run_id}"));
    Ok(())
}

/// Returns the id of the run.
async fn train_and_log(run: &ActiveRun) -> Result<String, Box<dyn Error>> {
    let flowers = iris::read()?;
    let data = Split::of(&flowers, VALIDATION_EVERY);
    run.log_param("epochs", EPOCHS);
    run.log_param("learning_rate", LEARNING_RATE);
    run.log_param("rows", data.training.len());

    let mut training = Training::new(&data.training);
    for epoch in 0..EPOCHS {
        run.log_metric("training_loss", training.step(LEARNING_RATE), epoch);
        let classifier = training.classifier();
        run.log_metric("validation_loss", classifier.loss(&data.validation), epoch);
        run.log_metric(
            "validation_accuracy",
            classifier.accuracy(&data.validation),
            epoch,
        );
    }
    let classifier = training.classifier();
    run.set_tag("validation_rows", data.validation.len());
    let confusion = confusion_csv(&classifier, &data.validation);
    run.log_bytes("evaluation/confusion.csv", confusion).await?;

    let folder = tempfile::tempdir()?;
    onnx::save(&classifier, folder.path())?;
    let logged = run.log_model_directory("model", folder.path()).await?;
    let version = run
        .client()
        .register_model(NewVersion::of(EXPERIMENT, &logged))
        .await?;
    run.client()
        .set_alias(EXPERIMENT, "candidate", &version.version)
        .await?;
    say(&format!("models:/{EXPERIMENT}/{}", version.version));
    Ok(run.id().to_owned())
}

/// Rows are what the flowers are, columns what they are taken for.
fn confusion_csv(classifier: &Classifier, flowers: &[iris::Flower]) -> String {
    let mut counts = [[0_u32; 3]; 3];
    for flower in flowers {
        counts[flower.species][classifier.predict(&flower.measurements)] += 1;
    }
    let mut lines = vec![format!("actual,{}\n", iris::SPECIES.join(","))];
    for (name, row) in iris::SPECIES.iter().zip(counts) {
        lines.push(format!("{name},{},{},{}\n", row[0], row[1], row[2]));
    }
    lines.concat()
}

#[allow(clippy::print_stdout, reason = "this is what the program says")]
fn say(text: &str) {
    println!("{text}");
}
