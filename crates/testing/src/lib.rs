//! What tests share: where things lie, the binary under test, the Python environment, a client.
//!
//! A development crate: nothing that is shipped uses it. It knows processes and HTTP, and nothing
//! of mlrs itself, so that a test that uses it asks as a stranger would.

mod azure;
mod browser;
mod docker;
mod http;
mod kubernetes;
mod places;
mod postgres;
mod process;
mod python;
mod s3;
mod skip;
mod tracking;

pub use azure::AzureServer;
pub use browser::{chromium, mlflow_pages};
pub use docker::{Container, Docker, ImageRegistry, program};
pub use http::{Answer, Client, Headed};
pub use kubernetes::{helm, kserve_package, kubernetes_models};
pub use places::{SmallDisk, copy_files, fingerprint, home, workspace_root};
pub use postgres::Postgres;
pub use process::{AddressedProcess, Mlrs, example_binary, mlrs_binary};
pub use python::{Oracle, onnxruntime_library, python};
pub use s3::S3Server;
pub use skip::{SKIPPED_FILE, everything_required, skipped};
pub use tracking::{MlflowServer, MlrsServer};

/// Why a test could not set itself up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be used.
    #[error("could not {what}")]
    Io {
        /// What was tried, on which object.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A process ended, or stayed silent, before it said where it listens.
    #[error("{program} did not start: {reason}")]
    NotStarted {
        /// The program.
        program: String,
        /// How it ended, with the end of what it wrote to standard error.
        reason: String,
    },
    /// A request got no answer.
    #[error("no answer from `{url}`: {reason}")]
    NoAnswer {
        /// The URL.
        url: String,
        /// What the client says.
        reason: String,
    },
    /// Something that the machine lacks.
    #[error("{0}")]
    Missing(String),
}

impl Error {
    /// An I/O error with what was tried.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }
}
