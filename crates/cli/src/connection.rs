//! Which servers to talk to, and a runtime to do it in.

use clap::Args;
use mlrs_client::ConnectionSettings;
use mlrs_client::tracking::{TrackingClient, TrackingError};
use mlrs_client::variables::MLFLOW_TRACKING_URI;

/// The server of a command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConnectionArguments {
    /// The tracking server.
    #[arg(
        long,
        value_name = "URI",
        global = true,
        help_heading = "Server",
        help = "The tracking server, such as http://host:5000 [default: MLFLOW_TRACKING_URI]"
    )]
    tracking_uri: Option<String>,
}

impl ConnectionArguments {
    /// Whether the command line names a server.
    pub(crate) fn is_given(&self) -> bool {
        self.tracking_uri.is_some()
    }

    /// What MLflow's variables say, and the server of the command line.
    ///
    /// # Errors
    /// When a variable has a value that cannot be used.
    pub(crate) fn settings(&self) -> anyhow::Result<ConnectionSettings> {
        Ok(ConnectionSettings::from_variables(|name| {
            let named = self.tracking_uri.clone();
            named
                .filter(|_| name == MLFLOW_TRACKING_URI)
                .or_else(|| std::env::var(name).ok())
        })?)
    }

    /// Runs what a command does with its server.
    ///
    /// # Errors
    /// When the settings cannot be used, or the command fails.
    pub(crate) fn run<T>(
        &self,
        command: impl AsyncFnOnce(TrackingClient) -> Result<T, TrackingError>,
    ) -> anyhow::Result<T> {
        let client = TrackingClient::new(self.settings()?)?;
        Ok(runtime()?.block_on(command(client))?)
    }
}

/// A runtime for one command.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
