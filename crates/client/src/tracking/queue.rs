//! What a run wants to have logged, between the program and the thread that sends it.
//!
//! Bounded: a program that logs faster than the server takes it waits. What is asked of the thread
//! beside that, to flush and to end the run, always has room.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mlrs_api::enums::RunStatus;
use tokio::sync::{Notify, oneshot, watch};

use super::TrackingError;
use super::batch::{Batch, MOST_VALUES, Value};

/// Most bytes that may wait. Texts of values may be long, and memory is not what tracking is for.
const MOST_BYTES: usize = 64 << 20;

/// Who waits for an answer of the thread.
pub(super) type Reply = oneshot::Sender<Result<(), TrackingError>>;
/// The answer of the thread.
pub(super) type Answer = oneshot::Receiver<Result<(), TrackingError>>;

/// What the thread is to do next.
pub(super) enum Work {
    /// Send these values, and say so with [`Queue::sent`]: how many places of the queue they were.
    Send(Vec<Value>, u64),
    /// Everything from before has been sent.
    Flushed(Vec<Reply>),
    /// End the run.
    Finish(RunStatus, Option<Reply>),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    delay: Duration,
    state: Mutex<State>,
    /// There is something for the thread to do.
    work: Notify,
    /// There is room again, or the thread has ended.
    room: Condvar,
    /// When the thread must end; none before somebody is in a hurry.
    deadline: watch::Sender<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Value>,
    /// How large they are in a request.
    bytes: usize,
    /// Since when the oldest of them waits.
    since: Option<Instant>,
    /// Somebody waits for room.
    is_waited_for: bool,
    pushed: u64,
    sent: u64,
    flushes: Vec<(u64, Reply)>,
    finish: Option<(RunStatus, Option<Reply>)>,
    is_finishing: bool,
    has_ended: bool,
}

impl Queue {
    /// An empty queue for `capacity` values, the oldest of which waits at most about `delay`.
    pub(super) fn new(capacity: usize, delay: Duration) -> Self {
        Self {
            capacity: capacity.max(1),
            delay,
            state: Mutex::default(),
            work: Notify::new(),
            room: Condvar::new(),
            deadline: watch::Sender::new(None),
        }
    }

    /// Nothing panics while it holds the lock, so what is behind it is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a value; waits while the queue is full. False when nobody sends any more.
    pub(super) fn push(&self, value: Value) -> bool {
        let mut state = self.lock();
        let bytes = value.bytes();
        while self.is_full(&state, bytes) && !state.has_ended {
            // What is in the queue need not wait for others to go with it.
            state.is_waited_for = true;
            self.work.notify_one();
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.has_ended {
            return false;
        }
        state.waiting.push_back(value);
        state.bytes += bytes;
        state.pushed += 1;
        state.since.get_or_insert_with(Instant::now);
        let count = state.waiting.len();
        drop(state);
        // In between, the thread knows when to look again.
        if count == 1 || count == MOST_VALUES {
            self.work.notify_one();
        }
        true
    }

    /// Whether a value of this size has to wait. An empty queue takes every value.
    fn is_full(&self, state: &State, bytes: usize) -> bool {
        let waiting = state.waiting.len();
        waiting >= self.capacity || (waiting > 0 && state.bytes + bytes > MOST_BYTES)
    }

    /// Asks for an answer when everything that is in the queue now has been sent.
    pub(super) fn flush(&self) -> Answer {
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        if !state.has_ended {
            let upto = state.pushed;
            state.flushes.push((upto, reply));
        }
        drop(state);
        self.work.notify_one();
        answer
    }

    /// Asks for the end of the run after everything that is in the queue; only the first time counts.
    pub(super) fn finish(&self, status: RunStatus, reply: Option<Reply>) {
        let mut state = self.lock();
        if !state.is_finishing {
            state.is_finishing = true;
            state.finish = Some((status, reply));
        }
        drop(state);
        self.work.notify_one();
    }

    /// Waits until the thread has ended, and gives it `patience` for that. Whether it has.
    pub(super) fn hurry(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.deadline.send_replace(Some(deadline));
        let mut state = self.lock();
        loop {
            // The thread stops at the deadline by itself, a moment later.
            let left = (deadline + GRACE).saturating_duration_since(Instant::now());
            if state.has_ended || left.is_zero() {
                return state.has_ended;
            }
            let waited = self.room.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is to be done next; waits for it.
    pub(super) async fn next(&self) -> Work {
        loop {
            let wait = match self.look() {
                Ok(work) => return work,
                Err(wait) => wait,
            };
            match wait {
                None => self.work.notified().await,
                Some(wait) => {
                    let _ = tokio::time::timeout(wait, self.work.notified()).await;
                }
            }
        }
    }

    /// What is to be done, or when to look again.
    fn look(&self) -> Result<Work, Option<Duration>> {
        let mut state = self.lock();
        let sent = state.sent;
        if state.flushes.iter().any(|(upto, _)| *upto <= sent) {
            let due = state.flushes.extract_if(.., |(upto, _)| *upto <= sent);
            return Ok(Work::Flushed(due.map(|(_, reply)| reply).collect()));
        }
        let Some(since) = state.since else {
            return match state.finish.take() {
                Some((status, reply)) => Ok(Work::Finish(status, reply)),
                None => Err(None),
            };
        };
        let is_urgent = state.waiting.len() >= MOST_VALUES
            || state.is_waited_for
            || state.is_finishing
            || !state.flushes.is_empty();
        let left = self.delay.saturating_sub(since.elapsed());
        if !is_urgent && !left.is_zero() {
            return Err(Some(left));
        }
        let mut batch = Batch::default();
        let mut places = 0;
        while let Some(value) = state.waiting.pop_front() {
            let bytes = value.bytes();
            if let Some(value) = batch.add(value) {
                state.waiting.push_front(value);
                break;
            }
            state.bytes -= bytes;
            places += 1;
        }
        if state.waiting.is_empty() {
            state.since = None;
        }
        // Who finds no room says so again.
        state.is_waited_for = false;
        drop(state);
        self.room.notify_all();
        Ok(Work::Send(batch.into_values(), places))
    }

    /// So many values have been sent, or given up.
    pub(super) fn sent(&self, places: u64) {
        self.lock().sent += places;
    }

    /// Returns when the thread must end.
    pub(super) async fn overdue(&self) {
        let mut deadline = self.deadline.subscribe();
        let known = deadline.wait_for(Option::is_some).await.map(|found| *found);
        match known {
            Ok(Some(deadline)) => tokio::time::sleep_until(deadline.into()).await,
            // The sender lives as long as this queue.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Nothing more will be sent; who waits is told. Returns how many values are left.
    pub(super) fn end(&self) -> usize {
        let mut state = self.lock();
        state.has_ended = true;
        state.flushes.clear();
        state.finish = None;
        let left = state.waiting.len();
        drop(state);
        self.room.notify_all();
        left
    }
}

/// How much longer than its deadline the thread may need to end.
const GRACE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use mlrs_api::Tag;

    use super::*;

    fn tag(length: usize) -> Value {
        Value::Tag(Tag::new("k", "x".repeat(length)))
    }

    #[tokio::test]
    async fn long_texts_fill_a_queue_that_has_room_for_more_values() {
        let queue = Queue::new(10_000, Duration::ZERO);
        let megabyte = 1 << 20;
        for _ in 0..63 {
            assert!(!queue.is_full(&queue.lock(), megabyte));
            queue.push(tag(megabyte));
        }
        assert!(queue.is_full(&queue.lock(), megabyte));
        let Work::Send(_, places) = queue.next().await else {
            panic!("there is something to send");
        };
        assert!(places >= 1);
        assert!(!queue.is_full(&queue.lock(), megabyte));
        while queue.look().is_ok() {}
        assert_eq!(queue.lock().bytes, 0);
    }

    #[test]
    fn a_value_that_is_larger_than_the_queue_goes_alone() {
        let queue = Queue::new(10, Duration::ZERO);
        assert!(!queue.is_full(&queue.lock(), 2 * MOST_BYTES));
        queue.push(tag(1));
        assert!(queue.is_full(&queue.lock(), 2 * MOST_BYTES));
    }
}
