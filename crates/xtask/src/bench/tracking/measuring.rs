//! What is asked of a server, and whether it did what it said.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::Value;

use super::client::Client;
use super::filling::{self, EPOCH, LONG_KEY, Point, Sizes, fraction};
use super::load::{self, Call, MEASURED, Outcome, Plan, ask};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Case {
    /// Create a run, one client
    CreateRun,
    /// Log a metric, one client
    LogMetric,
    /// Log a metric, one client that acknowledges packets at once
    LogMetricAtOnce,
    /// Set a tag, one client
    SetTag,
    /// Log a metric, 64 clients
    #[value(name = "log-metric-64")]
    LogMetric64,
    /// Log 1,000 metrics in a request, one client
    LogBatch,
    /// Search many runs, one client
    Search,
    /// A sample of a long metric history, one client
    History,
    /// Files through the server
    Transfer,
}

impl Case {
    /// Those that change a fresh database.
    pub const WRITES: [Self; 6] = [
        Self::CreateRun,
        Self::LogMetric,
        Self::LogMetricAtOnce,
        Self::SetTag,
        Self::LogMetric64,
        Self::LogBatch,
    ];
    /// Those that ask a filled one.
    pub const READS: [Self; 2] = [Self::Search, Self::History];

    /// What it is called in the report.
    pub fn title(self, sizes: Sizes) -> String {
        let thousands = |number: usize| {
            let digits = number.to_string();
            let first = digits.len() % 3;
            let parts = std::iter::once(&digits[..first]).chain(
                (first..digits.len())
                    .step_by(3)
                    .map(|at| &digits[at..at + 3]),
            );
            let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
            parts.join(",")
        };
        match self {
            Self::CreateRun => "create run".to_owned(),
            Self::LogMetric => "log metric".to_owned(),
            Self::LogMetricAtOnce => "log metric, acknowledged at once".to_owned(),
            Self::SetTag => "set tag".to_owned(),
            Self::LogMetric64 => "log metric, 64 clients".to_owned(),
            Self::LogBatch => "log batch of 1,000 metrics".to_owned(),
            Self::Search => format!("search {} runs", thousands(sizes.runs)),
            Self::History => format!("history of {} points", thousands(sizes.points)),
            Self::Transfer => "files".to_owned(),
        }
    }

    fn plan(self, length: Duration) -> Plan {
        Plan {
            clients: if self == Self::LogMetric64 { 64 } else { 1 },
            length,
            at_once: self == Self::LogMetricAtOnce,
        }
    }
}

/// Keys of metrics that a run gets.
const KEYS: u64 = 20;
/// Keys of tags that a run gets.
const TAGS: u64 = 50;
/// Metrics in a batch.
const BATCH: u64 = 1000;
/// Points that a chart asks for: what MLflow's pages ask for.
const SAMPLE: usize = 320;

/// Measures one kind of writing on a fresh database, and looks whether it was written.
pub fn write(address: &str, case: Case, length: Duration) -> anyhow::Result<Outcome> {
    let mut client = Client::new(address);
    let plan = case.plan(length);
    let runs: Vec<String> = (0..plan.clients)
        .map(|number| filling::create_run(&mut client, "0", number))
        .collect::<Result<_, _>>()?;
    let compose = |client: usize, number: u64, call: &mut Call| {
        compose(case, &runs[client], number, call);
    };
    let outcome = load::run(address, plan, &compose);
    if outcome.failed == 0 {
        // Servers end connections that were idle for so long.
        let mut client = Client::new(address);
        for run in &runs {
            written(&mut client, case, run)?;
        }
    }
    Ok(outcome)
}

fn compose(case: Case, run: &str, number: u64, call: &mut Call) {
    call.method = "POST";
    call.path.clear();
    call.path.push_str("/api/2.0/mlflow/runs/");
    call.path.push_str(match case {
        Case::CreateRun => "create",
        Case::SetTag => "set-tag",
        Case::LogBatch => "log-batch",
        _ => "log-metric",
    });
    let body = &mut call.body;
    body.clear();
    // Writing to memory does not fail.
    let _ = match case {
        Case::CreateRun => {
            filling::new_run(body, "0", number);
            Ok(())
        }
        Case::SetTag => {
            let key = number % TAGS;
            write!(
                body,
                r#"{{"run_id":"{run}","key":"k{key}","value":"{number}"}}"#
            )
        }
        Case::LogBatch => {
            let points = (number * BATCH..(number + 1) * BATCH).map(|step| Point {
                key: "m",
                number: Some((step % KEYS) as usize),
                value: fraction(step),
                step,
            });
            filling::metrics(body, run, points);
            body.write_all(b"}")
        }
        _ => {
            let (key, value, time) = (number % KEYS, fraction(number), EPOCH + number);
            write!(
                body,
                r#"{{"run_id":"{run}","key":"m{key}","value":{value},"timestamp":{time},"step":{number}}}"#
            )
        }
    };
}

/// Looks at what a run holds after the load: the last number of the first key must be a measured one.
fn written(client: &mut Client, case: Case, run: &str) -> anyhow::Result<()> {
    if case == Case::CreateRun {
        return Ok(());
    }
    let path = format!("/api/2.0/mlflow/runs/get?run_id={run}");
    let answer = ask(client, &Call::get(path))?;
    let (list, field) = if case == Case::SetTag {
        ("/run/data/tags", "value")
    } else {
        ("/run/data/metrics", "step")
    };
    let entries = answer.pointer(list).and_then(Value::as_array);
    let newest = entries.into_iter().flatten().filter_map(|entry| {
        let value = &entry[field];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    });
    let newest = newest.max().unwrap_or_default();
    ensure!(
        newest >= MEASURED,
        "run `{run}` does not hold what was logged: {newest} is its last"
    );
    Ok(())
}

/// What the subjects answered so far to the same questions, to compare with.
pub type Answers = BTreeMap<Case, Value>;

/// Measures one kind of question to a filled database; the answer must be right, and the same as
/// that of the other servers on the same contents.
pub fn read(
    address: &str,
    case: Case,
    length: Duration,
    sizes: Sizes,
    answers: &mut Answers,
) -> anyhow::Result<Option<Outcome>> {
    let mut client = Client::new(address);
    let (experiment, long) = filling::identifiers(&mut client)?;
    let call = match (case, long) {
        (Case::Search, _) => filling::search(&experiment),
        (Case::History, Some(run)) => Call::get(format!(
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key={LONG_KEY}&max_results={SAMPLE}"
        )),
        _ => return Ok(None),
    };
    let answer = ask(&mut client, &call)?;
    let essence = match case {
        Case::Search => page(&answer, sizes)?,
        _ => sample(&answer, sizes)?,
    };
    if *answers.entry(case).or_insert_with(|| essence.clone()) != essence {
        bail!("`{address}` answers otherwise than the server before it");
    }
    let compose = |_, _, next: &mut Call| {
        next.method = call.method;
        next.path.clone_from(&call.path);
        next.body.clone_from(&call.body);
    };
    Ok(Some(load::run(address, case.plan(length), &compose)))
}

/// The names of the runs of a page, which are known beforehand; each with all its data.
fn page(answer: &Value, sizes: Sizes) -> anyhow::Result<Value> {
    let runs = answer["runs"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names = Vec::new();
    for run in runs {
        let data = &run["data"];
        let count = |list: &str| data[list].as_array().map_or(0, Vec::len);
        ensure!(
            (count("metrics"), count("params")) == (20, 10),
            "a found run lacks metrics or params: {run}"
        );
        names.push(run["info"]["run_name"].as_str().unwrap_or_default());
    }
    let (expected, _) = filling::found(sizes);
    ensure!(names == expected, "the search found {names:?}");
    Ok(names.into())
}

/// The points of a sample of the long history.
fn sample(answer: &Value, sizes: Sizes) -> anyhow::Result<Value> {
    let points = answer["metrics"].as_array().map_or(&[][..], Vec::as_slice);
    let step = |point: Option<&Value>| point.and_then(|point| point["step"].as_u64());
    ensure!(
        points.len() == SAMPLE.min(sizes.points)
            && step(points.first()) == Some(0)
            && step(points.last()) == Some(sizes.points as u64 - 1),
        "the sample has {} points",
        points.len()
    );
    for point in points {
        let step = point["step"].as_u64().unwrap_or_default();
        // Reading a number here may be off by its last bit.
        let off = point["value"].as_f64().unwrap_or(f64::NAN) - fraction(step);
        ensure!(off.abs() < 1e-12, "the point at step {step} is another one");
    }
    Ok(points.into())
}
