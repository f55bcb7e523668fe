//! Encryption of connections, by `sslmode` as the C library of PostgreSQL reads it.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::{CancelToken, Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::uri::{Encryption, PostgresUri};

/// Why connections cannot be encrypted as asked.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of `sslrootcert` holds no certificates.
    #[error("the certificates in `{path}` cannot be read")]
    Roots {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the certificates are checked with cannot be set up.
    #[error("the encryption of connections cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes connections, encrypted or not.
#[derive(Clone)]
pub(super) struct Connector(Option<MakeRustlsConnect>);

/// What carries the messages of a connection until it ends.
type Transport = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connector {
    pub(super) fn new(uri: &PostgresUri) -> Result<Self, TlsError> {
        if uri.encryption() == Encryption::Disable {
            return Ok(Self(None));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(uri, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(Box::new(error)))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Some(MakeRustlsConnect::new(config))))
    }

    pub(super) async fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> Result<(Client, Transport), tokio_postgres::Error> {
        match &self.0 {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                Ok((client, Box::pin(async move { ended(connection.await) })))
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                Ok((client, Box::pin(async move { ended(connection.await) })))
            }
        }
    }
}

impl Connector {
    /// Asks the server to end the statement of a connection.
    pub(super) async fn cancel(&self, token: &CancelToken) {
        let asked = match &self.0 {
            None => token.cancel_query(NoTls).await,
            Some(tls) => token.cancel_query(tls.clone()).await,
        };
        if let Err(error) = asked {
            tracing::warn!(%error, "the database cannot be asked to end a statement");
        }
    }
}

fn ended(outcome: Result<(), tokio_postgres::Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a connection to the database ended");
    }
}

fn verifier(
    uri: &PostgresUri,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let check = match (uri.encryption(), uri.root_certificates()) {
        (Encryption::VerifyFull, _) => Check::All,
        // As in the C library: with certificates at hand, they are used.
        (Encryption::VerifyCa, _) | (Encryption::Require, Some(_)) => Check::Signer,
        (Encryption::Disable | Encryption::Prefer | Encryption::Require, _) => Check::Nothing,
    };
    let provider = Arc::clone(provider);
    if check == Check::Nothing {
        return Ok(Arc::new(Lenient {
            inner: None,
            provider,
        }));
    }
    let roots = Arc::new(roots(uri.root_certificates())?);
    let strict = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::Setup(Box::new(error)))?;
    if check == Check::All {
        return Ok(strict);
    }
    Ok(Arc::new(Lenient {
        inner: Some(strict),
        provider,
    }))
}

/// The certificates of a file, or those of the system.
fn roots(path: Option<&PathBuf>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let failed = |source| TlsError::Roots {
        path: path.clone(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.into()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.into()))?;
    }
    if roots.is_empty() {
        return Err(failed("the file holds no certificate".into()));
    }
    Ok(roots)
}

/// What is checked of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Signer,
    All,
}

/// Checks who signed a certificate, not whose it is; or, without `inner`, nothing.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        let checked =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // The name is looked at last, after the chain.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
