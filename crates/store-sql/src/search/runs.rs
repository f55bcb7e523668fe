//! Searches for runs.

use mlrs_api::runs::Run;
use mlrs_store::rules::metrics::RUN_NAME_TAG;
use mlrs_store::search::runs::{DatasetText, RunText, RunTime};
use mlrs_store::search::{
    Filter, NumberTest, Operator, OrderBy, RunClause, RunOrder, RunSearch, TextTest,
};
use mlrs_store::{Page, StoreError};

use crate::connection::{Connection, Dialect, first};
use crate::page::{Part, paged};
use crate::runs::{complete, read, select};
use crate::search::{Owned, Plan, filter, number, owned_text, owns, page, stages, text};
use crate::statement::Statement;

const PARAMS: Owned = Owned {
    table: "params",
    index: " INDEXED BY mlrs_params",
    of: "x.run_uuid",
    owner: "r.run_uuid",
    further: "",
};
const METRICS: Owned = Owned {
    table: "latest_metrics",
    index: " INDEXED BY mlrs_latest_metrics",
    of: "x.run_uuid",
    owner: "r.run_uuid",
    further: "",
};
const TAGS: Owned = Owned {
    table: "tags",
    index: "",
    of: "x.run_uuid",
    owner: "r.run_uuid",
    further: "",
};

/// Runs that are looked at to tell whether a search is for most of them.
const SAMPLED_RUNS: i64 = 64;

/// Runs a search.
pub(crate) fn run(
    connection: &mut dyn Connection,
    search: &RunSearch,
) -> Result<Page<Run>, StoreError> {
    if search.experiment_ids.is_empty() {
        return Ok(Page {
            items: Vec::new(),
            next_offset: None,
        });
    }
    let driver = driver(connection, search)?;
    let statement = statement(connection.dialect(), search, driver);
    let part = Part {
        limit: search.limit,
        offset: search.offset,
    };
    paged(connection, &statement, part, read, complete)
}

/// Which clause of a filter the search begins with, if it does not begin with the runs.
///
/// Without an order by what is logged, runs come in the order of an index, and a page ends the
/// search. With one, all runs are asked; where they are most of the database, going once through what
/// has a key, and asking only the runs that it leaves, costs a fraction. Either way gives the same
/// answer.
fn driver<'a>(
    connection: &mut dyn Connection,
    search: &'a RunSearch,
) -> Result<Option<&'a RunClause>, StoreError> {
    let dialect = connection.dialect();
    let Some(driver) = most_selective(&search.filter) else {
        return Ok(None);
    };
    if dialect != Dialect::Sqlite || search.order.is_empty() {
        return Ok(None);
    }
    // Some rows at even distances tell; counting them all would take longer than the search.
    let mut statement = Statement::new("SELECT 2 * sum(r.experiment_id IN ");
    let ids = search.experiment_ids.iter().copied();
    statement.integers(dialect, ids).push(" AND ");
    stages(&mut statement, "r.lifecycle_stage", search.view);
    statement
        .push(") >= count(*) FROM (SELECT max(rowid) AS highest FROM runs) m CROSS JOIN ")
        .json_rows(dialect, sampled_places())
        .push(" place CROSS JOIN runs r WHERE r.rowid = 1 + place.value * m.highest / ")
        .bind(SAMPLED_RUNS);
    let most = first(connection, statement.text(), statement.values(), |row| {
        row.boolean(0)
    })?;
    Ok((most.flatten() == Some(true)).then_some(driver))
}

/// The places of sampled rows, as JSON: 0, 1, 2 and so on.
fn sampled_places() -> String {
    let places: serde_json::Value = (0..SAMPLED_RUNS).collect();
    places.to_string()
}

/// Of the clauses that all must hold, one that few runs meet: a text that is given, else a number
/// that is compared.
fn most_selective(filter: &Filter<RunClause>) -> Option<&RunClause> {
    let clauses = match filter {
        Filter::All(parts) => parts.as_slice(),
        Filter::Is(_) => std::slice::from_ref(filter),
        Filter::Any(_) => return None,
    };
    let rank = |clause: &RunClause| match clause {
        RunClause::Param { test, .. } | RunClause::Tag { test, .. } => {
            matches!(test, TextTest::Compare(Operator::Equal, _)).then_some(0)
        }
        RunClause::Metric { test, .. } => {
            let is_selective = !differs(test) && !matches!(test, NumberTest::Exists(_));
            is_selective.then_some(1)
        }
        RunClause::Text { .. } | RunClause::Time { .. } | RunClause::Dataset { .. } => None,
    };
    let single = clauses.iter().filter_map(|part| match part {
        Filter::Is(clause) => Some((rank(clause)?, clause)),
        Filter::All(_) | Filter::Any(_) => None,
    });
    single
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, clause)| clause)
}

fn statement<'a>(
    dialect: Dialect,
    search: &'a RunSearch,
    driver: Option<&RunClause>,
) -> Statement<'a> {
    let mut statement = Statement::new(select!(""));
    for (place, order) in JOINED.iter().zip(&search.order) {
        joined(&mut statement, dialect, place, &order.key);
    }
    // The sign keeps SQLite from beginning with the index of these columns.
    let (experiment, stage) = match driver {
        Some(_) => ("WHERE +r.experiment_id IN ", "+r.lifecycle_stage"),
        None => ("WHERE r.experiment_id IN ", "r.lifecycle_stage"),
    };
    statement.push(experiment);
    statement.integers(dialect, search.experiment_ids.iter().copied());
    statement.push(" AND ");
    stages(&mut statement, stage, search.view);
    statement.push(" AND ");
    filter(&mut statement, &search.filter, &mut |statement, clause| {
        let gather = driver.is_some_and(|driver| std::ptr::eq(driver, clause));
        compare(statement, Plan { dialect, gather }, clause);
    });
    statement.push(" ORDER BY ");
    for (place, order) in JOINED.iter().zip(&search.order) {
        ordered(&mut statement, place, order);
    }
    let by_start = RunOrder::Time(RunTime::Start);
    if !search.order.iter().any(|order| order.key == by_start) {
        statement.push("r.start_time DESC, ");
    }
    statement.push("r.run_uuid");
    page(&mut statement, search.limit, search.offset);
    statement
}

/// The names of a table that an order joins, and of its columns. There are no more orders than
/// these.
struct Place {
    name: &'static str,
    on: &'static str,
    value: &'static str,
    is_nan: &'static str,
}

macro_rules! place {
    ($name:literal) => {
        Place {
            name: concat!(" ", $name),
            on: concat!(
                " ON ",
                $name,
                ".run_uuid = r.run_uuid AND ",
                $name,
                ".key = "
            ),
            value: concat!($name, ".value"),
            is_nan: concat!($name, ".is_nan"),
        }
    };
}

/// One for each order that there may be.
const JOINED: [Place; mlrs_store::search::runs::MOST_ORDERS] = [
    place!("o1"),
    place!("o2"),
    place!("o3"),
    place!("o4"),
    place!("o5"),
    place!("o6"),
    place!("o7"),
    place!("o8"),
    place!("o9"),
    place!("o10"),
    place!("o11"),
    place!("o12"),
    place!("o13"),
    place!("o14"),
    place!("o15"),
    place!("o16"),
];

fn joined<'a>(statement: &mut Statement<'a>, dialect: Dialect, place: &Place, key: &'a RunOrder) {
    let (owned, key) = match key {
        RunOrder::Metric(key) => (METRICS, key),
        RunOrder::Param(key) => (PARAMS, key),
        RunOrder::Tag(key) => (TAGS, key),
        RunOrder::Text(_) | RunOrder::Time(_) => return,
    };
    statement
        .push("LEFT JOIN ")
        .push(owned.table)
        .push(place.name);
    if dialect == Dialect::Sqlite {
        statement.push(owned.index);
    }
    statement.push(place.on).bind(key).push(" ");
}

/// Values first, then what is not a number, then what is absent; in either direction.
fn ordered(statement: &mut Statement<'_>, place: &Place, order: &OrderBy<RunOrder>) {
    let column = match &order.key {
        RunOrder::Metric(_) | RunOrder::Param(_) | RunOrder::Tag(_) => place.value,
        RunOrder::Text(text) => run_text(*text),
        RunOrder::Time(time) => run_time(*time),
    };
    statement.push("CASE ");
    if matches!(order.key, RunOrder::Metric(_)) {
        statement.push("WHEN ").push(place.is_nan).push(" THEN 1 ");
    }
    statement
        .push("WHEN ")
        .push(column)
        .push(" IS NULL THEN 2 ELSE 0 END, ");
    statement.push(column);
    statement.push(if order.ascending { " ASC, " } else { " DESC, " });
}

fn run_text(text: RunText) -> &'static str {
    match text {
        RunText::Id => "r.run_uuid",
        RunText::Name => "r.name",
        RunText::User => "r.user_id",
        RunText::Status => "r.status",
        RunText::ArtifactUri => "r.artifact_uri",
    }
}

fn run_time(time: RunTime) -> &'static str {
    match time {
        RunTime::Start => "r.start_time",
        RunTime::End => "r.end_time",
    }
}

fn compare<'a>(statement: &mut Statement<'a>, plan: Plan, clause: &'a RunClause) {
    match clause {
        RunClause::Metric { key, test } => metric(statement, plan, key, test),
        RunClause::Param { key, test } => owned_text(statement, plan, &PARAMS, key, test),
        RunClause::Tag { key, test } => owned_text(statement, plan, &TAGS, key, test),
        // The column is empty for runs of MLflow before 2.0; the tag never is.
        RunClause::Text {
            attribute: RunText::Name,
            test,
        } => owned_text(statement, plan, &TAGS, RUN_NAME_TAG, test),
        RunClause::Text { attribute, test } => {
            text(statement, plan.dialect, run_text(*attribute), test);
        }
        RunClause::Time {
            attribute,
            operator,
            value,
        } => {
            statement
                .push(run_time(*attribute))
                .push(" ")
                .push(operator.text());
            statement.push(" ").bind(*value);
        }
        RunClause::Dataset { attribute, test } => {
            dataset(statement, plan.dialect, *attribute, test);
        }
    }
}

fn metric<'a>(statement: &mut Statement<'a>, plan: Plan, key: &'a str, test: &NumberTest) {
    if let NumberTest::Exists(exists) = test {
        statement.push(if *exists { "" } else { "NOT " });
        owns(statement, plan, &METRICS, key);
        statement.push(")");
        return;
    }
    owns(statement, plan, &METRICS, key);
    statement.push(" AND ");
    // What is not a number is stored as 0, and differs from every number.
    statement.push(if differs(test) {
        "(x.is_nan OR "
    } else {
        "(NOT x.is_nan AND "
    });
    number(statement, plan.dialect, "x.value", test);
    statement.push("))");
}

/// Whether a test is met by most numbers.
fn differs(test: &NumberTest) -> bool {
    matches!(
        test,
        NumberTest::Compare(Operator::NotEqual, _) | NumberTest::In { negated: true, .. }
    )
}

fn dataset<'a>(
    statement: &mut Statement<'a>,
    dialect: Dialect,
    attribute: DatasetText,
    test: &'a TextTest,
) {
    let (from, column) = match attribute {
        DatasetText::Name => (" JOIN datasets d ON d.dataset_uuid = i.source_id", "d.name"),
        DatasetText::Digest => (
            " JOIN datasets d ON d.dataset_uuid = i.source_id",
            "d.digest",
        ),
        DatasetText::Context => (
            " JOIN input_tags t ON t.input_uuid = i.input_uuid AND t.name = 'mlflow.data.context'",
            "t.value",
        ),
    };
    statement.push("EXISTS (SELECT 1 FROM inputs i").push(from);
    statement.push(" WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id = r.run_uuid AND ");
    text(statement, dialect, column, test);
    statement.push(")");
}

#[cfg(test)]
mod tests {
    use mlrs_api::Tag;
    use mlrs_api::enums::ViewType;
    use mlrs_api::metrics::Metric;
    use mlrs_store::search::runs::{filter, order};
    use mlrs_store::{Batch, ExperimentStore as _, NewExperiment, NewRun, RunStore as _};

    use super::*;
    use crate::connection::all;
    use crate::{DatabaseUri, SqlStore};

    /// Runs of an experiment, each with a metric and a param of its number.
    async fn fill(store: &SqlStore, experiment_id: i64, runs: u32) {
        for number in 0..runs {
            let id = format!("{experiment_id:016}{number:016}");
            let run = NewRun {
                id: id.clone(),
                experiment_id,
                user_id: String::new(),
                name: String::new(),
                start_time: 1,
                tags: Vec::new(),
            };
            store.create_run(run).await.unwrap();
            let metric = |key: &str, value| Metric {
                key: key.to_owned(),
                value,
                ..Metric::default()
            };
            let value = f64::from(number);
            let batch = Batch {
                metrics: vec![metric("m", value), metric("n", -value)],
                params: vec![Tag::new("p", (number % 3).to_string())],
                tags: Vec::new(),
            };
            store.log(id, batch).await.unwrap();
        }
    }

    fn search(experiment_id: i64) -> RunSearch {
        RunSearch {
            experiment_ids: vec![experiment_id],
            view: ViewType::ActiveOnly,
            filter: filter("metrics.m > 10 AND params.p = '1'").unwrap(),
            order: order(&["metrics.n".to_owned()]).unwrap(),
            limit: 1000,
            offset: 0,
        }
    }

    #[tokio::test]
    async fn a_search_for_most_runs_begins_elsewhere_and_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", folder.path().join("mlflow.db").display());
        let uri = DatabaseUri::parse(&uri).unwrap();
        let store = SqlStore::open(&uri, "mlflow-artifacts:/").await.unwrap();
        fill(&store, 0, 150).await;
        let few = NewExperiment {
            name: "few".to_owned(),
            artifact_location: None,
            tags: Vec::new(),
            now: 1,
        };
        let few = store.create_experiment(few).await.unwrap();
        fill(&store, few, 20).await;
        let looked = store.read(move |connection| {
            let (many, few) = (search(0), search(few));
            assert!(driver(connection, &few)?.is_none());
            let driver = driver(connection, &many)?;
            assert!(matches!(driver, Some(RunClause::Param { .. })));
            let mut ids = |driver| {
                let statement = statement(connection.dialect(), &many, driver);
                let found = all(connection, statement.text(), statement.values(), read)?;
                Ok::<_, StoreError>(found.into_iter().map(|run| run.run_id).collect::<Vec<_>>())
            };
            let plain = ids(None)?;
            assert_eq!(plain.len(), 46);
            assert_eq!(ids(driver)?, plain);
            Ok(())
        });
        looked.await.unwrap();
    }
}
