//! Where a tracking server keeps things, as several commands take it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use mlrs_store_sql::DatabaseUri;

use crate::failure::hinted;

/// The database unless one is named.
const DEFAULT_DATABASE: &str = "sqlite:///mlflow.db";

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArguments {
    /// The database of experiments, runs and models; one that MLflow made is used in place
    #[arg(
        long,
        default_value = DEFAULT_DATABASE,
        env = "MLFLOW_BACKEND_STORE_URI",
        hide_env_values = true,
        value_name = "URI"
    )]
    pub(crate) backend_store_uri: String,
}

impl DatabaseArguments {
    /// The database.
    pub(crate) fn uri(&self) -> anyhow::Result<DatabaseUri> {
        // A variable that is set to nothing names none.
        match self.backend_store_uri.as_str() {
            "" => uri(DEFAULT_DATABASE),
            named => uri(named),
        }
    }

    /// Whether no database is named, and the one by default is not there yet.
    pub(crate) fn is_new_by_default(&self) -> bool {
        matches!(self.backend_store_uri.as_str(), "" | DEFAULT_DATABASE)
            && !Path::new("mlflow.db").exists()
    }
}

/// The database of an address; a password may come from where PostgreSQL's own programs take it: the
/// variable `PGPASSWORD`, the file that `PGPASSFILE` names, or `~/.pgpass`.
pub(crate) fn uri(text: &str) -> anyhow::Result<DatabaseUri> {
    let uri = match DatabaseUri::parse(text)? {
        DatabaseUri::Postgres(uri) if !uri.has_password() => uri,
        other => return Ok(other),
    };
    let uri = match std::env::var("PGPASSWORD") {
        Ok(password) => uri.with_default_password(&password),
        Err(_) => match password_file()? {
            Some(content) => uri.with_password_of_file(&content),
            None => *uri,
        },
    };
    Ok(DatabaseUri::Postgres(Box::new(uri)))
}

/// The text of the password file; none when there is none. One that others may read is refused, as
/// PostgreSQL's programs pass over it.
fn password_file() -> anyhow::Result<Option<String>> {
    let named = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass"));
    let Some(path) = named.clone().or_else(home) else {
        return Ok(None);
    };
    let content = match std::fs::read_to_string(&path) {
        Ok(content) => content,
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!(
                "the password file `{}` cannot be read",
                path.display()
            )));
        }
    };
    if is_open_to_others(&path) {
        return Err(hinted(
            format!("others may read the password file `{}`", path.display()),
            format!("change that: chmod 600 {}", path.display()),
        ));
    }
    Ok(Some(content))
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_path: &Path) -> bool {
    false
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
