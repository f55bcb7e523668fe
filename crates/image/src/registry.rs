//! Registries: what a client of one needs to know, and the errors of talking to it.
//!
//! The protocol is the OCI distribution specification's, spoken by `oci-client`. Plain HTTP is for
//! registries on this machine, and for those that the person who asks trusts so by name.

mod ask;
mod credentials;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mlrs_mlmodel::disk::FileError;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

use crate::files::disk_hint;
use crate::reference::ImageName;
use credentials::Credentials;

const USER_AGENT: &str = concat!("mlrs/", env!("CARGO_PKG_VERSION"));

/// How to talk to registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// The registries on other machines that are spoken to without TLS: hosts, with their ports if they
    /// have one, as names of images begin with them.
    pub plain_http: BTreeSet<String>,
    /// Docker's `config.json`, which has credentials or the names of the programs that keep them.
    pub docker_config: Option<PathBuf>,
    /// How long a registry may take to accept a connection, and to say something. An upload may stand
    /// still for four times as long; a registry that has all of a part may take twenty times as long to
    /// put it where it belongs.
    pub patience: Duration,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            plain_http: BTreeSet::new(),
            docker_config: None,
            patience: Duration::from_secs(30),
        }
    }
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
        /// The registry's host.
        registry: String,
        /// Whether plain HTTP was spoken.
        plain_http: bool,
        /// What it said.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// It took nothing more of what it was sent.
    #[error("cannot push `{image}`: `{registry}` took nothing more for {} seconds", patience.as_secs_f64())]
    Stalled {
        /// The image.
        image: String,
        /// The registry's host.
        registry: String,
        /// How long was waited.
        patience: Duration,
    },
    /// Something of the image cannot be read or written here.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RegistryError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials { registry, .. } => Some(format!("{} once more", log_in(registry))),
            Self::File(error) => disk_hint(&error.source).map(str::to_owned),
            Self::Stalled { .. } => Some(
                "check the network and the registry's disk, and push again: parts that are there are not \
                 sent twice"
                    .to_owned(),
            ),
            Self::Registry {
                source,
                plain_http,
                registry,
                ..
            } => registry_hint(source, *plain_http, registry),
        }
    }
}

/// What gives Docker's configuration the credentials for a registry.
fn log_in(registry: &str) -> String {
    match registry {
        "index.docker.io" => "`docker login`".to_owned(),
        registry => format!("`docker login {registry}`"),
    }
}

fn registry_hint(error: &OciDistributionError, plain_http: bool, registry: &str) -> Option<String> {
    let text = match Kind::of(error) {
        Kind::Unauthorized => {
            format!("{}, with an account that may do this", log_in(registry))
        }
        Kind::Absent => "check the name, the tag and the platform".to_owned(),
        Kind::Away if plain_http => "check the registry's name and that it runs".to_owned(),
        Kind::Away => format!(
            "check the registry's name and that it runs; if it speaks plain HTTP, say --plain-http {registry}"
        ),
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
    /// For all but the content of parts.
    pub(crate) client: Client,
    /// For the content of parts. `reqwest` counts the time to an answer from the start of a request, so
    /// whoever sends much with this watches over it.
    pub(crate) uploads: Client,
    pub(crate) image: &'a ImageName,
    pub(crate) authentication: RegistryAuth,
    /// What this program asks itself, where the client has no question for it.
    http: reqwest::Client,
    /// The token that the registry gave, if it gives such.
    token: Option<String>,
    plain_http: bool,
}

impl<'a> Registry<'a> {
    /// Introduces itself.
    ///
    /// # Errors
    /// When there is no registry, or it refuses whoever asks. One that wants a name and a password with
    /// each question is not asked yet.
    pub(crate) async fn connect(
        image: &'a ImageName,
        settings: &RegistrySettings,
        operation: RegistryOperation,
        action: &'static str,
    ) -> Result<Self, RegistryError> {
        let host = image.registry();
        let plain_http = is_loopback(host) || settings.plain_http.contains(host);
        let failed = failure(image, plain_http, action);
        let client = |read_timeout| {
            Client::try_from(client_config(
                host,
                plain_http,
                settings.patience,
                read_timeout,
            ))
        };
        let http = http_client(host, settings.patience).map_err(|error| failed(error.into()))?;
        let mut registry = Self {
            client: client(Some(settings.patience)).map_err(&failed)?,
            uploads: client(None).map_err(&failed)?,
            image,
            authentication: RegistryAuth::Anonymous,
            http,
            token: None,
            plain_http,
        };
        registry.uploads.tokens = registry.client.tokens.clone();
        registry.authentication = match credentials::find(host, settings)? {
            Credentials::Known(known) => known,
            Credentials::Identity(identity) => {
                let (http, origin) = (&registry.http, registry.origin());
                credentials::exchange(http, &origin, image, operation, &identity, &failed).await?
            }
        };
        for client in [&registry.client, &registry.uploads] {
            client
                .store_auth_if_needed(host, &registry.authentication)
                .await;
        }
        let token = registry
            .client
            .auth(image.reference(), &registry.authentication, operation);
        registry.token = token.await.map_err(&failed)?;
        Ok(registry)
    }

    /// Says what was being done when the registry refused.
    pub(crate) fn failed(
        &self,
        action: &'static str,
    ) -> impl Fn(OciDistributionError) -> RegistryError + use<> {
        failure(self.image, self.plain_http, action)
    }

    fn origin(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        format!("{scheme}://{}", self.image.registry())
    }
}

/// Finds out whether an image can be pushed, before it is made.
///
/// # Errors
/// When the registry cannot be reached, or does not let this account push there.
pub async fn check_push(
    image: &ImageName,
    settings: &RegistrySettings,
) -> Result<(), RegistryError> {
    const ACTION: &str = "push";
    let registry = Registry::connect(image, settings, RegistryOperation::Push, ACTION).await?;
    registry.try_push().await.map_err(registry.failed(ACTION))
}

/// Says what was being done when the registry refused.
fn failure(
    image: &ImageName,
    plain_http: bool,
    action: &'static str,
) -> impl Fn(OciDistributionError) -> RegistryError + use<> {
    let registry = image.registry().to_owned();
    let image = image.to_string();
    move |source| RegistryError::Registry {
        action,
        image: image.clone(),
        registry: registry.clone(),
        plain_http,
        source: Box::new(source),
    }
}

fn client_config(
    host: &str,
    plain_http: bool,
    patience: Duration,
    read_timeout: Option<Duration>,
) -> ClientConfig {
    let protocol = if plain_http {
        ClientProtocol::Http
    } else {
        ClientProtocol::Https
    };
    // A proxy cannot reach this machine, and is not to see its passwords. The client takes those of the
    // system unless it is given one; this one is used for no host.
    let (proxy, no_proxy) = if is_loopback(host) {
        (Some("http://localhost"), Some("*,0.0.0.0/0,::/0"))
    } else {
        (None, None)
    };
    ClientConfig {
        protocol,
        use_monolithic_push: true,
        connect_timeout: Some(patience),
        read_timeout,
        http_proxy: proxy.map(str::to_owned),
        no_proxy: no_proxy.map(str::to_owned),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    }
}

fn http_client(host: &str, patience: Duration) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .connect_timeout(patience)
        .read_timeout(patience)
        .user_agent(USER_AGENT);
    if is_loopback(host) {
        builder.no_proxy().build()
    } else {
        builder.build()
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

    /// What is to be done when a registry refuses.
    fn hint_when_refused(name: &str) -> String {
        let failed = failure(&name.parse().unwrap(), false, "push");
        let source = OciDistributionError::ServerError {
            code: 401,
            url: String::new(),
            message: String::new(),
        };
        failed(source).hint().unwrap()
    }

    #[test]
    fn hints_name_the_registry_and_not_the_image() {
        assert_eq!(
            hint_when_refused("registry.example:5000/team/iris:3"),
            "`docker login registry.example:5000`, with an account that may do this"
        );
        assert_eq!(
            hint_when_refused("iris:3"),
            "`docker login`, with an account that may do this"
        );
    }

    #[tokio::test]
    async fn plain_http_is_for_the_registries_that_are_named() {
        let settings = RegistrySettings {
            plain_http: ["registry.invalid:5000".to_owned()].into(),
            patience: Duration::from_secs(1),
            ..RegistrySettings::default()
        };
        for (name, plain, hint) in [
            ("registry.invalid:5000/iris:1", true, None),
            (
                "registry.invalid/iris:1",
                false,
                Some("say --plain-http registry.invalid"),
            ),
            (
                "other.invalid:5000/iris:1",
                false,
                Some("say --plain-http other.invalid:5000"),
            ),
        ] {
            let name: ImageName = name.parse().unwrap();
            let error = check_push(&name, &settings).await.unwrap_err();
            let shown = error.hint().unwrap();
            assert_eq!(shown.split("; if it speaks plain HTTP, ").nth(1), hint);
            assert!(matches!(
                error,
                RegistryError::Registry { plain_http, .. } if plain_http == plain
            ));
        }
    }
}
