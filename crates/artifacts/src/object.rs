//! S3, Google Cloud Storage and Azure as artifact stores, over `object_store`.
//!
//! One [`ObjectArtifacts`] is one prefix of one bucket or container. Keys are listed one level at a
//! time; markers that some tools leave for empty folders are skipped.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _,
    RetryConfig, WriteMultipart,
};
use url::Url;

use crate::path::ArtifactPath;
use crate::settings::CloudSettings;
use crate::store::{ArtifactStore, Content, Entry, Opened, Stat, StoreError};

/// The objects below one prefix.
#[derive(Debug, Clone)]
pub struct ObjectArtifacts {
    store: Arc<dyn ObjectStore>,
    prefix: ArtifactPath,
    location: Arc<str>,
}

impl ObjectArtifacts {
    /// The objects below `prefix` in `store`; `location` is for messages.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: ArtifactPath, location: &str) -> Self {
        Self {
            store,
            prefix,
            location: location.into(),
        }
    }

    /// The store behind an `s3:`, `gs:`, `abfss:` or `wasbs:` URI.
    pub(crate) fn from_uri(
        uri: &Url,
        prefix: ArtifactPath,
        settings: &CloudSettings,
    ) -> Result<Self, Error> {
        let store: Arc<dyn ObjectStore> = match uri.scheme() {
            "s3" | "s3a" => Arc::new(s3(uri, settings)?),
            "gs" => Arc::new(google(uri, settings)?),
            _ => Arc::new(azure(uri, settings)?),
        };
        Ok(Self::new(
            store,
            prefix,
            &crate::transport::without_secrets(uri.as_str()),
        ))
    }

    fn key(&self, path: &ArtifactPath) -> Result<Key, StoreError> {
        let whole = self
            .prefix
            .join(path)
            .map_err(|source| StoreError::HostilePath {
                store: self.location.to_string(),
                source,
            })?;
        Key::parse(whole.as_str())
            .map_err(|source| self.failed(path, Error::InvalidPath { source }))
    }

    fn failed(&self, path: &ArtifactPath, error: Error) -> StoreError {
        let (path, store) = (path.clone(), self.location.to_string());
        match error {
            Error::NotFound { .. } => StoreError::NotFound { path, store },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreError::Denied {
                path,
                store,
                source: Box::new(error),
            },
            source => StoreError::ObjectStore {
                path,
                store,
                source,
            },
        }
    }

    /// The path below the prefix of this store that a listed key has.
    fn below_prefix(&self, key: &Key) -> Result<Option<ArtifactPath>, StoreError> {
        let path = ArtifactPath::parse(key.as_ref()).map_err(|source| StoreError::HostilePath {
            store: self.location.to_string(),
            source,
        })?;
        Ok(path.relative_to(&self.prefix))
    }

    async fn list_folder(&self, path: &ArtifactPath) -> Result<Vec<Entry>, StoreError> {
        let key = self.key(path)?;
        let listing = self
            .store
            .list_with_delimiter((!key.as_ref().is_empty()).then_some(&key))
            .await
            .map_err(|error| self.failed(path, error))?;
        let mut entries = Vec::new();
        for folder in &listing.common_prefixes {
            if let Some(path) = self.below_prefix(folder)?.filter(|path| !path.is_root()) {
                entries.push(Entry {
                    path,
                    is_directory: true,
                    size: None,
                });
            }
        }
        for object in &listing.objects {
            let Some(found) = self.below_prefix(&object.location)? else {
                continue;
            };
            let is_marker = object.size == 0
                && (found == *path || entries.iter().any(|entry| entry.path == found));
            if !is_marker && !found.is_root() {
                entries.push(Entry {
                    path: found,
                    is_directory: false,
                    size: Some(object.size),
                });
            }
        }
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    async fn open_file(&self, path: &ArtifactPath, offset: u64) -> Result<Opened, StoreError> {
        let key = self.key(path)?;
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        let found: GetResult = match self.store.get_opts(&key, options).await {
            Ok(found) => found,
            // An offset at the end of the object is no range; start again to learn its size.
            Err(Error::Generic { .. }) if offset > 0 => self
                .store
                .get_opts(&key, GetOptions::default())
                .await
                .map_err(|error| self.failed(path, error))?,
            Err(error) => return Err(self.failed(path, error)),
        };
        let (start, length) = (found.range.start, found.meta.size);
        let entity_tag = found.meta.e_tag.clone();
        let (this, place) = (self.clone(), path.clone());
        let stream = found
            .into_stream()
            .map(move |piece| piece.map_err(|error| this.failed(&place, error)))
            .boxed();
        Ok(Opened {
            offset: start,
            length: Some(length),
            entity_tag,
            stream,
        })
    }
}

/// Pieces of a large object that are on their way at the same time.
const PIECES_IN_FLIGHT: usize = 4;

/// Bytes of a piece: S3 takes 10,000 of them, so objects may have 80 GB.
const PIECE: usize = 8 << 20;

impl ObjectArtifacts {
    async fn stat_of(&self, path: &ArtifactPath) -> Result<Stat, StoreError> {
        let key = self.key(path)?;
        match self.store.head(&key).await {
            Ok(found) => Ok(Stat {
                is_directory: false,
                size: found.size,
                modified: Some(found.last_modified.into()),
                entity_tag: found.e_tag.map(|tag| tag.trim_matches('"').to_owned()),
            }),
            // A folder is what has something below it.
            Err(Error::NotFound { .. }) if !self.list_folder(path).await?.is_empty() => Ok(Stat {
                is_directory: true,
                size: 0,
                modified: None,
                entity_tag: None,
            }),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    /// A small object goes in one request, a large one in pieces that are put together at the end.
    async fn write(
        &self,
        path: &ArtifactPath,
        mut content: Content<'_>,
    ) -> Result<u64, StoreError> {
        let key = self.key(path)?;
        let broken = |source| StoreError::Content {
            path: path.clone(),
            source,
        };
        let mut small = Vec::new();
        while small.len() < PIECE {
            let Some(piece) = content.next().await else {
                let size = small.len() as u64;
                let put = self.store.put(&key, small.into()).await;
                return put.map(|_| size).map_err(|error| self.failed(path, error));
            };
            small.extend_from_slice(&piece.map_err(broken)?);
        }
        let upload = self.store.put_multipart(&key).await;
        let upload = upload.map_err(|error| self.failed(path, error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let mut size = small.len() as u64;
        writer.put(small.into());
        while let Some(piece) = content.next().await {
            let room = writer.wait_for_capacity(PIECES_IN_FLIGHT).await;
            let failure = match (piece, room) {
                (Ok(piece), Ok(())) => {
                    size += piece.len() as u64;
                    writer.put(piece);
                    continue;
                }
                (Err(source), _) => broken(source),
                (_, Err(error)) => self.failed(path, error),
            };
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "pieces of an upload could not be removed");
            }
            return Err(failure);
        }
        let finished = writer.finish().await;
        finished
            .map(|_| size)
            .map_err(|error| self.failed(path, error))
    }

    async fn remove(&self, path: &ArtifactPath) -> Result<(), StoreError> {
        let key = self.key(path)?;
        match self.store.delete(&key).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(self.failed(path, error)),
        }
        let below = self.store.list(Some(&key)).map_ok(|object| object.location);
        let mut deleted = self.store.delete_stream(below.boxed());
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(path, error)),
            }
        }
        Ok(())
    }
}

impl ArtifactStore for ObjectArtifacts {
    fn stat<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Stat, StoreError>> {
        Box::pin(self.stat_of(path))
    }

    fn create<'a>(
        &'a self,
        path: &'a ArtifactPath,
        content: Content<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.write(path, content))
    }

    fn delete<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove(path))
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn list<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.list_folder(path))
    }

    fn open<'a>(
        &'a self,
        path: &'a ArtifactPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Opened, StoreError>> {
        Box::pin(self.open_file(path, offset))
    }
}

/// Few retries: an object store that does not answer is more often a wrong setting than busy.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_mins(1),
        ..RetryConfig::default()
    }
}

/// No limit on a whole download, one on silence.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_mins(1))
}

fn s3(uri: &Url, settings: &CloudSettings) -> Result<object_store::aws::AmazonS3, Error> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in settings.with_prefix("AWS_") {
        builder = builder.with_config(AmazonS3ConfigKey::from_str(&name.to_lowercase())?, value);
    }
    // boto3 reads AWS_DEFAULT_REGION; the SDKs of other languages read AWS_REGION.
    let region = settings
        .get("AWS_DEFAULT_REGION")
        .or_else(|| settings.get("AWS_REGION"));
    builder = builder.with_region(region.unwrap_or("us-east-1"));
    let endpoint = settings
        .s3
        .endpoint
        .as_deref()
        .or_else(|| settings.get("AWS_ENDPOINT_URL_S3"))
        .or_else(|| settings.get("AWS_ENDPOINT_URL"));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    // As boto3: `auto` puts the bucket into the path for any store but AWS itself.
    let style = settings.s3.addressing_style.as_deref().unwrap_or("auto");
    let virtual_hosted = style == "virtual" || (style == "auto" && endpoint.is_none());
    builder
        .with_bucket_name(uri.host_str().unwrap_or_default())
        .with_virtual_hosted_style_request(virtual_hosted)
        .with_client_options(client().with_allow_invalid_certificates(settings.s3.ignore_tls))
        .with_allow_http(endpoint.is_some_and(|address| address.starts_with("http:")))
        .with_skip_signature(
            settings.s3.unsigned || settings.get("AWS_SKIP_SIGNATURE") == Some("true"),
        )
        .with_retry(retries())
        .build()
}

fn google(
    uri: &Url,
    settings: &CloudSettings,
) -> Result<object_store::gcp::GoogleCloudStorage, Error> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(uri.host_str().unwrap_or_default())
        .with_client_options(client())
        .with_retry(retries());
    if let Some(file) = settings.get("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(file);
    }
    builder.build()
}

fn azure(
    uri: &Url,
    settings: &CloudSettings,
) -> Result<object_store::azure::MicrosoftAzure, Error> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client())
        .with_retry(retries());
    for (name, value) in settings.with_prefix("AZURE_") {
        if name != "AZURE_STORAGE_CONNECTION_STRING" {
            builder = builder.with_config(AzureConfigKey::from_str(&name.to_lowercase())?, value);
        }
    }
    let host = uri.host_str().unwrap_or_default();
    builder = builder
        .with_container_name(uri.username())
        .with_account(host.split('.').next().unwrap_or_default());
    for (name, value) in connection_string(settings) {
        match name {
            "AccountName" => builder = builder.with_account(value),
            "AccountKey" => builder = builder.with_access_key(value),
            "BlobEndpoint" => {
                builder = builder
                    .with_allow_http(value.starts_with("http:"))
                    .with_endpoint(value.trim_end_matches('/').to_owned());
            }
            "SharedAccessSignature" => {
                builder = builder.with_config(AzureConfigKey::SasKey, value);
            }
            _ => {}
        }
    }
    builder.build()
}

/// The parts `Name=value` of a connection string.
fn connection_string(settings: &CloudSettings) -> impl Iterator<Item = (&str, &str)> {
    settings
        .get("AZURE_STORAGE_CONNECTION_STRING")
        .unwrap_or_default()
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> CloudSettings {
        CloudSettings::from_variables(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn built(uri: &str, pairs: &[(&str, &str)]) -> String {
        let uri = Url::parse(uri).unwrap();
        let store =
            ObjectArtifacts::from_uri(&uri, ArtifactPath::root(), &settings(pairs)).unwrap();
        format!("{:?}", store.store)
    }

    #[test]
    fn the_bucket_is_in_the_host_on_aws_and_in_the_path_elsewhere() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let shown = built("s3://box/x", &keys);
        assert!(shown.contains("box.s3.us-east-1.amazonaws.com"), "{shown}");
        let local = [
            keys[0],
            keys[1],
            ("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9/"),
        ];
        let shown = built("s3://box/x", &local);
        assert!(shown.contains("http://127.0.0.1:9/box"), "{shown}");
        let region = [keys[0], keys[1], ("AWS_DEFAULT_REGION", "eu-central-1")];
        assert!(built("s3://box/x", &region).contains("eu-central-1"));
    }

    #[test]
    fn container_and_account_come_from_the_uri_and_the_key_from_the_variables() {
        let shown = built(
            "abfss://box@konto.dfs.core.windows.net/x",
            &[("AZURE_STORAGE_ACCESS_KEY", "Zm9v")],
        );
        assert!(shown.contains("konto") && shown.contains("box"), "{shown}");
        let text = "DefaultEndpointsProtocol=https;AccountName=andere;AccountKey=Zm9v";
        let shown = built(
            "wasbs://box@konto.blob.core.windows.net/x",
            &[("AZURE_STORAGE_CONNECTION_STRING", text)],
        );
        assert!(shown.contains("andere"), "{shown}");
    }
}
