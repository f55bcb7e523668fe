//! What a tracking server counts and times, for Prometheus.

use std::time::Duration;

use http::StatusCode;
use mlrs_http::Metrics;
use mlrs_http::metrics::SECONDS;
use prometheus::{Error, Histogram, IntCounter, IntGauge};

/// The statuses that are answered; the last one stands for any other.
const STATUSES: [&str; 9] = [
    "200", "400", "404", "405", "413", "429", "500", "503", "other",
];

/// The metrics of a tracking server.
#[derive(Debug)]
pub(crate) struct TrackingMetrics {
    all: Metrics,
    requests: [IntCounter; 9],
    seconds: Histogram,
    bytes_in_flight: IntGauge,
}

impl TrackingMetrics {
    pub(crate) fn new() -> Result<Self, Error> {
        let all = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        Ok(Self {
            requests: all.counters(
                "mlrs_requests_total",
                "Answers of the server.",
                "status",
                STATUSES,
            )?,
            seconds: all.histogram(
                "mlrs_request_seconds",
                "Head of a request to its answer.",
                &SECONDS,
            )?,
            bytes_in_flight: all.gauge("mlrs_bytes_in_flight", "Bytes of request bodies.")?,
            all,
        })
    }

    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let status = status.as_str();
        let known = STATUSES.iter().position(|known| *known == status);
        self.requests[known.unwrap_or(STATUSES.len() - 1)].inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Everything as text for Prometheus.
    pub(crate) fn encode(&self, bytes_in_flight: usize) -> Result<String, Error> {
        self.bytes_in_flight.set(bytes_in_flight as i64);
        self.all.encode()
    }
}
