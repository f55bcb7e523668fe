//! What runs log, and their stages.

use mlrs_api::ErrorCode;
use mlrs_api::Tag;
use mlrs_api::enums::LifecycleStage;

use super::{
    Outcome, Store, new_experiment, new_run, params, point, points, refused, same, unique,
};
use crate::{Batch, MetricQuery, NewExperiment};

pub(super) async fn whole_batches(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    store.log(run.clone(), params(&[("p", "1")])).await?;
    let batch = Batch {
        metrics: vec![point("m", 1.0, 1, 0)],
        params: vec![Tag::new("new", "1"), Tag::new("p", "2")],
        tags: vec![Tag::new("t", "1")],
    };
    let outcome = store.log(run.clone(), batch).await;
    refused("another value", outcome, ErrorCode::InvalidParameterValue)?;
    let data = store.run(run).await?.data;
    same("metrics", &data.metrics.len(), &0)?;
    same("params", &data.params, &vec![Tag::new("p", "1")])?;
    same("tags", &data.tags.len(), &1)
}

pub(super) async fn latest_points(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let batches = [
        vec![point("m", 1.0, 5, 2), point("m", 9.0, 9, 1)],
        vec![point("m", 3.0, 5, 2), point("m", 2.0, 5, 2)],
        vec![point("m", 8.0, 4, 2)],
    ];
    for batch in batches {
        store.log(run.clone(), points(batch)).await?;
    }
    let data = store.run(run.clone()).await?.data;
    same("latest", &data.metrics, &vec![point("m", 3.0, 5, 2)])?;
    let history = store
        .metric_history(MetricQuery {
            run_id: run,
            key: "m".to_owned(),
            limit: None,
            offset: 0,
        })
        .await?;
    let values: Vec<f64> = history.items.iter().map(|point| point.value).collect();
    same("history", &values, &vec![8.0, 1.0, 2.0, 3.0, 9.0])
}

pub(super) async fn not_numbers(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let batch = points(vec![
        point("infinite", f64::INFINITY, 1, 0),
        point("nan", f64::NAN, 1, 0),
        point("negative", f64::NEG_INFINITY, 1, 0),
    ]);
    store.log(run.clone(), batch).await?;
    let metrics = store.run(run.clone()).await?.data.metrics;
    let values: Vec<f64> = metrics.iter().map(|metric| metric.value).collect();
    same("count", &values.len(), &3)?;
    same("nan", &values[1].is_nan(), &true)?;
    // They are stored as the largest numbers, as MLflow does, and are infinities again when read.
    let infinities = [f64::INFINITY, f64::NEG_INFINITY];
    same("infinities", &[values[0], values[2]], &infinities)?;
    let query = MetricQuery {
        run_id: run.clone(),
        key: "infinite".to_owned(),
        limit: None,
        offset: 0,
    };
    let history = store.metric_history(query).await?.items;
    same("history", &history[0].value, &f64::INFINITY)?;
    let sampled = store
        .sampled_metric_history(vec![run], "negative".to_owned(), None, 5)
        .await?;
    same("sampled", &sampled[0].value, &f64::NEG_INFINITY)
}

async fn params_of(store: &dyn Store, run: &str) -> Result<Vec<Tag>, super::Violation> {
    Ok(store.run(run.to_owned()).await?.data.params)
}

pub(super) async fn fixed_params(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let first = params(&[("b", "1"), ("a", "1")]);
    store.log(run.clone(), first.clone()).await?;
    store.log(run.clone(), first).await?;
    let other = params(&[("a", "2")]);
    let outcome = store.log(run.clone(), other).await;
    refused("another value", outcome, ErrorCode::InvalidParameterValue)?;
    let expected = vec![Tag::new("a", "1"), Tag::new("b", "1")];
    same("params", &params_of(store, &run).await?, &expected)
}

pub(super) async fn deleted(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let stage = |stage| store.set_run_stage(run.clone(), stage, 2);
    stage(LifecycleStage::Deleted).await?;
    let batch = points(vec![point("m", 1.0, 1, 0)]);
    let outcome = store.log(run.clone(), batch.clone()).await;
    refused("a metric", outcome, ErrorCode::InvalidParameterValue)?;
    stage(LifecycleStage::Active).await?;
    store.log(run.clone(), batch).await?;
    let absent = store.log(unique("run"), points(Vec::new())).await;
    refused("no run", absent, ErrorCode::ResourceDoesNotExist)
}

pub(super) async fn with_experiment(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let run = new_run(store, experiment).await?;
    for stage in [LifecycleStage::Deleted, LifecycleStage::Active] {
        store.set_experiment_stage(experiment, stage, 3).await?;
        let found = store.run(run.clone()).await?.info.lifecycle_stage;
        same("the run", &found, &Some(stage))?;
        let found = store.experiment(experiment).await?.lifecycle_stage;
        same("the experiment", &found, &Some(stage))?;
    }
    Ok(())
}

pub(super) async fn names(store: &dyn Store) -> Outcome {
    let new = NewExperiment {
        name: unique("experiment"),
        artifact_location: Some("file:///somewhere".to_owned()),
        tags: vec![Tag::new("t", "1")],
        now: 1,
    };
    let id = store.create_experiment(new.clone()).await?;
    let twice = store.create_experiment(new.clone()).await;
    refused("twice", twice, ErrorCode::ResourceAlreadyExists)?;
    store
        .set_experiment_stage(id, LifecycleStage::Deleted, 2)
        .await?;
    let deleted = store.create_experiment(new.clone()).await;
    refused("deleted", deleted, ErrorCode::ResourceAlreadyExists)?;
    let found = store.experiment_by_name(new.name).await?;
    same("the id", &found.experiment_id, &id.to_string())?;
    same(
        "the place",
        &found.artifact_location,
        &new.artifact_location,
    )
}

pub(super) async fn thinned(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let all = (0..1000).map(|step| point("m", step as f64, step, step));
    store.log(run.clone(), points(all.collect())).await?;
    let sampled = |steps, points| {
        store.sampled_metric_history(vec![run.clone()], "m".to_owned(), steps, points)
    };
    let found = sampled(None, 10).await?;
    let steps: Vec<i64> = found.iter().map(|point| point.step).collect();
    same("count", &steps.len(), &10)?;
    same("ends", &(steps[0], steps[9]), &(0, 999))?;
    let none = sampled(Some((2000, 3000)), 10).await?;
    same("none", &none.len(), &0)?;
    let few = sampled(Some((5, 8)), 10).await?;
    same("few", &few.len(), &4)?;
    // Seven rows of three steps beside it, dealt to three: the first, the fourth, the last.
    let other = new_run(store, new_experiment(store).await?).await?;
    let rows = (0..7).map(|row| point("m", row as f64, row, row / 3));
    store.log(other.clone(), points(rows.collect())).await?;
    let asked = vec![other.clone(), "nowhere".to_owned(), run.clone()];
    let found = store.sampled_metric_history(asked, "m".to_owned(), None, 3);
    let found = found.await?;
    let values: Vec<(&str, f64)> = found
        .iter()
        .map(|point| (point.run_id.as_str(), point.value))
        .collect();
    let of_other = [0.0, 3.0, 6.0].map(|value| (other.as_str(), value));
    let of_run = [0.0, 334.0, 999.0].map(|value| (run.as_str(), value));
    same("of both runs", &values, &[of_other, of_run].concat())
}
