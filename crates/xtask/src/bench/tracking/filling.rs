//! What the prepared databases hold: runs to search and one long history, logged through the API.
//!
//! All values follow from the numbers of run and key, so that the right answer to the search is
//! known without asking any server.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};

use super::client::Client;
use super::load::{Call, ask};

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Runs to search.
    pub runs: usize,
    /// Points of the one history.
    pub points: usize,
}

/// Metrics of a run.
const METRICS: usize = 20;
/// Params of a run.
const PARAMS: usize = 10;
/// Runs on a page.
pub const PAGE: usize = 100;
/// The experiment with the runs to search.
const SEARCHED: &str = "searched";
/// The experiment with the run that has the long history.
const LONG: &str = "long";
/// The key of the long history.
pub const LONG_KEY: &str = "loss";
/// Metrics in one request.
const BATCH: usize = 1000;
/// Clients that log at the same time.
const CLIENTS: usize = 8;
/// When the first run started, in milliseconds of Unix time.
pub const EPOCH: u64 = 1_760_000_000_000;

/// A number in 0..1 that looks random, the same for the same seed (`SplitMix64`).
pub fn fraction(seed: u64) -> f64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn metric(run: usize, key: usize) -> f64 {
    fraction((run * (METRICS + PARAMS) + key) as u64)
}

fn param(run: usize, key: usize) -> u64 {
    (fraction((run * (METRICS + PARAMS) + METRICS + key) as u64) * 10.0) as u64
}

/// The name of a run.
fn name(run: usize) -> String {
    format!("run-{run}")
}

/// The search that is measured.
pub fn search(experiment: &str) -> Call {
    let body = serde_json::json!({
        "experiment_ids": [experiment],
        "filter": "metrics.m1 > 0.5 AND params.p1 = '3'",
        "order_by": ["metrics.m2 DESC"],
        "max_results": PAGE,
    });
    Call {
        body: body.to_string().into_bytes(),
        ..Call::post("/api/2.0/mlflow/runs/search")
    }
}

/// The names of the runs that the search must find, in their order, and how many match in all.
pub fn found(sizes: Sizes) -> (Vec<String>, usize) {
    let mut matching: Vec<usize> = (0..sizes.runs)
        .filter(|run| metric(*run, 1) > 0.5 && param(*run, 1) == 3)
        .collect();
    matching.sort_by(|one, other| metric(*other, 2).total_cmp(&metric(*one, 2)));
    let page = matching.iter().take(PAGE).map(|run| name(*run)).collect();
    (page, matching.len())
}

/// Logs all of it; points only when they are wanted.
pub fn fill(address: &str, sizes: Sizes, with_history: bool) -> anyhow::Result<()> {
    let mut client = Client::new(address);
    let searched = create_experiment(&mut client, SEARCHED)?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            let mut client = Client::new(address);
            loop {
                let run = next.fetch_add(1, Ordering::Relaxed);
                if run >= sizes.runs {
                    return Ok(());
                }
                log_run(&mut client, &searched, run)?;
            }
        };
        let workers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a client of the filling ended early"),
            }
        }
        Ok(())
    })?;
    if !with_history {
        return Ok(());
    }
    // Servers end connections that were idle for so long.
    let mut client = Client::new(address);
    let long = create_experiment(&mut client, LONG)?;
    let run = create_run(&mut client, &long, 0)?;
    for first in (0..sizes.points).step_by(BATCH) {
        let last = sizes.points.min(first + BATCH);
        let mut call = Call::post("/api/2.0/mlflow/runs/log-batch");
        metrics(
            &mut call.body,
            &run,
            (first..last).map(|step| Point {
                key: LONG_KEY,
                number: None,
                value: fraction(step as u64),
                step: step as u64,
            }),
        );
        call.body.push(b'}');
        ask(&mut client, &call)?;
    }
    Ok(())
}

/// The experiment to search, and the run with the long history where there is one.
pub fn identifiers(client: &mut Client) -> anyhow::Result<(String, Option<String>)> {
    let searched = experiment(client, SEARCHED)?;
    let Ok(long) = experiment(client, LONG) else {
        return Ok((searched, None));
    };
    let mut call = Call::post("/api/2.0/mlflow/runs/search");
    call.body = serde_json::json!({"experiment_ids": [long]})
        .to_string()
        .into_bytes();
    let answer = ask(client, &call)?;
    Ok((
        searched,
        Some(text(&answer, "/runs/0/info/run_id")?.to_owned()),
    ))
}

fn experiment(client: &mut Client, name: &str) -> anyhow::Result<String> {
    let path = format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}");
    let answer = ask(client, &Call::get(path))?;
    Ok(text(&answer, "/experiment/experiment_id")?.to_owned())
}

fn create_experiment(client: &mut Client, name: &str) -> anyhow::Result<String> {
    let mut call = Call::post("/api/2.0/mlflow/experiments/create");
    call.body = serde_json::json!({"name": name}).to_string().into_bytes();
    Ok(text(&ask(client, &call)?, "/experiment_id")?.to_owned())
}

/// Creates a run, and says its id.
pub fn create_run(client: &mut Client, experiment: &str, number: usize) -> anyhow::Result<String> {
    let mut call = Call::post("/api/2.0/mlflow/runs/create");
    new_run(&mut call.body, experiment, number as u64);
    Ok(text(&ask(client, &call)?, "/run/info/run_id")?.to_owned())
}

/// The body that creates a run, with the tags that MLflow's client sends.
pub fn new_run(body: &mut Vec<u8>, experiment: &str, number: u64) {
    body.clear();
    let start = EPOCH + number;
    // Writing to memory does not fail.
    let _ = write!(
        body,
        r#"{{"experiment_id":"{experiment}","user_id":"someone","run_name":"run-{number}","start_time":{start},"tags":[{{"key":"mlflow.user","value":"someone"}},{{"key":"mlflow.source.name","value":"train.py"}},{{"key":"mlflow.source.type","value":"LOCAL"}}]}}"#
    );
}

fn log_run(client: &mut Client, experiment: &str, run: usize) -> anyhow::Result<()> {
    let id = create_run(client, experiment, run)?;
    let mut call = Call::post("/api/2.0/mlflow/runs/log-batch");
    metrics(
        &mut call.body,
        &id,
        (0..METRICS).map(|key| Point {
            key: "m",
            number: Some(key),
            value: metric(run, key),
            step: 0,
        }),
    );
    call.body.extend_from_slice(br#","params":["#);
    for key in 0..PARAMS {
        let separator = if key == 0 { "" } else { "," };
        let value = param(run, key);
        let _ = write!(
            call.body,
            r#"{separator}{{"key":"p{key}","value":"{value}"}}"#
        );
    }
    call.body.extend_from_slice(b"]}");
    ask(client, &call)?;
    Ok(())
}

/// One point of a metric.
pub struct Point {
    /// The key, or what it starts with.
    pub key: &'static str,
    /// What it ends with.
    pub number: Option<usize>,
    /// The value.
    pub value: f64,
    /// The step; the time follows from it.
    pub step: u64,
}

/// The start of a body of `log-batch`, without its last brace.
pub fn metrics(body: &mut Vec<u8>, run: &str, points: impl Iterator<Item = Point>) {
    body.clear();
    let _ = write!(body, r#"{{"run_id":"{run}","metrics":["#);
    for (index, point) in points.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let _ = write!(body, r#"{{"key":"{}"#, point.key);
        if let Some(number) = point.number {
            let _ = write!(body, "{number}");
        }
        let time = EPOCH + point.step;
        let _ = write!(
            body,
            r#"","value":{},"timestamp":{time},"step":{}}}"#,
            point.value, point.step
        );
    }
    body.push(b']');
}

fn text<'a>(answer: &'a serde_json::Value, pointer: &str) -> anyhow::Result<&'a str> {
    answer
        .pointer(pointer)
        .and_then(serde_json::Value::as_str)
        .with_context(|| format!("an answer has no text at `{pointer}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_matches_a_twentieth_and_the_page_is_in_order() {
        let sizes = Sizes {
            runs: 20_000,
            points: 0,
        };
        let (page, matching) = found(sizes);
        assert_eq!(page.len(), PAGE);
        assert!((800..1200).contains(&matching), "{matching}");
        let values: Vec<f64> = page
            .iter()
            .map(|name| metric(name["run-".len()..].parse().unwrap(), 2))
            .collect();
        assert!(values.is_sorted_by(|one, other| one > other));
    }

    #[test]
    fn bodies_are_json() {
        let mut body = Vec::new();
        new_run(&mut body, "7", 3);
        let run: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(run["run_name"], "run-3");
        let points = (0..2).map(|step| Point {
            key: "m",
            number: Some(4),
            value: 0.5,
            step,
        });
        metrics(&mut body, "r", points);
        body.push(b'}');
        let batch: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(batch["metrics"][1]["key"], "m4");
        assert_eq!(batch["metrics"][1]["timestamp"], EPOCH + 1);
    }
}
