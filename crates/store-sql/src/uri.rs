//! Addresses of databases as `SQLAlchemy` writes them: `sqlite:///relative.db`, `sqlite:////abs.db`,
//! `postgresql+psycopg2://user:p%40ss@host/name?sslmode=require`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUri {
    /// A file of SQLite.
    Sqlite(PathBuf),
}

/// Why an address is none of a database that can be used. The address itself is not told, because
/// it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another database.
    #[error("databases of kind `{0}` are not supported")]
    Kind(String),
    /// No file name.
    #[error("the address of the SQLite database names no file")]
    NoFile,
    /// A database that would be gone with the process.
    #[error("SQLite databases in memory are not supported: they would not outlive the server")]
    InMemory,
}

impl UriError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Kind(_) => "give `sqlite:///FILE`",
            Self::NoFile | Self::InMemory => {
                "give a file: `sqlite:///mlflow.db` is in the working directory, `sqlite:////var/mlflow.db` elsewhere"
            }
        }
    }
}

impl DatabaseUri {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none of a database that can be used.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        let kind = scheme.split_once('+').map_or(scheme, |(kind, _)| kind);
        match kind {
            "sqlite" => sqlite(rest),
            _ => Err(UriError::Kind(kind.chars().take(40).collect())),
        }
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUri, UriError> {
    let rest = rest.split('?').next().unwrap_or_default();
    // `sqlite://` has an empty host; the path begins behind its slash.
    let path = match rest.strip_prefix("//") {
        Some("") => return Err(UriError::InMemory),
        Some(path) => path.strip_prefix('/').ok_or(UriError::NoFile)?,
        None => return Err(UriError::NoFile),
    };
    let path = percent_decode_str(path).decode_utf8_lossy();
    match path.as_ref() {
        "" => Err(UriError::NoFile),
        ":memory:" => Err(UriError::InMemory),
        path => Ok(DatabaseUri::Sqlite(PathBuf::from(path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_files_are_relative_or_absolute() {
        for (text, path) in [
            ("sqlite:///mlflow.db", "mlflow.db"),
            ("sqlite:////var/lib/mlflow.db", "/var/lib/mlflow.db"),
            ("sqlite+pysqlite:///a%20b.db?timeout=5", "a b.db"),
        ] {
            assert_eq!(
                DatabaseUri::parse(text),
                Ok(DatabaseUri::Sqlite(path.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn other_addresses_are_refused_without_their_secrets() {
        for (text, error) in [
            ("sqlite://", UriError::InMemory),
            ("sqlite:///:memory:", UriError::InMemory),
            ("sqlite:///", UriError::NoFile),
            ("sqlite:x.db", UriError::NoFile),
            (
                "mssql+pyodbc://sa:secret@host/db",
                UriError::Kind("mssql".to_owned()),
            ),
        ] {
            let refused = DatabaseUri::parse(text).unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
