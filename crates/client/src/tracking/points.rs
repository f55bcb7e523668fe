//! A point of a metric that is more than a number and a step.

use mlrs_api::metrics::Metric;

use super::background::now;
use super::{InputDataset, Step};

/// A point of a metric: at step 0 and now, unless it says otherwise, and of a logged model or on a
/// dataset where it says so.
///
/// ```no_run
/// use mlrs_client::tracking::{ActiveRun, InputDataset, Point};
///
/// # fn example(run: &ActiveRun, validation: &InputDataset, model_id: &str) {
/// let accuracy = Point::new("accuracy", 0.97).step(10).model(model_id).dataset(validation);
/// run.log_point(accuracy);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a point is logged by `log_point` or `log_metric`"]
pub struct Point {
    metric: Metric,
}

impl Point {
    /// A point with the time of now.
    pub fn new(key: impl Into<String>, value: impl Into<f64>) -> Self {
        Self {
            metric: Metric {
                key: key.into(),
                value: value.into(),
                timestamp: now(),
                ..Metric::default()
            },
        }
    }

    /// What orders the points.
    pub fn step(mut self, step: impl Step) -> Self {
        self.metric.step = step.into_step();
        self
    }

    /// When it was measured, in milliseconds since the epoch.
    pub fn at(mut self, timestamp: i64) -> Self {
        self.metric.timestamp = timestamp;
        self
    }

    /// The logged model that it is of: `m-…`.
    pub fn model(mut self, model_id: impl Into<String>) -> Self {
        self.metric.model_id = Some(model_id.into());
        self
    }

    /// The dataset that it was computed on, which the run must have logged as an input before.
    pub fn dataset(mut self, dataset: &InputDataset) -> Self {
        self.metric.dataset_name = Some(dataset.name().to_owned());
        self.metric.dataset_digest = Some(dataset.digest().to_owned());
        self
    }
}

impl From<Point> for Metric {
    fn from(point: Point) -> Self {
        point.metric
    }
}
