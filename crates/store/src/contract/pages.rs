//! Searches.

use std::collections::BTreeSet;

use mlrs_api::enums::ViewType;

use super::{Outcome, Store, Violation, new_experiment, new_run, params, point, points, same};
use crate::search::{RunSearch, runs};

/// The ids of the runs that a filter finds, page by page.
async fn found(
    store: &dyn Store,
    experiment: i64,
    filter: &str,
    order: &[&str],
    limit: u64,
) -> Result<Vec<String>, Violation> {
    let order: Vec<String> = order.iter().map(|&order| order.to_owned()).collect();
    let mut search = RunSearch {
        experiment_ids: vec![experiment],
        view: ViewType::ActiveOnly,
        filter: runs::filter(filter)?,
        order: runs::order(&order)?,
        limit,
        offset: 0,
    };
    let mut ids = Vec::new();
    loop {
        let page = store.search_runs(search.clone()).await?;
        ids.extend(page.items.into_iter().map(|run| run.info.run_id));
        match page.next_offset {
            Some(offset) => search.offset = offset,
            None => return Ok(ids),
        }
    }
}

pub(super) async fn walked(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    for number in 0..23 {
        let run = new_run(store, experiment).await?;
        // Many are alike: only the last key of an order tells them apart.
        let metrics = vec![point("m", f64::from(number % 3), 1, 0)];
        store.log(run, points(metrics)).await?;
    }
    for order in [&[][..], &["metrics.m DESC"], &["params.absent"]] {
        let ids = found(store, experiment, "", order, 5).await?;
        let distinct: BTreeSet<&String> = ids.iter().collect();
        same("runs", &(ids.len(), distinct.len()), &(23, 23))?;
    }
    Ok(())
}

pub(super) async fn absent(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let (with, without) = (
        new_run(store, experiment).await?,
        new_run(store, experiment).await?,
    );
    store.log(with.clone(), params(&[("p", "1")])).await?;
    let nan = points(vec![point("m", f64::NAN, 1, 0)]);
    store.log(with.clone(), nan).await?;
    let cases = [
        ("params.p = '1'", vec![&with]),
        ("params.p != '2'", vec![&with]),
        ("params.p IS NULL", vec![&without]),
        ("params.p IS NOT NULL", vec![&with]),
        (
            "params.p LIKE '1%' OR params.p IS NULL",
            vec![&with, &without],
        ),
        ("metrics.m > 0", vec![]),
        ("metrics.m != 0", vec![&with]),
        (
            "params.p ILIKE '1' AND (metrics.m < 1 OR metrics.m != 1)",
            vec![&with],
        ),
    ];
    // The second order asks for all of them, which some stores do in another way.
    for order in [&[][..], &["metrics.m", "params.p"]] {
        for (filter, expected) in &cases {
            let ids: BTreeSet<String> = found(store, experiment, filter, order, 10)
                .await?
                .into_iter()
                .collect();
            let expected: BTreeSet<String> = expected.iter().map(|&id| id.clone()).collect();
            same(filter, &ids, &expected)?;
        }
    }
    Ok(())
}
