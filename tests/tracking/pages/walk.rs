//! A headless Chromium walks through the pages, on MLflow's server and on mlrs: everything that is
//! to be seen is there, nothing fails, and both servers are asked the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mlrs_testing::{
    MlflowServer, MlrsServer, chromium, mlflow_pages, python, skipped, workspace_root,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fill::{Filled, fill};

/// The pages ask for the user before they know whether the server has users; MLflow's own server
/// has no such endpoint either unless it asks for passwords.
const NO_USERS: &str = "/ajax-api/2.0/mlflow/users/current";

/// What happened on one page, as `walk_pages.py` tells it.
#[derive(Debug, Deserialize)]
struct Report {
    url: String,
    /// Method, path, status and media type.
    requests: Vec<(String, String, u16, String)>,
    failures: Vec<Value>,
    elsewhere: Vec<String>,
    errors: Vec<String>,
    missing: Vec<String>,
    #[serde(default)]
    shown: String,
}

/// The pages, and texts that each is to show.
fn visits(address: &str, made: &Filled) -> Vec<Value> {
    let Filled {
        experiment,
        oak,
        elm,
        logged_model,
    } = made;
    let runs = format!("experiments/{experiment}/runs");
    let run = format!("{runs}/{oak}");
    let models = format!("experiments/{experiment}/models");
    let both = format!("runs=[\"{oak}\",\"{elm}\"]&experiments=[\"{experiment}\"]");
    let pages: [(String, &[&str]); 14] = [
        ("experiments".to_owned(), &["flowers", "other work"]),
        (runs.clone(), &["flowers", "oak", "elm", "seedling", "iris"]),
        (
            format!("{runs}?compareRunsMode=CHART"),
            &["oak", "accuracy", "0.88"],
        ),
        (
            run.clone(),
            &[
                "oak",
                "twig",
                "0.875",
                "learning_rate",
                "0.125",
                "forest",
                "iris",
            ],
        ),
        (format!("{run}/model-metrics"), &["loss", "accuracy"]),
        (format!("{run}/traces"), &["oak"]),
        (format!("{run}/artifacts"), &["notes.txt", "model"]),
        (format!("{run}/artifacts/notes.txt"), &["bark and leaves"]),
        (
            format!("compare-runs?{both}"),
            &["oak", "elm", "0.875", "0.75"],
        ),
        (models.clone(), &["seedling", "oak"]),
        (
            format!("{models}/{logged_model}"),
            &["seedling", "oak", "auc"],
        ),
        ("models".to_owned(), &["forest", "champion"]),
        (
            "models/forest".to_owned(),
            &["many trees", "Version 2", "champion"],
        ),
        (
            "models/forest/versions/1".to_owned(),
            &["forest", "oak", "a version"],
        ),
    ];
    let visit = |(page, texts): &(String, &[&str])| json!({ "url": format!("{address}/#/{page}"), "texts": texts });
    pages.iter().map(visit).collect()
}

/// Walks to some of the pages of a server that was filled, by their places in the list.
fn walk(chromium: &Path, address: &str, made: &Filled, places: &[usize]) -> Vec<Report> {
    let all = visits(address, made);
    let visits: Value = places.iter().map(|place| all[*place].clone()).collect();
    let mut command = Command::new(python().unwrap())
        .arg(workspace_root().join("tests/python/walk_pages.py"))
        .arg(chromium)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    command
        .stdin
        .take()
        .unwrap()
        .write_all(visits.to_string().as_bytes())
        .unwrap();
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "the walk failed");
    let named = [
        (address, "SERVER"),
        (&made.oak, "OAK"),
        (&made.elm, "ELM"),
        (&made.logged_model, "MODEL"),
    ];
    let mut text = String::from_utf8(output.stdout).unwrap();
    for (value, name) in named {
        text = text.replace(value, name);
    }
    serde_json::from_str(&text).unwrap()
}

/// What is asked of the server itself on a page.
fn asked(report: &Report) -> BTreeSet<String> {
    let requests = report.requests.iter();
    let own = requests.filter(|(_, path, ..)| !path.starts_with("/static-files/"));
    own.map(|(method, path, ..)| format!("{method} {path}"))
        .collect()
}

/// What is wrong with a page.
fn problems(report: &Report) -> Vec<String> {
    let mut problems = Vec::new();
    for text in &report.missing {
        problems.push(format!("`{text}` is not shown, but {:?}", report.shown));
    }
    for failure in &report.failures {
        problems.push(format!("no answer: {failure}"));
    }
    for (method, path, status, _) in &report.requests {
        if *status >= 400 && path != NO_USERS {
            problems.push(format!("{status} for {method} {path}"));
        }
    }
    let known = |error: &&String| {
        error.contains(NO_USERS)
            // Of the browser's making, when it is slow.
            || error.contains("ResizeObserver loop")
            || report.elsewhere.iter().any(|place| error.contains(place))
    };
    let errors = report.errors.iter().filter(|error| !known(error));
    problems.extend(errors.map(|error| format!("console: {error}")));
    problems
}

/// The media types of files, by path.
fn types(reports: &[Report]) -> BTreeMap<&str, &str> {
    let requests = reports.iter().flat_map(|report| &report.requests);
    let files = requests.filter(|(_, path, ..)| path.starts_with("/static-files/"));
    files
        .map(|(_, path, _, kind)| (path.as_str(), kind.as_str()))
        .collect()
}

#[test]
fn the_pages_show_everything_and_ask_what_they_ask_of_mlflow() {
    let (chromium, pages) = match (chromium(), mlflow_pages()) {
        (Ok(chromium), Ok(pages)) => (chromium, pages.display().to_string()),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("MLflow's web pages in a browser", &error.to_string());
        }
    };
    let oracle = MlflowServer::start().unwrap();
    let subject = MlrsServer::start(&["--ui-dir", &pages]).unwrap();
    let servers = [oracle.address(), subject.address()];
    let made = servers.map(fill);
    let both = |places: &[usize]| {
        std::thread::scope(|scope| {
            let expected = scope.spawn(|| walk(&chromium, servers[0], &made[0], places));
            let found = walk(&chromium, servers[1], &made[1], places);
            [expected.join().unwrap(), found]
        })
    };
    let everywhere: Vec<usize> = (0..visits("", &made[0]).len()).collect();
    let [expected, found] = both(&everywhere);
    let mut calls: Vec<_> = expected
        .iter()
        .zip(&found)
        .map(|(expected, found)| [asked(expected), asked(found)])
        .collect();
    // What a page asks once more depends on which answer came first, and so on what else the machine
    // does: it counts what was ever asked.
    for _ in 0..5 {
        let differ: Vec<usize> = everywhere
            .iter()
            .copied()
            .filter(|place| calls[*place][0] != calls[*place][1])
            .collect();
        if differ.is_empty() {
            break;
        }
        let again = both(&differ);
        for (number, place) in differ.iter().enumerate() {
            for (calls, reports) in calls[*place].iter_mut().zip(&again) {
                calls.extend(asked(&reports[number]));
            }
        }
    }

    let mut findings = Vec::new();
    for (found, [expected, asked]) in found.iter().zip(&calls) {
        let mut problems = problems(found);
        let missed = expected.difference(asked);
        problems.extend(missed.map(|call| format!("only MLflow was asked {call}")));
        let more = asked.difference(expected);
        problems.extend(more.map(|call| format!("only mlrs was asked {call}")));
        findings.extend(
            problems
                .iter()
                .map(|problem| format!("{}: {problem}", found.url)),
        );
        for place in &found.elsewhere {
            println!("{} asks elsewhere: {place}", found.url);
        }
    }
    let (expected_types, found_types) = (types(&expected), types(&found));
    for (path, kind) in &found_types {
        if expected_types
            .get(path)
            .is_some_and(|expected| expected != kind)
        {
            findings.push(format!("{path} is {kind}, not {}", expected_types[path]));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    // The walk has been where it was to be.
    let all: BTreeSet<String> = found.iter().flat_map(asked).collect();
    println!("{} files, and {all:#?}", found_types.len());
    for call in ["POST /graphql GetRun", "GET /get-artifact"] {
        assert!(all.contains(call), "{call}");
    }
    assert!(found_types.len() > 20, "{found_types:?}");
}
