//! What a tracking server counts and times, for Prometheus.

use std::sync::Arc;

use mlrs_http::{EndpointAnswers, EndpointMetrics, Metrics};
use prometheus::{Error, IntGauge};

/// The metrics of a tracking server.
#[derive(Debug)]
pub(crate) struct TrackingMetrics {
    all: Metrics,
    endpoints: EndpointMetrics,
    unknown: Arc<EndpointAnswers>,
    bytes_in_flight: IntGauge,
}

impl TrackingMetrics {
    pub(crate) fn new() -> Result<Self, Error> {
        let all = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        let endpoints = EndpointMetrics::new(&all)?;
        Ok(Self {
            unknown: endpoints.endpoint("unknown", "any"),
            endpoints,
            bytes_in_flight: all.gauge("mlrs_bytes_in_flight", "Bytes of request bodies.")?,
            all,
        })
    }

    /// The families that a route takes its counters from.
    pub(crate) const fn endpoints(&self) -> &EndpointMetrics {
        &self.endpoints
    }

    /// The counters of requests that no route takes, by path or by method.
    pub(crate) fn unknown(&self) -> &EndpointAnswers {
        &self.unknown
    }

    /// Everything as text for Prometheus.
    pub(crate) fn encode(&self, bytes_in_flight: usize) -> Result<String, Error> {
        self.bytes_in_flight.set(bytes_in_flight as i64);
        self.all.encode()
    }
}
