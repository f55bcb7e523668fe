//! What can go wrong while something is tracked.

use std::path::PathBuf;

use mlrs_api::ErrorCode;
use mlrs_artifacts::{OpenStoreError, PathError, StoreError, TransportError};
use mlrs_mlmodel::directory::OpenError;
use mlrs_mlmodel::disk::FileError;

use crate::connection::{ServerUri, SettingsError};
use crate::download::DownloadError;
use crate::plan::PlanError;
use crate::registry::RegistryError;
use crate::servers::NoServer;
use crate::uri::UriError;

/// Why a call of the [`TrackingClient`](super::TrackingClient) or of a run failed.
///
/// [`code`](Self::code) is MLflow's error code, where a server answered with one.
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// There is no server to ask.
    #[error("cannot {action}: {}", NoServer::reason(found))]
    NoServer {
        /// What was to be done.
        action: String,
        /// What stands where the address of a server is expected.
        found: ServerUri,
        /// The variable that should name a server.
        variable: &'static str,
    },
    /// The server could not be asked, or refused.
    #[error("cannot {action}")]
    Call {
        /// What was to be done, on which object.
        action: String,
        /// What the server answered, or why it did not.
        #[source]
        source: TransportError,
    },
    /// Something answered that is not MLflow's.
    #[error("cannot {0}: what answers is no tracking server")]
    NotMlflow(String),
    /// A search got the same page twice, so that it would have no end.
    #[error("cannot {action}: the server repeats a page")]
    EndlessPages {
        /// What was to be done.
        action: String,
    },
    /// Values that were logged in the background did not arrive.
    #[error("{values} values of the run `{run_id}` were not logged, `{first}` the first of them")]
    Lost {
        /// The run.
        run_id: String,
        /// How many values.
        values: usize,
        /// The key of the first one.
        first: String,
        /// Why that one was not logged.
        #[source]
        source: Box<TrackingError>,
    },
    /// The thread that logs in the background cannot be started, or has ended too early.
    #[error("values of the run `{run_id}` cannot be logged in the background")]
    Background {
        /// The run.
        run_id: String,
        /// What the system said, if it said anything.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The time for what was still to be sent is over.
    #[error("the time to log the last values of a run is over")]
    Late,
    /// The client of the servers cannot be set up.
    #[error(transparent)]
    Setup(#[from] TransportError),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The server does not say where the files belong.
    #[error("the server does not say where the files of {0} belong")]
    NoLocation(String),
    /// A file is not where it was looked for.
    #[error("there is no `{file}` in `{uri}`")]
    NoFile {
        /// Where, without secrets.
        uri: String,
        /// The name of the file.
        file: String,
    },
    /// There is no store for the place of the files.
    #[error(transparent)]
    OpenStore(#[from] OpenStoreError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path is not safe.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A local file or folder failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of this machine has a name that is no artifact path.
    #[error("`{}` has no name that an artifact can have", .0.display())]
    Name(PathBuf),
    /// Files could not be listed.
    #[error("cannot list the artifacts")]
    List(#[source] Box<PlanError>),
    /// Files could not be downloaded.
    #[error("cannot download the artifacts")]
    Download(#[from] DownloadError),
    /// A URI names nothing.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A server did not say where something is.
    #[error(transparent)]
    Lookup(#[from] RegistryError),
    /// A folder is no model directory.
    #[error(transparent)]
    Model(#[from] OpenError),
}

impl TrackingError {
    /// MLflow's error code, if a server answered with one of the known set.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Lost { source, .. } => source.code(),
            _ => self.transport()?.code(),
        }
    }

    /// Whether the thing that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        self.transport().is_some_and(TransportError::is_not_found)
            || matches!(self, Self::Store(StoreError::NotFound { .. }))
    }

    /// Whether a thing of this name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.code() == Some(ErrorCode::ResourceAlreadyExists)
    }

    /// Whether the server, not the request, is the problem.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            _ => self.transport().is_some_and(TransportError::is_transient),
        }
    }

    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoServer {
                found, variable, ..
            } => Some(NoServer::hint(found, variable)),
            Self::Call { source, .. } | Self::Setup(source) => source.hint(),
            Self::Lost { source, .. } => source.hint(),
            Self::Settings(error) => error.hint(),
            Self::OpenStore(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::File(error) => crate::files::hint(error),
            Self::Download(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Uri(error) => error.hint(),
            Self::Lookup(error) => error.hint(),
            Self::NotMlflow(_) => Some(
                "check that MLFLOW_TRACKING_URI is the address of an MLflow server, with its path \
                 prefix if it has one"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn transport(&self) -> Option<&TransportError> {
        match self {
            Self::Call { source, .. }
            | Self::Setup(source)
            | Self::Lookup(RegistryError::Lookup { source, .. })
            | Self::Store(
                StoreError::Server { source, .. } | StoreError::NotWritten { source, .. },
            ) => Some(source),
            _ => None,
        }
    }
}

impl From<PlanError> for TrackingError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => Self::Store(error),
            other => Self::List(Box::new(other)),
        }
    }
}
