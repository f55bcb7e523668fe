//! One model in service: a bounded queue, workers, batches that form when an engine is free.
//!
//! There is no timer. A request that finds an engine idle runs at once: in the caller's own thread
//! when such a prediction is known to take microseconds, else in a worker. While every engine is
//! busy requests queue, and the worker that comes free takes as many as may share a batch.
//! [`InService`] is the whole interface. No HTTP and no payload formats in here.

mod batching;
mod cost;
mod probe;
mod samples;
mod service;
mod watch;

pub use probe::WarmUp;
pub use service::{InService, Prediction, Rejection, Settings};
