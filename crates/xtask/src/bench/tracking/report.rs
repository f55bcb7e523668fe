//! The sections of the tracking server: rates, start, memory, files, and what became of the targets.

use std::fmt::Write as _;

use super::load::Outcome;
use super::measuring::Case;
use super::servers::Server;
use super::{Database, Figure, Measured, Options};
use crate::bench::document::machine;
use crate::bench::figures::{Target, median, target_table};

/// By how many MiB memory may grow over a transfer and still count as flat.
const FLAT: f64 = 32.0;

/// The whole report as markdown.
pub fn markdown(measured: &Measured, options: &Options, system: &str) -> String {
    let mut text = introduction(measured, options, system);
    text.push_str("### Tracking requests, SQLite\n\n");
    text.push_str(&requests(measured, options, Database::Sqlite));
    text.push_str("\n### Start, memory, files\n\n");
    text.push_str(&resources(measured, Database::Sqlite));
    if options.postgres.is_some() {
        text.push_str("\n### Tracking requests, PostgreSQL\n\n");
        text.push_str(
            "On a server with PostgreSQL's defaults, unless one was given. Its own memory is not counted. MLflow searches \
             a copy of the database that mlrs filled, without the indexes that mlrs adds.\n\n",
        );
        text.push_str(&requests(measured, options, Database::Postgres));
        text.push('\n');
        text.push_str(&resources(measured, Database::Postgres));
    }
    text.push_str("\n### Targets of the tracking server\n\n");
    text.push_str(&target_table(&targets(measured, options)));
    text
}

fn introduction(measured: &Measured, options: &Options, system: &str) -> String {
    let mut text = String::from("## Tracking server\n\n");
    let quick = if options.quick {
        " **With `--quick`: not for figures.**"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "Made by `cargo xtask bench tracking --seconds {} --rounds {}` on {}.{quick} `mlrs server`, `mlflow server` \
         3.17.2 with as many workers as it starts by itself, and FastTrackML 0.6.0, each with its defaults; medians of \
         the rounds, in which they take turns. Load and server share the cores. The SQLite files are on one {system} \
         file system, where it takes {:.2} ms to make a page durable. mlrs and MLflow make every commit durable before they answer; FastTrackML leaves that to \
         the operating system. mlrs and MLflow search the same filled file, MLflow without the indexes that mlrs adds. \
         One page of the search is {} runs of {} that match, each with 20 metrics and 10 params.\n",
        options.seconds,
        options.rounds(),
        machine(),
        figure(measured, Database::Sqlite, Figure::Sync, Server::Mlrs).unwrap_or(f64::NAN),
        super::filling::PAGE,
        super::filling::found(options.sizes()).1,
    );
    text.push_str(
        "With several workers, MLflow sends an answer in two parts, the second of which waits for the client's kernel to \
         acknowledge the first, 40 ms on Linux; every client sees that, Python's `requests` as well. The row \
         `acknowledged at once` is without it, from a client that tells its kernel not to wait.\n\n",
    );
    if let Some(limit) = figure(measured, Database::Sqlite, Figure::Limit, Server::Mlrs) {
        let _ = writeln!(
            text,
            "The client is a small one in Rust that keeps connections open, a thread for each: with 64 of them it gets \
             {limit:.0} answers a second out of a request that mlrs has nothing to do for.\n"
        );
    }
    text
}

/// A row for each request and server.
fn requests(measured: &Measured, options: &Options, database: Database) -> String {
    let mut text = String::from(
        "| request | server | requests/s | p50 ms | p99 ms | failed | mlrs is × |\n|---|---|---|---|---|---|---|\n",
    );
    for case in Case::WRITES.into_iter().chain(Case::READS) {
        let title = case.title(options.sizes());
        for server in Server::ALL {
            let Some(outcomes) = measured.outcomes.get(&(database, case, server)) else {
                let measured_here = measured
                    .outcomes
                    .contains_key(&(database, case, Server::Mlrs));
                let takes_part = options.subjects.contains(&server);
                if case == Case::History && !server.offers_all() && measured_here && takes_part {
                    let name = server.title();
                    let _ = writeln!(text, "| {title} | {name} | not offered | | | | |");
                }
                continue;
            };
            let of = |value: fn(&Outcome) -> f64| median(outcomes, value);
            let failed: usize = outcomes.iter().map(|outcome| outcome.failed).sum();
            let ratio = (server != Server::Mlrs)
                .then(|| times(measured, database, case, server))
                .flatten()
                .map_or_else(String::new, |ratio| format!("{ratio:.1}"));
            let _ = writeln!(
                text,
                "| {title} | {} | {} | {:.2} | {:.2} | {failed} | {ratio} |",
                server.title(),
                short(of(|outcome| outcome.load.rate)),
                of(|outcome| outcome.load.p50),
                of(|outcome| outcome.load.p99),
            );
        }
    }
    text
}

/// A row for each server.
fn resources(measured: &Measured, database: Database) -> String {
    let mut text = String::from(
        "Start is the time to the first answer on a fresh database. Memory is the sum of PSS of all processes of a \
         server, in MiB; the peak of a transfer is resident memory.\n\n\
         | server | start ms | memory when ready | after the writes | after the questions | upload MB/s | download MB/s | peak of the transfer | its growth |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for server in Server::ALL {
        let cell = |kind| {
            let absent = if server.offers_all() || kind < Figure::Upload {
                "–"
            } else {
                "not offered"
            };
            figure(measured, database, kind, server)
                .map_or_else(|| absent.to_owned(), |value| format!("{value:.0}"))
        };
        if figure(measured, database, Figure::Ready, server).is_none() {
            continue;
        }
        let cells = [
            Figure::Ready,
            Figure::MemoryReady,
            Figure::MemoryWrites,
            Figure::MemoryReads,
            Figure::Upload,
            Figure::Download,
            Figure::TransferPeak,
            Figure::TransferGrowth,
        ];
        let cells = cells.map(cell).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", server.title());
    }
    text
}

fn targets(measured: &Measured, options: &Options) -> Vec<Target> {
    let mut targets = Vec::new();
    against_mlflow(measured, options, Database::Sqlite, &mut targets);
    let sqlite = Database::Sqlite;
    let size = options.gigabytes;
    let own = |kind| figure(measured, sqlite, kind, Server::Mlrs);
    let over = |kind| Some(own(kind)? / figure(measured, sqlite, kind, Server::Mlflow)?);
    targets.extend([
        Target::at_least(
            format!("upload of {size} GB: × MLflow"),
            over(Figure::Upload),
            3.0,
        ),
        Target::at_least(
            format!("download of {size} GB: × MLflow"),
            over(Figure::Download),
            3.0,
        ),
        Target::at_most(
            format!("memory while {size} GB pass through, MiB"),
            own(Figure::TransferPeak),
            95.0,
        ),
        Target::at_most(
            "growth of memory over the transfer, MiB",
            own(Figure::TransferGrowth),
            FLAT,
        ),
    ]);
    for (case, bound) in [
        (Case::CreateRun, 2.0),
        (Case::LogMetric, 2.0),
        (Case::SetTag, 2.0),
        (Case::LogMetric64, 10.0),
        (Case::LogBatch, 4.0),
        (Case::Search, 5.0),
    ] {
        targets.push(Target::at_least(
            format!("{}: × FastTrackML", case.title(options.sizes())),
            times(measured, sqlite, case, Server::Fasttrackml),
            bound,
        ));
    }
    if options.postgres.is_some() {
        against_mlflow(measured, options, Database::Postgres, &mut targets);
    }
    targets
}

/// The targets that hold whatever the database is.
fn against_mlflow(
    measured: &Measured,
    options: &Options,
    database: Database,
    targets: &mut Vec<Target>,
) {
    let place = match database {
        Database::Sqlite => "",
        Database::Postgres => "PostgreSQL, ",
    };
    let of = |kind, server| figure(measured, database, kind, server);
    let own = |kind| of(kind, Server::Mlrs);
    let under = |kind| Some(of(kind, Server::Mlflow)? / own(kind)?);
    targets.extend([
        Target::at_least(
            format!("{place}start to first answer: MLflow takes × as long"),
            under(Figure::Ready),
            50.0,
        ),
        Target::at_least(
            format!("{place}memory after the writes: MLflow takes × as much"),
            under(Figure::MemoryWrites),
            20.0,
        ),
        Target::at_least(
            format!("{place}memory after the questions: MLflow takes × as much"),
            under(Figure::MemoryReads),
            20.0,
        ),
        Target::at_most(
            format!("{place}memory after the writes, MiB"),
            own(Figure::MemoryWrites),
            60.0,
        ),
        Target::at_most(
            format!("{place}memory after the questions, MiB"),
            own(Figure::MemoryReads),
            60.0,
        ),
    ]);
    for (case, bound) in [
        (Case::CreateRun, 20.0),
        (Case::LogMetric, 20.0),
        (Case::SetTag, 20.0),
        (Case::LogMetric64, 100.0),
        (Case::LogBatch, 20.0),
        (Case::Search, 30.0),
        (Case::History, 20.0),
    ] {
        targets.push(Target::at_least(
            format!("{place}{}: × MLflow", case.title(options.sizes())),
            times(measured, database, case, Server::Mlflow),
            bound,
        ));
    }
    let rate = |case| load(measured, database, case, Server::Mlrs, |one| one.load.rate);
    let group = rate(Case::LogMetric64).zip(rate(Case::LogMetric));
    targets.push(Target::at_least(
        format!("{place}log metric, 64 clients: × one client"),
        group.map(|(many, one)| many / one),
        5.0,
    ));
    targets.push(Target::at_most(
        format!("{place}{}: p50 ms", Case::Search.title(options.sizes())),
        load(measured, database, Case::Search, Server::Mlrs, |one| {
            one.load.p50
        }),
        20.0,
    ));
}

/// How many times the rate of another server mlrs has. Where others failed to answer a request,
/// only what they answered counts for them.
fn times(measured: &Measured, database: Database, case: Case, other: Server) -> Option<f64> {
    let rate = |server| load(measured, database, case, server, |one| one.load.rate);
    Some(rate(Server::Mlrs)? / rate(other)?)
}

fn load(
    measured: &Measured,
    database: Database,
    case: Case,
    server: Server,
    of: fn(&Outcome) -> f64,
) -> Option<f64> {
    let outcomes = measured.outcomes.get(&(database, case, server))?;
    Some(median(outcomes, of))
}

fn figure(measured: &Measured, database: Database, kind: Figure, server: Server) -> Option<f64> {
    let values = measured.figures.get(&(database, kind, server))?;
    Some(median(values, |value| *value))
}

/// A rate with as many digits as mean something.
fn short(rate: f64) -> String {
    if rate < 100.0 {
        format!("{rate:.2}")
    } else {
        format!("{rate:.0}")
    }
}
