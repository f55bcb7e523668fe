//! How much `mlrs server` takes on.

use clap::Args;
use mlrs_tracking::TrackingSettings;

/// What requests may be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArguments {
    /// Bytes that the body of an API request may have, decompressed; more are answered with 413.
    /// Artifacts have no limit
    #[arg(
        long,
        default_value_t = TrackingSettings::default().body_bytes,
        env = "MLRS_BODY_LIMIT",
        value_name = "BYTES"
    )]
    pub(super) body_limit: usize,
    /// Bytes that the bodies of all API requests may have together; more are answered with 503
    #[arg(
        long,
        default_value_t = TrackingSettings::default().bytes_in_flight,
        env = "MLRS_BYTES_IN_FLIGHT",
        value_name = "BYTES"
    )]
    pub(super) bytes_in_flight: usize,
}
