//! A large file through the server and back, and how much memory the server takes for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::client::Client;
use super::filling::fraction;
use crate::bench::processes::Group;
use crate::bench::subject::Subject;

/// Bytes of what the file repeats.
const PATTERN: usize = 1 << 20;
/// Between two looks at memory.
const PAUSE: Duration = Duration::from_millis(20);
/// Where the file goes.
const PATH: &str = "/api/2.0/mlflow-artifacts/artifacts/bench/large.bin";

/// What a transfer took.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Megabytes (10⁶) a second.
    pub upload: f64,
    /// Megabytes (10⁶) a second.
    pub download: f64,
    /// Resident memory before, in MiB.
    pub before: f64,
    /// The most resident memory seen during the transfer, in MiB.
    pub peak: f64,
}

/// Sends a file of so many bytes, and fetches it again; it must be the same.
pub fn measure(subject: &Subject, length: u64) -> anyhow::Result<Transfer> {
    let pattern: Vec<u8> = (0..PATTERN as u64)
        .map(|seed| (fraction(seed) * 256.0) as u8)
        .collect();
    let group = subject.group();
    let before = group.resident();
    let done = AtomicBool::new(false);
    let (times, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watched(group, &done));
        let times = there_and_back(&subject.address, length, &pattern);
        done.store(true, Ordering::Relaxed);
        (times, watch.join().unwrap_or(f64::NAN))
    });
    let (upload, download) = times?;
    let rate = |time: Duration| length as f64 / 1e6 / time.as_secs_f64();
    Ok(Transfer {
        upload: rate(upload),
        download: rate(download),
        before,
        peak,
    })
}

fn there_and_back(
    address: &str,
    length: u64,
    pattern: &[u8],
) -> anyhow::Result<(Duration, Duration)> {
    let mut client = Client::new(address);
    let begin = Instant::now();
    let status = client.upload(PATH, length, pattern)?;
    let upload = begin.elapsed();
    ensure!(status == 200, "`{address}` answered {status} to an upload");
    let (mut received, mut same) = (0_u64, true);
    let begin = Instant::now();
    let status = client.download(PATH, &mut |mut part| {
        while !part.is_empty() {
            let at = (received % PATTERN as u64) as usize;
            let (now, later) = part.split_at(part.len().min(PATTERN - at));
            same &= now == &pattern[at..at + now.len()];
            received += now.len() as u64;
            part = later;
        }
    })?;
    let download = begin.elapsed();
    ensure!(
        status == 200 && same && received == length,
        "`{address}` gave back {received} bytes with status {status}"
    );
    Ok((upload, download))
}

/// The most memory until it is done.
fn watched(group: Group, done: &AtomicBool) -> f64 {
    let mut peak = 0.0;
    while !done.load(Ordering::Relaxed) {
        peak = group.resident().max(peak);
        std::thread::sleep(PAUSE);
    }
    peak
}
