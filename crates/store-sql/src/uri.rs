//! Addresses of databases as `SQLAlchemy` writes them: `sqlite:///relative.db`, `sqlite:////abs.db`,
//! `postgresql+psycopg2://user:p%40ss@host/name?sslmode=require`.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

use crate::password_file::password_for;

/// How long making a connection may take where the address does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When a system first looks whether the other side of a silent connection is there, unless told.
const SYSTEM_KEEPALIVE: Duration = Duration::from_hours(2);

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUri {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PostgresUri>),
}

/// A database of a PostgreSQL server, and how it is reached. Its debug form holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUri {
    config: Config,
    encryption: Encryption,
    root_certificates: Option<PathBuf>,
}

/// `sslmode`: whether connections are encrypted, and what is checked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// None.
    Disable,
    /// When the server offers it; the default.
    Prefer,
    /// Always; who signed the certificate is checked when `sslrootcert` is given.
    Require,
    /// Always, with a certificate that one of `sslrootcert`, or of the system, signed.
    VerifyCa,
    /// As before, and the certificate is for this host.
    VerifyFull,
}

/// Why an address is none of a database that can be used. The address itself is not told, because
/// it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A directory of runs, which is no database.
    #[error("a path is no database: it may be a directory of runs such as `./mlruns`")]
    Directory,
    /// Another database.
    #[error("databases of kind `{0}` are not supported")]
    Kind(String),
    /// No file name.
    #[error("the address of the SQLite database names no file")]
    NoFile,
    /// A database that would be gone with the process.
    #[error("SQLite databases in memory are not supported: they would not outlive the server")]
    InMemory,
    /// An argument behind the `?` that is not known.
    #[error("the argument `{0}` of the database's address is not supported")]
    Argument(String),
    /// A part that cannot be read.
    #[error("the address of the PostgreSQL database cannot be read: {0}")]
    Postgres(String),
}

impl UriError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Kind(_) => "give `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`",
            Self::Directory => {
                "bring the directory into a database with `mlrs import-filestore DIR`, and give that: `sqlite:///mlflow.db`"
            }
            Self::Argument(_) | Self::Postgres(_) => {
                "write it as `postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=require`, with percent codes for special characters of the password"
            }
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
        // Python's MLflow takes a path for its file store.
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(UriError::Directory);
        };
        let kind = scheme.split_once('+').map_or(scheme, |(kind, _)| kind);
        match kind {
            "sqlite" => sqlite(rest),
            "postgresql" | "postgres" => postgres(rest),
            "file" => Err(UriError::Directory),
            path if path.contains('/') => Err(UriError::Directory),
            _ => Err(UriError::Kind(kind.chars().take(40).collect())),
        }
    }

    /// How the database is called where a person reads it; without a password.
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(uri) => uri.name(),
        }
    }
}

impl PostgresUri {
    /// Where to connect, and as whom.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What `sslmode` says.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// The file that `sslrootcert` names.
    pub fn root_certificates(&self) -> Option<&PathBuf> {
        self.root_certificates.as_ref()
    }

    /// Sets the password if the address has none, as the variable `PGPASSWORD` does.
    #[must_use]
    pub fn with_default_password(mut self, password: &str) -> Self {
        if self.config.get_password().is_none() {
            self.config.password(password);
        }
        self
    }

    /// Whether the address has a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same with the password that a file in the form of `~/.pgpass` has for this database.
    #[must_use]
    pub fn with_password_of_file(self, content: &str) -> Self {
        match password_for(&self.config, content) {
            Some(password) => self.with_default_password(&password),
            None => self,
        }
    }

    fn name(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => "localhost".to_owned(),
        };
        let database = self.config.get_dbname().or(self.config.get_user());
        format!("{host}/{}", database.unwrap_or_default())
    }
}

/// The driver reads what is not said here: it takes the form of the C library.
fn postgres(rest: &str) -> Result<DatabaseUri, UriError> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut encryption = Encryption::Prefer;
    let mut root_certificates = None;
    let mut others = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "sslmode" => encryption = ssl_mode(&value)?,
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => root_certificates = Some(PathBuf::from(value.as_ref())),
            // They change nothing here.
            "client_encoding" | "gssencmode" => {}
            _ => {
                others.append_pair(&name, &value);
            }
        }
    }
    // The driver knows percent codes only.
    let others = others.finish().replace('+', "%20");
    let separator = if others.is_empty() { "" } else { "?" };
    let mut config: Config = format!("postgresql:{place}{separator}{others}")
        .parse()
        .map_err(|error: tokio_postgres::Error| refused(&error))?;
    if config.get_hosts().is_empty() {
        config.host("localhost");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    keep_alive(&mut config);
    if config.get_application_name().is_none() {
        config.application_name("mlrs");
    }
    config.ssl_mode(match encryption {
        Encryption::Disable => SslMode::Disable,
        Encryption::Prefer => SslMode::Prefer,
        Encryption::Require | Encryption::VerifyCa | Encryption::VerifyFull => SslMode::Require,
    });
    Ok(DatabaseUri::Postgres(Box::new(PostgresUri {
        config,
        encryption,
        root_certificates,
    })))
}

/// Lets a connection end whose other side is gone, where the address does not say when: the system
/// would take two hours to find out.
fn keep_alive(config: &mut Config) {
    if config.get_keepalives_idle() == SYSTEM_KEEPALIVE {
        config.keepalives_idle(Duration::from_secs(30));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(10));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(3);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_mins(1));
    }
}

/// The driver's cause names the part, and holds no value.
fn refused(error: &tokio_postgres::Error) -> UriError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    UriError::Postgres(cause.unwrap_or_else(|| error.to_string()))
}

fn ssl_mode(text: &str) -> Result<Encryption, UriError> {
    match text {
        "disable" => Ok(Encryption::Disable),
        "allow" | "prefer" => Ok(Encryption::Prefer),
        "require" => Ok(Encryption::Require),
        "verify-ca" => Ok(Encryption::VerifyCa),
        "verify-full" => Ok(Encryption::VerifyFull),
        _ => Err(UriError::Argument("sslmode".to_owned())),
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

    fn parsed(text: &str) -> PostgresUri {
        match DatabaseUri::parse(text) {
            Ok(DatabaseUri::Postgres(uri)) => *uri,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn addresses_of_postgresql_are_those_of_sqlalchemy() {
        let uri = parsed(
            "postgresql+psycopg2://mlflow:p%40ss%2Fw%3Ard@db.example:6432/tracking?sslmode=verify-full&sslrootcert=/etc/ca.pem&application_name=a+b",
        );
        assert_eq!(uri.config.get_user(), Some("mlflow"));
        assert_eq!(uri.config.get_password(), Some(b"p@ss/w:rd".as_slice()));
        assert_eq!(uri.config.get_ports(), [6432]);
        assert_eq!(uri.config.get_application_name(), Some("a b"));
        assert_eq!(uri.encryption(), Encryption::VerifyFull);
        assert_eq!(uri.root_certificates(), Some(&PathBuf::from("/etc/ca.pem")));
        assert_eq!(uri.name(), "db.example/tracking");
        assert!(!format!("{uri:?}").contains("p@ss"));

        assert_eq!(uri.config.get_keepalives_idle(), Duration::from_secs(30));
        let told = parsed("postgresql://h/d?keepalives_idle=60&tcp_user_timeout=5");
        assert_eq!(told.config.get_keepalives_idle(), Duration::from_mins(1));
        assert_eq!(
            told.config.get_tcp_user_timeout(),
            Some(&Duration::from_secs(5))
        );

        let socket = parsed("postgresql:///tracking?host=/var/run/postgresql&user=mlflow");
        assert_eq!(
            socket.config.get_hosts(),
            [Host::Unix("/var/run/postgresql".into())]
        );
        assert_eq!(socket.config.get_dbname(), Some("tracking"));
        let given = parsed("postgres://u@h/d").with_default_password("secret");
        assert_eq!(given.config.get_password(), Some(b"secret".as_slice()));
    }

    #[test]
    fn wrong_addresses_of_postgresql_name_the_part() {
        for (text, part) in [
            ("postgresql://u:secret@h:port/d", "port"),
            ("postgresql://u:secret@h/d?sslmode=maybe", "sslmode"),
            (
                "postgresql://u:secret@h/d?sslpassword=secret",
                "sslpassword",
            ),
        ] {
            let refused = DatabaseUri::parse(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{text}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn other_addresses_are_refused_without_their_secrets() {
        for (text, error) in [
            ("./mlruns", UriError::Directory),
            ("mlruns", UriError::Directory),
            ("/srv/a:b", UriError::Directory),
            ("file:///srv/mlruns", UriError::Directory),
            ("", UriError::Directory),
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
