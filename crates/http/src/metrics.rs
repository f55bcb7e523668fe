//! The registry of a server's metrics, and its text for Prometheus.

use http::HeaderValue;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder};

use crate::process::ProcessMetrics;

/// The content type of [`Metrics::encode`].
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Bounds in seconds for anything from a decode of microseconds to a request of a minute.
pub const SECONDS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// A registry, with the process and the build already in it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
}

impl Metrics {
    /// A new registry. `version` is that of mlrs.
    ///
    /// # Errors
    /// Does not fail on an empty registry.
    pub fn new(version: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let process = ProcessMetrics::register(&registry)?;
        let metrics = Self { registry, process };
        metrics.info(
            "mlrs_build_info",
            "The build of mlrs.",
            &[("version", version)],
        )?;
        Ok(metrics)
    }

    /// The registry, for metrics of another kind.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A gauge that is always 1 and tells facts by its labels.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn info(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<(), prometheus::Error> {
        let options = labels
            .iter()
            .fold(Opts::new(name, help), |options, (label, value)| {
                options.const_label(*label, *value)
            });
        let gauge = IntGauge::with_opts(options)?;
        gauge.set(1);
        self.registry.register(Box::new(gauge))
    }

    /// A counter.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    /// One counter for each value of a label, in the order of `values`.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn counters<const COUNT: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; COUNT],
    ) -> Result<[IntCounter; COUNT], prometheus::Error> {
        let family = prometheus::IntCounterVec::new(Opts::new(name, help), &[label])?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(values.map(|value| family.with_label_values(&[value])))
    }

    /// A gauge.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// A histogram with these upper bounds.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        let histogram = Histogram::with_opts(options)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    /// Everything in the text format 0.0.4 of Prometheus.
    ///
    /// # Errors
    /// When a metric is not well-formed.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        self.process.update();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_build_and_process() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let [_, second] = metrics
            .counters("answers_total", "Answers.", "status", ["200", "400"])
            .unwrap();
        second.inc();
        metrics
            .histogram("wait_seconds", "Waits.", &SECONDS)
            .unwrap()
            .observe(0.003);
        let text = metrics.encode().unwrap();
        for line in [
            r#"mlrs_build_info{version="1.2.3"} 1"#,
            r#"answers_total{status="200"} 0"#,
            r#"answers_total{status="400"} 1"#,
            r#"wait_seconds_bucket{le="0.0025"} 0"#,
            r#"wait_seconds_bucket{le="0.005"} 1"#,
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_name_is_registered_once() {
        let metrics = Metrics::new("1").unwrap();
        metrics.gauge("depth", "Depth.").unwrap();
        assert!(metrics.gauge("depth", "Depth.").is_err());
    }
}
