//! Histories of metrics for charts: of a long one only some rows, evenly spread.
//!
//! Three statements whatever its length: one counts the rows, one walks through their steps, which
//! an index of MLflow's holds in order, and one fetches the rows that were chosen.

use mlrs_store::StoreError;

use crate::connection::{Connection, Dialect, all, first};
use crate::metrics::{Point, point};
use crate::statement::Statement;

/// The rows of one metric of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) key: &'a str,
    /// Only rows with a step from the first to the second.
    pub(crate) steps: Option<(i64, i64)>,
}

/// A row by its step, and by its place among those of the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chosen {
    step: i64,
    place: i64,
}

/// At most `points` rows by step, time and value. The rows are dealt to as many buckets of the same
/// size; the first of each is taken, and the last row of all.
pub(crate) fn sampled(
    connection: &mut dyn Connection,
    series: Series<'_>,
    points: u64,
) -> Result<Vec<Point>, StoreError> {
    let statement = series.statement("SELECT count(*)");
    let total = first(connection, statement.text(), statement.values(), |row| {
        row.integer(0)
    })?;
    let total = total.flatten().unwrap_or_default() as u64;
    if total == 0 {
        return Ok(Vec::new());
    }
    let places = places(total, points.max(1));
    let chosen = match connection.dialect() {
        Dialect::Sqlite => walk(connection, series, &places)?,
        Dialect::Postgres => ask(connection, series, &places)?,
    };
    fetch(connection, series, &chosen)
}

/// Which rows are taken, as SQL's `NTILE` deals them: the first buckets have one row more where the
/// rows do not divide evenly.
fn places(total: u64, points: u64) -> Vec<u64> {
    if total <= points {
        return (0..total).collect();
    }
    let (size, larger) = (total / points, total % points);
    let mut places: Vec<u64> = (0..points)
        .map(|bucket| bucket * size + bucket.min(larger))
        .collect();
    if let Some(last) = places.last_mut() {
        *last = total - 1;
    }
    places
}

/// Walks through the steps on this side: nothing travels, and a row costs a hundred nanoseconds.
fn walk(
    connection: &mut dyn Connection,
    series: Series<'_>,
    places: &[u64],
) -> Result<Vec<Chosen>, StoreError> {
    let mut statement = series.statement("SELECT m.step");
    statement.push(" ORDER BY m.step");
    let mut wanted = places.iter().copied().peekable();
    let mut chosen = Vec::with_capacity(places.len());
    let (mut row_number, mut begin) = (0, None);
    connection.query(statement.text(), statement.values(), &mut |row| {
        let step = row.integer(0)?.unwrap_or_default();
        let start = match begin {
            Some((known, start)) if known == step => start,
            _ => row_number,
        };
        begin = Some((step, start));
        if wanted.next_if_eq(&row_number).is_some() {
            let place = (row_number - start) as i64;
            chosen.push(Chosen { step, place });
        }
        row_number += 1;
        Ok(())
    })?;
    Ok(chosen)
}

/// Lets the server walk through the steps: only those of the chosen rows travel.
fn ask(
    connection: &mut dyn Connection,
    series: Series<'_>,
    places: &[u64],
) -> Result<Vec<Chosen>, StoreError> {
    let mut statement = series.statement(
        "SELECT step, row_number - rank FROM (SELECT m.step, \
         row_number() OVER (ORDER BY m.step), rank() OVER (ORDER BY m.step)",
    );
    statement.push(") s WHERE row_number - 1 IN ");
    let dialect = connection.dialect();
    statement.integers(dialect, places.iter().map(|&place| place as i64));
    statement.push(" ORDER BY row_number");
    all(connection, statement.text(), statement.values(), |row| {
        Ok(Chosen {
            step: row.integer(0)?.unwrap_or_default(),
            place: row.integer(1)?.unwrap_or_default(),
        })
    })
}

/// The chosen rows: those of their steps, in order, of which the places tell which to keep.
fn fetch(
    connection: &mut dyn Connection,
    series: Series<'_>,
    chosen: &[Chosen],
) -> Result<Vec<Point>, StoreError> {
    let mut steps: Vec<i64> = chosen.iter().map(|chosen| chosen.step).collect();
    steps.dedup();
    let mut statement = series.statement("SELECT m.value, m.timestamp, m.step, m.is_nan");
    statement.push(" AND m.step IN ");
    statement.integers(connection.dialect(), steps);
    statement.push(" ORDER BY m.step, m.timestamp, m.value, m.is_nan");
    let mut wanted = chosen.iter().copied().peekable();
    let mut found = Vec::with_capacity(chosen.len());
    let mut at = Chosen { step: 0, place: -1 };
    connection.query(statement.text(), statement.values(), &mut |row| {
        let point = point(row, 0)?;
        let (_, _, step) = point;
        let place = if step == at.step { at.place + 1 } else { 0 };
        at = Chosen { step, place };
        if wanted.next_if_eq(&at).is_some() {
            found.push(point);
        }
        Ok(())
    })?;
    Ok(found)
}

impl<'a> Series<'a> {
    /// A statement over the rows that begins with `head`; further conditions may follow.
    fn statement(&self, head: &'static str) -> Statement<'a> {
        let mut statement = Statement::new(head);
        statement.push(" FROM metrics m WHERE m.run_uuid = ");
        statement.bind(self.run_id);
        statement.push(" AND m.key = ").bind(self.key);
        if let Some((from, to)) = self.steps {
            statement.push(" AND m.step >= ").bind(from);
            statement.push(" AND m.step <= ").bind(to);
        }
        statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_dealt_as_ntile_deals_them() {
        assert_eq!(places(0, 3), [0; 0]);
        assert_eq!(places(3, 3), [0, 1, 2]);
        // Buckets of 3, 2 and 2; the last row instead of the last first.
        assert_eq!(places(7, 3), [0, 3, 6]);
        assert_eq!(places(10, 4), [0, 3, 6, 9]);
        assert_eq!(places(5, 1), [4]);
    }
}
