//! Searches: the tree of a filter to a statement.
//!
//! Tests of what belongs to a row (metrics, params, tags, datasets) become `EXISTS`, so that they
//! can stand under `OR`. A key that is not there matches nothing but `IS NULL`. Patterns mean the
//! same on both databases: `\` makes the next character literal, and `ILIKE` knows the letters of
//! all alphabets.

pub(crate) mod experiments;
pub(crate) mod logged_models;
pub(crate) mod registry;
pub(crate) mod runs;

use mlrs_store::search::{Filter, NumberTest, Operator, TextTest};

use crate::connection::Dialect;
use crate::log::stored;
use crate::sqlite::{ILIKE, LIKE};
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
        TextTest::Compare(operator @ (Operator::Like | Operator::ILike), pattern)
            if dialect == Dialect::Sqlite =>
        {
            let folds = *operator == Operator::ILike;
            statement.push(if folds { ILIKE } else { LIKE });
            statement.push("(").push(column).push(", ");
            statement.bind(pattern).push(")");
        }
        TextTest::Compare(operator, value) => {
            statement.push(column).push(" ").push(operator.text());
            statement.push(" ").bind(value);
        }
        TextTest::In { negated, texts } => {
            let operator = if *negated { " NOT IN " } else { " IN " };
            statement.push(column).push(operator).texts(dialect, texts);
        }
        TextTest::Exists(true) => {
            statement.push(column).push(" IS NOT NULL");
        }
        TextTest::Exists(false) => {
            statement.push(column).push(" IS NULL");
        }
    }
}

/// How a statement is written for a database.
#[derive(Debug, Clone, Copy)]
struct Plan {
    dialect: Dialect,
    /// Whether all that has a key is gathered first, instead of being looked up for each row.
    gather: bool,
}

impl From<Dialect> for Plan {
    fn from(dialect: Dialect) -> Self {
        Self {
            dialect,
            gather: false,
        }
    }
}

/// A table of what belongs to a row.
struct Owned {
    table: &'static str,
    /// The index that SQLite takes. Left alone, it takes the keys of the tables and then visits each
    /// row; the index holds all that is asked.
    index: &'static str,
    /// The column with the owner.
    of: &'static str,
    /// The column of the owner that it holds.
    owner: &'static str,
    /// What else says whose it is.
    further: &'static str,
}

/// Adds the condition that something with a key belongs to a row, up to the test of its value.
fn owns<'a>(statement: &mut Statement<'a>, plan: Plan, owned: &Owned, key: &'a str) {
    let index = match plan.dialect {
        Dialect::Sqlite => owned.index,
        Dialect::Postgres => "",
    };
    let table = |statement: &mut Statement<'a>| {
        statement.push(owned.table).push(" x").push(index);
        statement.push(" WHERE x.key = ").bind(key);
    };
    if plan.gather {
        statement.push(owned.owner).push(" IN (SELECT ");
        statement.push(owned.of).push(" FROM ");
        table(statement);
    } else {
        statement.push("EXISTS (SELECT 1 FROM ");
        table(statement);
        statement.push(" AND ").push(owned.of);
        statement.push(" = ").push(owned.owner).push(owned.further);
    }
}

/// Adds a test of a text that belongs to a row.
fn owned_text<'a>(
    statement: &mut Statement<'a>,
    plan: Plan,
    owned: &Owned,
    key: &'a str,
    test: &'a TextTest,
) {
    if *test == TextTest::Exists(false) {
        statement.push("NOT ");
    }
    owns(statement, plan, owned, key);
    if !matches!(test, TextTest::Exists(_)) {
        statement.push(" AND ");
        text(statement, plan.dialect, "x.value", test);
    }
    statement.push(")");
}

/// Adds the test of a number that is there.
fn number(
    statement: &mut Statement<'_>,
    dialect: Dialect,
    column: &'static str,
    test: &NumberTest,
) {
    statement.push(column);
    match test {
        NumberTest::Compare(operator, value) => {
            statement.push(" ").push(operator.text()).push(" ");
            statement.bind(stored(*value));
        }
        NumberTest::In { negated, numbers } => {
            statement.push(if *negated { " NOT IN " } else { " IN " });
            statement.reals(dialect, numbers.iter().copied().map(stored));
        }
        NumberTest::Exists(_) => {
            statement.push(" IS NOT NULL");
        }
    }
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
pub(crate) fn page(statement: &mut Statement<'_>, limit: u64, offset: u64) {
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
