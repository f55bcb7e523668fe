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

/// What a pattern means must not depend on the database.
pub(super) async fn patterns(store: &dyn Store) -> Outcome {
    let experiment = new_experiment(store).await?;
    let values = ["a_b", "aXb", "50%", "500", "C:\\d", "Tree"];
    let mut runs = Vec::new();
    for value in values {
        let run = new_run(store, experiment).await?;
        store.log(run.clone(), params(&[("p", value)])).await?;
        runs.push(run);
    }
    let many: Vec<String> = (0..150).map(|number| format!("'{number}'")).collect();
    let many = format!("params.p IN ({}, 'Tree')", many.join(", "));
    let cases: [(&str, &[usize]); 10] = [
        ("params.p LIKE 'a_b'", &[0, 1]),
        (r"params.p LIKE 'a\_b'", &[0]),
        (r"params.p ILIKE 'A\_B'", &[0]),
        ("params.p LIKE '50%'", &[2, 3]),
        (r"params.p LIKE '50\%'", &[2]),
        (r"params.p LIKE 'C:\\d'", &[4]),
        (r"params.p ILIKE 'c:\\D'", &[4]),
        ("params.p LIKE 'tree'", &[]),
        ("params.p ILIKE 'tR_E'", &[5]),
        (&many, &[5]),
    ];
    for (filter, expected) in cases {
        let ids = found(store, experiment, filter, &[], 10).await?;
        let ids: BTreeSet<String> = ids.into_iter().collect();
        let expected = expected.iter().map(|&place| runs[place].clone());
        same(filter, &ids, &expected.collect())?;
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
        ("params.p IN ('1', '3')", vec![&with]),
        ("params.p NOT IN ('2', '3')", vec![&with]),
        ("run_name IN ('contract') AND params.p NOT IN ('1')", vec![]),
        ("metrics.m > 0", vec![]),
        ("metrics.m IS NULL", vec![&without]),
        ("metrics.m IS NOT NULL", vec![&with]),
        (
            "metrics.n IS NULL OR metrics.m IN (0)",
            vec![&with, &without],
        ),
        ("metrics.m IN (0, 1)", vec![]),
        ("metrics.m NOT IN (0, 1)", vec![&with]),
        ("  ", vec![&with, &without]),
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
