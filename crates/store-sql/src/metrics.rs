//! The history of metrics in SQL.

use async_trait::async_trait;
use mlrs_api::metrics::{Metric, MetricWithRunId};
use mlrs_store::{MetricQuery, MetricStore, Page, StoreError};

use crate::connection::{Connection, Row, SqlError, all};
use crate::open::SqlStore;
use crate::runs::value_of;
use crate::sampled::{Series, sampled};
use crate::search::cut;
use crate::statement::Statement;

fn history(
    connection: &mut dyn Connection,
    query: &MetricQuery,
) -> Result<Page<Metric>, StoreError> {
    let mut statement = Statement::new(
        "SELECT m.value, m.timestamp, m.step, m.is_nan FROM metrics m WHERE m.run_uuid = ",
    );
    statement
        .bind(&query.run_id)
        .push(" AND m.key = ")
        .bind(&query.key);
    statement.push(" ORDER BY m.timestamp, m.step, m.value LIMIT ");
    // One more tells whether there is a next page.
    let limit = query.limit.map_or(i64::MAX, |limit| limit as i64 + 1);
    statement
        .bind(limit)
        .push(" OFFSET ")
        .bind(query.offset as i64);
    let mut items = all(connection, statement.text(), statement.values(), |row| {
        let (value, timestamp, step) = point(row, 0)?;
        Ok(Metric {
            key: query.key.clone(),
            value,
            timestamp,
            step,
            ..Metric::default()
        })
    })?;
    let cut = |limit| cut(&mut items, limit, query.offset);
    let next_offset = query.limit.and_then(cut);
    Ok(Page { items, next_offset })
}

/// A value, its time and its step.
pub(crate) type Point = (f64, i64, i64);

/// The point in four columns from `column` on.
pub(crate) fn point(row: &dyn Row, column: usize) -> Result<Point, SqlError> {
    let value = value_of(row.real(column)?, row.boolean(column + 3)?);
    let timestamp = row.integer(column + 1)?.unwrap_or_default();
    Ok((
        value,
        timestamp,
        row.integer(column + 2)?.unwrap_or_default(),
    ))
}

fn with_run(run_id: String, key: &str, (value, timestamp, step): Point) -> MetricWithRunId {
    MetricWithRunId {
        key: key.to_owned(),
        value,
        timestamp,
        step,
        run_id,
    }
}

fn of_runs(
    connection: &mut dyn Connection,
    run_ids: &[String],
    key: &str,
    limit: u64,
) -> Result<Vec<MetricWithRunId>, StoreError> {
    let mut statement = Statement::new(
        "SELECT m.run_uuid, m.value, m.timestamp, m.step, m.is_nan FROM metrics m WHERE m.key = ",
    );
    statement
        .bind(key)
        .push(" AND m.run_uuid IN ")
        .texts(connection.dialect(), run_ids);
    statement.push(" ORDER BY m.run_uuid, m.timestamp, m.step, m.value LIMIT ");
    statement.bind(limit as i64);
    all(connection, statement.text(), statement.values(), |row| {
        Ok(with_run(row.string(0)?, key, point(row, 1)?))
    })
}

#[async_trait]
impl MetricStore for SqlStore {
    async fn metric_history(&self, query: MetricQuery) -> Result<Page<Metric>, StoreError> {
        self.search(move |connection| history(connection, &query))
            .await
    }

    async fn metric_history_of_runs(
        &self,
        run_ids: Vec<String>,
        key: String,
        limit: u64,
    ) -> Result<Vec<MetricWithRunId>, StoreError> {
        self.search(move |connection| of_runs(connection, &run_ids, &key, limit))
            .await
    }

    async fn sampled_metric_history(
        &self,
        run_ids: Vec<String>,
        key: String,
        steps: Option<(i64, i64)>,
        points: u64,
    ) -> Result<Vec<MetricWithRunId>, StoreError> {
        self.search(move |connection| {
            let series = Series {
                run_ids: &run_ids,
                key: &key,
                steps,
            };
            let found = sampled(connection, series, points)?;
            let of_run = |run_id: &String| found.get(run_id).into_iter().flatten().copied();
            let points = run_ids.iter().flat_map(|run_id| {
                of_run(run_id).map(|point| with_run(run_id.clone(), &key, point))
            });
            Ok(points.collect())
        })
        .await
    }
}
