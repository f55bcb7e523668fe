//! Who is asking: what Docker's configuration has for a registry, and what a token of it is good for.

use http_auth::ChallengeParser;
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use mlrs_mlmodel::disk::FileError;

use super::ask::limited;
use super::{RegistryError, RegistrySettings};
use crate::reference::ImageName;

/// What a helper says when it has nothing: a word of the protocol, not of one helper.
const NOTHING: &str = "credentials not found in native keychain";

/// An answer of an account server beyond this many bytes is not read.
const ANSWER_LIMIT: usize = 1 << 20;

/// What there is to show to a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing, or a name and a password.
    Known(RegistryAuth),
    /// A token that gets other tokens, from those registries that know such.
    Identity(String),
}

/// What Docker's configuration has for a registry.
pub(super) fn find(
    registry: &str,
    settings: &RegistrySettings,
) -> Result<Credentials, RegistryError> {
    let Some(path) = settings
        .docker_config
        .as_ref()
        .filter(|path| path.is_file())
    else {
        return Ok(Credentials::Known(RegistryAuth::Anonymous));
    };
    let file = std::fs::File::open(path).map_err(|source| {
        RegistryError::File(FileError {
            action: "read",
            path: path.clone(),
            source,
        })
    })?;
    // Docker keeps those of its own registry under an address from its first days.
    let server = match registry {
        "index.docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    match docker_credential::get_credential_from_reader(file, server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => {
            Ok(Credentials::Known(RegistryAuth::Basic(name, password)))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Credentials::Identity(token)),
        Err(error) if is_nothing(&error) => Ok(Credentials::Known(RegistryAuth::Anonymous)),
        Err(error) => Err(refused(
            registry,
            match error {
                CredentialRetrievalError::HelperFailure { helper, .. } => {
                    format!("`{helper}` ended with an error")
                }
                error => format!("{error}, in `{}`", path.display()),
            },
        )),
    }
}

fn is_nothing(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound => true,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. } => {
            [stdout, stderr].iter().any(|said| said.trim() == NOTHING)
        }
        _ => false,
    }
}

fn refused(registry: &str, reason: impl Into<String>) -> RegistryError {
    RegistryError::Credentials {
        registry: registry.to_owned(),
        reason: reason.into(),
    }
}

/// What the account server of a registry answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "token")]
    access_token: String,
}

/// Gets a token for one image with an identity token: OAuth 2.0's refresh token, as the token
/// specification of the distribution project describes it (`POST` with `grant_type=refresh_token`).
///
/// # Errors
/// When the registry takes no such token, or names a place for it where everybody can read it.
pub(super) async fn exchange(
    http: &reqwest::Client,
    origin: &str,
    image: &ImageName,
    operation: RegistryOperation,
    identity: &str,
    failed: impl Fn(OciDistributionError) -> RegistryError,
) -> Result<RegistryAuth, RegistryError> {
    let registry = image.registry();
    let answer = http.get(format!("{origin}/v2/")).send().await;
    let answer = answer.map_err(|error| failed(error.into()))?;
    if !answer.headers().contains_key(WWW_AUTHENTICATE) {
        return Ok(RegistryAuth::Anonymous);
    }
    let Some((realm, service)) = bearer(&answer) else {
        return Err(refused(registry, "it takes no identity tokens"));
    };
    let realm = Url::parse(&realm)
        .ok()
        .filter(|realm| realm.scheme() == "https" || origin.starts_with("http:"));
    let Some(realm) = realm else {
        return Err(refused(registry, "its account server does not speak TLS"));
    };
    let actions = match operation {
        RegistryOperation::Pull => "pull",
        RegistryOperation::Push => "pull,push",
    };
    let scope = format!("repository:{}:{actions}", image.reference().repository());
    // Forms are written as the queries of addresses are.
    let mut form = realm.clone();
    form.query_pairs_mut()
        .clear()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", &service)
        .append_pair("client_id", "mlrs")
        .append_pair("scope", &scope)
        .append_pair("refresh_token", identity);
    let answer = http
        .post(realm)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned())
        .send()
        .await
        .map_err(|error| failed(error.into()))?;
    match answer.status() {
        StatusCode::OK => {}
        status => {
            let reason = format!("the identity token was refused with status {status}");
            return Err(failed(OciDistributionError::AuthenticationFailure(reason)));
        }
    }
    let text = limited(answer, ANSWER_LIMIT).await.map_err(failed)?;
    match serde_json::from_slice::<Answer>(&text) {
        Ok(answer) => Ok(RegistryAuth::Bearer(answer.access_token)),
        Err(_) => Err(refused(
            registry,
            "its account server answers with no token",
        )),
    }
}

/// Where tokens are given out, and for what.
fn bearer(answer: &Response) -> Option<(String, String)> {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    challenges
        .filter_map(|header| header.to_str().ok())
        .flat_map(ChallengeParser::new)
        .flatten()
        .filter(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer"))
        .find_map(|challenge| {
            let value = |name: &str| {
                let mut parameters = challenge.params.iter();
                let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            Some((value("realm")?, value("service").unwrap_or_default()))
        })
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{body_string, header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::registry::check_push;

    fn settings(config: &str) -> (tempfile::TempDir, RegistrySettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let settings = RegistrySettings {
            docker_config: Some(path),
            ..RegistrySettings::default()
        };
        (folder, settings)
    }

    fn found(config: &str, registry: &str) -> Result<Credentials, RegistryError> {
        let (_folder, settings) = settings(config);
        find(registry, &settings)
    }

    #[test]
    fn credentials_come_from_the_configuration_of_docker() {
        let config = r#"{"auths": {"registry.example": {"auth": "bmFtZTpzZWNyZXQ="}}}"#;
        assert_eq!(
            found(config, "registry.example").unwrap(),
            Credentials::Known(RegistryAuth::Basic("name".to_owned(), "secret".to_owned()))
        );
        assert_eq!(
            found(config, "other.example").unwrap(),
            Credentials::Known(RegistryAuth::Anonymous)
        );
    }

    #[test]
    fn a_helper_that_fails_is_named_and_its_words_are_not_repeated() {
        let config = r#"{"credHelpers": {"registry.example": "no-such-helper"}}"#;
        let error = found(config, "registry.example").unwrap_err();
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
    fn a_helper_that_has_nothing_is_no_failure() {
        let failure = |stdout: &str| CredentialRetrievalError::HelperFailure {
            helper: "docker-credential-vault".to_owned(),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        assert!(is_nothing(&failure(
            "credentials not found in native keychain\n"
        )));
        assert!(!is_nothing(&failure("the keychain is locked\n")));
    }

    #[test]
    fn an_unreadable_configuration_is_an_error() {
        assert!(found("{", "registry.example").is_err());
    }

    /// A registry that gives a token for `identity`, and takes that alone.
    async fn with_accounts() -> MockServer {
        let server = MockServer::start().await;
        let challenge = format!(r#"Bearer realm="{}/token",service="tests""#, server.uri());
        let challenged = ResponseTemplate::new(401).insert_header("www-authenticate", challenge);
        let asked = "grant_type=refresh_token&service=tests&client_id=mlrs\
                     &scope=repository%3Ateam%2Firis%3Apull%2Cpush&refresh_token=identity";
        let begun = ResponseTemplate::new(202).insert_header("location", "/v2/team/iris/begun");
        let answer = serde_json::json!({"access_token": "access"});
        for mock in [
            Mock::given(method("POST"))
                .and(path("/token"))
                .and(body_string(asked))
                .respond_with(ResponseTemplate::new(200).set_body_json(answer)),
            Mock::given(method("POST"))
                .and(path("/v2/team/iris/blobs/uploads/"))
                .and(header("authorization", "Bearer access"))
                .respond_with(begun),
            Mock::given(method("DELETE"))
                .and(path("/v2/team/iris/begun"))
                .and(header("authorization", "Bearer access"))
                .respond_with(ResponseTemplate::new(204)),
            Mock::given(path("/v2/")).respond_with(challenged),
        ] {
            mock.mount(&server).await;
        }
        server
    }

    #[tokio::test]
    async fn an_identity_token_gets_another() {
        let server = with_accounts().await;
        let host = server.address().to_string();
        let image: ImageName = format!("{host}/team/iris:1").parse().unwrap();
        let config = |token: &str| {
            format!(r#"{{"auths": {{"{host}": {{"auth": "eDo=", "identitytoken": "{token}"}}}}}}"#)
        };
        let (_folder, right) = settings(&config("identity"));
        check_push(&image, &right).await.unwrap();
        let deleted = server.received_requests().await.unwrap();
        assert!(deleted.iter().any(|request| request.method == "DELETE"));
        let (_folder, wrong) = settings(&config("wrong"));
        let error = check_push(&image, &wrong).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot push `{host}/team/iris:1`")
        );
        assert_eq!(
            error.hint().unwrap(),
            format!("`docker login {host}`, with an account that may do this")
        );
    }

    #[tokio::test]
    async fn a_registry_without_such_tokens_is_not_shown_one() {
        let server = MockServer::start().await;
        let challenged = ResponseTemplate::new(401);
        let challenged = challenged.insert_header("www-authenticate", r#"Basic realm="tests""#);
        let challenged = Mock::given(path("/v2/")).respond_with(challenged);
        challenged.expect(1).mount(&server).await;
        let host = server.address().to_string();
        let image: ImageName = format!("{host}/iris:1").parse().unwrap();
        let config = format!(r#"{{"auths": {{"{host}": {{"identitytoken": "identity"}}}}}}"#);
        let (_folder, settings) = settings(&config);
        let error = check_push(&image, &settings).await.unwrap_err();
        assert!(
            error.to_string().ends_with("it takes no identity tokens"),
            "{error}"
        );
    }
}
