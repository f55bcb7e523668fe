//! Which lifecycle stages a list has: MLflow's `--view`.

use clap::ValueEnum;
use mlrs_client::tracking::ViewType;

/// Deleted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum View {
    /// What is not deleted
    ActiveOnly,
    /// What is deleted and can be restored
    DeletedOnly,
    /// Both
    All,
}

impl From<View> for ViewType {
    fn from(view: View) -> Self {
        match view {
            View::ActiveOnly => Self::ActiveOnly,
            View::DeletedOnly => Self::DeletedOnly,
            View::All => Self::All,
        }
    }
}
