//! Where a tracking server keeps things, as several commands take it.

use clap::Args;
use mlrs_store_sql::DatabaseUri;

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArguments {
    /// The database of experiments, runs and models; one that MLflow made is used in place
    #[arg(
        long,
        default_value = "sqlite:///mlflow.db",
        env = "MLFLOW_BACKEND_STORE_URI",
        value_name = "URI"
    )]
    pub(crate) backend_store_uri: String,
}

impl DatabaseArguments {
    /// The database.
    pub(crate) fn uri(&self) -> anyhow::Result<DatabaseUri> {
        uri(&self.backend_store_uri)
    }
}

/// The database of an address; a password may come from where PostgreSQL's own programs take it.
pub(crate) fn uri(text: &str) -> anyhow::Result<DatabaseUri> {
    Ok(match DatabaseUri::parse(text)? {
        DatabaseUri::Postgres(uri) => match std::env::var("PGPASSWORD") {
            Ok(password) => DatabaseUri::Postgres(Box::new(uri.with_default_password(&password))),
            Err(_) => DatabaseUri::Postgres(uri),
        },
        uri @ DatabaseUri::Sqlite(_) => uri,
    })
}

/// Which place for artifacts.
#[derive(Debug, Args)]
pub(crate) struct DestinationArguments {
    /// Where artifacts of `mlflow-artifacts:` are kept: a folder, or s3:, gs: or Azure
    #[arg(
        long,
        default_value = "./mlartifacts",
        env = "MLFLOW_ARTIFACTS_DESTINATION",
        value_name = "URI"
    )]
    pub(crate) artifacts_destination: String,
}
