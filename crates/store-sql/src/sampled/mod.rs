//! Histories of metrics for charts: of a long one only some rows, evenly spread.
//!
//! Two statements however many runs there are and however long their histories: one walks through
//! the steps, which an index of MLflow's holds in order, and one fetches the rows that were chosen.

mod steps;

use std::collections::HashMap;

use mlrs_store::StoreError;

use crate::connection::{Connection, Dialect, all};
use crate::metrics::{Point, point};
use crate::statement::Statement;
use steps::{Chosen, Steps};

/// What is held of the steps of all runs together: 32 MiB.
const MOST_STRETCHES: usize = 1 << 20;

/// The rows of one metric of some runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) run_ids: &'a [String],
    pub(crate) key: &'a str,
    /// Only rows with a step from the first to the second.
    pub(crate) steps: Option<(i64, i64)>,
}

/// The chosen rows of a run, in order.
type ChosenOfRun = (String, Vec<Chosen>);

/// Of each run that has rows, at most `points` by step, time and value. The rows are dealt to as many
/// buckets of the same size; the first of each is taken, and the last row of all.
pub(crate) fn sampled(
    connection: &mut dyn Connection,
    series: Series<'_>,
    points: u64,
) -> Result<HashMap<String, Vec<Point>>, StoreError> {
    let points = points.max(1);
    let walked = match connection.dialect() {
        Dialect::Sqlite => walk(connection, series, points, MOST_STRETCHES)?,
        Dialect::Postgres => None,
    };
    let chosen = match walked {
        Some(chosen) => chosen,
        None => ask(connection, series, points)?,
    };
    fetch(connection, series.key, &chosen)
}

/// Walks through the steps on this side: nothing travels, and a row costs a hundred nanoseconds.
/// `None` when the steps are too uneven to be held in `most` stretches.
fn walk(
    connection: &mut dyn Connection,
    series: Series<'_>,
    points: u64,
    most: usize,
) -> Result<Option<Vec<ChosenOfRun>>, StoreError> {
    let mut statement = series.statement("SELECT m.step, m.run_uuid", connection.dialect());
    statement.push(" ORDER BY m.run_uuid, m.step");
    // A single run's id need not be read in every row.
    let only = series.run_ids.len() == 1;
    let mut ended = Vec::new();
    let mut current: Option<(String, Steps)> = None;
    let mut left = most;
    connection.query(statement.text(), statement.values(), &mut |row| {
        let step = row.integer(0)?.unwrap_or_default();
        let steps = match &mut current {
            Some((_, steps)) if only => steps,
            Some((run_id, steps)) if row.text(1)? == Some(run_id) => steps,
            _ => {
                ended.extend(choose(current.take(), points));
                let (_, steps) = current.insert((row.string(1)?, Steps::default()));
                steps
            }
        };
        if left > 0 && steps.push(step) {
            left -= 1;
        }
        Ok(())
    })?;
    ended.extend(choose(current, points));
    Ok((left > 0).then_some(ended))
}

fn choose(run: Option<(String, Steps)>, points: u64) -> Option<ChosenOfRun> {
    run.map(|(run_id, steps)| (run_id, steps.chosen(points)))
}

/// Lets the database walk through the steps: only those of the chosen rows travel. The conditions
/// say what [`steps::places`] says.
fn ask(
    connection: &mut dyn Connection,
    series: Series<'_>,
    points: u64,
) -> Result<Vec<ChosenOfRun>, StoreError> {
    let dialect = connection.dialect();
    let mut statement = Statement::new(
        "SELECT run_uuid, step, place FROM (SELECT n.run_uuid, n.step, n.row, \
         n.row - n.first AS place, t.total, t.points, t.total / t.points AS size, \
         t.total % t.points AS larger FROM (SELECT m.run_uuid, m.step, \
         row_number() OVER run - 1 AS row, rank() OVER run - 1 AS first",
    );
    series.from(&mut statement, dialect);
    // Counted on its own: a count beside the numbers would have all rows held.
    statement.push(
        " WINDOW run AS (PARTITION BY m.run_uuid ORDER BY m.step)) n JOIN \
         (SELECT m.run_uuid, count(*) AS total, CAST(",
    );
    statement.bind(points as i64).push(" AS bigint) AS points");
    series.from(&mut statement, dialect);
    statement.push(
        " GROUP BY m.run_uuid) t ON t.run_uuid = n.run_uuid) dealt \
         WHERE CASE WHEN total <= points OR row = total - 1 THEN 0 \
         WHEN row >= total - size THEN 1 \
         WHEN row < larger * (size + 1) THEN row % (size + 1) \
         ELSE (row - larger) % size END = 0 ORDER BY run_uuid, row",
    );
    let rows = all(connection, statement.text(), statement.values(), |row| {
        let step = row.integer(1)?.unwrap_or_default();
        let place = row.integer(2)?.unwrap_or_default() as u64;
        Ok((row.string(0)?, Chosen { step, place }))
    })?;
    let mut chosen: Vec<ChosenOfRun> = Vec::new();
    for (run_id, row) in rows {
        match chosen.last_mut() {
            Some((last, rows)) if *last == run_id => rows.push(row),
            _ => chosen.push((run_id, vec![row])),
        }
    }
    Ok(chosen)
}

/// The chosen rows: those of their steps, in order, of which the places tell which to keep.
fn fetch(
    connection: &mut dyn Connection,
    key: &str,
    chosen: &[ChosenOfRun],
) -> Result<HashMap<String, Vec<Point>>, StoreError> {
    let mut wanted: HashMap<&str, _> = chosen
        .iter()
        .map(|(run_id, rows)| (run_id.as_str(), rows.iter().copied().peekable()))
        .collect();
    let mut statement = Statement::new(
        "SELECT m.run_uuid, m.value, m.timestamp, m.step, m.is_nan FROM \
         (SELECT value ->> 0 AS run_uuid, CAST(value ->> 1 AS bigint) AS step FROM ",
    );
    statement.json_rows(connection.dialect(), steps_of(chosen));
    statement.push(") c CROSS JOIN metrics m");
    if connection.dialect() == Dialect::Sqlite {
        // Left to itself it takes the index of the primary key, which holds all columns but has only
        // the key in common with what is asked: each row then costs a walk through the history.
        statement.push(" INDEXED BY index_metrics_run_uuid_key_step");
    }
    statement.push(" WHERE m.run_uuid = c.run_uuid AND m.step = c.step AND m.key = ");
    statement.bind(key);
    statement.push(" ORDER BY m.run_uuid, m.step, m.timestamp, m.value, m.is_nan");
    let mut found: HashMap<String, Vec<Point>> = HashMap::new();
    let (mut run, mut at) = (String::new(), None);
    connection.query(statement.text(), statement.values(), &mut |row| {
        let run_id = row.text(0)?.unwrap_or_default();
        let point = point(row, 1)?;
        let (_, _, step) = point;
        let place = match at {
            Some(Chosen { step: known, place }) if known == step && run == run_id => place + 1,
            _ => 0,
        };
        if run != run_id {
            run_id.clone_into(&mut run);
        }
        let here = Chosen { step, place };
        at = Some(here);
        let rows = wanted.get_mut(run_id);
        if rows.is_some_and(|rows| rows.next_if_eq(&here).is_some()) {
            found.entry(run.clone()).or_default().push(point);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Each run with each of its chosen steps, as JSON.
fn steps_of(chosen: &[ChosenOfRun]) -> String {
    let mut rows = Vec::new();
    for (run_id, of_run) in chosen {
        let mut steps: Vec<i64> = of_run.iter().map(|chosen| chosen.step).collect();
        steps.dedup();
        rows.extend(
            steps
                .into_iter()
                .map(|step| serde_json::json!([run_id, step])),
        );
    }
    serde_json::Value::from(rows).to_string()
}

impl<'a> Series<'a> {
    /// A statement over the rows that begins with `head`; further conditions may follow.
    fn statement(&self, head: &'static str, dialect: Dialect) -> Statement<'a> {
        let mut statement = Statement::new(head);
        self.from(&mut statement, dialect);
        statement
    }

    /// Adds where the rows are to a statement.
    fn from(&self, statement: &mut Statement<'a>, dialect: Dialect) {
        statement.push(" FROM metrics m WHERE m.run_uuid IN ");
        statement.texts(dialect, self.run_ids);
        statement.push(" AND m.key = ").bind(self.key);
        if let Some((from, to)) = self.steps {
            statement.push(" AND m.step >= ").bind(from);
            statement.push(" AND m.step <= ").bind(to);
        }
    }
}

#[cfg(test)]
mod tests;
