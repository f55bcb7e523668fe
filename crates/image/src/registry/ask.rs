//! What this program asks a registry itself: questions that the client has no word for, or whose answer
//! it would take however long it is.

use oci_client::Reference;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, AUTHORIZATION, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode};

use super::Registry;

/// A manifest beyond this many bytes is not read: twice what registries must take.
const MANIFEST_LIMIT: usize = 8 << 20;

impl Registry<'_> {
    /// The text of a manifest. Its digest has not been checked.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<Vec<u8>, OciDistributionError> {
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let repository = reference.repository();
        let url = format!("{}/v2/{repository}/manifests/{name}", self.origin());
        let accepted = [
            OCI_IMAGE_MEDIA_TYPE,
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
        ];
        let request = self.http.get(url).header(ACCEPT, accepted.join(", "));
        let answer = self.authorized(request).send().await?;
        match answer.status() {
            StatusCode::OK => limited(answer, MANIFEST_LIMIT).await,
            StatusCode::NOT_FOUND => Err(OciDistributionError::ImageManifestNotFoundError(
                name.to_owned(),
            )),
            _ => Err(refusal(&answer, "the manifest is not given")),
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match (&self.token, &self.authentication) {
            (Some(token), _) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            (None, RegistryAuth::Basic(name, password)) => request.basic_auth(name, Some(password)),
            (None, _) => request,
        }
    }

    /// Begins to push a part and gives it up at once: the only question whose answer tells whether
    /// this may be done.
    pub(super) async fn try_push(&self) -> Result<(), OciDistributionError> {
        let repository = self.image.reference().repository();
        let url = format!("{}/v2/{repository}/blobs/uploads/", self.origin());
        // Some registries want to be told that nothing follows.
        let request = self.http.post(url).header("content-length", "0");
        let answer = self.authorized(request).send().await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(refusal(&answer, "no upload can be begun"));
        }
        self.give_up(&answer).await;
        Ok(())
    }

    /// Ends an upload that was begun. Registries do so themselves after a while, so a failure is none.
    async fn give_up(&self, begun: &Response) {
        let location = begun.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let Some(url) = location.and_then(|location| begun.url().join(location).ok()) else {
            return;
        };
        // Credentials are for the registry alone.
        if url.origin() == begun.url().origin() {
            let _ = self.authorized(self.http.delete(url)).send().await;
        }
    }
}

fn refusal(answer: &Response, message: &str) -> OciDistributionError {
    OciDistributionError::ServerError {
        code: answer.status().as_u16(),
        url: answer.url().to_string(),
        message: message.to_owned(),
    }
}

/// The content of an answer, unless it is a flood.
pub(super) async fn limited(
    mut answer: Response,
    limit: usize,
) -> Result<Vec<u8>, OciDistributionError> {
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if piece.len() > limit - text.len() {
            let reason = format!("the answer has more than {limit} bytes");
            return Err(OciDistributionError::GenericError(Some(reason)));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}
