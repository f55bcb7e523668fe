//! Transfers between a client and an object store without a server in between: addresses that carry
//! a permission for one request on one object, and end.
//!
//! [`MultipartUploads`] and [`PresignedFiles`] are what an `ArtifactStore` may offer besides; which
//! store offers which is as in MLflow: S3 both, Google Cloud Storage and Azure (`wasbs:`) uploads in
//! parts. An address is a secret as long as it lasts: it is handed to the client and not logged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::BoxFuture;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};
use object_store::{Error, ObjectStoreExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::object::ObjectArtifacts;
use crate::path::ArtifactPath;
use crate::store::{ArtifactStore as _, StoreError};

/// How long a client may take to send the parts; MLflow's hour.
const UPLOAD_LIFETIME: Duration = Duration::from_hours(1);
/// Addresses that are signed before others get their turn.
const SIGNED_AT_ONCE: u32 = 64;
/// What stands in a file name of a header as it is, as Python's `urllib.parse.quote` leaves it.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// An upload in parts that has begun.
pub struct PartsUpload {
    /// What names it, where the store gives it a name.
    pub upload_id: Option<String>,
    /// Where each part goes with PUT, the first part first.
    pub addresses: Vec<String>,
}

/// A part that a client has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinishedPart {
    /// The mark that the store answered with, `ETag`.
    pub entity_tag: String,
    /// The address that it went to.
    pub address: String,
}

/// An address for downloads.
pub struct Download {
    /// Where the file is read with GET, also a range of it.
    pub address: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Uploads in parts, which the client sends to the store itself.
pub trait MultipartUploads: Send + Sync {
    /// Begins one, with so many parts. `Unsupported` where this file cannot be sent so.
    fn begin<'a>(
        &'a self,
        path: &'a ArtifactPath,
        parts: u32,
    ) -> BoxFuture<'a, Result<PartsUpload, StoreError>>;

    /// Makes the file of the parts, which are in their order and are all that there are. An id is
    /// empty where the store gave none.
    fn complete<'a>(
        &'a self,
        path: &'a ArtifactPath,
        upload_id: &'a str,
        parts: &'a [FinishedPart],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Drops the parts that were sent.
    fn abort<'a>(
        &'a self,
        path: &'a ArtifactPath,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Addresses of whole files.
pub trait PresignedFiles: Send + Sync {
    /// Where to write a file with PUT, which is to be sent with this `Content-Type`.
    fn upload<'a>(
        &'a self,
        path: &'a ArtifactPath,
        content_type: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<String, StoreError>>;

    /// Where to read a file that is there.
    fn download<'a>(
        &'a self,
        path: &'a ArtifactPath,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Download, StoreError>>;
}

/// How a store wants its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// S3: parts have numbers, an upload an id.
    S3,
    /// Google's XML interface: the same.
    Google,
    /// Azure: blocks of a blob have names; there is no id, and blocks that are not used go after a
    /// week.
    Azure,
}

/// What signs addresses in a store, and puts parts together.
#[derive(Clone)]
pub(crate) struct Signing {
    protocol: Protocol,
    signer: Arc<dyn Signer>,
    parts: Arc<dyn MultipartStore>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocol.fmt(formatter)
    }
}

impl Signing {
    /// With a store's own signer and parts.
    pub(crate) fn new(
        protocol: Protocol,
        signer: Arc<dyn Signer>,
        parts: Arc<dyn MultipartStore>,
    ) -> Self {
        Self {
            protocol,
            signer,
            parts,
        }
    }

    /// Whether MLflow hands out addresses of whole files in such a store.
    pub(crate) fn signs_whole_files(&self) -> bool {
        self.protocol == Protocol::S3
    }

    async fn address(
        &self,
        method: Method,
        key: &Key,
        lifetime: Duration,
        options: &SignedUrlOptions,
    ) -> Result<Url, Error> {
        let signing = self.signer.signed_url_opts(method, key, lifetime, options);
        signing.await
    }

    async fn begin(&self, key: &Key, count: u32) -> Result<PartsUpload, Error> {
        if self.protocol == Protocol::Azure {
            return self.begin_blocks(key, count).await;
        }
        let id = self.parts.create_multipart(key).await?;
        let mut addresses = Vec::new();
        for number in 1..=count {
            let query = [("partNumber", number.to_string()), ("uploadId", id.clone())];
            let options = SignedUrlOptions::default().with_query(query);
            let address = self.address(Method::PUT, key, UPLOAD_LIFETIME, &options);
            addresses.push(address.await?.into());
            if number % SIGNED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(PartsUpload {
            upload_id: Some(id),
            addresses,
        })
    }

    /// One signature is for all blocks of a blob. Their names are of one length, as Azure wants it,
    /// and begin with the name of the upload, so that two uploads of one file do not mix.
    async fn begin_blocks(&self, key: &Key, count: u32) -> Result<PartsUpload, Error> {
        let signed = self.signer.signed_url(Method::PUT, key, UPLOAD_LIFETIME);
        let signed = signed.await?;
        // Azure wants the signature over the plain name, and the library signs the encoded one.
        if signed.path().contains('%') {
            return Err(Error::NotSupported {
                source: "no signature for a name that is percent-encoded".into(),
            });
        }
        let upload = Uuid::new_v4().simple().to_string();
        let address = |number: u32| {
            let name = BASE64.encode(format!("{upload}-{number:05}"));
            let mut address = signed.clone();
            address
                .query_pairs_mut()
                .append_pair("comp", "block")
                .append_pair("blockid", &name);
            address.into()
        };
        Ok(PartsUpload {
            upload_id: None,
            addresses: (1..=count).map(address).collect(),
        })
    }

    /// What the store calls a part.
    fn part(&self, finished: &FinishedPart) -> Result<PartId, &'static str> {
        let content_id = match self.protocol {
            Protocol::Azure => {
                block_of(&finished.address).ok_or("a part has no address of here")?
            }
            Protocol::S3 | Protocol::Google if finished.entity_tag.is_empty() => {
                return Err("a part has no ETag");
            }
            Protocol::S3 | Protocol::Google => finished.entity_tag.clone(),
        };
        Ok(PartId { content_id })
    }
}

/// The name of the block in an address that [`Signing::begin_blocks`] made.
fn block_of(address: &str) -> Option<String> {
    let address = Url::parse(address).ok()?;
    let (_, encoded) =
        form_urlencoded::parse(address.query()?.as_bytes()).find(|(name, _)| name == "blockid")?;
    let name = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
    let (upload, number) = name.split_once('-')?;
    let is_own = upload.len() == 32 && upload.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_own = is_own && number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_own.then_some(name)
}

/// `attachment` with a file name (RFC 6266): plain, or encoded where it has more than printable
/// ASCII (RFC 8187).
fn attachment(name: &str) -> String {
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("attachment; filename=\"{escaped}\"");
    }
    let encoded = utf8_percent_encode(name, QUOTED);
    format!("attachment; filename*=UTF-8''{encoded}")
}

/// Whether the store says 400. The library keeps the status to itself and only writes it into its text.
fn is_bad_request(error: &Error) -> bool {
    let Error::Generic { source, .. } = error else {
        return false;
    };
    let text = source.to_string();
    let status = text.split("non-2xx status code: ").nth(1);
    status.is_some_and(|status| status.starts_with("400"))
}

impl ObjectArtifacts {
    /// What an error about an upload in parts means.
    fn parts_failed(&self, path: &ArtifactPath, error: Error) -> StoreError {
        let (path, store) = (path.clone(), self.location().to_owned());
        match error {
            Error::NotFound { .. } => StoreError::NoSuchUpload { path, store },
            source if is_bad_request(&source) => StoreError::PartsRefused {
                path,
                store,
                source: Box::new(source),
            },
            other => self.failed(&path, other),
        }
    }

    /// What signs here; the traits below are only handed out where there is something.
    fn signing_of(&self, path: &ArtifactPath) -> Result<&Signing, StoreError> {
        self.signing()
            .ok_or_else(|| self.cannot(path, "sent or read by others"))
    }

    /// Checks that an upload of this id can be; an empty one would mean something else.
    fn check_id(
        &self,
        signing: &Signing,
        path: &ArtifactPath,
        upload_id: &str,
    ) -> Result<(), StoreError> {
        if upload_id.is_empty() && signing.protocol != Protocol::Azure {
            return Err(StoreError::NoSuchUpload {
                path: path.clone(),
                store: self.location().to_owned(),
            });
        }
        Ok(())
    }

    async fn complete_parts(
        &self,
        path: &ArtifactPath,
        upload_id: &str,
        parts: &[FinishedPart],
    ) -> Result<(), StoreError> {
        let signing = self.signing_of(path)?;
        self.check_id(signing, path, upload_id)?;
        let refused = |reason: &str| StoreError::PartsRefused {
            path: path.clone(),
            store: self.location().to_owned(),
            source: reason.into(),
        };
        // The library would make an empty file of none.
        if parts.is_empty() {
            return Err(refused("there are none"));
        }
        let named: Result<Vec<_>, _> = parts.iter().map(|part| signing.part(part)).collect();
        let named = named.map_err(refused)?;
        let (key, id) = (self.key(path)?, upload_id.to_owned());
        let done = signing.parts.complete_multipart(&key, &id, named).await;
        done.map(|_| ())
            .map_err(|error| self.parts_failed(path, error))
    }
}

impl MultipartUploads for ObjectArtifacts {
    fn begin<'a>(
        &'a self,
        path: &'a ArtifactPath,
        parts: u32,
    ) -> BoxFuture<'a, Result<PartsUpload, StoreError>> {
        Box::pin(async move {
            let key = self.key(path)?;
            let signing = self.signing_of(path)?;
            let begun = signing.begin(&key, parts).await;
            begun.map_err(|error| match error {
                Error::NotSupported { .. } => self.cannot(path, "uploaded in parts"),
                // As MLflow: one who may write need not be allowed to let others do it.
                Error::PermissionDenied { .. } if signing.protocol == Protocol::Azure => {
                    self.cannot(path, "uploaded in parts")
                }
                other => self.not_written(path, other),
            })
        })
    }

    fn complete<'a>(
        &'a self,
        path: &'a ArtifactPath,
        upload_id: &'a str,
        parts: &'a [FinishedPart],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.complete_parts(path, upload_id, parts))
    }

    fn abort<'a>(
        &'a self,
        path: &'a ArtifactPath,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let signing = self.signing_of(path)?;
            self.check_id(signing, path, upload_id)?;
            let (key, id) = (self.key(path)?, upload_id.to_owned());
            let aborted = signing.parts.abort_multipart(&key, &id).await;
            aborted.map_err(|error| self.parts_failed(path, error))
        })
    }
}

impl PresignedFiles for ObjectArtifacts {
    fn upload<'a>(
        &'a self,
        path: &'a ArtifactPath,
        content_type: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        Box::pin(async move {
            let signing = self.signing_of(path)?;
            let key = self.key(path)?;
            let value = HeaderValue::from_str(content_type)
                .map_err(|_| self.cannot(path, "given such a type"))?;
            let name = HeaderName::from_static("content-type");
            let options = SignedUrlOptions::default().with_signed_header(name, value);
            let address = signing.address(Method::PUT, &key, lifetime, &options);
            let address = address.await.map_err(|error| self.failed(path, error))?;
            Ok(address.into())
        })
    }

    fn download<'a>(
        &'a self,
        path: &'a ArtifactPath,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Download, StoreError>> {
        Box::pin(async move {
            let signing = self.signing_of(path)?;
            let key = self.key(path)?;
            let failed = |error| self.failed(path, error);
            let found = self.objects().head(&key).await.map_err(failed)?;
            // A page or picture among artifacts is saved, not shown.
            let shown = [("response-content-disposition", attachment(path.name()))];
            let options = SignedUrlOptions::default().with_query(shown);
            let address = signing.address(Method::GET, &key, lifetime, &options);
            Ok(Download {
                address: address.await.map_err(failed)?.into(),
                size: found.size,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::query_param;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::settings::CloudSettings;
    use crate::{ArtifactStore, open_direct};

    fn store(uri: &str, variables: &[(&str, &str)]) -> Arc<dyn ArtifactStore> {
        let settings = CloudSettings::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        open_direct(uri, &settings).unwrap()
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    const AZURE_KEY: (&str, &str) = ("AZURE_STORAGE_ACCESS_KEY", "Zm9v");

    #[test]
    fn stores_offer_what_those_of_mlflow_offer() {
        let unsigned = ("AWS_SKIP_SIGNATURE", "true");
        let signature = ("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x");
        for (uri, variables, in_parts, whole) in [
            ("s3://box/x", &KEYS[..], true, true),
            ("s3://box/x", &[unsigned], false, false),
            (
                "wasbs://box@konto.blob.core.windows.net/x",
                &[AZURE_KEY],
                true,
                false,
            ),
            (
                "wasbs://box@konto.blob.core.windows.net/x",
                &[signature],
                false,
                false,
            ),
            (
                "abfss://box@konto.dfs.core.windows.net/x",
                &[AZURE_KEY],
                false,
                false,
            ),
            ("/srv/x", &[], false, false),
        ] {
            let store = store(uri, variables);
            assert_eq!(store.multipart_uploads().is_some(), in_parts, "{uri}");
            assert_eq!(store.presigned_files().is_some(), whole, "{uri}");
        }
    }

    #[tokio::test]
    async fn blocks_of_azure_have_names_of_one_length() {
        let store = store("wasbs://box@konto.blob.core.windows.net/x", &[AZURE_KEY]);
        let uploads = store.multipart_uploads().unwrap();
        let path = ArtifactPath::parse("a-b/c_d.bin").unwrap();
        let begun = uploads.begin(&path, 12).await.unwrap();
        assert_eq!((begun.upload_id, begun.addresses.len()), (None, 12));
        let names: Vec<String> = begun
            .addresses
            .iter()
            .map(|address| block_of(address).unwrap())
            .collect();
        assert!(names.iter().all(|name| name.len() == names[0].len()));
        assert!(names[11].ends_with("-00012"), "{names:?}");
        assert!(begun.addresses[0].contains("/box/x/a-b/c_d.bin?"));
        for name in ["a b", "ä", "a%b", "a#b"] {
            let path = ArtifactPath::parse(name).unwrap();
            let refused = uploads.begin(&path, 1).await;
            let refused = refused.map(|begun| begun.addresses);
            assert!(
                matches!(refused, Err(StoreError::Unsupported { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn only_own_blocks_are_taken() {
        let of = |name: &str| {
            let mut address = Url::parse("https://konto/x").unwrap();
            let encoded = BASE64.encode(name);
            address.query_pairs_mut().append_pair("blockid", &encoded);
            block_of(address.as_str())
        };
        let own = format!("{}-00001", "0a".repeat(16));
        assert_eq!(of(&own).as_deref(), Some(own.as_str()));
        for other in ["mlflow_block_1", "</Latest>", "-00001", ""] {
            assert_eq!(of(other), None, "{other}");
        }
        for address in [
            "",
            "no address",
            "https://konto/x",
            "https://konto/x?blockid=%FF",
        ] {
            assert_eq!(block_of(address), None, "{address}");
        }
    }

    #[test]
    fn names_of_files_are_quoted_or_encoded() {
        assert_eq!(attachment("a b.txt"), "attachment; filename=\"a b.txt\"");
        assert_eq!(attachment("a\"b"), "attachment; filename=\"a\\\"b\"");
        assert_eq!(attachment("ä"), "attachment; filename*=UTF-8''%C3%A4");
        assert_eq!(attachment("a\nb"), "attachment; filename*=UTF-8''a%0Ab");
    }

    #[tokio::test]
    async fn what_the_store_says_of_an_upload_is_told_apart() {
        let server = MockServer::start().await;
        for (id, status) in [
            ("none", 404),
            ("wrong", 400),
            ("denied", 403),
            ("busy", 405),
        ] {
            let error = "<Error><Code>X</Code></Error>";
            Mock::given(query_param("uploadId", id))
                .respond_with(ResponseTemplate::new(status).set_body_string(error))
                .mount(&server)
                .await;
        }
        let endpoint = ("MLFLOW_S3_ENDPOINT_URL", server.uri());
        let store = store("s3://box/x", &[KEYS[0], KEYS[1], (endpoint.0, &endpoint.1)]);
        let uploads = store.multipart_uploads().unwrap();
        let path = ArtifactPath::parse("a").unwrap();
        let parts = [FinishedPart {
            entity_tag: "\"1\"".to_owned(),
            ..FinishedPart::default()
        }];
        for id in ["none", "wrong", "denied", "busy"] {
            for ended in [
                uploads.complete(&path, id, &parts).await,
                uploads.abort(&path, id).await,
            ] {
                let error = ended.unwrap_err();
                let is_right = match id {
                    "none" => matches!(error, StoreError::NoSuchUpload { .. }),
                    "wrong" => matches!(error, StoreError::PartsRefused { .. }),
                    "denied" => matches!(error, StoreError::Denied { .. }),
                    _ => matches!(error, StoreError::ObjectStore { .. }),
                };
                assert!(is_right, "{id}: {error:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_upload_needs_an_id_and_parts() {
        let store = store("s3://box/x", &KEYS);
        let uploads = store.multipart_uploads().unwrap();
        let path = ArtifactPath::parse("a").unwrap();
        let part = FinishedPart {
            entity_tag: "\"1\"".to_owned(),
            ..FinishedPart::default()
        };
        let part = std::slice::from_ref(&part);
        let without_id = uploads.complete(&path, "", part).await;
        assert!(matches!(without_id, Err(StoreError::NoSuchUpload { .. })));
        let aborted = uploads.abort(&path, "").await;
        assert!(matches!(aborted, Err(StoreError::NoSuchUpload { .. })));
        for parts in [&[][..], &[FinishedPart::default()]] {
            let refused = uploads.complete(&path, "id", parts).await;
            assert!(matches!(refused, Err(StoreError::PartsRefused { .. })));
        }
    }
}
