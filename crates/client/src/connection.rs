//! Where the servers are and how to talk to them: MLflow's variables as a value.
//!
//! [`ConnectionSettings::from_variables`] takes a lookup function, so that only the command line
//! reads the environment. Defaults and accepted values are those of MLflow 3.17. Credentials are
//! taken out of addresses and bound to the host they belong to.

use std::time::Duration;

use mlrs_artifacts::{
    CloudSettings, Credentials, HostCredentials, RetrySettings, TransportSettings, without_secrets,
};
use url::Url;

use crate::credentials_file::FileCredentials;
use crate::variables as names;

/// Largest number of retries that MLflow accepts.
const MAX_RETRIES_LIMIT: u32 = 10;
/// Largest backoff factor that MLflow accepts.
const MAX_BACKOFF_FACTOR: u32 = 120;

/// What stands where the address of a server is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUri {
    /// A server; user name and password are taken out.
    Http(Url),
    /// Nothing is set; MLflow would use a local database.
    Unset,
    /// A database, a folder or a product that this client does not talk to; without secrets.
    Other(String),
}

impl ServerUri {
    /// The address, if it is one of a server.
    pub fn address(&self) -> Option<&Url> {
        match self {
            Self::Http(address) => Some(address),
            Self::Unset | Self::Other(_) => None,
        }
    }
}

/// Everything needed to reach servers and stores.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// The tracking server: runs, logged models, proxied artifacts.
    pub tracking: ServerUri,
    /// The model registry: registered models and their versions.
    pub registry: ServerUri,
    /// Credentials, TLS, time limits and retries.
    pub transport: TransportSettings,
    /// Credentials and addresses of object stores.
    pub cloud: CloudSettings,
}

/// A variable has a value that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The value does not have the form that the variable needs.
    #[error("the variable `{name}` must be {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// What its value must be.
        expected: String,
    },
    /// The feature behind the variable is not there.
    #[error("`{name}` is set, and this client does not support it")]
    Unsupported {
        /// The variable.
        name: &'static str,
    },
    /// Two variables exclude each other.
    #[error("`{0}` and `{1}` exclude each other")]
    Conflict(&'static str, &'static str),
    /// `~/.mlflow/credentials` is there but cannot be read.
    #[error("cannot read `.mlflow/credentials` in the home folder")]
    CredentialsFile(#[source] std::io::Error),
}

impl SettingsError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { .. } => Some(
                "use MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl ConnectionSettings {
    /// Settings for a server at this address, everything else as MLflow's defaults.
    ///
    /// # Errors
    /// When the address is `http(s)` but not a valid URL.
    pub fn for_server(address: &str) -> Result<Self, SettingsError> {
        Self::from_variables(|name| {
            (name == names::MLFLOW_TRACKING_URI).then(|| address.to_owned())
        })
    }

    /// Asks `variable` for the value of each variable that matters; an empty value counts as not
    /// set.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let set = Lookup(|name: &str| variable(name).filter(|value| !value.is_empty()));
        if set.get(names::MLFLOW_TRACKING_AUTH).is_some() {
            return Err(SettingsError::Unsupported {
                name: names::MLFLOW_TRACKING_AUTH,
            });
        }
        if set.boolean(names::MLFLOW_TRACKING_AWS_SIGV4, false)? {
            return Err(SettingsError::Unsupported {
                name: names::MLFLOW_TRACKING_AWS_SIGV4,
            });
        }
        let mut transport = transport(&set)?;
        let common = common_credentials(&set)?;
        let mut server = |name| {
            let Some(text) = set.get(name) else {
                return Ok(ServerUri::Unset);
            };
            let (server, known) = server(name, &text, common.as_ref())?;
            if let Some(known) = known
                && transport
                    .credentials
                    .iter()
                    .all(|other| (&other.host, other.port) != (&known.host, known.port))
            {
                transport.credentials.push(known);
            }
            Ok(server)
        };
        let tracking = server(names::MLFLOW_TRACKING_URI)?;
        let registry = match server(names::MLFLOW_REGISTRY_URI)? {
            ServerUri::Unset => tracking.clone(),
            other => other,
        };
        Ok(Self {
            tracking,
            registry,
            transport,
            cloud: CloudSettings::from_variables(&variable),
        })
    }
}

/// How requests are sent, without credentials.
fn transport(
    set: &Lookup<impl Fn(&str) -> Option<String>>,
) -> Result<TransportSettings, SettingsError> {
    let defaults = TransportSettings::default();
    let settings = TransportSettings {
        credentials: Vec::new(),
        insecure_tls: set.boolean(names::MLFLOW_TRACKING_INSECURE_TLS, false)?,
        server_certificates: set
            .get(names::MLFLOW_TRACKING_SERVER_CERT_PATH)
            .map(Into::into),
        client_certificate: set
            .get(names::MLFLOW_TRACKING_CLIENT_CERT_PATH)
            .map(Into::into),
        timeout: Duration::from_secs(
            set.integer(names::MLFLOW_HTTP_REQUEST_TIMEOUT, 120, 1..=86_400)?
                .into(),
        ),
        retry: RetrySettings {
            max_retries: set.integer(
                names::MLFLOW_HTTP_REQUEST_MAX_RETRIES,
                7,
                0..=MAX_RETRIES_LIMIT,
            )?,
            backoff_factor: set
                .integer(
                    names::MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
                    2,
                    0..=MAX_BACKOFF_FACTOR,
                )?
                .into(),
            backoff_jitter: set.seconds(names::MLFLOW_HTTP_REQUEST_BACKOFF_JITTER, 1.0)?,
            respect_retry_after: set
                .boolean(names::MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER, true)?,
        },
        workspace: set.get(names::MLFLOW_WORKSPACE),
        follow_redirects: set.boolean(
            names::MLFLOW_ALLOW_HTTP_REDIRECTS,
            defaults.follow_redirects,
        )?,
    };
    if settings.insecure_tls && settings.server_certificates.is_some() {
        return Err(SettingsError::Conflict(
            names::MLFLOW_TRACKING_INSECURE_TLS,
            names::MLFLOW_TRACKING_SERVER_CERT_PATH,
        ));
    }
    Ok(settings)
}

/// The credentials from variables and from the file; a pair of name and password comes first.
fn common_credentials(
    set: &Lookup<impl Fn(&str) -> Option<String>>,
) -> Result<Option<Credentials>, SettingsError> {
    let file = match set.get(names::HOME) {
        Some(home) => {
            FileCredentials::read(home.as_ref()).map_err(SettingsError::CredentialsFile)?
        }
        None => FileCredentials::default(),
    };
    let username = set.get(names::MLFLOW_TRACKING_USERNAME).or(file.username);
    let password = set.get(names::MLFLOW_TRACKING_PASSWORD).or(file.password);
    Ok(match (username, password) {
        (Some(username), Some(password)) => Some(Credentials::Basic { username, password }),
        _ => set
            .get(names::MLFLOW_TRACKING_TOKEN)
            .map(|token| Credentials::Bearer { token }),
    })
}

/// The server that a text means, and what to send it. User and password in the address win over
/// the variables, as in Python's `requests`.
fn server(
    name: &'static str,
    text: &str,
    common: Option<&Credentials>,
) -> Result<(ServerUri, Option<HostCredentials>), SettingsError> {
    let lower = text.trim().to_ascii_lowercase();
    if !(lower.starts_with("http://") || lower.starts_with("https://")) {
        return Ok((ServerUri::Other(without_secrets(text)), None));
    }
    let malformed = || SettingsError::Value {
        name,
        expected: "a valid URL, such as `http://host:5000`".into(),
    };
    let mut address = Url::parse(text.trim()).map_err(|_| malformed())?;
    let host = address.host_str().ok_or_else(malformed)?.to_owned();
    let port = address.port_or_known_default().ok_or_else(malformed)?;
    let mut credentials = common.cloned();
    if !address.username().is_empty() {
        let decode = |text: &str| {
            url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        credentials = Some(Credentials::Basic {
            username: decode(address.username()),
            password: decode(address.password().unwrap_or_default()),
        });
        address.set_username("").map_err(|()| malformed())?;
        address.set_password(None).map_err(|()| malformed())?;
    }
    address.set_query(None);
    address.set_fragment(None);
    let only_encrypted = address.scheme() == "https";
    let known = credentials.map(|credentials| HostCredentials {
        host,
        port,
        only_encrypted,
        credentials,
    });
    Ok((ServerUri::Http(address), known))
}

/// Typed reading of variables.
struct Lookup<F>(F);

impl<F: Fn(&str) -> Option<String>> Lookup<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn boolean(&self, name: &'static str, default: bool) -> Result<bool, SettingsError> {
        match self.get(name).map(|value| value.to_lowercase()).as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(SettingsError::Value {
                name,
                expected: "one of true, false, 1, 0".into(),
            }),
        }
    }

    fn integer(
        &self,
        name: &'static str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, SettingsError> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        text.trim()
            .parse()
            .ok()
            .filter(|value| range.contains(value))
            .ok_or_else(|| {
                let expected = format!("an integer from {} to {}", range.start(), range.end());
                SettingsError::Value { name, expected }
            })
    }

    fn seconds(&self, name: &'static str, default: f64) -> Result<f64, SettingsError> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        text.trim()
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite() && *value >= 0.0)
            .ok_or_else(|| SettingsError::Value {
                name,
                expected: "a number of seconds".into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<ConnectionSettings, SettingsError> {
        ConnectionSettings::from_variables(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_defaults_are_those_of_mlflow() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.tracking, ServerUri::Unset);
        assert_eq!(settings.transport, TransportSettings::default());
        assert_eq!(settings.transport.timeout.as_secs(), 120);
        assert_eq!(settings.transport.retry.max_retries, 7);
    }

    #[test]
    fn credentials_in_the_address_are_taken_out_and_win() {
        let settings = settings(&[
            (
                "MLFLOW_TRACKING_URI",
                "https://anna:p%40ss+1@host/prefix/?x=1",
            ),
            ("MLFLOW_TRACKING_TOKEN", "token"),
            ("MLFLOW_REGISTRY_URI", "http://registry:5000"),
        ])
        .unwrap();
        assert_eq!(
            settings.tracking.address().unwrap().as_str(),
            "https://host/prefix/"
        );
        assert_eq!(
            settings.registry.address().unwrap().as_str(),
            "http://registry:5000/"
        );
        let basic = Credentials::Basic {
            username: "anna".into(),
            password: "p@ss+1".into(),
        };
        assert_eq!(settings.transport.credentials[0].credentials, basic);
        assert!(settings.transport.credentials[0].only_encrypted);
        let bearer = Credentials::Bearer {
            token: "token".into(),
        };
        assert_eq!(settings.transport.credentials[1].credentials, bearer);
        assert!(!format!("{settings:?}").contains("p@ss"));
    }

    #[test]
    fn a_name_and_password_come_before_a_token() {
        let found = settings(&[
            ("MLFLOW_TRACKING_URI", "http://host"),
            ("MLFLOW_TRACKING_USERNAME", "anna"),
            ("MLFLOW_TRACKING_PASSWORD", "p"),
            ("MLFLOW_TRACKING_TOKEN", "t"),
        ])
        .unwrap();
        assert!(matches!(
            found.transport.credentials[0].credentials,
            Credentials::Basic { .. }
        ));
    }

    #[test]
    fn what_is_no_server_is_kept_without_its_secrets() {
        for (uri, shown) in [
            ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
            (
                "postgresql://u:geheim@db/x?sslpassword=geheim",
                "postgresql://db/x",
            ),
            ("databricks", "databricks"),
            ("./mlruns", "./mlruns"),
        ] {
            let settings = settings(&[("MLFLOW_TRACKING_URI", uri)]).unwrap();
            assert_eq!(settings.tracking, ServerUri::Other(shown.into()));
        }
    }

    #[test]
    fn bad_values_name_their_variable_but_not_their_content() {
        for (name, value) in [
            ("MLFLOW_TRACKING_URI", "http://"),
            ("MLFLOW_TRACKING_URI", "http://user:geheim@:x"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "11"),
            ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "-1"),
            ("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "inf"),
            ("MLFLOW_TRACKING_INSECURE_TLS", "maybe"),
            ("MLFLOW_TRACKING_AUTH", "kubernetes"),
            ("MLFLOW_TRACKING_AWS_SIGV4", "true"),
        ] {
            let error = settings(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("geheim"), "{error}");
        }
        let both = [
            ("MLFLOW_TRACKING_INSECURE_TLS", "1"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca.pem"),
        ];
        assert!(matches!(settings(&both), Err(SettingsError::Conflict(..))));
    }

    #[test]
    fn the_credentials_file_fills_in_what_variables_leave_open() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".mlflow")).unwrap();
        std::fs::write(
            home.path().join(".mlflow/credentials"),
            "[mlflow]\nmlflow_tracking_username = file\nmlflow_tracking_password = secret\n",
        )
        .unwrap();
        let found = settings(&[
            ("HOME", home.path().to_str().unwrap()),
            ("MLFLOW_TRACKING_URI", "http://host"),
            ("MLFLOW_TRACKING_USERNAME", "anna"),
        ])
        .unwrap();
        let basic = Credentials::Basic {
            username: "anna".into(),
            password: "secret".into(),
        };
        assert_eq!(found.transport.credentials[0].credentials, basic);
    }
}
