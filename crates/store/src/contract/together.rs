//! Many at once: exactly one wins where only one can, and nothing is lost.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mlrs_api::ErrorCode;
use serde_json::json;

use super::{
    Outcome, Store, Violation, new_experiment, new_model, new_run, params, point, points, refused,
    same, unique, version_of,
};
use crate::rules::lineage::HISTORY_TAG;
use crate::{NewExperiment, Stage, StoreError};

/// How many.
const MANY: usize = 24;

/// Fails unless exactly one was done and the others were refused with this code.
fn one_of<T>(outcomes: Vec<Result<T, StoreError>>, code: ErrorCode) -> Outcome {
    let (done, others): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    same("done", &done.len(), &1)?;
    for other in others {
        refused("another", other, code)?;
    }
    Ok(())
}

pub(super) async fn experiment(store: &dyn Store) -> Outcome {
    let new = NewExperiment {
        name: unique("experiment"),
        artifact_location: None,
        tags: Vec::new(),
        now: 1,
    };
    let outcomes = join_all((0..MANY).map(|_| store.create_experiment(new.clone()))).await;
    one_of(outcomes, ErrorCode::ResourceAlreadyExists)
}

pub(super) async fn param(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let values: Vec<String> = (0..MANY).map(|number| number.to_string()).collect();
    let tries = values
        .iter()
        .map(|value| store.log(run.clone(), params(&[("p", value)])));
    one_of(join_all(tries).await, ErrorCode::InvalidParameterValue)
}

pub(super) async fn versions(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    let made = join_all((0..MANY).map(|_| store.create_model_version(version_of(&model)))).await;
    let mut numbers = BTreeSet::new();
    for version in made {
        numbers.insert(version?.version);
    }
    let expected = (1..=MANY).map(|number| number.to_string()).collect();
    same("numbers", &numbers, &expected)
}

pub(super) async fn stages(store: &dyn Store) -> Outcome {
    let model = new_model(store).await?;
    for _ in 0..MANY {
        store.create_model_version(version_of(&model)).await?;
    }
    let moved = (1..=MANY as i64).map(|version| {
        store.transition_model_version(model.clone(), version, Stage::Production, true, 2)
    });
    for outcome in join_all(moved).await {
        outcome?;
    }
    let mut left = 0;
    for version in 1..=MANY as i64 {
        let found = store.model_version(model.clone(), version).await?;
        left += usize::from(found.current_stage.as_deref() == Some("Production"));
    }
    same("in production", &left, &1)
}

async fn points_of(store: &dyn Store, run: &str) -> Result<usize, Violation> {
    let query = crate::MetricQuery {
        run_id: run.to_owned(),
        key: "m".to_owned(),
        limit: None,
        offset: 0,
    };
    Ok(store.metric_history(query).await?.items.len())
}

pub(super) async fn all_points(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let steps = 0..MANY as i64;
    let logged = steps
        .clone()
        .map(|step| store.log(run.clone(), points(vec![point("m", 1.0, 1, step)])));
    for outcome in join_all(logged).await {
        outcome?;
    }
    same("points", &points_of(store, &run).await?, &MANY)?;
    let latest = store.run(run).await?.data.metrics;
    same("latest", &latest[0].step, &(MANY as i64 - 1))
}

pub(super) async fn crossing(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let keys: Vec<String> = (0..20).map(|key| format!("k{key}")).collect();
    let batches = (0..MANY).map(|number| {
        let mut keys = keys.clone();
        if number % 2 == 0 {
            keys.reverse();
        }
        let metrics = keys.iter().map(|key| point(key, 1.0, 1, 0)).collect();
        let params = keys.iter().map(|key| mlrs_api::Tag::new(key.as_str(), "1"));
        let tags = keys.iter().map(|key| mlrs_api::Tag::new(key.as_str(), "1"));
        crate::Batch {
            metrics,
            params: params.collect(),
            tags: tags.collect(),
        }
    });
    for outcome in join_all(batches.map(|batch| store.log(run.clone(), batch))).await {
        outcome?;
    }
    let data = store.run(run).await?.data;
    same("kept", &(data.metrics.len(), data.params.len()), &(20, 20))
}

pub(super) async fn lists(store: &dyn Store) -> Outcome {
    let run = new_run(store, new_experiment(store).await?).await?;
    let recorded = (0..MANY).map(|number| store.record_model(run.clone(), json!({ "n": number })));
    for outcome in join_all(recorded).await {
        outcome?;
    }
    let tags = store.run(run).await?.data.tags;
    let history = tags.iter().find(|tag| tag.key == HISTORY_TAG);
    let entries = history
        .and_then(|tag| serde_json::from_str::<Vec<serde_json::Value>>(&tag.value).ok())
        .map(|entries| entries.len());
    same("entries", &entries, &Some(MANY))
}
