//! Progress bars on a terminal; nothing elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mlrs_client::Progress;

const BYTES: &str = "{msg:24} {bar:32} {bytes}/{total_bytes} {bytes_per_sec}";

/// A bar over bytes; hidden when standard error is no terminal.
pub(crate) fn bytes(label: &str) -> ProgressBar {
    bar(label, BYTES)
}

/// Bars over bytes, one for each part of an image, as they come.
pub(crate) fn image_parts() -> mlrs_image::Report {
    let all = MultiProgress::new();
    let bars: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    Arc::new(move |progress| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars
            .entry(progress.what.to_owned())
            .or_insert_with(|| all.add(bytes(progress.what)));
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
        if progress.done_bytes >= progress.total_bytes {
            bar.finish_and_clear();
        }
    })
}

/// A bar over things that are counted before.
pub(crate) fn items(label: &str, what: &str, total: u64) -> ProgressBar {
    let bar = bar(
        label,
        &format!("{{msg:24}} {{bar:32}} {{human_pos}}/{{human_len}} {what} {{per_sec}}"),
    );
    bar.set_length(total);
    bar
}

/// A bar over an amount that is not known before: a spinner with a count.
pub(crate) fn count(label: &str, what: &str) -> ProgressBar {
    bar(
        label,
        &format!("{{msg:24}} {{spinner}} {{human_pos}} {what} {{per_sec}}"),
    )
}

/// A line that says where something is, as often as it is told.
pub(crate) fn line(label: &str) -> ProgressBar {
    let bar = bar(label, "{prefix:24} {spinner} {msg}");
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// Moves a bar over bytes to where a transfer is.
pub(crate) fn advance(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.bytes_total.unwrap_or(progress.bytes_done));
    bar.set_position(progress.bytes_done);
}

/// A bar, and what moves it.
pub(crate) fn transfer(label: &str) -> (ProgressBar, impl Fn(Progress) + Send + Sync + use<>) {
    let bar = bytes(label);
    let shown = bar.clone();
    (bar, move |progress| advance(&shown, progress))
}

fn bar(label: &str, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0).with_message(label.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
