//! Both ways of choosing rows choose the same.

use std::path::Path;

use mlrs_api::metrics::Metric;
use mlrs_store::{Batch, NewRun, RunStore as _};

use super::*;
use crate::{DatabaseUri, SqlStore};

/// Steps of a run, as a fixed sequence has them: even, uneven, with several rows of one step.
fn steps(run: u64) -> Vec<i64> {
    match run {
        0 => (0..1000).collect(),
        1 => (0..997).map(|row| row / 3).collect(),
        2 => (0..500).map(|row| row * row % 97).collect(),
        3 => vec![4],
        _ => Vec::new(),
    }
}

async fn filled(folder: &Path) -> (SqlStore, Vec<String>) {
    let uri = format!("sqlite:///{}", folder.join("mlflow.db").display());
    let uri = DatabaseUri::parse(&uri).unwrap();
    let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
    let run_ids: Vec<String> = (0..5).map(|run| format!("{run:032}")).collect();
    for (run, id) in run_ids.iter().enumerate() {
        let new = NewRun {
            id: id.clone(),
            experiment_id: 0,
            user_id: String::new(),
            name: String::new(),
            start_time: 1,
            tags: Vec::new(),
        };
        store.create_run(new).await.unwrap();
        let metrics = steps(run as u64).into_iter().enumerate();
        let metrics = metrics.map(|(row, step)| Metric {
            key: "m".to_owned(),
            value: row as f64,
            timestamp: row as i64,
            step,
            ..Metric::default()
        });
        let batch = Batch {
            metrics: metrics.collect(),
            ..Batch::default()
        };
        store.log(id.clone(), batch).await.unwrap();
    }
    (store, run_ids)
}

#[tokio::test]
async fn walking_and_asking_choose_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, run_ids) = filled(folder.path()).await;
    let looked = store.read(move |connection| {
        for range in [None, Some((10, 70)), Some((5000, 6000))] {
            for points in [1, 2, 7, 320, 499, 500, 996, 5000] {
                let series = Series {
                    run_ids: &run_ids,
                    key: "m",
                    steps: range,
                };
                let walked = walk(connection, series, points, MOST_STRETCHES)?;
                let asked = ask(connection, series, points)?;
                assert_eq!(walked.as_ref(), Some(&asked), "{range:?} {points}");
                let fetched = fetch(connection, "m", &asked)?;
                for (run_id, rows) in &asked {
                    assert_eq!(fetched[run_id].len(), rows.len(), "{range:?} {points}");
                }
            }
        }
        let series = Series {
            run_ids: &run_ids,
            key: "m",
            steps: None,
        };
        // Too uneven for what may be held.
        assert_eq!(walk(connection, series, 10, 3)?, None);
        Ok(())
    });
    looked.await.unwrap();
}
