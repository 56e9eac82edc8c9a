//! TLS for whatever is served.

use rustls::RootCertStore;
use rustls::server::{ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refused.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority of the clients cannot be used.
    #[error("could not set up TLS for client certificates of the fleet CA: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// They may.
    MayShowCertificate,
    /// Without one the handshake fails.
    MustShowCertificate,
}

/// TLS 1.2 and 1.3 with the certificates that `certificates` shows, for these application protocols. A certificate that
/// a client shows must be one that `authorities` vouch for.
pub(crate) fn acceptor(
    certificates: Arc<dyn ResolvesServerCert>,
    authorities: RootCertStore,
    clients: Clients,
    protocols: &[&[u8]],
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<TlsAcceptor, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let verifier = match clients {
        Clients::MayShowCertificate => verifier.allow_unauthenticated().build()?,
        Clients::MustShowCertificate => verifier.build()?,
    };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificates);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A handshake that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// What was shown does not count.
    #[error("{0}")]
    Certificate(rustls::CertificateError),
    /// The peer spoke no TLS, or went away.
    #[error("{0}")]
    Broken(io::Error),
    /// It took too long.
    #[error("it took longer than {} seconds", HANDSHAKE_TIME.as_secs())]
    TooSlow,
}

/// Shakes hands, in a bounded time.
pub(crate) async fn handshake(tls: &TlsAcceptor, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
    match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(wrong)) => HandshakeError::Certificate(wrong.clone()),
            _ => HandshakeError::Broken(error),
        }),
        Err(_) => Err(HandshakeError::TooSlow),
    }
}
