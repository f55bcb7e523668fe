//! Artifact stores by URI scheme.
//!
//! An [`ArtifactStore`] lists folders, and reads, writes and deletes files below one root; [`StoreSettings::open`] finds
//! the store for a URI: a local folder, the artifact proxy of a tracking server, S3, Google Cloud
//! Storage or Azure. Whatever a store or server says about paths is checked by [`ArtifactPath`]
//! before it is used. This crate does not cache, does not know models, and reads no environment:
//! settings come in as values. The HTTP client with MLflow's retries is here as [`Transport`],
//! because the proxy and the REST client above share it.

mod clouds;
mod local;
mod object;
mod path;
mod place;
mod presigned;
mod proxy;
mod resolver;
mod retry;
mod settings;
mod source;
mod store;
mod transport;
mod transport_error;

pub use local::LocalStore;
pub use object::ObjectArtifacts;
pub use path::{ArtifactPath, PathError};
pub use place::{AllowedRoots, ObjectPlace, Place};
pub use presigned::{Download, FinishedPart, MultipartUploads, PartsUpload, PresignedFiles};
pub use proxy::ProxyStore;
pub use resolver::{
    KNOWN_SCHEMES, OpenStoreError, Server, StoreSettings, local_path_of_file_uri, open_direct,
};
pub use retry::RetrySettings;
pub use settings::{CloudSettings, S3Settings};
pub use source::Source;
pub use store::{ArtifactStore, ByteStream, Content, Entry, Opened, Stat, StoreError};
pub use transport::{
    Credentials, HostCredentials, HttpRequest, Transport, TransportSettings, without_secrets,
};
pub use transport_error::TransportError;
