//! A run of this program: [`ActiveRun`].

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mlrs_api::Tag;
use mlrs_api::enums::RunStatus;
use mlrs_api::metrics::{Metric, Param};
use mlrs_api::runs::RunInfo;
use tokio::sync::oneshot;

use super::background::{Worker, chain, now};
use super::batch::Value;
use super::models::SavedModel;
use super::queue::Queue;
use super::{Artifacts, ModelOwner, Step, TrackingClient, TrackingError};

/// How a run logs in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingSettings {
    /// How long a value waits for others to go with it; 100 ms.
    pub delay: Duration,
    /// How many values may wait; 10,000. Where they are as many, or more than 64 MiB of text, logging
    /// waits for the server.
    pub capacity: usize,
    /// How long values are sent again that a server which cannot be reached did not take; 2 minutes,
    /// in addition to the retries of the connection. Then they are given up and reported; what follows
    /// is tried once, until the server takes something again.
    pub patience: Duration,
    /// How long dropping a run without [`ActiveRun::finish`] may wait for the server; 10 seconds.
    pub drop_wait: Duration,
}

impl Default for LoggingSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(100),
            capacity: 10_000,
            patience: Duration::from_mins(2),
            drop_wait: Duration::from_secs(10),
        }
    }
}

/// What is to be known of a run when it starts.
///
/// ```
/// use mlrs_client::tracking::StartRun;
///
/// let start = StartRun::in_experiment("1")
///     .name("baseline")
///     .description("all features, no scaling")
///     .tag("team", "flowers");
/// ```
#[derive(Debug, Clone, Default)]
pub struct StartRun {
    experiment_id: String,
    name: Option<String>,
    tags: Vec<Tag>,
    logging: LoggingSettings,
}

impl StartRun {
    /// A run in the experiment of this id.
    pub fn in_experiment(experiment_id: impl Into<String>) -> Self {
        Self {
            experiment_id: experiment_id.into(),
            ..Self::default()
        }
    }

    /// Its name for people; the server makes one up otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A tag to begin with.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push(Tag::new(key, value));
        self
    }

    /// A note in Markdown, which MLflow's pages show: the tag `mlflow.note.content`.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.tag("mlflow.note.content", text)
    }

    /// Who runs it: the tag `mlflow.user`.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        self.tag("mlflow.user", user)
    }

    /// The program that runs: the tags `mlflow.source.name` and `mlflow.source.type`.
    #[must_use]
    pub fn source(self, name: impl Into<String>) -> Self {
        self.tag("mlflow.source.name", name)
            .tag("mlflow.source.type", "LOCAL")
    }

    /// The run that this one is a part of: the tag `mlflow.parentRunId`.
    #[must_use]
    pub fn parent(self, run_id: impl Into<String>) -> Self {
        self.tag("mlflow.parentRunId", run_id)
    }

    /// How it logs.
    #[must_use]
    pub fn logging(mut self, settings: LoggingSettings) -> Self {
        self.logging = settings;
        self
    }
}

/// A run of this program. It logs params, metrics and tags in the background.
///
/// [`log_param`](Self::log_param), [`log_metric`](Self::log_metric) and [`set_tag`](Self::set_tag)
/// put a value into a queue and return at once; they are no `async` functions, and work in any thread.
/// A thread of its own sends what is in the queue at the latest 100 ms later, many values in a request.
/// They wait, and block their thread, only when 10,000 values are in the queue ([`LoggingSettings`]).
///
/// No value is lost in silence: [`flush`](Self::flush) and [`finish`](Self::finish) say whether
/// everything from before has arrived, and which value was the first that did not. Where a server
/// refuses a value, the values that were sent with it are sent again without it. A server that is away
/// is waited for.
///
/// # Ending a run
///
/// [`finish`](Self::finish) ends it with the status that it is given;
/// [`TrackingClient::with_run`] does that by the result of a piece of work.
///
/// A run that is dropped before that still sends what is in its queue, and ends as `FAILED`: that is
/// how `?`, a panic or a task that is cancelled leave it.
///
/// - The drop blocks its thread until the server has answered, but for no longer than
///   [`LoggingSettings::drop_wait`] and half a second. This works in every kind of tokio runtime, and
///   without one, because the background thread has its own.
/// - When that time is over, what was not sent is lost, and the run stays `RUNNING` on the server.
///   Errors go to the log (`tracing`) only, because a drop cannot return them.
/// - Nothing is sent when the destructor does not run: `std::process::exit`, an abort (also
///   `panic = "abort"`), a signal, `std::mem::forget`; nor when `main` returns while another thread or
///   a detached task still owns the run.
///
/// # Several threads
///
/// Threads and tasks log by a shared reference, or by an `Arc`, out of which `Arc::into_inner` takes
/// the run to finish it.
#[derive(Debug)]
pub struct ActiveRun {
    client: TrackingClient,
    info: RunInfo,
    queue: Arc<Queue>,
    drop_wait: Duration,
}

impl TrackingClient {
    /// Starts a run, which begins now and logs in the background.
    ///
    /// # Errors
    /// When the experiment is not there or deleted, the server does not answer, or a thread cannot be
    /// started.
    pub async fn start_run(&self, start: StartRun) -> Result<ActiveRun, TrackingError> {
        let run = self
            .create_run(
                &start.experiment_id,
                start.name.as_deref(),
                now(),
                start.tags,
            )
            .await?;
        let run_id = run.info.run_id.clone();
        let started = ActiveRun::of(self.clone(), run.info, &start.logging);
        if started.is_err() {
            // The first error counts.
            let _ = self
                .update_run(&run_id, Some(RunStatus::Failed), Some(now()), None)
                .await;
        }
        started
    }

    /// Starts a run for a piece of work, and ends it when the work is done: as `FINISHED` when the work
    /// gives a result, as `FAILED` when it gives an error or panics.
    ///
    /// ```no_run
    /// use mlrs_client::tracking::{StartRun, TrackingClient};
    ///
    /// # async fn example(client: TrackingClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let loss: f64 = client
    ///     .with_run(StartRun::in_experiment("1"), async |run| {
    ///         let text = std::fs::read_to_string("loss.txt")?;
    ///         let loss = text.trim().parse()?;
    ///         run.log_metric("loss", loss, 0);
    ///         Ok::<f64, Box<dyn std::error::Error>>(loss)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the work gives; else, as [`start_run`](Self::start_run) and [`ActiveRun::finish`].
    pub async fn with_run<T, E: From<TrackingError>>(
        &self,
        start: StartRun,
        work: impl AsyncFnOnce(&ActiveRun) -> Result<T, E>,
    ) -> Result<T, E> {
        let run = self.start_run(start).await?;
        match work(&run).await {
            Ok(result) => {
                run.finish(RunStatus::Finished).await?;
                Ok(result)
            }
            Err(error) => {
                let run_id = run.id().to_owned();
                if let Err(second) = run.finish(RunStatus::Failed).await {
                    // The first error counts.
                    tracing::error!(run_id, error = chain(&second), "a run did not end well");
                }
                Err(error)
            }
        }
    }

    /// Goes on with a run that ended or was interrupted; it is `RUNNING` again.
    ///
    /// # Errors
    /// When the run is not there or deleted, the server does not answer, or a thread cannot be started.
    pub async fn resume_run(
        &self,
        run_id: &str,
        logging: &LoggingSettings,
    ) -> Result<ActiveRun, TrackingError> {
        let info = self
            .update_run(run_id, Some(RunStatus::Running), None, None)
            .await?;
        ActiveRun::of(self.clone(), info, logging)
    }
}

impl ActiveRun {
    fn of(
        client: TrackingClient,
        info: RunInfo,
        settings: &LoggingSettings,
    ) -> Result<Self, TrackingError> {
        let queue = Arc::new(Queue::new(settings.capacity, settings.delay));
        Worker::start(&client, &info.run_id, Arc::clone(&queue), settings.patience)?;
        Ok(Self {
            client,
            info,
            queue,
            drop_wait: settings.drop_wait,
        })
    }

    /// The id of the run.
    pub fn id(&self) -> &str {
        &self.info.run_id
    }

    /// What the run was when it started.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The client that started it.
    pub fn client(&self) -> &TrackingClient {
        &self.client
    }

    /// Logs a param. A param never changes: logging another value for it is refused.
    pub fn log_param(&self, key: impl Into<String>, value: impl Display) {
        self.push(Value::Param(Param::new(key, value.to_string())));
    }

    /// Logs several params.
    pub fn log_params<K: Into<String>, V: Display>(
        &self,
        params: impl IntoIterator<Item = (K, V)>,
    ) {
        for (key, value) in params {
            self.log_param(key, value);
        }
    }

    /// Logs a point of a metric, with the time of now.
    pub fn log_metric(&self, key: impl Into<String>, value: impl Into<f64>, step: impl Step) {
        self.push(Value::Metric(Metric {
            key: key.into(),
            value: value.into(),
            timestamp: now(),
            step: step.into_step(),
            ..Metric::default()
        }));
    }

    /// Logs a point of a metric with a time, a dataset or a logged model of its own: a [`Point`], or
    /// a [`Metric`] as it is.
    ///
    /// [`Point`]: super::Point
    pub fn log_point(&self, point: impl Into<Metric>) {
        self.push(Value::Metric(point.into()));
    }

    /// Sets a tag; the last value counts.
    pub fn set_tag(&self, key: impl Into<String>, value: impl Display) {
        self.push(Value::Tag(Tag::new(key, value.to_string())));
    }

    fn push(&self, value: Value) {
        if !self.queue.push(value) {
            // Its thread ended by a panic, which the next flush reports.
            tracing::error!(run_id = %self.id(), "a value was not logged: nothing sends it");
        }
    }

    /// Waits until everything that was logged before has arrived.
    ///
    /// # Errors
    /// [`TrackingError::Lost`] when something that was logged since the last call did not arrive.
    pub async fn flush(&self) -> Result<(), TrackingError> {
        let answer = self.queue.flush().await;
        answer.unwrap_or_else(|_| Err(self.ended_early()))
    }

    /// Waits until everything that was logged has arrived, and ends the run with this status.
    ///
    /// # Errors
    /// When the run cannot be ended; [`TrackingError::Lost`] when it ended and something that was
    /// logged since the last [`flush`](Self::flush) did not arrive.
    pub async fn finish(self, status: RunStatus) -> Result<(), TrackingError> {
        let (reply, answer) = oneshot::channel();
        self.queue.finish(status, Some(reply));
        let result = answer.await;
        result.unwrap_or_else(|_| Err(self.ended_early()))
    }

    fn ended_early(&self) -> TrackingError {
        TrackingError::Background {
            run_id: self.id().to_owned(),
            source: None,
        }
    }

    /// The artifacts of the run.
    ///
    /// # Errors
    /// When the place of the artifacts is not one that can be reached.
    pub fn artifacts(&self) -> Result<Artifacts, TrackingError> {
        self.client.artifacts_of(&self.info)
    }

    /// Uploads a file into a folder of the run's artifacts, or to their root. When this returns, it
    /// is there.
    ///
    /// # Errors
    /// When the file cannot be read, or the store does not take it.
    pub async fn log_artifact(
        &self,
        file: impl AsRef<Path>,
        folder: Option<&str>,
    ) -> Result<(), TrackingError> {
        let artifacts = self.artifacts()?;
        artifacts
            .upload_file(file.as_ref(), folder, &crate::silent)
            .await
    }

    /// Uploads everything in a folder of this machine into a folder of the run's artifacts, or to
    /// their root.
    ///
    /// # Errors
    /// When a file cannot be read, or the store does not take it.
    pub async fn log_artifacts(
        &self,
        directory: impl AsRef<Path>,
        folder: Option<&str>,
    ) -> Result<(), TrackingError> {
        let artifacts = self.artifacts()?;
        artifacts
            .upload_folder(directory.as_ref(), folder, &crate::silent)
            .await
    }

    /// Uploads these bytes as an artifact, such as `plots/loss.svg`.
    ///
    /// # Errors
    /// When the path is not safe, or the store does not take it.
    pub async fn log_bytes(
        &self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<(), TrackingError> {
        self.artifacts()?.upload_bytes(path, bytes.into()).await
    }

    /// Logs a model directory (one with an `MLmodel` file) as a model of this run.
    ///
    /// On a server of MLflow 3 that makes a logged model, as `mlflow.<flavor>.log_model` does; on an
    /// older one, artifacts of the run below `name`. The copy's `MLmodel` file names the model and the
    /// run.
    ///
    /// # Errors
    /// When the folder is no model directory, cannot be read, or is not taken.
    pub async fn log_model_directory(
        &self,
        name: &str,
        directory: impl AsRef<Path>,
    ) -> Result<SavedModel, TrackingError> {
        self.client
            .log_model_directory(
                ModelOwner::Run(&self.info),
                name,
                directory.as_ref(),
                &crate::silent,
            )
            .await
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        // Does nothing after `finish`; who has not come that far was interrupted.
        self.queue.finish(RunStatus::Failed, None);
        if !self.queue.hurry(self.drop_wait) {
            tracing::error!(run_id = %self.id(), "the end of a run was not waited for any longer");
        }
    }
}
