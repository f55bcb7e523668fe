//! Logs: on standard error, for people or as JSON.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::failure::hinted;

/// How to log.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArguments {
    /// The form of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Human, env = "MLRS_LOG_FORMAT", value_name = "FORMAT")]
    log_format: LogFormat,
    /// What to log: a level, or `target=level` pairs (`debug` adds a line for each request)
    #[arg(long, default_value = "info", env = "MLRS_LOG", value_name = "FILTER")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line that people read.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging, of panics, too.
///
/// # Errors
/// When the filter is no filter.
pub(crate) fn start(arguments: &LogArguments) -> anyhow::Result<()> {
    let filter = filter(&arguments.log_level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let result = match arguments.log_format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
        LogFormat::Human => builder
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
    };
    result.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The filter that a text means. A word that is no level would be a target of which everything is
/// logged, and of all others nothing.
fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let is_known = |part: &str| {
        let part = part.trim();
        part.is_empty() || part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok()
    };
    let invalid = |reason: String| {
        hinted(
            format!("invalid filter of logs `{text}`: {reason}"),
            "set --log-level or MLRS_LOG to a level such as `info`, or to `target=level` pairs",
        )
    };
    if let Some(unknown) = text.split(',').find(|part| !is_known(part)) {
        return Err(invalid(format!("`{}` is no level", unknown.trim())));
    }
    EnvFilter::try_new(text).map_err(|error| invalid(error.to_string()))
}

/// A panic as a line of the log: where it was, and not its message, which may hold what a client
/// sent. Those of engines are caught and cost a batch or refuse a model.
fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(
        location = location.as_deref().unwrap_or("unknown"),
        thread = thread.name().unwrap_or("unnamed"),
        "a part of the program panicked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_levels_and_pairs() {
        for text in [
            "info",
            "WARN",
            "off",
            "mlrs_tracking=debug",
            "info,mlrs_http=trace",
            "",
            "mlrs[span]=debug",
        ] {
            assert!(filter(text).is_ok(), "{text}");
        }
        for text in ["a/b", "warning", "info,tracking", "a=b=c", "mlrs=loud"] {
            let error = filter(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
