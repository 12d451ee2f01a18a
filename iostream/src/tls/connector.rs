use std::{fmt, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{TlsAcceptor, pem};
use crate::{Error, Result};

/// Whom a client trusts, and what it shows.
///
/// Cheap to clone. Make one for the whole program: the sessions that it remembers are what makes later handshakes short.
///
/// # Examples
///
/// ```no_run
/// use iostream::{IOStream, tls::TlsConnector};
///
/// # #[cfg(feature = "tls-ring")]
/// # async fn example() -> iostream::Result<()> {
/// let tls = TlsConnector::ring().system_roots()?.build()?;
/// let stream = IOStream::connect("192.0.2.1:6697".parse().expect("an address")).await?;
/// stream.start_tls_client(&tls, "irc.example.org").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    handshake_timeout: Duration,
}

impl TlsConnector {
    /// How long a handshake may take, unless [`handshake_timeout`](TlsConnector::handshake_timeout) says otherwise: 10 s.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = TlsAcceptor::DEFAULT_HANDSHAKE_TIMEOUT;

    /// A connector with a configuration of rustls, which may have anything that this crate has no method for.
    pub fn new(config: Arc<ClientConfig>) -> TlsConnector {
        TlsConnector { config, handshake_timeout: TlsConnector::DEFAULT_HANDSHAKE_TIMEOUT }
    }

    /// Begins a connector that uses `provider` for its cryptography: TLS 1.2 and 1.3, trusting nobody yet.
    ///
    /// It remembers the sessions of the 256 latest servers, to resume them.
    pub fn builder(provider: Arc<CryptoProvider>) -> TlsConnectorBuilder {
        TlsConnectorBuilder { provider, roots: RootCertStore::empty(), identity: None, alpn: Vec::new() }
    }

    /// Begins a connector that uses *ring*.
    #[cfg(feature = "tls-ring")]
    pub fn ring() -> TlsConnectorBuilder {
        TlsConnector::builder(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// Begins a connector that uses AWS-LC.
    #[cfg(feature = "tls-aws-lc")]
    pub fn aws_lc() -> TlsConnectorBuilder {
        TlsConnector::builder(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
    }

    /// Sets how long a handshake may take. A stream whose handshake takes longer is closed, with a cause for which
    /// [`Error::is_timed_out`](crate::Error::is_timed_out) holds.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.handshake_timeout
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> TlsConnector {
        TlsConnector::new(config)
    }
}

impl fmt::Debug for TlsConnector {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("handshake_timeout", &self.handshake_timeout).finish_non_exhaustive()
    }
}

/// Makes a [`TlsConnector`].
#[must_use = "a builder does nothing until `build`"]
pub struct TlsConnectorBuilder {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    identity: Option<CertifiedKey>,
    alpn: Vec<Vec<u8>>,
}

impl TlsConnectorBuilder {
    /// Trusts whom the system trusts: the certificates where OpenSSL looks for them, or in the file and the directory that
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when there are none. Single certificates that cannot be used are left out, as every other program
    /// does.
    pub fn system_roots(mut self) -> Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = self.roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or(String::new(), |error| format!(": {error}"));
            return Err(pem::invalid(format!("the system has no certificates to trust{why}")));
        }
        Ok(self)
    }

    /// Trusts the certificates in a PEM file too. May be called for several files.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`], which names the file, when it cannot be read or has no certificate in it.
    pub fn roots(mut self, file: impl AsRef<Path>) -> Result<Self> {
        pem::add_roots(&mut self.roots, file.as_ref())?;
        Ok(self)
    }

    /// What to show to servers that ask for a certificate: a chain, the client's own certificate first, and its private
    /// key, from PEM files.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`], which names the file, when one cannot be read or has no certificate or key in it, and when they do
    /// not belong together.
    pub fn certificate(mut self, certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        self.identity = Some(pem::certified_key(certificates.as_ref(), key.as_ref(), &self.provider)?);
        Ok(self)
    }

    /// The protocols that are offered (ALPN), the preferred one first.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Makes the connector.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when it would trust nobody, or the provider cannot do TLS 1.2 or 1.3.
    pub fn build(self) -> Result<TlsConnector> {
        if self.roots.is_empty() {
            return Err(pem::invalid("nobody is trusted: add `system_roots` or `roots`".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(self.provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::tls)?
            .with_root_certificates(self.roots);
        let mut config = match self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        };
        config.alpn_protocols = self.alpn;
        Ok(TlsConnector::new(Arc::new(config)))
    }
}

impl fmt::Debug for TlsConnectorBuilder {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnectorBuilder").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}
