use std::{fmt, path::Path, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    server::{ProducesTickets, WebPkiClientVerifier},
};

use super::{Certificates, pem};
use crate::{Error, Result};

/// What a server shows its clients and demands of them.
///
/// Cheap to clone, and the clones share tickets and certificates: make one and pass it to every thread.
///
/// # Examples
///
/// A server in five lines:
///
/// ```no_run
/// use iostream::{IOLoop, IOStream, ServerOptions, TcpServer, tls::TlsAcceptor};
///
/// # #[cfg(feature = "tls-ring")]
/// # fn main() -> iostream::Result<()> {
/// let tls = TlsAcceptor::ring().certificate("example.org.pem", "example.org.key")?.build()?;
/// let greet = async |stream: IOStream, _peer| stream.write("hello\n").await;
/// TcpServer::with_options(greet, ServerOptions::new().tls(tls)).listen(("127.0.0.1", 8443))?;
/// IOLoop::current().start();
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tls-ring"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    certificates: Option<Certificates>,
    handshake_timeout: Duration,
}

impl TlsAcceptor {
    /// How long a handshake may take, unless [`handshake_timeout`](TlsAcceptor::handshake_timeout) says otherwise: 10 s.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// An acceptor with a configuration of rustls, which may have anything that this crate has no method for.
    pub fn new(config: Arc<ServerConfig>) -> TlsAcceptor {
        TlsAcceptor { config, certificates: None, handshake_timeout: TlsAcceptor::DEFAULT_HANDSHAKE_TIMEOUT }
    }

    /// Begins an acceptor that uses `provider` for its cryptography: TLS 1.2 and 1.3, without certificates yet.
    ///
    /// Sessions can be resumed: the 256 latest, from memory, unless
    /// [`tickets`](TlsAcceptorBuilder::tickets) are given.
    pub fn builder(provider: Arc<CryptoProvider>) -> TlsAcceptorBuilder {
        TlsAcceptorBuilder {
            certificates: Certificates::new(Arc::clone(&provider)),
            provider,
            client_roots: None,
            client_must_authenticate: false,
            alpn: Vec::new(),
            tickets: Ok(None),
        }
    }

    /// Begins an acceptor that uses *ring*, and issues tickets with it, by which clients resume their sessions at no cost in
    /// memory here. Their key changes every six hours.
    #[cfg(feature = "tls-ring")]
    pub fn ring() -> TlsAcceptorBuilder {
        use rustls::crypto::ring;
        TlsAcceptor::builder(Arc::new(ring::default_provider())).tickets_or_error(ring::Ticketer::new())
    }

    /// As [`ring`](TlsAcceptor::ring), with AWS-LC.
    #[cfg(feature = "tls-aws-lc")]
    pub fn aws_lc() -> TlsAcceptorBuilder {
        use rustls::crypto::aws_lc_rs;
        TlsAcceptor::builder(Arc::new(aws_lc_rs::default_provider())).tickets_or_error(aws_lc_rs::Ticketer::new())
    }

    /// Sets how long a handshake may take. A stream whose handshake takes longer is closed, with a cause for which
    /// [`Error::is_timed_out`](crate::Error::is_timed_out) holds.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The certificates, to be changed while the server runs. `None` when the configuration did not come from the builder.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// How long a handshake may take.
    pub fn timeout(&self) -> Duration {
        self.handshake_timeout
    }
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> TlsAcceptor {
        TlsAcceptor::new(config)
    }
}

impl fmt::Debug for TlsAcceptor {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("certificates", &self.certificates)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// Makes a [`TlsAcceptor`].
#[must_use = "a builder does nothing until `build`"]
pub struct TlsAcceptorBuilder {
    provider: Arc<CryptoProvider>,
    certificates: Certificates,
    client_roots: Option<RootCertStore>,
    client_must_authenticate: bool,
    alpn: Vec<Vec<u8>>,
    tickets: Result<Option<Arc<dyn ProducesTickets>>, rustls::Error>,
}

impl TlsAcceptorBuilder {
    /// Adds a certificate chain, the server's own certificate first, and its private key, from PEM files. The first is
    /// shown to clients that ask for no name that is known; see [`Certificates`].
    ///
    /// # Errors
    ///
    /// As [`Certificates::add_files`].
    pub fn certificate(self, certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        self.certificates.add_files(certificates, key)?;
        Ok(self)
    }

    /// Takes these certificates, and those added later, instead of those added so far.
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// Demands a certificate of every client, signed by one of those in a PEM file. May be called for several files.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`], which names the file, when it cannot be read or has no certificate in it.
    pub fn require_client_certificates(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        pem::add_roots(self.client_roots.get_or_insert_with(RootCertStore::empty), roots.as_ref())?;
        self.client_must_authenticate = true;
        Ok(self)
    }

    /// Asks every client for a certificate, and checks it, but serves those that have none too.
    /// [`TlsInfo::peer_certificates`](super::TlsInfo::peer_certificates) tells them apart.
    ///
    /// # Errors
    ///
    /// As [`require_client_certificates`](TlsAcceptorBuilder::require_client_certificates).
    pub fn request_client_certificates(mut self, roots: impl AsRef<Path>) -> Result<Self> {
        pem::add_roots(self.client_roots.get_or_insert_with(RootCertStore::empty), roots.as_ref())?;
        Ok(self)
    }

    /// The protocols that are spoken (ALPN), the preferred one first. A client that offers others alone is refused.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// By what sessions are resumed. Processes that are to resume each other's sessions share it: make it before they fork.
    pub fn tickets(mut self, tickets: Arc<dyn ProducesTickets>) -> Self {
        self.tickets = Ok(Some(tickets));
        self
    }

    #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
    fn tickets_or_error(mut self, tickets: Result<Arc<dyn ProducesTickets>, rustls::Error>) -> Self {
        self.tickets = tickets.map(Some);
        self
    }

    /// Makes the acceptor.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when the provider cannot do TLS 1.2 or 1.3, or has no random numbers.
    pub fn build(self) -> Result<TlsAcceptor> {
        let versions = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::tls)?;
        let versions = match self.client_roots {
            None => versions.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider);
                let verifier = if self.client_must_authenticate { verifier } else { verifier.allow_unauthenticated() };
                versions.with_client_cert_verifier(verifier.build().map_err(|error| pem::invalid(error.to_string()))?)
            }
        };
        let mut config = versions.with_cert_resolver(Arc::new(self.certificates.clone()));
        config.alpn_protocols = self.alpn;
        if let Some(tickets) = self.tickets.map_err(Error::tls)? {
            config.ticketer = tickets;
        }
        Ok(TlsAcceptor { certificates: Some(self.certificates), ..TlsAcceptor::new(Arc::new(config)) })
    }
}

impl fmt::Debug for TlsAcceptorBuilder {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptorBuilder").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}
