//! Pages that end where they are large enough, not only where they hold as many as were asked for.
//!
//! What runs and models hold has no limit, so neither has a page of a thousand of them. A page is
//! filled in portions on a connection that measures what is read; what does not fit any more is left
//! to the next page. The first row is always told, however large.

use mlrs_store::{Page, StoreError};

use crate::connection::{Connection, Dialect, EachRow, Row, SqlError, Value};
use crate::statement::Statement;

/// Bytes of a page: those of its texts, and some for what stands around them.
const PAGE_BYTES: usize = 32 << 20;

/// Bytes of names and punctuation around the values of a row.
const AROUND: usize = 64;

/// Rows that are completed together, at most.
const PORTION: usize = 1000;

/// Which part of what is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// How many at most.
    pub(crate) limit: u64,
    /// How many to leave out.
    pub(crate) offset: u64,
}

/// Reads the rows of a page, which a statement finds with one more than asked for, and completes
/// them with what belongs to them.
pub(crate) fn paged<I: Clone, T>(
    connection: &mut dyn Connection,
    statement: &Statement<'_>,
    part: Part,
    read: impl FnMut(&dyn Row) -> Result<I, SqlError>,
    complete: impl FnMut(&mut dyn Connection, Vec<I>) -> Result<Vec<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    bounded(connection, PAGE_BYTES, statement, part, read, complete)
}

fn bounded<I: Clone, T>(
    connection: &mut dyn Connection,
    bytes: usize,
    statement: &Statement<'_>,
    part: Part,
    mut read: impl FnMut(&dyn Row) -> Result<I, SqlError>,
    complete: impl FnMut(&mut dyn Connection, Vec<I>) -> Result<Vec<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let mut rows = Vec::new();
    let mut measured = Measured::new(connection, bytes);
    let found = measured.query(statement.text(), statement.values(), &mut |row| {
        rows.push(read(row)?);
        Ok(())
    });
    if !measured.is_full() {
        found?;
    }
    let mut more = measured.is_full() || rows.len() as u64 > part.limit;
    rows.truncate(part.limit as usize);
    let items = filled(connection, bytes, &rows, complete)?;
    more |= items.len() < rows.len();
    Ok(Page {
        next_offset: more.then(|| part.offset + items.len() as u64),
        items,
    })
}

/// Completes rows until the page is full.
fn filled<I: Clone, T>(
    connection: &mut dyn Connection,
    bytes: usize,
    rows: &[I],
    mut complete: impl FnMut(&mut dyn Connection, Vec<I>) -> Result<Vec<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::with_capacity(rows.len());
    let (mut rest, mut portion, mut spent) = (rows, PORTION, 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        let mut measured = Measured::new(connection, bytes - spent);
        let completed = complete(&mut measured, now.to_vec());
        let (is_full, used) = (measured.is_full(), measured.spent);
        match completed {
            completed if !is_full => {
                items.extend(completed?);
                spent += used;
                rest = later;
                portion = (now.len() * 2).min(PORTION);
            }
            // Half of the page may be reached with fewer at a time; closer to its end that would be
            // work for little.
            _ if now.len() > 1 && spent <= bytes / 2 => portion = now.len() / 2,
            _ if items.is_empty() => {
                items.extend(complete(connection, now.to_vec())?);
                break;
            }
            _ => break,
        }
    }
    Ok(items)
}

/// A connection that counts the bytes that are read, and fails when they are too many.
struct Measured<'a> {
    inner: &'a mut dyn Connection,
    limit: usize,
    spent: usize,
}

impl<'a> Measured<'a> {
    fn new(inner: &'a mut dyn Connection, limit: usize) -> Self {
        Self {
            inner,
            limit,
            spent: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.spent > self.limit
    }
}

impl Connection for Measured<'_> {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        self.inner.execute(sql, values)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        let (spent, limit) = (&mut self.spent, self.limit);
        self.inner.query(sql, values, &mut |row| {
            let row = MeasuredRow {
                inner: row,
                bytes: std::cell::Cell::new(AROUND),
            };
            each(&row)?;
            *spent += row.bytes.get();
            if *spent > limit {
                // Nobody is told: who made the connection looks whether it is full.
                return Err(StoreError::Internal("the page is full".into()));
            }
            Ok(())
        })
    }
}

struct MeasuredRow<'a> {
    inner: &'a dyn Row,
    bytes: std::cell::Cell<usize>,
}

impl Row for MeasuredRow<'_> {
    fn text(&self, column: usize) -> Result<Option<&str>, SqlError> {
        let text = self.inner.text(column)?;
        self.bytes.set(self.bytes.get() + text.map_or(0, str::len));
        Ok(text)
    }

    fn integer(&self, column: usize) -> Result<Option<i64>, SqlError> {
        self.inner.integer(column)
    }

    fn real(&self, column: usize) -> Result<Option<f64>, SqlError> {
        self.inner.real(column)
    }

    fn boolean(&self, column: usize) -> Result<Option<bool>, SqlError> {
        self.inner.boolean(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::all;

    /// The pages of numbers from 0 on, each with a text of as many bytes as `size` says.
    fn pages(bytes: usize, limit: u64, sizes: &[usize]) -> Vec<Vec<usize>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.db");
        let database = rusqlite::Connection::open(&file).unwrap();
        let table = "CREATE TABLE t (place INTEGER PRIMARY KEY, text TEXT)";
        database.execute_batch(table).unwrap();
        for (place, size) in sizes.iter().enumerate() {
            let row = (place as i64, "x".repeat(*size));
            database
                .execute("INSERT INTO t VALUES (?, ?)", row)
                .unwrap();
        }
        let mut pages = Vec::new();
        let mut offset = Some(0);
        while let Some(from) = offset {
            let part = Part {
                limit,
                offset: from,
            };
            let page = crate::sqlite::look(&file, |connection| page(connection, bytes, part));
            let page = page.unwrap();
            pages.push(page.items);
            offset = page.next_offset;
        }
        pages
    }

    fn page(
        connection: &mut dyn Connection,
        bytes: usize,
        part: Part,
    ) -> Result<Page<usize>, StoreError> {
        let mut statement = Statement::new("SELECT place FROM t ORDER BY place");
        crate::search::page(&mut statement, part.limit, part.offset);
        let place = |row: &dyn Row| Ok(row.integer(0)?.unwrap_or_default());
        bounded(
            connection,
            bytes,
            &statement,
            part,
            place,
            |connection, places: Vec<i64>| {
                let mut statement = Statement::new("SELECT text FROM t WHERE place IN ");
                statement.integers(connection.dialect(), places.iter().copied());
                all(connection, statement.text(), statement.values(), |row| {
                    row.string(0)
                })?;
                Ok(places.into_iter().map(|place| place as usize).collect())
            },
        )
    }

    #[test]
    fn a_page_ends_where_it_is_large_enough() {
        let all: Vec<usize> = (0..40).collect();
        assert_eq!(pages(1 << 20, 100, &[10; 40]), vec![all.clone()]);
        assert_eq!(pages(1 << 20, 20, &[10; 40]).len(), 2);
        let cut = pages(100_000, 100, &[10_000; 40]);
        assert!(
            cut.iter().all(|page| (4..10).contains(&page.len())),
            "{cut:?}"
        );
        assert_eq!(cut.concat(), all);
    }

    #[test]
    fn a_large_row_is_told_alone_and_nothing_is_left_out() {
        let mut sizes = [10; 40];
        (sizes[0], sizes[7], sizes[39]) = (500_000, 500_000, 500_000);
        let found = pages(100_000, 100, &sizes);
        assert_eq!(found.concat(), (0..40).collect::<Vec<_>>());
        assert_eq!(found.first(), Some(&vec![0]));
        assert!(found.contains(&vec![39]), "{found:?}");
        // The rows themselves are many.
        let found = pages(64 * 10, 100, &[0; 40]);
        assert_eq!(found.concat().len(), 40);
        assert!(found.len() >= 4, "{found:?}");
    }
}
