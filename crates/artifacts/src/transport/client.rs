//! The HTTP client of the settings: certificates, time limits, redirects.

use std::path::Path;
use std::time::Duration;

use super::settings::TransportSettings;
use crate::transport_error::TransportError;

/// Longest time to connect. Where nobody answers at all, as behind a firewall, waiting for as long
/// as for an answer helps nobody; three seconds are enough for a lost packet to be sent again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP client; `silence` is how long it waits for the next byte of an answer.
pub(super) fn build_client(
    settings: &TransportSettings,
    silence: Option<Duration>,
) -> Result<reqwest::Client, TransportError> {
    let redirects = if settings.follow_redirects {
        reqwest::redirect::Policy::limited(10)
    } else {
        reqwest::redirect::Policy::none()
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("mlrs/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.timeout.min(CONNECT_TIMEOUT))
        .tcp_keepalive(Duration::from_mins(1))
        // The pauses here are MLflow's; and a decompressed answer has no known size.
        .retry(reqwest::retry::never())
        .no_gzip()
        .redirect(redirects)
        .tls_danger_accept_invalid_certs(settings.insecure_tls);
    if let Some(path) = &settings.server_certificates {
        builder = builder.tls_certs_only(read_authorities(path)?);
    }
    if let Some(path) = &settings.client_certificate {
        builder = builder.identity(read_identity(path)?);
    }
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    builder.build().map_err(TransportError::Setup)
}

/// The certificates of a PEM file, or of all files in a folder.
fn read_authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let fail = |source| TransportError::Certificate {
        path: path.to_path_buf(),
        source,
    };
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let folder = std::fs::read_dir(path).map_err(|error| fail(error.into()))?;
        files = folder
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.retain(|file| file.is_file());
    }
    let mut certificates = Vec::new();
    for file in files {
        let pem = std::fs::read(&file).map_err(|error| fail(error.into()))?;
        let bundle =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fail(error.into()))?;
        certificates.extend(bundle);
    }
    if certificates.is_empty() {
        return Err(fail("there is no certificate in PEM form in it".into()));
    }
    Ok(certificates)
}

/// A certificate and its key.
fn read_identity(path: &Path) -> Result<reqwest::Identity, TransportError> {
    let fail = |source| TransportError::Certificate {
        path: path.to_path_buf(),
        source,
    };
    let pem = std::fs::read(path).map_err(|error| fail(error.into()))?;
    reqwest::Identity::from_pem(&pem).map_err(|error| fail(error.into()))
}
