//! Counts of answers by status, and by endpoint, method and status with their times.
//!
//! Every label is known when a server starts: an endpoint is the template of a route, never a path
//! that somebody sent, and a status that is not in the list counts as `other`. So the number of
//! series is bounded, and to count costs an index and an addition.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus::{Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};

use crate::Metrics;

/// The statuses that are counted on their own; the last one stands for any other.
pub const STATUSES: [&str; 13] = [
    "200", "400", "404", "405", "408", "413", "415", "429", "500", "501", "503", "504", "other",
];

/// Upper bounds in seconds of the time of a request: fewer than in [`SECONDS`](crate::metrics::SECONDS),
/// as there is a histogram for each endpoint.
const REQUEST_SECONDS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

fn index_of(status: StatusCode) -> usize {
    match status.as_u16() {
        200 => 0,
        400 => 1,
        404 => 2,
        405 => 3,
        408 => 4,
        413 => 5,
        415 => 6,
        429 => 7,
        500 => 8,
        501 => 9,
        503 => 10,
        504 => 11,
        _ => 12,
    }
}

/// A counter for each of [`STATUSES`].
#[derive(Clone, Debug)]
pub struct Answers([IntCounter; STATUSES.len()]);

impl Answers {
    /// Counters with the label `status`.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn new(metrics: &Metrics, name: &str, help: &str) -> Result<Self, Error> {
        Ok(Self(metrics.counters(name, help, "status", STATUSES)?))
    }

    /// Counts an answer.
    pub fn count(&self, status: StatusCode) {
        self.0[index_of(status)].inc();
    }
}

/// The families `mlrs_http_requests_total` and `mlrs_http_request_duration_seconds`.
#[derive(Clone, Debug)]
pub struct EndpointMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl EndpointMetrics {
    /// Families without an endpoint.
    ///
    /// # Errors
    /// When the names are taken.
    pub fn new(metrics: &Metrics) -> Result<Self, Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "mlrs_http_requests_total",
                "Answers by endpoint, method and status.",
            ),
            &["endpoint", "method", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "mlrs_http_request_duration_seconds",
                "Head of a request to the head of its answer, by endpoint.",
            )
            .buckets(REQUEST_SECONDS.to_vec()),
            &["endpoint"],
        )?;
        metrics.registry().register(Box::new(requests.clone()))?;
        metrics.registry().register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }

    /// The counters of a method of an endpoint; an endpoint's methods share its histogram. For the
    /// start of a server, as this builds labels.
    pub fn endpoint(&self, endpoint: &str, method: &str) -> Arc<EndpointAnswers> {
        let counter = |status| self.requests.with_label_values(&[endpoint, method, status]);
        Arc::new(EndpointAnswers {
            answers: Answers(STATUSES.map(counter)),
            seconds: self.seconds.with_label_values(&[endpoint]),
        })
    }
}

/// What is counted of a method of an endpoint.
#[derive(Debug)]
pub struct EndpointAnswers {
    answers: Answers,
    seconds: Histogram,
}

impl EndpointAnswers {
    /// Counts an answer and its time.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        self.answers.count(status);
        self.seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_under_their_own_label() {
        for (index, label) in STATUSES.iter().enumerate() {
            let status = label.parse::<u16>().unwrap_or(418);
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(index_of(status), index, "{label}");
        }
    }

    #[test]
    fn methods_of_an_endpoint_share_its_histogram() {
        let metrics = Metrics::new("1").unwrap();
        let endpoints = EndpointMetrics::new(&metrics).unwrap();
        let (get, put) = (
            endpoints.endpoint("/a", "GET"),
            endpoints.endpoint("/a", "PUT"),
        );
        get.answered(StatusCode::OK, Duration::from_millis(3));
        get.answered(StatusCode::NOT_FOUND, Duration::from_millis(3));
        put.answered(StatusCode::OK, Duration::from_mins(1));
        let text = metrics.encode().unwrap();
        for line in [
            r#"mlrs_http_requests_total{endpoint="/a",method="GET",status="200"} 1"#,
            r#"mlrs_http_requests_total{endpoint="/a",method="GET",status="404"} 1"#,
            r#"mlrs_http_requests_total{endpoint="/a",method="PUT",status="200"} 1"#,
            r#"mlrs_http_requests_total{endpoint="/a",method="PUT",status="500"} 0"#,
            r#"mlrs_http_request_duration_seconds_bucket{endpoint="/a",le="0.0025"} 0"#,
            r#"mlrs_http_request_duration_seconds_bucket{endpoint="/a",le="0.005"} 2"#,
            r#"mlrs_http_request_duration_seconds_bucket{endpoint="/a",le="30"} 2"#,
            r#"mlrs_http_request_duration_seconds_count{endpoint="/a"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
