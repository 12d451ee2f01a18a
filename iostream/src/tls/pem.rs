//! Certificates and keys from PEM files, with errors that name the file.

use std::{io, path::Path};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use crate::{Error, Result};

/// A certificate chain and the key of its first certificate.
pub(super) fn certified_key(certificates: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = read_certificates(certificates)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", error))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| invalid(format!("{} with {}: {error}", certificates.display(), key.display())))
}

/// Certificates that are trusted.
pub(super) fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| invalid(format!("{}: {error}", file.display())))?;
    }
    Ok(())
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(unusable(file, "certificate", pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(file, "certificate", error)),
    }
}

fn unusable(file: &Path, what: &str, error: pem::Error) -> Error {
    let file = file.display();
    match error {
        pem::Error::Io(error) => Error::tls(io::Error::new(error.kind(), format!("reading {file}: {error}"))),
        pem::Error::NoItemsFound => invalid(format!("{file}: no {what} in it")),
        pem::Error::MissingSectionEnd { end_marker } => {
            invalid(format!("{file}: its section {} has no end", String::from_utf8_lossy(&end_marker)))
        }
        pem::Error::IllegalSectionStart { line } => {
            invalid(format!("{file}: {:?} begins no section", String::from_utf8_lossy(&line)))
        }
        error => invalid(format!("{file}: {error}")),
    }
}

pub(super) fn invalid(text: String) -> Error {
    Error::tls(io::Error::new(io::ErrorKind::InvalidData, text))
}
