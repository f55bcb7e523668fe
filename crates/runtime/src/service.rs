//! The queue, the sessions, and the two ways to an answer: at once, or through a worker.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mlrs_backend::{Cost, Model, PredictError, Refusal, Session};
use mlrs_payload::{Batch, Output};
use tokio::sync::oneshot;

use crate::batching::{has_rows, join, may_join, splits_into};
use crate::cost::Costs;
use crate::probe::{self, WarmUp};
use crate::watch::Watch;

/// How a model is put in service.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Sessions that run at the same time; at least 1.
    pub sessions: usize,
    /// Rows that may wait; a request that finds so many before it is refused.
    pub queue_rows: usize,
    /// Bytes of decoded inputs that may wait.
    pub queue_bytes: usize,
    /// Rows that one batch may have; 1 turns merging off.
    pub batch_rows: usize,
}

/// The rows of one request in the output that it may share with others.
#[derive(Debug)]
pub struct Prediction {
    /// The output of the whole batch.
    pub output: Arc<Output>,
    /// The rows that belong to this request.
    pub rows: Range<usize>,
    /// Whether they are the whole output, whatever its shape.
    pub all: bool,
    /// Rows of the whole batch.
    pub batch_rows: usize,
    /// How long the request waited for an engine.
    pub waited: Duration,
    /// How long the engine ran.
    pub ran: Duration,
}

/// Why a request got no prediction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Rejection {
    /// The queue is full.
    #[error("the queue of the model is full")]
    QueueFull,
    /// Its deadline passed before there was an answer.
    #[error("the deadline passed before the model answered")]
    Expired,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The prediction failed.
    #[error(transparent)]
    Failed(PredictError),
    /// The engine panicked; the session was replaced.
    #[error("the model panicked")]
    Panicked,
}

impl From<PredictError> for Rejection {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Interrupted => Self::Expired,
            error => Self::Failed(error),
        }
    }
}

type Reply = Result<Prediction, Rejection>;

/// What a run of the engine gives: the output, and how long it took.
type Ran = Result<(Output, Duration), Rejection>;

/// A request that waits.
struct Job {
    batch: Batch,
    bytes: usize,
    deadline: Instant,
    queued: Instant,
    reply: oneshot::Sender<Reply>,
}

/// What is shared under the lock.
#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Sessions that are idle.
    sessions: Vec<Box<dyn Session>>,
    stopping: bool,
}

struct Shared {
    model: Arc<dyn Model>,
    settings: Settings,
    state: Mutex<State>,
    /// A job came, a session came back, or it is time to stop.
    changed: Condvar,
    queued_rows: AtomicUsize,
    abandoned: AtomicU64,
    merges: AtomicBool,
    costs: Costs,
    /// Where the engine can be interrupted.
    watch: Option<Watch>,
}

/// A model in service.
pub struct InService {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl InService {
    /// Puts a model in service: makes the sessions and starts a worker for each.
    ///
    /// # Errors
    /// When the engine gives no session, or the system no thread.
    pub fn start(model: Box<dyn Model>, settings: Settings) -> Result<Self, Refusal> {
        let model: Arc<dyn Model> = model.into();
        let count = settings.sessions.max(1);
        let sessions = (0..count)
            .map(|_| model.session())
            .collect::<Result<Vec<_>, _>>()?;
        let interruptible = sessions.iter().any(|session| session.interrupt().is_some());
        let watch = interruptible.then(Watch::start).transpose()?;
        let shared = Arc::new(Shared {
            model,
            settings,
            state: Mutex::new(State {
                sessions,
                ..State::default()
            }),
            changed: Condvar::new(),
            queued_rows: AtomicUsize::new(0),
            abandoned: AtomicU64::new(0),
            merges: AtomicBool::new(false),
            costs: Costs::default(),
            watch,
        });
        let mut workers = Vec::with_capacity(count);
        for index in 0..count {
            let shared = Arc::clone(&shared);
            let worker = std::thread::Builder::new()
                .name(format!("model-{index}"))
                .spawn(move || shared.work());
            workers.push(worker.map_err(|error| {
                Refusal::new("the system gave no thread for a model worker").with_source(error)
            })?);
        }
        Ok(Self {
            shared,
            workers: Mutex::new(workers),
        })
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.shared.model
    }

    /// Runs the model before it takes requests, on an example or on zeros. Finds out what a
    /// prediction costs, and whether requests may share a batch; without a warm-up they never do.
    ///
    /// # Errors
    /// When the model fails on the example. It stays in service.
    pub fn warm_up(&self, example: Option<&Batch>) -> Result<WarmUp, Rejection> {
        let shared = &self.shared;
        let Some(mut session) = shared.lock().sessions.pop() else {
            return Err(Rejection::Stopping);
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            probe::run(&*shared.model, &mut *session, example, &shared.costs)
        }));
        let session = if result.is_ok() {
            Some(session)
        } else {
            shared.model.session().ok()
        };
        shared.give_back(session);
        let found = result.map_err(|_| Rejection::Panicked)??;
        shared.merges.store(
            found.merges && shared.settings.batch_rows > 1,
            Ordering::Relaxed,
        );
        Ok(found)
    }

    /// Rows that wait now.
    pub fn queued_rows(&self) -> usize {
        self.shared.queued_rows.load(Ordering::Relaxed)
    }

    /// Requests whose client left before an engine was free, since the start.
    pub fn abandoned(&self) -> u64 {
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    /// Runs the model on a batch; waits for an answer until `deadline`.
    ///
    /// Dropping the future takes the request back, unless it is running already.
    ///
    /// # Errors
    /// See [`Rejection`].
    pub async fn predict(&self, batch: Batch, deadline: Instant) -> Reply {
        let shared = &self.shared;
        let receiver = {
            let mut state = shared.lock();
            if state.stopping {
                return Err(Rejection::Stopping);
            }
            if state.jobs.is_empty()
                && shared.model.cost() == Cost::ByShapes
                && shared.costs.is_cheap(batch.rows)
                && let Some(session) = state.sessions.pop()
            {
                drop(state);
                return shared.run_here(session, batch);
            }
            shared.enqueue(&mut state, batch, deadline)?
        };
        shared.changed.notify_one();
        match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(Rejection::Stopping),
            Err(_) => Err(Rejection::Expired),
        }
    }

    /// Takes no more requests, finishes those that wait, and joins the workers.
    pub async fn stop(&self) {
        self.begin_stop();
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let join = tokio::task::spawn_blocking(move || {
            for worker in workers {
                // A worker catches what its engine throws; it has no panic of its own to report.
                drop(worker.join());
            }
        });
        drop(join.await);
    }

    fn begin_stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request, if there is room. An empty queue takes any one.
    fn enqueue(
        &self,
        state: &mut State,
        batch: Batch,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Reply>, Rejection> {
        let bytes: usize = batch.inputs.iter().map(mlrs_payload::Tensor::bytes).sum();
        let waiting = self.queued_rows.load(Ordering::Relaxed);
        let full = waiting + batch.rows > self.settings.queue_rows
            || state.bytes + bytes > self.settings.queue_bytes;
        if full && !state.jobs.is_empty() {
            return Err(Rejection::QueueFull);
        }
        let (reply, receiver) = oneshot::channel();
        self.queued_rows.fetch_add(batch.rows, Ordering::Relaxed);
        state.bytes += bytes;
        state.jobs.push_back(Job {
            batch,
            bytes,
            deadline,
            queued: Instant::now(),
            reply,
        });
        Ok(receiver)
    }

    /// Runs a cheap prediction in the caller's thread.
    fn run_here(&self, session: Box<dyn Session>, batch: Batch) -> Reply {
        let rows = batch.rows;
        let (session, result) = self.run(session, batch, None);
        self.give_back(session);
        let (output, ran) = result?;
        Ok(Prediction {
            output: Arc::new(output),
            rows: 0..rows,
            all: true,
            batch_rows: rows,
            waited: Duration::ZERO,
            ran,
        })
    }

    /// Runs the engine, until the deadline where there is one. A panic costs the session, which is
    /// replaced, and nothing else.
    fn run(
        &self,
        mut session: Box<dyn Session>,
        batch: Batch,
        deadline: Option<Instant>,
    ) -> (Option<Box<dyn Session>>, Ran) {
        let rows = batch.rows;
        let watched = deadline
            .and_then(|deadline| Some(self.watch.as_ref()?.begin(deadline, session.interrupt()?)));
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| session.predict(batch)));
        drop(watched);
        let Ok(result) = result else {
            // What the panic left behind may panic again when it is dropped.
            drop(catch_unwind(AssertUnwindSafe(move || drop(session))));
            tracing::error!("the model panicked; its session is replaced");
            return (self.model.session().ok(), Err(Rejection::Panicked));
        };
        let ran = started.elapsed();
        if result.is_ok() {
            self.costs.record(rows, ran);
        }
        (
            Some(session),
            result.map(|output| (output, ran)).map_err(Rejection::from),
        )
    }

    fn give_back(&self, session: Option<Box<dyn Session>>) {
        let mut state = self.lock();
        if let Some(session) = session {
            state.sessions.push(session);
        } else {
            tracing::error!("the engine gave no new session; one less serves");
        }
        let wanted = !state.jobs.is_empty() || state.stopping;
        drop(state);
        if wanted {
            self.changed.notify_one();
        }
    }

    /// The life of a worker.
    fn work(&self) {
        while let Some((session, jobs)) = self.next_jobs() {
            let session = self.serve(session, jobs);
            self.give_back(session);
        }
        self.changed.notify_all();
    }

    /// Waits for a session and for jobs that it can run as one batch; `None` when it is time to go.
    fn next_jobs(&self) -> Option<(Box<dyn Session>, Vec<Job>)> {
        let mut state = self.lock();
        loop {
            if state.stopping && state.jobs.is_empty() {
                return None;
            }
            if !state.jobs.is_empty()
                && let Some(session) = state.sessions.pop()
            {
                let jobs = self.take_batch(&mut state);
                if !jobs.is_empty() {
                    return Some((session, jobs));
                }
                state.sessions.push(session);
                continue;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the first job, and those behind it that may share its batch.
    fn take_batch(&self, state: &mut State) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let mut rows = 0;
        let merges = self.merges.load(Ordering::Relaxed);
        while let Some(next) = state.jobs.front() {
            let fits = jobs.first().is_none_or(|first| {
                merges
                    && rows + next.batch.rows <= self.settings.batch_rows
                    && has_rows(&first.batch)
                    && has_rows(&next.batch)
                    && may_join(&first.batch, &next.batch)
            });
            if !fits {
                break;
            }
            let Some(job) = state.jobs.pop_front() else {
                break;
            };
            state.bytes -= job.bytes;
            self.queued_rows
                .fetch_sub(job.batch.rows, Ordering::Relaxed);
            if job.reply.is_closed() {
                self.abandoned.fetch_add(1, Ordering::Relaxed);
            } else if Instant::now() >= job.deadline {
                // The receiver knows by its own clock, if it still listens.
                drop(job.reply.send(Err(Rejection::Expired)));
            } else {
                rows += job.batch.rows;
                jobs.push(job);
            }
        }
        jobs
    }

    /// Runs jobs as one batch, and each alone when that fails: nobody pays for another's request.
    fn serve(&self, session: Box<dyn Session>, mut jobs: Vec<Job>) -> Option<Box<dyn Session>> {
        if jobs.len() == 1 {
            return jobs.pop().and_then(|job| self.serve_alone(session, job));
        }
        let started = Instant::now();
        let batch = join(jobs.iter().map(|job| &job.batch));
        let batch_rows = batch.rows;
        let deadline = jobs.iter().map(|job| job.deadline).max();
        let (session, result) = self.run(session, batch, deadline);
        match result {
            Ok((output, ran)) if splits_into(&output, batch_rows) => {
                let output = Arc::new(output);
                let mut first = 0;
                for job in jobs {
                    let rows = first..first + job.batch.rows;
                    first = rows.end;
                    let waited = started.duration_since(job.queued);
                    let prediction = Prediction {
                        output: Arc::clone(&output),
                        rows,
                        all: false,
                        batch_rows,
                        waited,
                        ran,
                    };
                    drop(job.reply.send(Ok(prediction)));
                }
                session
            }
            Err(rejection @ (Rejection::Panicked | Rejection::Expired)) => {
                for job in jobs {
                    drop(job.reply.send(Err(rejection.clone())));
                }
                session
            }
            result => {
                if result.is_ok() {
                    tracing::warn!(
                        "the model's outputs have other rows than its inputs; requests are merged no more"
                    );
                    self.merges.store(false, Ordering::Relaxed);
                }
                jobs.into_iter()
                    .fold(session, |session, job| self.serve_alone(session?, job))
            }
        }
    }

    fn serve_alone(&self, session: Box<dyn Session>, job: Job) -> Option<Box<dyn Session>> {
        let rows = job.batch.rows;
        let waited = job.queued.elapsed();
        let (session, result) = self.run(session, job.batch, Some(job.deadline));
        let reply = result.map(|(output, ran)| Prediction {
            output: Arc::new(output),
            rows: 0..rows,
            all: true,
            batch_rows: rows,
            waited,
            ran,
        });
        drop(job.reply.send(reply));
        session
    }
}
