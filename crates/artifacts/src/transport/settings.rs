//! What decides how requests are sent: credentials, TLS, time limits, retries.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::retry::RetrySettings;

/// A user name and password, or a token. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// HTTP Basic.
    Basic {
        /// The user.
        username: String,
        /// The secret.
        password: String,
    },
    /// `Authorization: Bearer …`
    Bearer {
        /// The secret.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer { .. } => "Bearer(…)",
        })
    }
}

/// Credentials and the host and port they are for: another port of a host is another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCredentials {
    /// Host name in lower case, without a port.
    pub host: String,
    /// Port, that of the scheme where the address has none.
    pub port: u16,
    /// Whether they may only travel inside TLS.
    pub only_encrypted: bool,
    /// What to send.
    pub credentials: Credentials,
}

/// Everything that decides how requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportSettings {
    /// Whom to send which credentials to.
    pub credentials: Vec<HostCredentials>,
    /// Accept any certificate.
    pub insecure_tls: bool,
    /// Certificates to trust instead of the system's; a PEM file or a folder of them.
    pub server_certificates: Option<PathBuf>,
    /// Client certificate and its key, in one PEM file.
    pub client_certificate: Option<PathBuf>,
    /// Longest silence while an answer is awaited and read; and longest time to connect, where that
    /// is less than five seconds.
    pub timeout: Duration,
    /// How persistent to be.
    pub retry: RetrySettings,
    /// Workspace to name in each request.
    pub workspace: Option<String>,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            credentials: Vec::new(),
            insecure_tls: false,
            server_certificates: None,
            client_certificate: None,
            timeout: Duration::from_mins(2),
            retry: RetrySettings::default(),
            workspace: None,
            follow_redirects: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let settings = TransportSettings {
            credentials: vec![HostCredentials {
                host: "h".into(),
                port: 80,
                only_encrypted: false,
                credentials: Credentials::Basic {
                    username: "anna".into(),
                    password: "geheim".into(),
                },
            }],
            ..TransportSettings::default()
        };
        let shown = format!(
            "{settings:?}{:?}",
            Credentials::Bearer {
                token: "geheim".into()
            }
        );
        assert!(
            !shown.contains("geheim") && !shown.contains("anna"),
            "{shown}"
        );
    }
}
