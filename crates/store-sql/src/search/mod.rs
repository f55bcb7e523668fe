//! Searches: the tree of a filter to a statement.
//!
//! Tests of what belongs to a row (metrics, params, tags, datasets) become `EXISTS`, so that they
//! can stand under `OR`. A key that is not there matches nothing but `IS NULL`.

pub(crate) mod experiments;
pub(crate) mod logged_models;
pub(crate) mod registry;
pub(crate) mod runs;

use mlrs_store::search::{Filter, Operator, TextTest};

use crate::connection::Dialect;
use crate::statement::Statement;

/// Adds a filter; `clause` adds one comparison.
fn filter<'a, T>(
    statement: &mut Statement<'a>,
    filter_: &'a Filter<T>,
    clause: &mut dyn FnMut(&mut Statement<'a>, &'a T),
) {
    match filter_ {
        Filter::Is(comparison) => clause(statement, comparison),
        Filter::All(parts) => join(statement, parts, " AND ", "1 = 1", clause),
        Filter::Any(parts) => join(statement, parts, " OR ", "1 = 0", clause),
    }
}

fn join<'a, T>(
    statement: &mut Statement<'a>,
    parts: &'a [Filter<T>],
    separator: &'static str,
    empty: &'static str,
    clause: &mut dyn FnMut(&mut Statement<'a>, &'a T),
) {
    if parts.is_empty() {
        statement.push(empty);
        return;
    }
    for (index, part) in parts.iter().enumerate() {
        statement.push(if index == 0 { "(" } else { separator });
        filter(statement, part, clause);
    }
    statement.push(")");
}

/// Adds a test of a text column.
fn text<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    column: &'static str,
    test: &'a TextTest,
) {
    match test {
        TextTest::Compare(Operator::ILike, pattern) => match dialect {
            Dialect::Sqlite => {
                statement.push("lower(").push(column).push(") LIKE lower(");
                statement.bind(pattern).push(")");
            }
            Dialect::Postgres => {
                statement.push(column).push(" ILIKE ").bind(pattern);
            }
        },
        TextTest::Compare(operator, value) => {
            statement.push(column).push(" ").push(operator.text());
            statement.push(" ").bind(value);
        }
        TextTest::In { negated, texts } => {
            let operator = if *negated { " NOT IN " } else { " IN " };
            statement.push(column).push(operator).list(texts);
        }
        TextTest::Exists(true) => {
            statement.push(column).push(" IS NOT NULL");
        }
        TextTest::Exists(false) => {
            statement.push(column).push(" IS NULL");
        }
    }
}

/// A table of what belongs to a row.
struct Owned {
    table: &'static str,
    /// The index that SQLite takes.
    index: &'static str,
    /// Whose it is.
    owner: &'static str,
}

/// Adds the selection of what belongs to a row, up to the condition of its key. Left alone, SQLite
/// takes the keys of the tables and then visits each row; the index holds all that is asked.
fn select_owned(statement: &mut Statement<'_>, dialect: Dialect, owned: &Owned) {
    statement
        .push("SELECT 1 FROM ")
        .push(owned.table)
        .push(" x");
    if dialect == Dialect::Sqlite {
        statement.push(owned.index);
    }
    statement
        .push(" WHERE ")
        .push(owned.owner)
        .push(" AND x.key = ");
}

/// Adds a test of a text that belongs to a row.
fn owned_text<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    owned: &Owned,
    key: &'a str,
    test: &'a TextTest,
) {
    if *test == TextTest::Exists(false) {
        statement.push("NOT ");
    }
    statement.push("EXISTS (");
    select_owned(statement, dialect, owned);
    statement.bind(key);
    if !matches!(test, TextTest::Exists(_)) {
        statement.push(" AND ");
        text(statement, dialect, "x.value", test);
    }
    statement.push(")");
}

/// Adds the stages of a view.
fn stages(statement: &mut Statement<'_>, column: &'static str, view: mlrs_api::enums::ViewType) {
    use mlrs_api::enums::ViewType;
    statement.push(column).push(match view {
        ViewType::ActiveOnly => " = 'active'",
        ViewType::DeletedOnly => " = 'deleted'",
        ViewType::All => " IN ('active', 'deleted')",
    });
}

/// Adds the bounds of a page: one more than asked for tells whether there is a next one.
fn page(statement: &mut Statement<'_>, limit: u64, offset: u64) {
    statement.push(" LIMIT ").bind(limit as i64 + 1);
    statement.push(" OFFSET ").bind(offset as i64);
}

/// Cuts what is more than the page, and tells where the next one begins.
pub(crate) fn cut<T>(items: &mut Vec<T>, limit: u64, offset: u64) -> Option<u64> {
    if items.len() as u64 <= limit {
        return None;
    }
    items.truncate(limit as usize);
    Some(offset + limit)
}
