//! The load: clients that each send the next request when the last one is answered.

use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::client::Client;
use crate::bench::figures::{Load, median};

/// A request to make; its parts are used again for the next one.
#[derive(Debug, Default)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The JSON body, or nothing.
    pub body: Vec<u8>,
}

impl Call {
    /// A request that posts nothing yet.
    pub fn post(path: &str) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            body: Vec::new(),
        }
    }

    /// A request that asks.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            body: Vec::new(),
        }
    }
}

/// What a load met.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of the requests that were answered 200.
    pub load: Load,
    /// How many were not.
    pub failed: usize,
    /// What came instead, for the first of them.
    pub failure: Option<String>,
}

/// One client's part of it.
#[derive(Default)]
struct Part {
    milliseconds: Vec<f64>,
    rate: f64,
    failed: usize,
    failure: Option<String>,
}

/// Where the numbers of the measured requests start; those before are of the warm-up.
pub const MEASURED: u64 = 1_000_000_000;

/// Who makes requests, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients at the same time, each with a connection of its own.
    pub clients: usize,
    /// For how long they make requests.
    pub length: Duration,
    /// See [`Client::acknowledge_at_once`].
    pub at_once: bool,
}

/// Writes the request of a client with a number that never comes again.
pub type Compose<'c> = dyn Fn(usize, u64, &mut Call) + Sync + 'c;

/// Makes requests, at least one from each client.
/// Before that, each makes requests for a third of the time that do not count, on the same
/// connection: behind it may be a worker that has not answered before.
pub fn run(address: &str, plan: Plan, compose: &Compose) -> Outcome {
    let Plan {
        clients,
        length,
        at_once,
    } = plan;
    let warm = Barrier::new(clients);
    let parts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..clients {
            let (warm, parts) = (&warm, &parts);
            scope.spawn(move || {
                let mut connection = Client::new(address).acknowledge_at_once(at_once);
                let compose = |number, call: &mut Call| compose(client, number, call);
                one(&mut connection, length / 3, 0, &compose);
                warm.wait();
                let part = one(&mut connection, length, MEASURED, &compose);
                if let Ok(mut parts) = parts.lock() {
                    parts.push(part);
                }
            });
        }
    });
    let parts = parts.into_inner().unwrap_or_default();
    let mut milliseconds: Vec<f64> = parts
        .iter()
        .flat_map(|part| part.milliseconds.iter().copied())
        .collect();
    milliseconds.sort_by(f64::total_cmp);
    let slow = (milliseconds.len() * 99).div_ceil(100).saturating_sub(1);
    Outcome {
        load: Load {
            rate: parts.iter().map(|part| part.rate).sum(),
            p50: median(&milliseconds, |value| *value),
            p99: milliseconds.get(slow).copied().unwrap_or(f64::NAN),
        },
        failed: parts.iter().map(|part| part.failed).sum(),
        failure: parts.into_iter().find_map(|part| part.failure),
    }
}

/// What one client does for so long.
fn one(
    client: &mut Client,
    length: Duration,
    first: u64,
    compose: &dyn Fn(u64, &mut Call),
) -> Part {
    let mut call = Call::default();
    let mut part = Part::default();
    let begin = Instant::now();
    for number in first.. {
        compose(number, &mut call);
        let sent = Instant::now();
        let status = client.send(call.method, &call.path, &call.body);
        if matches!(status, Ok(200)) {
            part.milliseconds.push(sent.elapsed().as_secs_f64() * 1e3);
        } else {
            part.failed += 1;
            part.failure
                .get_or_insert_with(|| explained(&status, client));
        }
        if begin.elapsed() >= length {
            break;
        }
    }
    part.rate = part.milliseconds.len() as f64 / begin.elapsed().as_secs_f64();
    part
}

/// Sends one request whose answer must be 200, and reads its JSON.
pub fn ask(client: &mut Client, call: &Call) -> anyhow::Result<serde_json::Value> {
    let status = client.send(call.method, &call.path, &call.body);
    if !matches!(status, Ok(200)) {
        bail!("`{}`: {}", call.path, explained(&status, client));
    }
    serde_json::from_slice(client.body())
        .with_context(|| format!("`{}` did not answer JSON", call.path))
}

/// A refusal or an error in words.
fn explained(status: &std::io::Result<u16>, client: &Client) -> String {
    /// Enough to see what it is.
    const LENGTH: usize = 300;
    match status {
        Ok(status) => {
            let body = String::from_utf8_lossy(client.body());
            let body: String = body.chars().take(LENGTH).collect();
            format!("status {status}: {body}")
        }
        Err(error) => error.to_string(),
    }
}
