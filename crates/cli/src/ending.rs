//! How a server ends: by a signal, by a second one, or because its time is up.
//!
//! A thread of its own waits for signals and for the time, so that nothing that hangs keeps the process
//! alive: a library that loads a model for ever, a prediction, a file system, a database. While a server
//! starts, its first signal ends it. Once it serves, the first signal tells it to end by itself, which
//! [`ServerSettings::drain`](mlrs_http::ServerSettings) bounds; the second signal ends it at once.

use std::time::Duration;

use anyhow::Context as _;
use mlrs_http::signals::Signals;
use mlrs_mlmodel::staging::discard_unfinished;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::runtime;
use crate::failure;

/// Time for a server to end after it has drained.
const AFTER_DRAIN: Duration = Duration::from_secs(1);

/// What the server tells the thread.
enum Told {
    /// A model is loaded and tried now, which may take so long.
    Loads(Duration),
    Serves(oneshot::Sender<&'static str>),
}

/// The thread that ends the process.
pub(crate) struct Ending(mpsc::UnboundedSender<Told>);

impl Ending {
    /// From now on signals end the process, and the limits of its phases.
    ///
    /// # Errors
    /// When the handlers of signals cannot be installed.
    pub(crate) fn watched(drain: Duration) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new().context("the handlers of signals cannot be installed")?
        };
        let (sender, told) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watch(signals, told, drain)))
            .context("no thread can be started")?;
        Ok(Self(sender))
    }

    /// From now on the model is loaded and tried; when that takes longer, the process ends.
    pub(crate) fn loads(&self, limit: Duration) {
        // The thread ends with the process.
        let _ = self.0.send(Told::Loads(limit));
    }

    /// From now on the server serves, and ends by itself on the first signal, whose name this gives.
    pub(crate) fn serves(self) -> impl Future<Output = &'static str> + Send {
        let (sender, signal) = oneshot::channel();
        let _ = self.0.send(Told::Serves(sender));
        async move {
            match signal.await {
                Ok(signal) => signal,
                // Without the thread there is nobody to say when.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

async fn watch(mut signals: Signals, mut told: mpsc::UnboundedReceiver<Told>, drain: Duration) {
    let mut limit = None;
    let mut end = Instant::now();
    let server = loop {
        tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "stopping: the server had not started");
                end_now(status_of(signal));
            }
            () = sleep_until(end), if limit.is_some() => too_late(limit.unwrap_or_default()),
            next = told.recv() => match next {
                Some(Told::Loads(time)) => {
                    limit = Some(time);
                    end = Instant::now() + time;
                }
                Some(Told::Serves(server)) => break Some(server),
                // It did not start, and is about to say why.
                None => break None,
            },
        }
    };
    let signal = signals.next().await;
    let Some(server) = server else {
        end_now(status_of(signal))
    };
    // A server that is gone has ended by itself.
    let _ = server.send(signal);
    tokio::select! {
        second = signals.next() => {
            tracing::warn!(signal = second, "a second signal: stopped at once");
            end_now(status_of(second))
        }
        () = sleep(drain + AFTER_DRAIN) => {
            tracing::warn!("what does not end in time is given up; stopped");
            end_now(0)
        }
    }
}

/// The status of a process that a signal ended, as a shell has it: 128 and the signal's number.
fn status_of(signal: &str) -> i32 {
    if signal == "SIGINT" { 130 } else { 143 }
}

fn too_late(limit: Duration) -> ! {
    let error = failure::hinted(
        format!(
            "the model did not load and answer its first request within {} s",
            limit.as_secs()
        ),
        "give it more time with `--load-timeout`, or look for what its example or its files wait for",
    );
    let _ = failure::report(&error);
    end_now(1)
}

/// Ends the process, whatever its threads do: libraries get no chance to wait for them.
pub(crate) fn end_now(status: i32) -> ! {
    let _nothing_new = discard_unfinished();
    // SAFETY: the function takes no pointers, does not return, and runs no code of this process.
    unsafe { libc::_exit(status) }
}
