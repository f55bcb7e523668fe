//! Searches for logged models.

use mlrs_api::logged_models::{DatasetFilter, LoggedModel};
use mlrs_store::search::logged_models::{LoggedModelText, LoggedModelTime, MOST_ORDERS};
use mlrs_store::search::{
    Filter, LoggedModelClause, LoggedModelOrder, LoggedModelSearch, NumberTest, OrderBy, TextTest,
};
use mlrs_store::{Page, StoreError};

use crate::connection::{Connection, Dialect};
use crate::logged_models::{complete, read, select};
use crate::page::{Part, paged};
use crate::search::{filter, number, page, text};
use crate::statement::Statement;

/// Runs a search.
pub(crate) fn run(
    connection: &mut dyn Connection,
    search: &LoggedModelSearch,
) -> Result<Page<LoggedModel>, StoreError> {
    let statement = statement(connection.dialect(), search);
    let part = Part {
        limit: search.limit,
        offset: search.offset,
    };
    paged(connection, &statement, part, read, complete)
}

fn statement(dialect: Dialect, search: &LoggedModelSearch) -> Statement<'_> {
    let mut statement = Statement::new(select!(""));
    for (place, order) in JOINED.iter().zip(&search.order) {
        joined(&mut statement, place, &order.key);
    }
    statement.push("WHERE l.experiment_id IN ");
    statement.integers(dialect, search.experiment_ids.iter().copied());
    statement.push(" AND l.lifecycle_stage <> 'deleted' AND ");
    filter(&mut statement, &search.filter, &mut |statement, clause| {
        compare(statement, dialect, clause, &search.datasets);
    });
    if !search.datasets.is_empty() && !has_metric(&search.filter) {
        statement.push(
            " AND EXISTS (SELECT 1 FROM logged_model_metrics x WHERE x.model_id = l.model_id",
        );
        on_datasets(&mut statement, &search.datasets);
        statement.push(")");
    }
    statement.push(" ORDER BY ");
    for (place, order) in JOINED.iter().zip(&search.order) {
        ordered(&mut statement, place, order);
    }
    let has = |key: &LoggedModelOrder| search.order.iter().any(|order| order.key == *key);
    if !has(&LoggedModelOrder::Time(LoggedModelTime::Creation)) {
        statement.push("l.creation_timestamp_ms DESC, ");
    }
    statement.push("l.model_id");
    page(&mut statement, search.limit, search.offset);
    statement
}

/// The names of the tables that an order joins.
struct Place {
    join: &'static str,
    on: &'static str,
    value: &'static str,
}

macro_rules! place {
    ($name:literal) => {
        Place {
            // The latest point of each model.
            join: "LEFT JOIN (SELECT m.model_id, m.metric_value, row_number() OVER (PARTITION BY \
                   m.model_id ORDER BY m.metric_timestamp_ms DESC, m.metric_step DESC, m.run_id) \
                   AS place FROM logged_model_metrics m WHERE m.metric_name = ",
            on: concat!(") ", $name, " ON ", $name, ".model_id = l.model_id AND ", $name, ".place = 1 "),
            value: concat!($name, ".metric_value"),
        }
    };
}

/// One for each order that there may be.
const JOINED: [Place; MOST_ORDERS] = [
    place!("o1"),
    place!("o2"),
    place!("o3"),
    place!("o4"),
    place!("o5"),
    place!("o6"),
    place!("o7"),
    place!("o8"),
];

fn joined<'a>(statement: &mut Statement<'a>, place: &Place, key: &'a LoggedModelOrder) {
    let LoggedModelOrder::Metric {
        key,
        dataset_name,
        dataset_digest,
    } = key
    else {
        return;
    };
    statement.push(place.join).bind(key);
    if let Some(name) = dataset_name {
        statement.push(" AND m.dataset_name = ").bind(name);
    }
    if let Some(digest) = dataset_digest {
        statement.push(" AND m.dataset_digest = ").bind(digest);
    }
    statement.push(place.on);
}

/// What is absent comes last in either direction.
fn ordered(statement: &mut Statement<'_>, place: &Place, order: &OrderBy<LoggedModelOrder>) {
    let column = match &order.key {
        LoggedModelOrder::Metric { .. } => place.value,
        LoggedModelOrder::Text(text) => model_text(*text),
        LoggedModelOrder::Time(time) => model_time(*time),
        LoggedModelOrder::Status => "l.status",
    };
    statement
        .push("CASE WHEN ")
        .push(column)
        .push(" IS NULL THEN 1 ELSE 0 END, ");
    statement.push(column);
    statement.push(if order.ascending { " ASC, " } else { " DESC, " });
}

fn model_text(text: LoggedModelText) -> &'static str {
    match text {
        LoggedModelText::Id => "l.model_id",
        LoggedModelText::Name => "l.name",
        LoggedModelText::Type => "l.model_type",
        LoggedModelText::SourceRun => "l.source_run_id",
        LoggedModelText::ArtifactLocation => "l.artifact_location",
        LoggedModelText::StatusMessage => "l.status_message",
    }
}

fn model_time(time: LoggedModelTime) -> &'static str {
    match time {
        LoggedModelTime::Creation => "l.creation_timestamp_ms",
        LoggedModelTime::LastUpdate => "l.last_updated_timestamp_ms",
    }
}

fn has_metric(filter: &Filter<LoggedModelClause>) -> bool {
    match filter {
        Filter::Is(clause) => matches!(clause, LoggedModelClause::Metric { .. }),
        Filter::All(parts) | Filter::Any(parts) => parts.iter().any(has_metric),
    }
}

fn on_datasets<'a>(statement: &mut Statement<'a>, datasets: &'a [DatasetFilter]) {
    for (index, dataset) in datasets.iter().enumerate() {
        statement.push(if index == 0 { " AND (" } else { " OR " });
        statement.push("(x.dataset_name = ");
        statement.bind(dataset.dataset_name.as_ref());
        let digest = dataset.dataset_digest.as_ref();
        if let Some(digest) = digest.filter(|digest| !digest.is_empty()) {
            statement.push(" AND x.dataset_digest = ").bind(digest);
        }
        statement.push(")");
    }
    if !datasets.is_empty() {
        statement.push(")");
    }
}

fn compare<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    clause: &'a LoggedModelClause,
    datasets: &'a [DatasetFilter],
) {
    match clause {
        LoggedModelClause::Metric { key, test } => {
            if *test == NumberTest::Exists(false) {
                statement.push("NOT ");
            }
            statement.push("EXISTS (SELECT 1 FROM logged_model_metrics x WHERE x.model_id = l.model_id AND x.metric_name = ");
            statement.bind(key).push(" AND ");
            number(statement, dialect, "x.metric_value", test);
            on_datasets(statement, datasets);
            statement.push(")");
        }
        LoggedModelClause::Param { key, test } => {
            statement.push(negation(test));
            statement.push("EXISTS (SELECT 1 FROM logged_model_params x WHERE x.model_id = l.model_id AND x.param_key = ");
            owned(statement, dialect, key, "x.param_value", test);
        }
        LoggedModelClause::Tag { key, test } => {
            statement.push(negation(test));
            statement.push("EXISTS (SELECT 1 FROM logged_model_tags x WHERE x.model_id = l.model_id AND x.tag_key = ");
            owned(statement, dialect, key, "x.tag_value", test);
        }
        LoggedModelClause::Text { attribute, test } => {
            text(statement, dialect, model_text(*attribute), test);
        }
        LoggedModelClause::Status { negated, statuses } => {
            let operator = if *negated { " NOT IN " } else { " IN " };
            statement.push("l.status").push(operator);
            statement.integers(dialect, statuses.iter().copied());
        }
        LoggedModelClause::Time {
            attribute,
            operator,
            value,
        } => {
            statement
                .push(model_time(*attribute))
                .push(" ")
                .push(operator.text());
            statement.push(" ").bind(*value);
        }
    }
}

fn owned<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    key: &'a str,
    column: &'static str,
    test: &'a TextTest,
) {
    statement.bind(key);
    if !matches!(test, TextTest::Exists(_)) {
        statement.push(" AND ");
        text(statement, dialect, column, test);
    }
    statement.push(")");
}

fn negation(test: &TextTest) -> &'static str {
    if *test == TextTest::Exists(false) {
        "NOT "
    } else {
        ""
    }
}
