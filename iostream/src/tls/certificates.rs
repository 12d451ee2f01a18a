use std::{
    collections::HashMap,
    fmt, mem,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use webpki::EndEntityCert;

use super::pem;
use crate::Result;

/// The certificates of a server, by the names in them, to be changed while it runs.
///
/// A client is shown the certificate that is valid for the name it asks for (SNI): an exact match before a wildcard. A
/// client that names none, or an unknown one, is shown the certificate that was added first.
///
/// All clones are the same set. A change holds for the handshakes that begin after it; connections keep the session they
/// have. It may be made from any thread.
///
/// # Examples
///
/// Renewed certificates on SIGHUP, without a restart:
///
/// ```no_run
/// use iostream::{signal, tls::TlsAcceptor};
///
/// # #[cfg(feature = "tls-ring")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsAcceptor::ring().certificate("example.org.pem", "example.org.key")?.build()?;
/// let certificates = tls.certificates().expect("the acceptor was built").clone();
/// signal::add_signal_handler(signal::SIGHUP, move || {
///     if let Err(error) = certificates.reload() {
///         eprintln!("keeping the certificates there are: {error}");
///     }
/// })?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tls-ring"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    /// Locked for a handful of instructions at a time. A configuration of rustls may be used by several threads.
    table: RwLock<Table>,
}

#[derive(Default, Clone)]
struct Table {
    entries: Vec<Entry>,
    /// Names in lower case, with their `*.` where they have one.
    by_name: HashMap<String, usize>,
}

#[derive(Clone)]
struct Entry {
    key: Arc<CertifiedKey>,
    /// Certificates and key; absent for what did not come from files.
    files: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// An empty set. A server with an empty set refuses every handshake.
    pub fn new(provider: Arc<CryptoProvider>) -> Certificates {
        Certificates { shared: Arc::new(Shared { provider, table: RwLock::default() }) }
    }

    /// Adds a certificate chain, the server's own certificate first, and its private key, from PEM files. A name that an
    /// earlier certificate has too is this one's from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`](crate::Error::Tls), which names the file, when one cannot be read or has no certificate or key in
    /// it, and when they do not belong together. Nothing is changed then.
    pub fn add_files(&self, certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<()> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        let loaded = pem::certified_key(certificates, key, &self.shared.provider)?;
        let files = Some((certificates.to_owned(), key.to_owned()));
        self.shared.write().insert(Entry { key: Arc::new(loaded), files })
    }

    /// Adds a certificate from elsewhere, as [`add_files`](Certificates::add_files).
    ///
    /// # Errors
    ///
    /// [`Error::Tls`](crate::Error::Tls) when there is no certificate in it, or one that cannot be parsed.
    pub fn add(&self, key: CertifiedKey) -> Result<()> {
        self.shared.write().insert(Entry { key: Arc::new(key), files: None })
    }

    /// Reads the files of all certificates again. What did not come from files stays.
    ///
    /// Blocks for as long as reading takes. When a server has hundreds of certificates, call it in
    /// [`run_in_executor`](crate::run_in_executor).
    ///
    /// # Errors
    ///
    /// As [`add_files`](Certificates::add_files). Then all certificates stay as they are: there is never a new one with an
    /// old key.
    pub fn reload(&self) -> Result<()> {
        let entries = self.shared.read().entries.clone();
        let mut table = Table::default();
        for mut entry in entries {
            if let Some((certificates, key)) = &entry.files {
                entry.key = Arc::new(pem::certified_key(certificates, key, &self.shared.provider)?);
            }
            table.insert(entry)?;
        }
        let before = mem::replace(&mut *self.shared.write(), table);
        drop(before);
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shared.read().find(hello.server_name()).cloned()
    }
}

impl Shared {
    // Nothing under the lock leaves the table half changed, so a panic elsewhere is no reason to refuse.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, entry: Entry) -> Result<()> {
        let names = names(&entry.key)?;
        let place = self.entries.len();
        self.by_name.extend(names.into_iter().map(|name| (name, place)));
        self.entries.push(entry);
        Ok(())
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let place = name.and_then(|name| self.place(&name.to_ascii_lowercase())).unwrap_or(0);
        self.entries.get(place).map(|entry| &entry.key)
    }

    fn place(&self, name: &str) -> Option<usize> {
        if let Some(place) = self.by_name.get(name) {
            return Some(*place);
        }
        // A wildcard stands for one label (RFC 9525, 6.3).
        let (_, parent) = name.split_once('.')?;
        self.by_name.get(&format!("*.{parent}")).copied()
    }
}

/// The DNS names that a certificate is valid for.
fn names(key: &CertifiedKey) -> Result<Vec<String>> {
    let own = key.cert.first().ok_or_else(|| pem::invalid("the certificate chain is empty".to_owned()))?;
    let parsed = EndEntityCert::try_from(own).map_err(|error| pem::invalid(format!("the certificate: {error}")))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

impl fmt::Debug for Certificates {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.shared.read();
        let mut names: Vec<&String> = table.by_name.keys().collect();
        names.sort();
        f.debug_struct("Certificates").field("names", &names).finish_non_exhaustive()
    }
}
