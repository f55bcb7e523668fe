//! Searches for experiments.

use mlrs_api::experiments::Experiment;
use mlrs_store::search::experiments::ExperimentTime;
use mlrs_store::search::{ExperimentClause, ExperimentOrder, ExperimentSearch};
use mlrs_store::{Page, StoreError};

use crate::connection::{Connection, Dialect};
use crate::experiments::{add_tags, read, select};
use crate::page::{Part, paged};
use crate::search::{Owned, filter, owned_text, page, stages, text};
use crate::statement::Statement;

const TAGS: Owned = Owned {
    table: "experiment_tags",
    index: "",
    of: "x.experiment_id",
    owner: "e.experiment_id",
    further: "",
};

/// Runs a search.
pub(crate) fn run(
    connection: &mut dyn Connection,
    search: &ExperimentSearch,
) -> Result<Page<Experiment>, StoreError> {
    let statement = statement(connection.dialect(), search);
    let part = Part {
        limit: search.limit,
        offset: search.offset,
    };
    paged(
        connection,
        &statement,
        part,
        read,
        |connection, mut items| {
            add_tags(connection, &mut items)?;
            Ok(items)
        },
    )
}

fn statement(dialect: Dialect, search: &ExperimentSearch) -> Statement<'_> {
    let mut statement = Statement::new(select!(""));
    stages(&mut statement, "e.lifecycle_stage", search.view);
    statement.push(" AND ");
    filter(&mut statement, &search.filter, &mut |statement, clause| {
        compare(statement, dialect, clause);
    });
    statement.push(" ORDER BY ");
    let mut by_id = false;
    for order in &search.order {
        by_id |= order.key == ExperimentOrder::Id;
        statement.push(match order.key {
            ExperimentOrder::Name => "e.name",
            ExperimentOrder::Id => "e.experiment_id",
            ExperimentOrder::Time(time) => column(time),
        });
        statement.push(if order.ascending { " ASC, " } else { " DESC, " });
    }
    if search.order.is_empty() {
        statement.push("e.creation_time DESC, ");
    }
    // The id last, so that pages do not overlap.
    statement.push(if by_id { "e.name" } else { "e.experiment_id" });
    page(&mut statement, search.limit, search.offset);
    statement
}

fn column(time: ExperimentTime) -> &'static str {
    match time {
        ExperimentTime::Creation => "e.creation_time",
        ExperimentTime::LastUpdate => "e.last_update_time",
    }
}

fn compare<'a>(statement: &mut Statement<'a>, dialect: Dialect, clause: &'a ExperimentClause) {
    match clause {
        ExperimentClause::Name(test) => text(statement, dialect, "e.name", test),
        ExperimentClause::Id { negated, ids } => {
            let operator = if *negated { " NOT IN " } else { " IN " };
            statement.push("e.experiment_id").push(operator);
            statement.integers(dialect, ids.iter().copied());
        }
        ExperimentClause::Time {
            attribute,
            operator,
            value,
        } => {
            statement
                .push(column(*attribute))
                .push(" ")
                .push(operator.text());
            statement.push(" ").bind(*value);
        }
        ExperimentClause::Tag { key, test } => {
            owned_text(statement, dialect.into(), &TAGS, key, test);
        }
    }
}
