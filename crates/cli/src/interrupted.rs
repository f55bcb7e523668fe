//! Ctrl-C and its like, for commands that make files: nothing unfinished is left of them.
//!
//! Servers, and whoever waits for a container, end in their own ways.

use anyhow::Context as _;
use mlrs_mlmodel::staging::discard_unfinished;

use crate::connection::runtime;

/// From now on, a signal that ends the process removes what it has not finished.
pub(crate) fn leave_nothing() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let signal = {
        let _entered = runtime.enter();
        mlrs_http::signals::shutdown_signal()
            .context("the handlers of signals cannot be installed")?
    };
    std::thread::spawn(move || {
        // As a shell has it: 128 and the number of the signal.
        let status = match runtime.block_on(signal) {
            "SIGINT" => 130,
            _ => 143,
        };
        let _nothing_new = discard_unfinished();
        std::process::exit(status)
    });
    Ok(())
}
