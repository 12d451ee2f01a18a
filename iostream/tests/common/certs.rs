//! Certificates for tests, made anew in each run, in files as a server has them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use iostream::tls::{TlsAcceptor, TlsAcceptorBuilder, TlsConnector, TlsConnectorBuilder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// One that signs certificates, and the folder with its own and all that it has signed. Removed when dropped.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and of its key.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // One binary may have this module several times, each with its own count.
        let (number, folder) = loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let folder = env::temp_dir().join(format!("iostream-tls-{}-{number}", process::id()));
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    result.expect("a folder for certificates");
                    break (number, folder);
                }
            }
        };
        let mut params = CertificateParams::new([]).expect("no names");
        // Two with one name could be taken for each other.
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("random numbers");
        fs::write(folder.join("ca.pem"), params.self_signed(&key).expect("a key").pem()).expect("room");
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// The certificate to trust.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new certificate for `names`. One with the same first name is replaced.
    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let file = names[0].replace('*', "any");
        let key = KeyPair::generate().expect("random numbers");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a key");
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, certificate.pem()).expect("room");
        fs::write(&identity.key, key.serialize_pem()).expect("room");
        identity
    }

    /// Begins a server named `localhost`.
    pub(crate) fn server(&self) -> TlsAcceptorBuilder {
        let identity = self.sign(&["localhost"]);
        TlsAcceptor::ring().certificate(identity.certificate, identity.key).expect("just written")
    }

    /// Begins a client that trusts what this authority has signed.
    pub(crate) fn client(&self) -> TlsConnectorBuilder {
        TlsConnector::ring().roots(self.root()).expect("just written")
    }

    /// Both sides of the usual kind.
    pub(crate) fn both(&self) -> (TlsAcceptor, TlsConnector) {
        (self.server().build().expect("a certificate"), self.client().build().expect("a root"))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
