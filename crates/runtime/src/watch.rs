//! Ends predictions that outlive their deadline, where the engine can: [`Watch`].
//!
//! A prediction whose cost depends on values may never end, and would keep its worker for ever. One
//! thread looks at what runs, some forty times a second while anything does, so that beginning a
//! prediction costs a short lock and wakes nobody.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mlrs_backend::{Interrupt, Refusal};

/// How late a prediction may be ended.
const TICK: Duration = Duration::from_millis(25);

/// Ticks without a prediction after which the thread sleeps until there is one.
const QUIET_TICKS: u32 = 40;

/// What runs, and the thread that looks at it.
pub(crate) struct Watch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    next: u64,
    sleeps: bool,
    ended: bool,
}

struct Running {
    id: u64,
    deadline: Instant,
    interrupt: Arc<dyn Interrupt>,
}

/// A prediction that is watched until this is dropped.
pub(crate) struct Watched<'watch> {
    shared: &'watch Shared,
    id: u64,
}

impl Watch {
    /// Starts the thread.
    pub fn start() -> Result<Self, Refusal> {
        let shared = Arc::new(Shared::default());
        let watching = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("model-watch".to_owned())
            .spawn(move || watching.look())
            .map_err(|error| {
                Refusal::new("the system has no thread for the deadlines of a model")
                    .with_source(error)
            })?;
        Ok(Self(shared))
    }

    /// Watches a prediction that begins now.
    pub fn begin(&self, deadline: Instant, interrupt: Arc<dyn Interrupt>) -> Watched<'_> {
        let mut state = self.0.lock();
        let id = state.next;
        state.next += 1;
        state.running.push(Running {
            id,
            deadline,
            interrupt,
        });
        if std::mem::take(&mut state.sleeps) {
            self.0.changed.notify_one();
        }
        Watched {
            shared: &self.0,
            id,
        }
    }
}

/// Nobody waits any more for what runs.
impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        for running in state.running.drain(..) {
            running.interrupt.interrupt();
        }
        drop(state);
        self.0.changed.notify_one();
    }
}

/// Under the lock, so that an interruption never meets the prediction after this one.
impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.shared
            .lock()
            .running
            .retain(|running| running.id != self.id);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut quiet = 0;
        let mut state = self.lock();
        while !state.ended {
            quiet = if state.running.is_empty() {
                quiet + 1
            } else {
                0
            };
            state.sleeps = quiet > QUIET_TICKS;
            state = if state.sleeps {
                self.changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(state, TICK);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
            let now = Instant::now();
            for late in state
                .running
                .extract_if(.., |running| running.deadline <= now)
            {
                tracing::warn!("a prediction outlived its deadline and is interrupted");
                late.interrupt.interrupt();
            }
        }
    }
}
