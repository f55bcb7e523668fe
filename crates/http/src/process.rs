//! What Linux says of this process: memory, CPU time, open files, start time.
//!
//! Read from `/proc` when metrics are scraped; the names are those that Prometheus clients agree
//! on. Where there is no `/proc` the values stay 0.

use std::fs;

use prometheus::{Counter, Gauge, IntGauge, Registry};

/// Clock ticks a second in `/proc/*/stat`: fixed at 100 in the kernel's interface to user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics of the process.
#[derive(Clone, Debug)]
pub struct ProcessMetrics {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    open_files: IntGauge,
    max_files: IntGauge,
    threads: IntGauge,
    start_time: Gauge,
}

impl ProcessMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let cpu_seconds = Counter::new("process_cpu_seconds_total", "User and system CPU time.")?;
        registry.register(Box::new(cpu_seconds.clone()))?;
        let start_time = Gauge::new(
            "process_start_time_seconds",
            "Start of the process since the epoch.",
        )?;
        registry.register(Box::new(start_time.clone()))?;
        Ok(Self {
            cpu_seconds,
            start_time,
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in RAM.")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Address space.")?,
            open_files: gauge("process_open_fds", "Open file descriptors.")?,
            max_files: gauge("process_max_fds", "File descriptors that may be open.")?,
            threads: gauge("process_threads", "Threads of the process.")?,
        })
    }

    /// Reads `/proc`.
    pub fn update(&self) {
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            self.resident_bytes.set(kilobytes(&status, "VmRSS:") << 10);
            self.virtual_bytes.set(kilobytes(&status, "VmSize:") << 10);
            self.threads.set(kilobytes(&status, "Threads:"));
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.open_files
                .set(entries.count().saturating_sub(1) as i64);
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            self.max_files.set(max_files(&limits).unwrap_or(0));
        }
        if let Some(times) = fs::read_to_string("/proc/self/stat")
            .ok()
            .as_deref()
            .and_then(times)
        {
            self.cpu_seconds
                .inc_by((times.cpu_seconds - self.cpu_seconds.get()).max(0.0));
            let boot = fs::read_to_string("/proc/stat")
                .ok()
                .as_deref()
                .and_then(boot_time);
            self.start_time
                .set(boot.map_or(0.0, |boot| boot + times.started_after_boot));
        }
    }
}

struct Times {
    cpu_seconds: f64,
    started_after_boot: f64,
}

/// Fields 14, 15 and 22 of `/proc/self/stat`; the second one is a name in parentheses that may
/// hold anything, so counting starts behind its last parenthesis.
fn times(stat: &str) -> Option<Times> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..]
        .split_ascii_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Times {
        cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        started_after_boot: ticks(19)? / TICKS_PER_SECOND,
    })
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn kilobytes(status: &str, field: &str) -> i64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn max_files(limits: &str) -> Option<i64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 1200 1 2 3";
        let times = times(stat).unwrap();
        assert!((times.cpu_seconds - 3.0).abs() < 1e-9);
        assert!((times.started_after_boot - 12.0).abs() < 1e-9);
        assert!(super::times("").is_none());
    }

    #[test]
    fn this_process_has_memory_files_and_a_start() {
        let registry = Registry::new();
        let metrics = ProcessMetrics::register(&registry).unwrap();
        metrics.update();
        assert!(metrics.resident_bytes.get() > 1 << 20);
        assert!(metrics.virtual_bytes.get() >= metrics.resident_bytes.get());
        assert!(metrics.open_files.get() >= 1);
        assert!(metrics.max_files.get() >= metrics.open_files.get());
        assert!(metrics.threads.get() >= 1);
        assert!(metrics.start_time.get() > 1_600_000_000.0);
        let before = metrics.cpu_seconds.get();
        metrics.update();
        assert!(metrics.cpu_seconds.get() >= before, "a counter never falls");
    }
}
