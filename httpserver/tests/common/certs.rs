//! Certificates for tests, made anew in each run, in files as a server has them.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use httpserver::iostream::tls::{TlsAcceptor, TlsAcceptorBuilder, TlsConnector, TlsConnectorBuilder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// One that signs certificates, and the folder with its own and all that it has signed. Removed when dropped.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and of its key.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("httpserver-tls-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        // Two with one name could be taken for each other.
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// The certificate to trust.
    pub fn root(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A new certificate for `name`, in place of an earlier one.
    pub fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let identity = Identity {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// Begins a server named `localhost`.
    pub fn server(&self) -> TlsAcceptorBuilder {
        let identity = self.sign("localhost");
        TlsAcceptor::ring().certificate(identity.certificate, identity.key).unwrap()
    }

    /// Begins a client that trusts what this authority has signed.
    pub fn client(&self) -> TlsConnectorBuilder {
        TlsConnector::ring().roots(self.root()).unwrap()
    }

    /// Both sides of the usual kind.
    pub fn both(&self) -> (TlsAcceptor, TlsConnector) {
        (self.server().build().unwrap(), self.client().build().unwrap())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
