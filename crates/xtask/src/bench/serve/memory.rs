//! `cargo xtask bench memory`: whether a server holds as much after a million requests as after ten
//! thousand.

use anyhow::bail;

use super::{Bench, CASES, ONNXRUNTIME, Options, TRACT, load};

/// How much to send.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MemoryOptions {
    /// Requests that each backend answers
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// By how many percent memory may grow from the first round to the last
    #[arg(long, default_value_t = 10.0)]
    growth: f64,
}

/// Seconds of load between two looks.
const ROUND: u32 = 2;

/// Runs `cargo xtask bench memory`.
pub fn run(options: MemoryOptions) -> anyhow::Result<()> {
    let bench = Bench::prepare(Options {
        skip_python: true,
        ..Options::default()
    })?;
    let [case, ..] = CASES;
    for name in [ONNXRUNTIME, TRACT] {
        let subject = bench.start(name, case)?;
        let url = format!("{}/invocations", subject.address);
        let body = bench.folder.join(case.body);
        println!("{name}: {:.1} MiB when ready", subject.group().resident());
        let (mut sent, mut first) = (0, None);
        while sent < options.requests {
            let load = load::run(&url, &body, ROUND, &bench.folder)?;
            sent += (load.rate * f64::from(ROUND)) as u64;
            let held = subject.group().resident();
            let before = *first.get_or_insert(held);
            println!("{name}: {held:.1} MiB after {sent} requests");
            if held > before * (1.0 + options.growth / 100.0) {
                bail!("memory grew from {before:.1} to {held:.1} MiB");
            }
        }
    }
    Ok(())
}
