//! Where a served model comes from: an image that holds it, or a URI that pods fetch it from.

use super::SettingsError;
use crate::names::{ImageReference, ObjectName};

/// Where a served model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// It is inside an image, as `mlrs image build` makes one.
    Image(ImageReference),
    /// It is fetched when a pod starts.
    Fetched(FetchedModel),
}

/// A model that a pod fetches before it serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedModel {
    /// A URI such as `models:/iris/3`.
    pub uri: String,
    /// An image of mlrs.
    pub runtime_image: ImageReference,
    /// The server to ask, if it is not in the Secret.
    pub tracking_uri: Option<String>,
    /// A Secret with the variables for that server and for the store of the files.
    pub credentials_secret: Option<ObjectName>,
}

impl FetchedModel {
    /// Whether the URI is a stage, an alias or the latest version, and may name another one tomorrow.
    pub(super) fn may_move(&self) -> bool {
        let Some(name) = self.uri.strip_prefix("models:/") else {
            return false;
        };
        let name = name.trim_start_matches('/');
        name.contains('@')
            || name
                .split_once('/')
                .is_some_and(|(_, version)| !version.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl Model {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let Self::Fetched(fetched) = self else {
            return Ok(());
        };
        // The other errors show the URI.
        if holds_credentials(&fetched.uri) {
            let what = "model's URI";
            return Err(SettingsError::CredentialsInUri { what });
        }
        if fetched
            .tracking_uri
            .as_deref()
            .is_some_and(holds_credentials)
        {
            let what = "tracking URI";
            return Err(SettingsError::CredentialsInUri { what });
        }
        if !fetched.uri.contains(":/") || fetched.uri.starts_with("file:") {
            return Err(SettingsError::LocalModel(fetched.uri.clone()));
        }
        let needs_server = ["models:/", "runs:/", "mlflow-artifacts:/"]
            .iter()
            .any(|scheme| fetched.uri.starts_with(scheme));
        if needs_server && fetched.tracking_uri.is_none() && fetched.credentials_secret.is_none() {
            return Err(SettingsError::NoServer(fetched.uri.clone()));
        }
        Ok(())
    }

    /// The image of the server.
    pub fn image(&self) -> &ImageReference {
        match self {
            Self::Image(image) => image,
            Self::Fetched(fetched) => &fetched.runtime_image,
        }
    }
}

/// Keys of a URI's query whose values let in whoever has them.
const SECRET_KEYS: [&str; 17] = [
    "access_key",
    "access_token",
    "api_key",
    "api-key",
    "apikey",
    "code",
    "key",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Whether there is a user, or a signature, in a URI.
pub(super) fn holds_credentials(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    // The containers of Azure stand where elsewhere users do.
    let is_azure = ["abfs", "abfss", "wasb", "wasbs"].contains(&scheme);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let query = rest
        .split_once('?')
        .map(|(_, query)| query.to_ascii_lowercase());
    user.is_some_and(|user| !is_azure || user.contains(':'))
        || query.is_some_and(|query| {
            query.split('&').any(|pair| {
                let key = pair.split('=').next().unwrap_or_default();
                SECRET_KEYS.contains(&key)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_refused_before_a_uri_is_shown() {
        for uri in ["models://me:hush@host/iris", "file://me:hush@host/iris"] {
            let model = Model::Fetched(FetchedModel {
                uri: uri.to_owned(),
                runtime_image: "mlrs:0.1".parse().unwrap(),
                tracking_uri: None,
                credentials_secret: None,
            });
            let what = "model's URI";
            assert_eq!(model.check(), Err(SettingsError::CredentialsInUri { what }));
        }
    }

    #[test]
    fn uris_hold_no_credentials() {
        for good in [
            "models:/iris@champion",
            "runs:/0123/model",
            "s3://bucket/iris",
            "abfss://box@account.dfs.core.windows.net/iris",
            "https://host/api?version=1",
        ] {
            assert!(!holds_credentials(good), "{good}");
        }
        for bad in [
            "https://me:hush@host",
            "https://token@host/x",
            "abfss://box:key@account/iris",
            "https://host/x?sv=1&sig=hush",
            "https://host/x?X-Goog-Signature=hush",
            "https://host/x?X-Amz-Security-Token=hush",
            "https://host/x?api_key=hush",
            "https://host/x?version=1&key=hush",
            "https://host/x?code=hush#top",
        ] {
            assert!(holds_credentials(bad), "{bad}");
        }
    }
}
