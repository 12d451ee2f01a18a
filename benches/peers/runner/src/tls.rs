//! The certificate of the servers over TLS, and a client that trusts it.

use std::{
    env, fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    process,
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};

/// A certificate for `localhost` and its key, in files of their own until the program ends.
pub(crate) struct Certificate {
    folder: PathBuf,
}

/// What clients trust.
static CLIENT: OnceLock<Arc<ClientConfig>> = OnceLock::new();

impl Certificate {
    /// Makes a new one, which the clients of this process trust.
    pub(crate) fn new() -> Result<Certificate, String> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|error| error.to_string())?;
        CLIENT.get_or_init(|| Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));

        let certificate = Certificate { folder: env::temp_dir().join(format!("peers-{}", process::id())) };
        let write = |path: &Path, text: String| fs::write(path, text).map_err(|error| error.to_string());
        fs::create_dir_all(&certificate.folder).map_err(|error| error.to_string())?;
        let [chain, key] = certificate.files();
        write(&chain, made.cert.pem())?;
        write(&key, made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    /// The chain and the key.
    pub(crate) fn files(&self) -> [PathBuf; 2] {
        [self.folder.join("chain.pem"), self.folder.join("key.pem")]
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // What is left behind is a test certificate in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// TLS over a connection. The handshake goes along with the first bytes.
pub(crate) fn connect(stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = CLIENT.get().ok_or(io::ErrorKind::NotFound)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}
