//! Signals that end a server: `SIGTERM`, as orchestrators send it, and `SIGINT`, as Ctrl-C does.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that this process gets, one after the other.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers, so that a signal is not lost that comes before it is waited for.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal, and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits for `SIGTERM` or `SIGINT`; the future gives the signal's name.
///
/// The handlers are installed by the call, not by the first poll.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str> + Send> {
    let mut signals = Signals::new()?;
    Ok(async move { signals.next().await })
}
