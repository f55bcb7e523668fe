//! What a scoring server counts and times; every child is resolved when the server starts.

use std::time::Duration;

use http::StatusCode;
use mlrs_http::metrics::SECONDS;
use mlrs_http::{Answers, Metrics};
use prometheus::{Error, Histogram, IntCounter, IntGauge};

use crate::state::ModelInfo;

/// Why a request was refused or left, as the label `reason` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The body was longer than the limit.
    BodyTooLarge,
    /// Other bodies held the budget of bytes.
    Overloaded,
    /// The queue of the model was full.
    QueueFull,
    /// The body or the engine took too long.
    Deadline,
    /// The client closed the connection before it was answered.
    ClientGone,
    /// The server was stopping.
    Stopping,
}

/// The labels of [`Reason`], in its order.
const REASONS: [&str; 6] = [
    "body_too_large",
    "overloaded",
    "queue_full",
    "deadline",
    "client_gone",
    "stopping",
];

/// The metrics of a scoring server.
#[derive(Debug)]
pub struct ScoringMetrics {
    all: Metrics,
    requests: Answers,
    rejections: [IntCounter; 6],
    /// Columns and inputs that no signature knows.
    pub ignored_columns: IntCounter,
    /// Rows that wait, set at each scrape.
    pub queue_rows: IntGauge,
    /// Bytes of request bodies, set at each scrape.
    pub bytes_in_flight: IntGauge,
    /// 1 when the server is ready, set at each scrape.
    pub ready: IntGauge,
    /// From the head of a request to its answer.
    request_seconds: Histogram,
    /// From the bytes of a request to the inputs of the engine.
    pub decode_seconds: Histogram,
    /// From submission to the engine.
    pub wait_seconds: Histogram,
    /// In the engine.
    pub predict_seconds: Histogram,
    /// From outputs to bytes.
    pub encode_seconds: Histogram,
    /// Rows of the batch that a request was part of.
    pub batch_rows: Histogram,
}

impl ScoringMetrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When a name is taken or not valid.
    pub fn new(model: &ModelInfo) -> Result<Self, Error> {
        let all = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        all.info(
            "mlrs_model_info",
            "The model that is served.",
            &model_labels(model),
        )?;
        let rows = prometheus::exponential_buckets(1.0, 2.0, 13)?;
        let seconds = |name: &str, help: &str| all.histogram(name, help, &SECONDS);
        Ok(Self {
            requests: Answers::new(
                &all,
                "mlrs_requests_total",
                "Answers to scoring requests and to unknown routes.",
            )?,
            rejections: all.counters(
                "mlrs_rejections_total",
                "Requests without a prediction for reasons other than their content.",
                "reason",
                REASONS,
            )?,
            ignored_columns: all.counter(
                "mlrs_ignored_columns_total",
                "Columns and inputs that the signature does not know.",
            )?,
            queue_rows: all.gauge("mlrs_queue_rows", "Rows that wait for the model.")?,
            bytes_in_flight: all.gauge("mlrs_bytes_in_flight", "Bytes of request bodies.")?,
            ready: all.gauge("mlrs_ready", "1 when the server takes requests.")?,
            request_seconds: seconds("mlrs_request_seconds", "Head of a request to its answer.")?,
            decode_seconds: seconds("mlrs_decode_seconds", "Body to inputs of the model.")?,
            wait_seconds: seconds("mlrs_wait_seconds", "Waiting for the model.")?,
            predict_seconds: seconds(
                "mlrs_predict_seconds",
                "Prediction of the batch that a request was part of.",
            )?,
            encode_seconds: seconds("mlrs_encode_seconds", "Outputs of the model to JSON.")?,
            batch_rows: all.histogram(
                "mlrs_batch_rows",
                "Rows of the batch that a request was part of.",
                &rows,
            )?,
            all,
        })
    }

    /// Counts an answer.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        self.count(status);
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Counts an answer that was no scoring request.
    pub fn count(&self, status: StatusCode) {
        self.requests.count(status);
    }

    /// Counts a request without a prediction.
    pub fn rejected(&self, reason: Reason) {
        self.rejections[reason as usize].inc();
    }

    /// Everything as text for Prometheus.
    ///
    /// # Errors
    /// When a metric is not well-formed.
    pub fn encode(&self) -> Result<String, Error> {
        self.all.encode()
    }
}

fn model_labels(model: &ModelInfo) -> [(&'static str, &str); 5] {
    [
        ("name", &model.name),
        ("version", model.version.as_deref().unwrap_or_default()),
        ("run_id", model.run_id.as_deref().unwrap_or_default()),
        ("backend", &model.backend),
        ("flavor", &model.flavor),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_under_their_own_label() {
        let metrics = ScoringMetrics::new(&ModelInfo::default()).unwrap();
        metrics.rejected(Reason::BodyTooLarge);
        metrics.rejected(Reason::Stopping);
        metrics.rejected(Reason::Stopping);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(r#"mlrs_rejections_total{reason="body_too_large"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"mlrs_rejections_total{reason="stopping"} 2"#),
            "{text}"
        );
        assert!(
            text.contains(r#"mlrs_rejections_total{reason="client_gone"} 0"#),
            "{text}"
        );
    }
}
