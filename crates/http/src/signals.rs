//! Signals that end a server: `SIGTERM`, as orchestrators send it, and `SIGINT`, as Ctrl-C does.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for `SIGTERM` or `SIGINT`; the future gives the signal's name.
///
/// The handlers are installed by the call, not by the first poll, so that a signal that arrives
/// while a model loads is not lost.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
