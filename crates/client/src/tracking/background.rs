//! The thread that sends what a run logs.
//!
//! It has a runtime and connections of its own, so that it works while the program computes, in any
//! runtime or in none, and while a dropped run holds the program's thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mlrs_api::enums::RunStatus;

use super::batch::Value;
use super::queue::{Queue, Work};
use super::{ErrorCode, TrackingClient, TrackingError};

/// Pause before values are sent again that a server in trouble did not take.
const PAUSE: Duration = Duration::from_secs(1);
/// Most requests that are spent on finding the values that a server refuses.
const MOST_ATTEMPTS: usize = 100;

/// What the thread needs.
#[derive(Debug)]
pub(super) struct Worker {
    client: TrackingClient,
    /// The same without retries, for a server that is given up: each request would cost minutes.
    hasty: TrackingClient,
    run_id: String,
    queue: Arc<Queue>,
    patience: Duration,
    /// The server has exhausted the patience, and has not taken anything since.
    has_given_up: bool,
    lost: Option<Lost>,
}

/// Values that did not arrive, and why the first of them did not.
#[derive(Debug)]
struct Lost {
    values: usize,
    first: String,
    source: TrackingError,
}

impl Worker {
    /// Starts the thread. Nobody waits for it by its handle: it tells the queue when it has ended, and
    /// what it may still have to clean up then, such as a name that is being looked up, holds up nobody.
    pub(super) fn start(
        client: &TrackingClient,
        run_id: &str,
        queue: Arc<Queue>,
        patience: Duration,
    ) -> Result<(), TrackingError> {
        let client = client.separate()?;
        let worker = Self {
            hasty: client.without_retries(),
            client,
            run_id: run_id.to_owned(),
            queue,
            patience,
            has_given_up: false,
            lost: None,
        };
        std::thread::Builder::new()
            .name("mlrs-run".to_owned())
            .spawn(move || {
                // Whoever waits is told, whatever happens here.
                let _ended = Ended(Arc::clone(&worker.queue));
                // Made here, because it must not be dropped inside of another runtime.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => {
                        runtime.block_on(worker.run());
                        runtime.shutdown_background();
                    }
                    Err(error) => tracing::error!(%error, "a run cannot log in the background"),
                }
            })
            .map(drop)
            .map_err(|source| TrackingError::Background {
                run_id: run_id.to_owned(),
                source: Some(source),
            })
    }

    async fn run(mut self) {
        loop {
            match self.queue.next().await {
                Work::Send(values, places) => {
                    self.send(values).await;
                    self.queue.sent(places);
                }
                Work::Flushed(replies) => {
                    for reply in replies {
                        // Nobody may be waiting any more.
                        let _ = reply.send(self.report());
                    }
                }
                Work::Finish(status, reply) => {
                    let mut result = self.finish(status).await;
                    if result.is_ok() {
                        result = self.report();
                    }
                    match reply {
                        Some(reply) => drop(reply.send(result)),
                        None => {
                            if let Err(error) = result {
                                tracing::error!(run_id = %self.run_id, error = chain(&error), "a run did not end well");
                            }
                        }
                    }
                    return;
                }
            }
        }
    }

    /// Ends the run on the server.
    async fn finish(&mut self, status: RunStatus) -> Result<(), TrackingError> {
        let begin = Instant::now();
        loop {
            let update = self
                .client
                .update_run(&self.run_id, Some(status), Some(now()), None);
            let result = self.in_time(update).await.map(drop);
            match result {
                Err(error) if self.is_worth_waiting(&error, begin) => self.pause().await,
                other => return other,
            }
        }
    }

    /// Sends values. Of a request that the server refuses, the halves are sent, so that a value that
    /// is refused costs no other one.
    async fn send(&mut self, values: Vec<Value>) {
        let mut parts = vec![values];
        let mut attempts = 0;
        let mut is_patient = true;
        while let Some(mut part) = parts.pop() {
            attempts += 1;
            match self.deliver(&part, is_patient).await {
                Ok(()) => {}
                Err(error)
                    if part.len() > 1
                        && attempts < MOST_ATTEMPTS
                        && may_be_about_a_value(&error) =>
                {
                    // What the server calls an error of its own has been waited for.
                    is_patient &= !error.is_transient();
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(error) => self.lose(&part, error),
            }
        }
    }

    /// Sends values that fit into one request, as often as patience allows.
    async fn deliver(&mut self, values: &[Value], is_patient: bool) -> Result<(), TrackingError> {
        let begin = Instant::now();
        loop {
            let is_patient = is_patient && !self.has_given_up;
            let client = if is_patient {
                &self.client
            } else {
                &self.hasty
            };
            match self.in_time(client.send_batch(&self.run_id, values)).await {
                Ok(()) => {
                    self.has_given_up = false;
                    return Ok(());
                }
                Err(error) if is_patient && self.is_worth_waiting(&error, begin) => {
                    self.pause().await;
                }
                Err(error) => {
                    self.has_given_up |= error.is_transient();
                    return Err(error);
                }
            }
        }
    }

    fn is_worth_waiting(&self, error: &TrackingError, begin: Instant) -> bool {
        error.is_transient() && !self.has_given_up && begin.elapsed() < self.patience
    }

    async fn pause(&self) {
        // An expired deadline is noticed by the attempt that follows.
        let _ = self
            .in_time(async {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            })
            .await;
    }

    /// The result, or that the time to end is over.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, TrackingError>>,
    ) -> Result<T, TrackingError> {
        tokio::select! {
            biased;
            () = self.queue.overdue() => Err(TrackingError::Late),
            result = work => result,
        }
    }

    fn lose(&mut self, values: &[Value], source: TrackingError) {
        let first = values.first().map_or("", Value::key);
        tracing::error!(
            run_id = %self.run_id, values = values.len(), first, error = chain(&source),
            "values of a run were not logged"
        );
        match &mut self.lost {
            Some(lost) => lost.values += values.len(),
            None => {
                self.lost = Some(Lost {
                    values: values.len(),
                    first: first.to_owned(),
                    source,
                });
            }
        }
    }

    /// What was lost since this was asked last.
    fn report(&mut self) -> Result<(), TrackingError> {
        match self.lost.take() {
            None => Ok(()),
            Some(lost) => Err(TrackingError::Lost {
                run_id: self.run_id.clone(),
                values: lost.values,
                first: lost.first,
                source: Box::new(lost.source),
            }),
        }
    }
}

/// Ends the queue when the thread ends, also by a panic.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        let left = self.0.end();
        if left > 0 {
            tracing::error!(values = left, "values of a run were not logged");
        }
    }
}

/// Whether another request with other values may be taken. Servers take some values for errors of
/// their own, such as points of a logged model that there is not.
fn may_be_about_a_value(error: &TrackingError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::InvalidParameterValue
                | ErrorCode::BadRequest
                | ErrorCode::MalformedRequest
                | ErrorCode::InternalError
        )
    )
}

/// An error with its causes in one line.
pub(super) fn chain(error: &TrackingError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Milliseconds since the epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
