//! Registries: what a client of one needs to know, and the errors of talking to it.
//!
//! The protocol is the OCI distribution specification's, spoken by `oci-client`. Plain HTTP is for
//! registries on this machine, and for those that the person who asks trusts so.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

use crate::reference::ImageName;

/// How long a registry may take to accept a connection, and to say something.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to talk to registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Whether registries on other machines are spoken to without TLS.
    pub plain_http: bool,
    /// Docker's `config.json`, which has credentials or the names of the programs that keep them.
    pub docker_config: Option<PathBuf>,
}

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The credentials for it cannot be read.
    #[error("cannot read the credentials for `{registry}`: {reason}")]
    Credentials {
        /// The registry.
        registry: String,
        /// What went wrong; never what a helper printed.
        reason: String,
    },
    /// It refused, or could not be reached.
    #[error("cannot {action} `{image}`")]
    Registry {
        /// What was to be done.
        action: &'static str,
        /// The image.
        image: String,
        /// Whether plain HTTP was spoken.
        plain_http: bool,
        /// What it said.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// Something of the image cannot be read or written here.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RegistryError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials { registry, .. } => {
                Some(format!("`docker login {registry}` once more"))
            }
            Self::File { source, .. } => crate::layer::disk_hint(source).map(str::to_owned),
            Self::Registry {
                source,
                plain_http,
                image,
                ..
            } => registry_hint(source, *plain_http, image),
        }
    }
}

fn registry_hint(error: &OciDistributionError, plain_http: bool, image: &str) -> Option<String> {
    let registry = image.split('/').next().unwrap_or(image);
    let text = match Kind::of(error) {
        Kind::Unauthorized => {
            format!("`docker login {registry}`, with an account that may do this")
        }
        Kind::Absent => "check the name, the tag and the platform".to_owned(),
        Kind::Away if plain_http => "check the registry's name and that it runs".to_owned(),
        Kind::Away => {
            "check the registry's name and that it runs; if it speaks plain HTTP, say --plain-http"
                .to_owned()
        }
        Kind::Refused => "ask those who run the registry; nothing was tagged".to_owned(),
        Kind::Other => return None,
    };
    Some(text)
}

/// What a failure comes to, whichever way the client tells of it.
enum Kind {
    Unauthorized,
    Absent,
    Away,
    Refused,
    Other,
}

impl Kind {
    fn of(error: &OciDistributionError) -> Self {
        use oci_client::errors::OciErrorCode::{
            Denied, ManifestUnknown, NameUnknown, Unauthorized,
        };
        match error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Self::Unauthorized,
            OciDistributionError::ImageManifestNotFoundError(_) => Self::Absent,
            OciDistributionError::ServerError { code, .. } => Self::of_status(*code),
            OciDistributionError::RequestError(error) => match error.status() {
                Some(status) => Self::of_status(status.as_u16()),
                None if error.is_connect() || error.is_timeout() => Self::Away,
                None => Self::Other,
            },
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|error| &error.code) {
                    Some(Unauthorized | Denied) => Self::Unauthorized,
                    Some(ManifestUnknown | NameUnknown) => Self::Absent,
                    _ => Self::Refused,
                }
            }
            _ => Self::Other,
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Unauthorized,
            404 => Self::Absent,
            _ => Self::Refused,
        }
    }
}

/// A client for the registry of one image.
pub(crate) struct Registry<'a> {
    pub(crate) client: Client,
    pub(crate) image: &'a ImageName,
    pub(crate) authentication: RegistryAuth,
    plain_http: bool,
}

impl<'a> Registry<'a> {
    /// Prepares to talk to it; nothing is sent.
    pub(crate) fn new(
        image: &'a ImageName,
        settings: &RegistrySettings,
    ) -> Result<Self, RegistryError> {
        let registry = image.registry();
        let plain_http = settings.plain_http || is_loopback(registry);
        let protocol = if plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        let client = Client::new(ClientConfig {
            protocol,
            use_monolithic_push: true,
            connect_timeout: Some(PATIENCE),
            read_timeout: Some(PATIENCE),
            user_agent: concat!("mlrs/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        Ok(Self {
            client,
            image,
            authentication: credentials(registry, settings)?,
            plain_http,
        })
    }

    /// Introduces itself.
    pub(crate) async fn log_in(
        &self,
        operation: RegistryOperation,
        action: &'static str,
    ) -> Result<(), RegistryError> {
        self.client
            .store_auth_if_needed(self.image.registry(), &self.authentication)
            .await;
        self.client
            .auth(self.image.reference(), &self.authentication, operation)
            .await
            .map_err(|error| self.failed(action)(error))?;
        Ok(())
    }

    /// Says what was being done when the registry refused.
    pub(crate) fn failed(
        &self,
        action: &'static str,
    ) -> impl Fn(OciDistributionError) -> RegistryError + use<> {
        let image = self.image.to_string();
        let plain_http = self.plain_http;
        move |source| RegistryError::Registry {
            action,
            image: image.clone(),
            plain_http,
            source: Box::new(source),
        }
    }
}

/// Whether a registry's host is this machine.
fn is_loopback(registry: &str) -> bool {
    let host = match registry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, _)) => address,
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What Docker's configuration has for a registry.
fn credentials(registry: &str, settings: &RegistrySettings) -> Result<RegistryAuth, RegistryError> {
    let Some(path) = settings
        .docker_config
        .as_ref()
        .filter(|path| path.is_file())
    else {
        return Ok(RegistryAuth::Anonymous);
    };
    let file = std::fs::File::open(path).map_err(|source| RegistryError::File {
        action: "read",
        path: path.clone(),
        source,
    })?;
    // Docker keeps those of its own registry under an address from its first days.
    let server = match registry {
        "index.docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    match docker_credential::get_credential_from_reader(file, server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => {
            Ok(RegistryAuth::Basic(name, password))
        }
        // The name that Docker gives to whoever has such a token.
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok(RegistryAuth::Basic("<token>".to_owned(), token))
        }
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            reason: match error {
                CredentialRetrievalError::HelperFailure { helper, .. } => {
                    format!("`{helper}` ended with an error")
                }
                error => format!("{error}, in `{}`", path.display()),
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for registry in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.1.2.3",
            "[::1]:5000",
        ] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in [
            "registry.example",
            "10.0.0.1:5000",
            "localhost.example",
            "[fe80::1]:5000",
        ] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    fn authentication(config: &str, registry: &str) -> Result<RegistryAuth, RegistryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let settings = RegistrySettings {
            docker_config: Some(path),
            ..RegistrySettings::default()
        };
        credentials(registry, &settings)
    }

    #[test]
    fn credentials_come_from_the_configuration_of_docker() {
        let config = r#"{"auths": {"registry.example": {"auth": "bmFtZTpzZWNyZXQ="}}}"#;
        assert_eq!(
            authentication(config, "registry.example").unwrap(),
            RegistryAuth::Basic("name".to_owned(), "secret".to_owned())
        );
        assert_eq!(
            authentication(config, "other.example").unwrap(),
            RegistryAuth::Anonymous
        );
    }

    #[test]
    fn a_helper_that_fails_is_named_and_its_words_are_not_repeated() {
        let config = r#"{"credHelpers": {"registry.example": "no-such-helper"}}"#;
        let error = authentication(config, "registry.example").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot read the credentials for `registry.example`")
        );
        assert_eq!(
            error.hint().unwrap(),
            "`docker login registry.example` once more"
        );
    }

    #[test]
    fn an_unreadable_configuration_is_an_error() {
        assert!(authentication("{", "registry.example").is_err());
    }
}
