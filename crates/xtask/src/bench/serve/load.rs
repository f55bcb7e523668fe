//! The load: `wrk` with one body, eight connections; its output as numbers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::bench::figures::Load;

/// Sends the body in `body` to `url` for so many seconds.
pub fn run(url: &str, body: &Path, seconds: u32, scratch: &Path) -> anyhow::Result<Load> {
    let script = scratch.join("post.lua");
    let text = format!(
        "local file = io.open({:?}, 'rb')\nwrk.method = 'POST'\nwrk.body = file:read('*a')\nwrk.headers['Content-Type'] = 'application/json'\n",
        body.display().to_string()
    );
    std::fs::write(&script, text)?;
    let output = Command::new("wrk")
        .args(["-t1", "-c8", "--latency", &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .arg(url)
        .output()
        .context("`wrk` is needed (Debian: `wrk`)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains("Non-2xx") || !output.status.success() {
        bail!("`{url}` did not answer 200 throughout:\n{text}");
    }
    Ok(Load {
        rate: field(&text, "Requests/sec:")?.parse()?,
        p50: milliseconds(field(&text, "50%")?)?,
        p99: milliseconds(field(&text, "99%")?)?,
    })
}

/// The word behind a label.
fn field<'t>(text: &'t str, label: &str) -> anyhow::Result<&'t str> {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(label));
    line.map(str::trim)
        .with_context(|| format!("wrk printed no `{label}`:\n{text}"))
}

/// A duration as wrk writes it: `85.00us`, `1.20ms`, `2.05s`.
fn milliseconds(text: &str) -> anyhow::Result<f64> {
    for (unit, factor) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit)
            && let Ok(number) = number.parse::<f64>()
        {
            return Ok(number * factor);
        }
    }
    bail!("`{text}` is no duration")
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_have_three_units() {
        let close =
            |text: &str, expected: f64| (milliseconds(text).unwrap() - expected).abs() < 1e-9;
        assert!(close("85.00us", 0.085) && close("1.20ms", 1.2) && close("2.05s", 2050.0));
        assert!(milliseconds("fast").is_err());
    }
}
