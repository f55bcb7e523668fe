//! The contract of an artifact store: list one folder, open one file.
//!
//! [`ArtifactStore`] is small on purpose; caching, parallel downloads and resuming are built above
//! it. A file is there whole or not at all: what is being written is not listed and not opened.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::path::{ArtifactPath, PathError};
use crate::presigned::{MultipartUploads, PresignedFiles};
use crate::source::Source;
use crate::transport_error::TransportError;

/// Content on its way into a store; an error ends it, and nothing is kept.
pub type Content<'a> = BoxStream<'a, Result<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// The content of a file, piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// A file or a folder below the root of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root of the store.
    pub path: ArtifactPath,
    /// Whether it is a folder.
    pub is_directory: bool,
    /// Size in bytes, where the store says it.
    pub size: Option<u64>,
}

/// A file that is being read.
pub struct Opened {
    /// Where the stream starts: the offset asked for, or 0 when the store cannot start later.
    pub offset: u64,
    /// Size of the whole file in bytes, where the store says it.
    pub length: Option<u64>,
    /// A mark that changes with the content, where the store has one.
    pub entity_tag: Option<String>,
    /// The content from `offset` on.
    pub stream: ByteStream,
}

/// What is known of a file or folder without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a folder.
    pub is_directory: bool,
    /// Size in bytes; 0 for folders.
    pub size: u64,
    /// When it was changed last, where the store says it.
    pub modified: Option<SystemTime>,
    /// A mark that changes with the content, where the store has one; without quotes.
    pub entity_tag: Option<String>,
}

/// A place where artifacts are kept, with one root.
pub trait ArtifactStore: Debug + Send + Sync {
    /// The root, for messages: a URI without user name, password or query.
    fn location(&self) -> &str;

    /// One level of files and folders below `path`; empty when `path` is a file or does not exist.
    fn list<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>>;

    /// Opens the file at `path`, from byte `offset` on where the store can.
    fn open<'a>(
        &'a self,
        path: &'a ArtifactPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Opened, StoreError>>;

    /// What is known of the file or folder at `path`.
    fn stat<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<Stat, StoreError>> {
        Box::pin(async move { Err(self.cannot(path, "looked up")) })
    }

    /// Writes a file, which is there when this returns, and not before; one that was there is
    /// replaced. Tells how many bytes it has.
    fn create<'a>(
        &'a self,
        path: &'a ArtifactPath,
        _content: Content<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Err(self.cannot(path, "written")) })
    }

    /// Writes a file as [`Self::create`] does, from content that has a length and can be sent again
    /// after a failure that may pass.
    fn upload<'a>(
        &'a self,
        path: &'a ArtifactPath,
        source: &'a Source,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let failed = |error: std::io::Error| StoreError::Content {
                path: path.clone(),
                source: error.into(),
            };
            let (_, stream) = source.open().await.map_err(failed)?;
            let content = stream.map(|piece| piece.map_err(Into::into)).boxed();
            self.create(path, content).await
        })
    }

    /// Deletes a file, or a folder with everything below it. What is not there is nothing.
    fn delete<'a>(&'a self, path: &'a ArtifactPath) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { Err(self.cannot(path, "deleted")) })
    }

    /// The error of a store that does not do this.
    fn cannot(&self, path: &ArtifactPath, what: &'static str) -> StoreError {
        StoreError::Unsupported {
            path: path.clone(),
            store: self.location().to_owned(),
            what,
        }
    }

    /// The folder that can be used in place, for a store on this machine.
    fn local_folder(&self) -> Option<&Path> {
        None
    }

    /// Uploads in parts that go to the store itself, for a store that has them.
    fn multipart_uploads(&self) -> Option<&dyn MultipartUploads> {
        None
    }

    /// Addresses of whole files in the store itself, for a store that signs them.
    fn presigned_files(&self) -> Option<&dyn PresignedFiles> {
        None
    }
}

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("no artifact `{path}` in `{store}`")]
    NotFound {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
    },
    /// A folder stands where a file is wanted, or the other way round.
    #[error("`{path}` in `{store}` is {}", if *is_directory { "a folder, not a file" } else { "a file, not a folder" })]
    WrongKind {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What it is.
        is_directory: bool,
    },
    /// A link on the way leads out of the store.
    #[error("`{path}` leads out of `{store}`")]
    Outside {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
    },
    /// The name is one that the store keeps for itself.
    #[error("`{path}` in `{store}` cannot be changed: `{name}` is reserved")]
    Reserved {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// The name.
        name: &'static str,
    },
    /// The content ended with an error; nothing was kept.
    #[error("the content of `{path}` ended early")]
    Content {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// What its source said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not do this.
    #[error("artifacts of `{store}` cannot be {what}: `{path}`")]
    Unsupported {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What was asked.
        what: &'static str,
    },
    /// The store wants other credentials or refuses these.
    #[error("`{store}` refuses access to `{path}`")]
    Denied {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store named a path that is not safe to use.
    #[error("`{store}` lists a file that is not safe to write")]
    HostilePath {
        /// The root.
        store: String,
        /// The path and the rule it breaks.
        #[source]
        source: PathError,
    },
    /// The tracking server could not be asked, or refused.
    #[error("cannot read `{path}` from the artifacts of the tracking server")]
    Server {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// What went wrong.
        #[source]
        source: TransportError,
    },
    /// The tracking server did not take or delete it.
    #[error("cannot write `{path}` to `{store}`")]
    NotWritten {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What went wrong.
        #[source]
        source: TransportError,
    },
    /// The object store could not be asked, or refused.
    #[error("cannot read `{path}` from `{store}`")]
    ObjectStore {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What went wrong.
        #[source]
        source: object_store::Error,
    },
    /// The bucket or container of the store does not exist.
    #[error("`{path}` was not written: there is no bucket or container `{store}`")]
    NoBucket {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no upload in parts with this id.
    #[error("no such upload in parts of `{path}` in `{store}`")]
    NoSuchUpload {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
    },
    /// The store does not make a file of these parts: one is missing, too small or another one.
    #[error("`{store}` does not make `{path}` of these parts")]
    PartsRefused {
        /// Path from the root of the store.
        path: ArtifactPath,
        /// The root.
        store: String,
        /// What is wrong with them.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A local file or folder cannot be used.
    #[error("cannot use `{}`", path.display())]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Whether asking again may help: a broken connection, an overloaded server.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server { source, .. } | Self::NotWritten { source, .. } => source.is_transient(),
            Self::ObjectStore { source, .. } => {
                matches!(source, object_store::Error::Generic { .. })
            }
            _ => false,
        }
    }

    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Server { source, .. } | Self::NotWritten { source, .. } => source.hint(),
            Self::Denied { store, .. }
            | Self::ObjectStore { store, .. }
            | Self::NoBucket { store, .. } => {
                let scheme = store.split(':').next().unwrap_or_default();
                Some(match scheme {
                    "s3" => "check the name of the bucket, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, \
                             AWS_DEFAULT_REGION and, for a store other than AWS, \
                             MLFLOW_S3_ENDPOINT_URL",
                    "gs" => "check the name of the bucket and GOOGLE_APPLICATION_CREDENTIALS",
                    "abfss" | "abfs" | "wasbs" => {
                        "check AZURE_STORAGE_ACCESS_KEY, AZURE_STORAGE_SAS_TOKEN or the AZURE_* \
                         variables of a service principal"
                    }
                    _ => "check the permissions of the files",
                }
                .to_owned())
            }
            Self::Outside { .. } => Some(
                "a link in the directory leads elsewhere; put the files themselves there"
                    .to_owned(),
            ),
            Self::NotFound { .. } => Some("check the path; names are case-sensitive".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_store_that_cannot_be_asked_has_a_hint_of_its_kind() {
        for (store, named) in [
            ("s3://box", "MLFLOW_S3_ENDPOINT_URL"),
            ("gs://box", "GOOGLE_APPLICATION_CREDENTIALS"),
            (
                "abfss://box@a.dfs.core.windows.net",
                "AZURE_STORAGE_ACCESS_KEY",
            ),
        ] {
            let error = StoreError::ObjectStore {
                path: ArtifactPath::root(),
                store: store.to_owned(),
                source: object_store::Error::NotImplemented {
                    operation: "list".to_owned(),
                    implementer: "test".to_owned(),
                },
            };
            assert!(error.hint().is_some_and(|hint| hint.contains(named)));
        }
    }
}
