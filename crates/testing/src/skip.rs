//! Saying that a test could not run here, so that nobody takes its silence for success.

use std::io::Write;

/// Names the file that [`skipped`] appends to. Runners capture what a passing test prints, so the
/// runner's summary is made from this file.
pub const SKIPPED_FILE: &str = "MLRS_SKIPPED_FILE";

/// Whether a test that cannot run counts as failed: `MLRS_REQUIRE_ALL=1`.
pub fn everything_required() -> bool {
    std::env::var_os("MLRS_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// Reports that `what` was not tested, and `why`. The caller returns afterwards.
///
/// # Panics
/// When everything is required: then the test has failed.
#[expect(clippy::print_stdout, reason = "runners show what a test prints")]
pub fn skipped(what: &str, why: &str) {
    let line = format!("SKIPPED: {what}: {}", why.replace('\n', " "));
    println!("{line}");
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        let opened = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        if let Ok(mut file) = opened {
            // One write, so that lines of tests that run at the same time stay whole.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
    assert!(!everything_required(), "{line}");
}
