//! Deleting for good: only what is deleted and old enough, and then all of it.

use std::sync::Arc;

use mlrs_api::enums::LifecycleStage;
use mlrs_api::{ErrorCode, Tag};
use uuid::Uuid;

use super::imported::run_record;
use super::{Outcome, Store, new_experiment, new_run, params, point, points, refused, same};
use crate::garbage::{Garbage, GarbageItem, GarbageQuery};
use crate::import::{Outcome as Became, Point, PointSource, TakePoints};
use crate::{Batch, NewLoggedModel, StoreError};

/// When things are deleted here.
const THEN: i64 = 1000;

/// No points.
struct Nothing;

impl PointSource<Point> for Nothing {
    fn each(&self, _take: TakePoints<'_, Point>) -> Result<(), StoreError> {
        Ok(())
    }
}

fn of_runs(ids: &[&String], before: Option<i64>) -> GarbageQuery {
    GarbageQuery {
        run_ids: Some(ids.iter().map(|id| (*id).clone()).collect()),
        experiment_ids: Some(Vec::new()),
        logged_model_ids: Some(Vec::new()),
        before,
    }
}

fn of_experiment(id: i64, before: Option<i64>) -> GarbageQuery {
    GarbageQuery {
        experiment_ids: Some(vec![id]),
        ..of_runs(&[], before)
    }
}

fn ids(items: &[GarbageItem]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

async fn deleted_run(store: &dyn Store, experiment: i64) -> Result<String, StoreError> {
    let run = new_run(store, experiment).await?;
    let metrics = vec![point("m", 1.0, 1, 0), point("m", 2.0, 2, 1)];
    let tags = vec![Tag::new("t", "1")];
    let batch = Batch {
        tags,
        ..points(metrics)
    };
    store.log(run.clone(), batch).await?;
    store.log(run.clone(), params(&[("logged", "1")])).await?;
    let stage = LifecycleStage::Deleted;
    store.set_run_stage(run.clone(), stage, THEN).await?;
    Ok(run)
}

async fn new_logged_model(store: &dyn Store, experiment_id: i64) -> Result<String, StoreError> {
    let id = format!("m-{}", Uuid::new_v4().simple());
    let new = NewLoggedModel {
        id: id.clone(),
        experiment_id,
        name: "contract".to_owned(),
        model_type: String::new(),
        source_run_id: String::new(),
        params: vec![Tag::new("p", "1")],
        tags: vec![Tag::new("t", "1")],
        now: 1,
    };
    store.create_logged_model(new).await?;
    Ok(id)
}

pub(super) async fn only_deleted(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let (active, deleted) = (
        new_run(store, experiment).await?,
        deleted_run(store, experiment).await?,
    );
    let model = new_logged_model(store, experiment).await?;
    let invalid = ErrorCode::InvalidParameterValue;
    let absent = ErrorCode::ResourceDoesNotExist;
    let found = store.garbage(of_runs(&[&deleted, &active], None)).await;
    refused("an active run", found, invalid)?;
    let nobody = Uuid::new_v4().simple().to_string();
    let found = store.garbage(of_runs(&[&deleted, &nobody], None)).await;
    refused("an absent run", found, absent)?;
    let found = store.garbage(of_experiment(experiment, None)).await;
    refused("an active experiment", found, invalid)?;
    refused("the run", store.erase_run(active.clone()).await, invalid)?;
    refused("no run", store.erase_run(nobody).await, absent)?;
    refused(
        "the model",
        store.erase_logged_model(model.clone()).await,
        invalid,
    )?;
    refused(
        "the experiment",
        store.erase_experiment(experiment).await,
        invalid,
    )?;
    for run in [active, deleted] {
        store.run(run).await?;
    }
    store.logged_model(model, false).await?;
    Ok(())
}

pub(super) async fn nothing_left(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let (first, second) = (
        deleted_run(store, experiment).await?,
        deleted_run(store, experiment).await?,
    );
    let query = of_runs(&[&second, &first, &second], None);
    let Garbage { runs, .. } = store.garbage(query).await?;
    same(
        "each once, as named",
        &ids(&runs),
        &vec![second.as_str(), first.as_str()],
    )?;
    let root = store.run(second).await?.info.artifact_uri;
    same("the root", &runs[0].artifact_root, &root)?;
    store.erase_run(first.clone()).await?;
    let gone = ErrorCode::ResourceDoesNotExist;
    refused("the run", store.run(first.clone()).await, gone)?;
    refused("again", store.erase_run(first.clone()).await, gone)?;
    // Whatever was left would belong to the next run of this id.
    let became = store
        .import_run(experiment, run_record(&first), Arc::new(Nothing))
        .await?;
    same("the next", &became, &Became::Imported)?;
    let data = store.run(first).await?.data;
    same("params", &data.params, &vec![Tag::new("p", "1")])?;
    same("tags", &data.tags, &vec![Tag::new("t", "1")])?;
    same("metrics", &data.metrics.len(), &0)
}

pub(super) async fn aged(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let run = deleted_run(store, experiment).await?;
    let model = new_logged_model(store, experiment).await?;
    store.delete_logged_model(model.clone(), THEN).await?;
    let all = |before| GarbageQuery {
        before,
        ..GarbageQuery::default()
    };
    for (before, is_found) in [(Some(THEN - 1), false), (Some(THEN), true), (None, true)] {
        let found = store.garbage(all(before)).await?;
        let has = |items: &[GarbageItem], id: &str| items.iter().any(|item| item.id == id);
        let both = (has(&found.runs, &run), has(&found.logged_models, &model));
        same("among all", &both, &(is_found, is_found))?;
        let named = store.garbage(of_runs(&[&run], before)).await;
        same("by its name", &named.is_ok(), &is_found)?;
    }
    store.erase_logged_model(model.clone()).await?;
    let gone = store.logged_model(model, true).await;
    refused("the model", gone, ErrorCode::ResourceDoesNotExist)
}

pub(super) async fn experiments(store: &dyn Store) -> Outcome {
    let (experiment, other) = (new_experiment(store).await?, new_experiment(store).await?);
    let run = new_run(store, experiment).await?;
    let gone_before = deleted_run(store, experiment).await?;
    let model = new_logged_model(store, experiment).await?;
    let stays = new_run(store, other).await?;
    let stage = LifecycleStage::Deleted;
    store.set_experiment_stage(experiment, stage, THEN).await?;
    let young = store.garbage(of_experiment(experiment, Some(THEN))).await;
    refused("not yet", young, ErrorCode::InvalidParameterValue)?;
    let query = of_experiment(experiment, Some(THEN + 1));
    let found = store.garbage(query).await?;
    let mut expected = vec![run.as_str(), gone_before.as_str()];
    expected.sort_unstable();
    let mut runs = ids(&found.runs);
    runs.sort_unstable();
    same("runs", &runs, &expected)?;
    let [in_it] = found.experiments.as_slice() else {
        return same("experiments", &found.experiments.len(), &1);
    };
    let mut runs = ids(&in_it.runs);
    runs.sort_unstable();
    same("runs in it", &(in_it.id, runs), &(experiment, expected))?;
    same(
        "models in it",
        &ids(&in_it.logged_models),
        &vec![model.as_str()],
    )?;
    store.erase_experiment(experiment).await?;
    let gone = ErrorCode::ResourceDoesNotExist;
    refused("the experiment", store.experiment(experiment).await, gone)?;
    refused("its run", store.run(run).await, gone)?;
    refused("its model", store.logged_model(model, true).await, gone)?;
    store.run(stays).await?;
    Ok(())
}
